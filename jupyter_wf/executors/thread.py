"""The thread executor: daemon threads, made as they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

from jupyter_wf.core.effects import Outcome
from jupyter_wf.executors.base import Call, execute

__all__ = ["ThreadExecutor"]


class _Worker(threading.Thread):
    """A thread that knows whose it is, so that whoever waits on it can give its place back."""

    def __init__(self, executor: ThreadExecutor, work: Callable[[], None], number: int) -> None:
        super().__init__(target=work, name=f"jupyter-wf-task-{number}", daemon=True)
        self.executor = executor


class ThreadExecutor:
    """At most ``threads`` threads do work at the same time; one that waits for another task does not count.

    A thread that takes work sees to it that another one is there for what comes next. So it is never the submitter who
    waits for a thread to start, and few are made for work that is done at once.

    The threads are daemons: a task that ignores its cancellation can't keep the process alive. (The standard
    library's pool joins its threads at exit.)
    """

    name = "thread"
    remote = False

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads={threads}: at least one thread is needed")
        self._limit = threads
        self._queue: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._number = 0
        self._idle: set[threading.Thread] = set()
        self._blocked = 0
        self._closed = False

    def start(self, exit_stack: ExitStack) -> None:
        """Register the shutdown; threads are made when work comes."""
        exit_stack.callback(self._shut_down)

    def spawn(self, work: Callable[[], Any]) -> None:
        """Queue ``work``. Raises `RuntimeError` after the shutdown."""
        if self._closed:
            raise RuntimeError("the thread executor has been shut down")
        if not self._threads:
            self._add_thread()
        self._queue.put(work)

    def run(self, call: Call) -> Outcome:
        """Execute ``call`` right here."""
        return execute(call)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let another thread work in the place of this one, if this is one of ours."""
        if threading.current_thread() not in self._threads:
            yield
            return
        with self._lock:
            self._blocked += 1
            alone = not self._idle
        try:
            if alone:
                self._add_spare()
            yield
        finally:
            with self._lock:
                self._blocked -= 1

    def resize(self, threads: int) -> None:
        """Let at most ``threads`` threads, from 1, do work at the same time from now on."""
        with self._lock:
            self._limit = threads
            more = bool(self._threads) and not self._idle and len(self._threads) < threads + self._blocked
        if more:
            self._add_spare()

    def replace(self, thread: threading.Thread, work: Callable[[], Any]) -> None:
        """Give up a thread that does not come back, and have another one do ``work`` at once, in its place."""
        with self._lock:
            self._threads.discard(thread)
            self._number += 1
            number = self._number
        _Worker(self, partial(self._work, work), number).start()

    def _add_thread(self) -> None:
        self._number += 1
        _Worker(self, self._work, self._number).start()

    def _add_spare(self) -> None:
        # Where the system has no more threads, those that are here do the work.
        with suppress(RuntimeError):
            self._add_thread()

    def _work(self, first: Callable[[], Any] | None = None) -> None:
        me = threading.current_thread()
        with self._lock:
            # Two may have been started for one place.
            if first is None and (self._closed or len(self._threads) >= self._limit + self._blocked):
                return
            self._threads.add(me)
        try:
            if first is not None:
                first()
            while self._work_once(me):
                pass
        finally:
            with self._lock:
                died = me in self._threads
                self._threads.discard(me)
                self._idle.discard(me)
            if died and not self._closed:
                # An interrupt that came late has ended it: somebody has to do what is queued.
                self._add_spare()

    def _work_once(self, me: threading.Thread) -> bool:
        """Do the next piece of work; return whether the thread is to go on."""
        with self._lock:
            if self._closed or len(self._threads) > self._limit + self._blocked:
                self._threads.discard(me)
                return False
            self._idle.add(me)
        work = self._queue.get()
        with self._lock:
            self._idle.discard(me)
            alone = not self._idle and len(self._threads) < self._limit + self._blocked
        if work is not None:
            if alone:
                self._add_spare()
            work()
        # One that was given up meanwhile has been replaced.
        return me in self._threads

    def _shut_down(self) -> None:
        with self._lock:
            self._closed = True
            sleepers = len(self._threads)
        for _ in range(sleepers):
            self._queue.put(None)
