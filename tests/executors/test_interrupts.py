"""An interrupt at every place of `ProcessExecutor.run` where Python would notice one leaves the executor usable."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
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


def interrupt_everywhere() -> int:
    """Interrupt calls of one executor at every place; return how many there are."""
    # Whoever is interrupted waits for its call to stop, never for the time that this takes at most.
    process._LONGEST_STOP = 1e9
    places = 0
    with ExitStack() as stack:
        executor = ProcessExecutor(1)
        executor.start(stack)
        while place := interrupted(executor, places + 1):
            places += 1
            assert Driver(executor, add, places).wait().value == places, place
    return places


def interrupt_first_calls() -> int:
    """Interrupt the first call of an executor, which starts a thread too, at every place; return how many there are."""
    places = 0
    while True:
        with ExitStack() as stack:
            executor = ProcessExecutor(1)
            executor.start(stack)
            place = interrupted(executor, places + 1)
            if not place:
                return places
            places += 1
            assert Driver(executor, add, places).wait().value == places, place


PROGRAMS = {"every call": (interrupt_everywhere, 8), "the first call": (interrupt_first_calls, 30)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_can_be_interrupted_anywhere(name: str) -> None:
    # In an interpreter of its own: pytest's own machinery does not bear a profiler that raises.
    done = subprocess.run(
        [sys.executable, "-m", "tests.executors.test_interrupts", name],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > PROGRAMS[name][1]


if __name__ == "__main__":
    print(PROGRAMS[sys.argv[1]][0]())
