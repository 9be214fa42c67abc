"""The stop button at any moment: an interrupt at every place of the engine where Python would notice one.

Each program is interrupted in an interpreter of its own, which runs this file.
"""

from __future__ import annotations

import builtins
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import jupyter_wf
from jupyter_wf import flow, task
from jupyter_wf.core.models import RunFilter
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.task_runners import SequentialTaskRunner

OURS = (str(Path(jupyter_wf.__file__).parent), "threading.py", "contextlib.py")


class Interrupt:
    """A profiler that raises `KeyboardInterrupt` at the n-th place.

    Python looks for signals where a function begins and where a call of one that is written in C has returned.
    """

    def __init__(self, n: int) -> None:
        self.left = n
        self.place = ""

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event not in ("call", "c_return"):
            return
        name = frame.f_code.co_filename
        if not name.startswith(OURS[0]) and not name.endswith(OURS[1:]):
            return
        self.left -= 1
        if self.left == 0:
            sys.setprofile(None)
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name} {event} {arg!r:.60}"
            raise KeyboardInterrupt


@task
def add(x: int) -> int:
    return x + 1


@task(timeout_seconds=60, log_prints=True)
def timed(x: int) -> int:
    return x


@task(retries=1, retry_delay_seconds=0.001)
def second_time(calls: list[int]) -> int:
    calls.append(1)
    if len(calls) == 1:
        raise ValueError("not yet")
    return len(calls)


@task
def broken() -> None:
    raise ValueError("broken")


@flow
def inner() -> int:
    return add(1)


@flow
def calling() -> int:
    return timed(add(1))


@flow(timeout_seconds=60)
def nesting() -> int:
    return inner()


@flow
def retrying() -> int:
    return second_time([])


@flow(log_prints=True)
def submitting() -> int:
    first = add.submit(1)
    return add.submit(first).result()


@flow(task_runner=SequentialTaskRunner())
def submitting_inline() -> int:
    return add.submit(1).result()


@flow
def defining() -> int:
    return task(retries=2)(lambda x: x + 1)(1)


@flow
def failing() -> None:
    with pytest.raises(ValueError, match="broken"):
        broken()


PROGRAMS: dict[str, Any] = {
    "calling": calling,
    "nesting": nesting,
    "retrying": retrying,
    "submitting": submitting,
    "submitting_inline": submitting_inline,
    "defining": defining,
    "failing": failing,
    "alone": lambda: add(1),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_interrupt_at_any_moment_leaves_everything_closed(name: str) -> None:
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 15
    assert done.stderr == ""


def interrupt_everywhere(program: Callable[[], Any], step: int) -> int:
    """Interrupt ``program`` at every ``step``-th place and look at what is left; return how often that was."""
    value = program()
    runtime = current_runtime()
    real_print = builtins.print
    places = 0
    while True:
        interrupt = Interrupt(1 + places * step)
        reached = _interrupted(program, interrupt)
        if not interrupt.place:
            return places
        places += 1
        assert reached, f"swallowed at {interrupt.place}"
        assert current_run() is None, interrupt.place
        print(end="")
        assert builtins.print is real_print, interrupt.place
        runtime.journal.flush(30)
        page = runtime.store.list_runs(RunFilter(), limit=6)
        still_open = [run for run in page.items if not run.state.is_closed()]
        assert not still_open, f"{still_open} after an interrupt at {interrupt.place}"
        assert program() == value, interrupt.place


def _interrupted(call: Callable[[], Any], interrupt: Interrupt) -> bool:
    sys.setprofile(interrupt)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


if __name__ == "__main__":
    # What the engine says of failures is not looked at here: stderr is to show nothing else.
    logging.getLogger().addHandler(logging.NullHandler())
    print(interrupt_everywhere(PROGRAMS[sys.argv[1]], step=8))
