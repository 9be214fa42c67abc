"""What runs on a Dask worker and on its scheduler: one call, the way to stop it, and the rule that it is made once."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from distributed import SchedulerPlugin, WorkerPlugin, get_worker

from jupyter_wf.executors.parcels import answer, pack_error

__all__ = ["PREFIX", "MadeOnce", "Shielded", "interrupt_call", "make_call", "nothing"]

#: What the keys of our calls and our topics begin with.
PREFIX = "jupyter-wf-"

#: How many keys of calls that must not begin any more are kept.
_MOST_UNWANTED = 1_000


class _Here:
    """A call that goes on in this process, in the thread that makes it."""

    __slots__ = ("_ident", "told")

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self.told = False

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in the thread at its next bytecode; once."""
        # Before Python 3.12 a thread that has not begun goes by the number of the one that starts it.
        if not self.told and not (sys.version_info < (3, 12) and getattr(threading, "_limbo", None)):
            self.told = True
            self._raise(ctypes.py_object(KeyboardInterrupt))

    def take_back(self) -> None:
        """Take back an interrupt that has not been raised yet."""
        if self.told:
            self._raise(None)

    def _raise(self, what: Any) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._ident), what)


class _Calls:
    """The calls of this process by their keys, and those that must not begin any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here: dict[str, _Here] = {}
        self._unwanted: dict[str, None] = {}

    def begin(self, key: str) -> bool:
        """Note that the calling thread begins a call; return False where nobody wants it any more."""
        with self._lock:
            if key in self._unwanted:
                return False
            self._here[key] = _Here()
            return True

    def end(self, key: str) -> None:
        """Note that the call has ended: nothing interrupts the calling thread behind this."""
        with self._lock:
            here = self._here.pop(key, None)
            if here is not None:
                here.take_back()

    def interrupt(self, key: str) -> bool:
        """Interrupt a call; return whether it is over, or never begins here."""
        with self._lock:
            here = self._here.get(key)
            if here is not None:
                here.interrupt()
                return False
            self._unwanted[key] = None
            if len(self._unwanted) > _MOST_UNWANTED:
                del self._unwanted[next(iter(self._unwanted))]
            return True


_calls = _Calls()


def nothing() -> None:
    """Do nothing: what a cluster without workers is given, so that it gets one."""


def make_call(parcel: bytes, key: str, topic: str, path: list[str] | None) -> bytes:
    """Make the call in ``parcel`` and return how it ended, packed; raises nothing.

    What happens meanwhile is told under ``topic``: that the call has begun (the key, the worker's address and process
    id), and each log line (the key, the level, the text, the logger). ``path`` is where modules are found (None: as
    they are here).
    """
    if path is not None and sys.path != path:
        sys.path[:] = path
    worker = get_worker()

    def log(level: int, message: str, logger: str) -> None:
        worker.log_event(topic, [key, level, message, logger])

    try:
        try:
            if not _calls.begin(key):
                return pack_error(KeyboardInterrupt())
            worker.log_event(topic, [key, worker.address, os.getpid()])
            return answer(parcel, log)
        finally:
            _calls.end(key)
            _flush()
    except KeyboardInterrupt as late:
        # There is only one, so this time it is taken out undisturbed.
        _calls.end(key)
        return pack_error(late)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # They may have been closed, or replaced by something else.
        with suppress(Exception):
            stream.flush()


async def interrupt_call(key: str, grace: float) -> bool:
    """Interrupt a call of this worker, wait up to ``grace`` seconds, and return whether it is over.

    Runs in the worker's event loop. A call that has not begun yet will not begin.
    """
    deadline = time.monotonic() + grace
    while not _calls.interrupt(key):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


class MadeOnce(SchedulerPlugin):
    """On the scheduler: has a call that was on its way to a worker that died fail, instead of making it again.

    It also forgets a client's topic when the client leaves.
    """

    name = "jupyter-wf-made-once"
    idempotent = True

    def __init__(self) -> None:
        self._scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        """Remember whose plugin this is."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """When one of our calls is given to a worker, say that its last chance has come."""
        if finish == "processing" and isinstance(key, str) and key.startswith(PREFIX):
            task = self._scheduler.tasks.get(key)
            if task is not None:
                task.suspicious = self._scheduler.allowed_failures

    def remove_client(self, scheduler: Any, client: str) -> None:
        """Drop what our client was told: the scheduler would keep it for ever."""
        topics = getattr(getattr(scheduler, "_broker", None), "_topics", None)
        if isinstance(topics, dict):
            topics.pop(PREFIX + client, None)


class Shielded(WorkerPlugin):
    """On a worker of our own cluster: the interrupt key of the terminal, and of a notebook, is not for it."""

    name = "jupyter-wf-shielded"

    def setup(self, worker: Any) -> None:
        """Ignore SIGINT, if the worker is a process of its own."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
