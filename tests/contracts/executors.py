"""The executors that are held to the contract, and the calls that the tests make there.

The calls are functions of a module, as most of the users' are; what the tests wait for is told through files, which
every kind of executor can see.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from jupyter_wf.core.effects import Outcome
from jupyter_wf.executors.base import Call, Executor, Log
from jupyter_wf.executors.dask import DaskExecutor
from jupyter_wf.executors.dask_place import Place
from jupyter_wf.executors.registry import make_executor
from tests import clusters


def _dask(size: int) -> Executor:
    """Use the cluster of the session: one of its own for each test takes a second."""
    return DaskExecutor(size, Place(address=clusters.address()))


#: How to make one of each kind for at most so many calls at the same time.
FACTORIES: dict[str, Callable[[int], Executor]] = {
    "dask": _dask,
    **{
        name: lambda size, name=name: make_executor(name, size)  # type: ignore[misc]
        for name in ("inline", "process", "thread")
    },
}


class Odd(Exception):
    """Its constructor takes something else than its ``args``."""

    def __init__(self, number: int, *, reason: str) -> None:
        super().__init__(f"{number} is odd")
        self.number = number
        self.reason = reason


class Stop(BaseException):
    """What the tests interrupt a thread with."""


def add(x: int, y: int = 0) -> int:
    return x + y


def fail(error: BaseException) -> NoReturn:
    raise error


def fail_oddly() -> NoReturn:
    raise Odd(3, reason="it is not even")


def answer(value: Any) -> Any:
    return value


def where() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def talk(log: Log, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
    """Surroundings that say what is going on."""
    log(20, f"before {fn.__name__}", "test")
    value = fn(*args, **kwargs)
    log(30, f"after {value}", "test")
    return [value]


def meet(folder: Path, name: str, others: int) -> bool:
    """Come, and wait until so many are there at the same time; return whether they came."""
    (folder / name).touch()
    return wait_for(lambda: len(list(folder.iterdir())) >= others)


def stay(folder: Path, name: str) -> int:
    """Come, stay until ``folder / "go"`` is there, and go; return how many were there on arrival, this one included."""
    (folder / name).touch()
    many = len(list(folder.glob("call-*")))
    wait_for((folder / "go").exists)
    (folder / name).unlink()
    return many


def stay_for_ever(folder: Path, name: str) -> NoReturn:
    """Come, and go only when interrupted; tell it then."""
    try:
        (folder / name).touch()
        while True:
            threading.Event().wait(0.01)
    finally:
        (folder / f"{name} left").touch()


def wait_for(probe: Callable[[], Any], seconds: float = 30.0) -> bool:
    """Return whether ``probe`` becomes true."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not probe():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.005)
    return True


class Driver:
    """Runs a call on one of the executor's threads, as the engine does."""

    def __init__(self, executor: Executor, fn: Callable[..., Any], *args: Any, **more: Any) -> None:
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.thread = 0
        self.done = threading.Event()
        self._executor = executor
        self._call = Call(fn, args, **more)
        executor.spawn(self._work)

    def _work(self) -> None:
        self.thread = threading.get_ident()
        try:
            self.outcome = self._executor.run(self._call)
        except BaseException as error:
            self.error = error
        self.done.set()

    def wait(self) -> Outcome:
        """Return the outcome."""
        assert self.done.wait(60), "the call did not end"
        assert self.outcome is not None, self.error
        return self.outcome
