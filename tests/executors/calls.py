"""Calls for worker processes: ones that die, that can't be stopped, that can't be pickled."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jupyter_wf import task
from jupyter_wf.executors.base import Log

LOADED_IN = os.getpid()


class Broken(Exception):
    """Can't be pickled, and can't even be shown."""

    def __init__(self) -> None:
        super().__init__("broken")
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Elsewhere(Exception):
    """Can only be read in the process that it comes from."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_in, (os.getpid(), *self.args)


def _only_in(pid: int, text: str) -> Elsewhere:
    if os.getpid() != pid:
        raise OSError("not here")
    return Elsewhere(text)


class Unreadable:
    """A value that can't be read anywhere."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("not a number",)


@task
def decorated() -> int:
    return LOADED_IN


def pid(*ignored: Any) -> int:
    return os.getpid()


def leave(code: int) -> NoReturn:
    os._exit(code)


def die(number: int) -> NoReturn:
    os.kill(os.getpid(), number)
    raise AssertionError("still alive")


def broken() -> NoReturn:
    raise Broken


def elsewhere() -> NoReturn:
    raise Elsewhere("far away")


def unreadable() -> Unreadable:
    return Unreadable()


def lock() -> Any:
    return threading.Lock()


def read_input() -> str:
    return sys.stdin.read()


def told(folder: Path) -> None:
    (folder / f"{os.getpid()}.pid").touch()


def in_a_system_call(folder: Path) -> None:
    told(folder)
    time.sleep(3600)


def in_c_code(folder: Path) -> None:
    """Try 2**50 ways in which this is no match; the interpreter's lock is held all the time."""
    told(folder)
    re.match(r"(a|a)+$", "a" * 50 + "b")


def swallow(folder: Path) -> None:
    """Go on whatever is asked: only SIGKILL helps. A process of its own does the same."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    program = "import signal, time; signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN); "
    program += f"open({str(folder)!r} + f'/{{__import__(\"os\").getpid()}}.pid', 'w'); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", program])
    while len(list(folder.iterdir())) < 1:
        threading.Event().wait(0.005)
    told(folder)
    while True:
        try:
            threading.Event().wait(0.01)
        except KeyboardInterrupt:
            continue


def chatter(log: Log, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> NoReturn:
    """Log without end; never silent long enough to be asked."""
    told(args[0])
    while True:
        try:
            log(20, "and another thing", "test")
        except KeyboardInterrupt:
            continue


def asked(log: Log, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> bool:
    """Log a line, and wait until somebody has read it."""
    (folder,) = args
    log(20, "are you there?", "test")
    deadline = time.monotonic() + 30
    while not (folder / "yes").exists() and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    return bool((folder / "yes").exists())
