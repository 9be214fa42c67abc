"""The thread executor: daemon threads, made as they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
        self._idle = 0
        self._blocked = 0
        self._queued = 0
        self._closed = False

    def start(self, exit_stack: ExitStack) -> None:
        """Register the shutdown; threads are made when work comes."""
        exit_stack.callback(self._shut_down)

    def spawn(self, work: Callable[[], Any]) -> None:
        """Queue ``work``; add a thread when none is idle and the limit allows it."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the thread executor has been shut down")
            self._queued += 1
            grow = self._queued > self._idle and len(self._threads) < self._limit + self._blocked
            if grow:
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
            if self._queued > self._idle and len(self._threads) < self._limit + self._blocked:
                self._add_thread()
        try:
            yield
        finally:
            with self._lock:
                self._blocked -= 1

    def _add_thread(self) -> None:
        thread = _Worker(self, self._work, len(self._threads))
        # In this order: one that an interrupt kept from its start must not count.
        thread.start()
        self._threads.add(thread)

    def _work(self) -> None:
        me = threading.current_thread()
        while True:
            with self._lock:
                if self._closed or len(self._threads) > self._limit + self._blocked:
                    self._threads.discard(me)
                    return
                self._idle += 1
            work = self._queue.get()
            with self._lock:
                self._idle -= 1
                if work is not None:
                    self._queued -= 1
            if work is None:
                continue
            work()
            del work

    def _shut_down(self) -> None:
        with self._lock:
            self._closed = True
            sleepers = len(self._threads)
        for _ in range(sleepers):
            self._queue.put(None)
