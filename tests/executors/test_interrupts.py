"""An interrupt at every place of `ProcessExecutor.run` where Python would notice one leaves the executor usable."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from jupyter_wf.executors import process
from jupyter_wf.executors.base import Call
from jupyter_wf.executors.process import ProcessExecutor
from tests.contracts.executors import Driver, Stop, add

#: The files in which the calling thread is interrupted.
OURS = ("executors/process.py", "executors/parcels.py", "threading.py")


class Interrupter:
    """A profiler that raises `Stop` at the n-th place: where a function begins, or one written in C has returned."""

    def __init__(self, n: int) -> None:
        self.left = n
        self.place = ""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event in ("call", "c_return") and frame.f_code.co_filename.endswith(OURS):
            self.left -= 1
            if self.left == 0:
                sys.setprofile(None)
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name} {event}"
                raise Stop


def interrupted(executor: ProcessExecutor, n: int) -> str:
    """Interrupt a call at its n-th place; return the place, nothing when there are fewer."""
    interrupter = Interrupter(n)
    sys.setprofile(interrupter)
    try:
        value = executor.run(Call(add, (1,))).value
    except (Stop, RuntimeError) as error:
        # Interrupted inside a condition, the standard library releases a lock that it has not got.
        assert isinstance(error, Stop) or isinstance(error.__context__, Stop)
        assert interrupter.place
    else:
        assert not interrupter.place, f"swallowed at {interrupter.place}"
        assert value == 1
    finally:
        sys.setprofile(None)
    return interrupter.place


def test_it_can_be_interrupted_anywhere(executor: ProcessExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whoever is interrupted waits for its call to stop, never for the time that this takes at most.
    monkeypatch.setattr(process, "_LONGEST_STOP", 1e9)
    places = 0
    while place := interrupted(executor, places + 1):
        places += 1
        assert Driver(executor, add, places).wait().value == places, place
    assert places > 8


def test_the_first_call_can_be_interrupted_anywhere(start: Any) -> None:
    places = 0
    # A new executor each time: the first call starts a thread too.
    while place := interrupted(executor := start(1), places + 1):
        places += 1
        assert Driver(executor, add, places).wait().value == places, place
    assert places > 30
