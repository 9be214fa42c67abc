"""The process executor: calls are made in worker processes, which are started when they are needed and used again.

Ours, because none of those that are at hand can stop one call: `concurrent.futures.ProcessPoolExecutor` and loky break
the whole pool when one of its processes is killed, and have no other way to end a call that is in C code. Neither
gives a worker a process group of its own, nor a way back for log lines while the call goes on.

Each worker process has a thread here that is its only master. The threads that come to `run` just leave their call for
one of them: the exception that interrupts such a thread, at whatever bytecode, can't leave a worker half used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from queue import SimpleQueue
from typing import Any

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import CancelledRun, CrashedRun
from jupyter_wf.executors.base import Call
from jupyter_wf.executors.children import INTERRUPT_GRACE, KILL_GRACE, TERMINATE_GRACE, Child, WorkerDied
from jupyter_wf.executors.line import SLICE
from jupyter_wf.executors.parcels import pack_call, unpack_outcome
from jupyter_wf.executors.thread import ThreadExecutor

__all__ = ["ProcessExecutor"]

#: How long (seconds) a stopped call takes at most to be gone.
_LONGEST_STOP = 2 * KILL_GRACE + INTERRUPT_GRACE + TERMINATE_GRACE


class _Job:
    """One call on its way. ``ended`` is set, and ``done`` released, when it has ended or will not begin."""

    __slots__ = ("_lock", "_taken", "answer", "call", "done", "ended", "error", "parcel", "wanted")

    def __init__(self, call: Call, parcel: bytes) -> None:
        self.call = call
        self.parcel = parcel
        self.answer: bytearray | None = None
        self.error: BaseException | None = None
        self.wanted = True
        self.ended = False
        self.done = threading.Lock()
        self.done.acquire()
        self._lock = threading.Lock()
        self._taken = False

    def take(self) -> bool:
        """Claim the job; return False where nobody wants it any more."""
        with self._lock:
            self._taken = True
            return self.wanted

    def stop(self) -> bool:
        """Want it no more; return whether somebody is at it, who then ends it."""
        self.wanted = False
        with self._lock:
            return self._taken

    def end(self) -> None:
        """Wake whoever waits for it."""
        self.ended = True
        self.done.release()

    def is_wanted(self) -> bool:
        """Whether the call is to go on."""
        return self.wanted


class ProcessExecutor:
    """At most ``processes`` worker processes execute calls at the same time, each one call after the other.

    Functions and arguments are pickled (cloudpickle: what lives in ``__main__`` goes along by value), the values and
    exceptions of the calls come back in the same way. A worker that dies ends its call as CRASHED, and another one
    takes its place. Drivers run on threads of this process.
    """

    name = "process"
    remote = True

    def __init__(self, processes: int) -> None:
        if processes < 1:
            raise ValueError(f"processes={processes}: at least one process is needed")
        self._limit = processes
        self._drivers = ThreadExecutor(processes)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._masters: set[threading.Thread] = set()
        self._idle = 0
        self._expected = 0
        self._at_work: set[_Job] = set()
        self._closed = False

    def start(self, exit_stack: ExitStack) -> None:
        """Register the shutdown; worker processes are started when calls come."""
        exit_stack.callback(self._shut_down)
        self._drivers.start(exit_stack)

    def spawn(self, work: Callable[[], Any]) -> None:
        """Queue ``work`` for a thread of this process, of which as many work at once as there may be workers."""
        self._drivers.spawn(work)

    def waiting(self) -> AbstractContextManager[None]:
        """Let another driver work in the place of this one, if this is one of ours."""
        return self._drivers.waiting()

    def run(self, call: Call) -> Outcome:
        """Execute ``call`` in a worker process, wait for its end and return its outcome.

        RAISED with a `TypeError` where an argument or the value can't be pickled, with a `RemoteError` where an
        exception can't; CRASHED with a `CrashedRun` where the process dies. An exception raised in the calling thread
        stops the call: SIGINT, SIGTERM and SIGKILL to the worker's process group, in steps of `INTERRUPT_GRACE` and
        `TERMINATE_GRACE` seconds. Raises `RuntimeError` after the executor was shut down.
        """
        if self._closed:
            raise RuntimeError("the process executor has been shut down")
        try:
            job = _Job(call, pack_call(call))
        except TypeError as error:
            return Outcome(End.RAISED, None, error)
        try:
            self._count_one_more()
            self._jobs.put(job)
            # In slices: the exception that is to stop us is raised between two of them.
            while not job.done.acquire(True, SLICE):
                if self._closed and not self._masters:
                    break
        except BaseException:
            self._stop(job)
            raise
        if job.error is not None:
            return self._failed(job.error, call)
        if job.answer is None:
            return Outcome(
                End.CANCELLED, None, CancelledRun(f"{call.name or 'the call'} was stopped with its executor")
            )
        return unpack_outcome(job.answer)

    def _failed(self, error: BaseException, call: Call) -> Outcome:
        if isinstance(error, WorkerDied):
            error = CrashedRun(f"the worker process of {call.name or 'the call'} {error.how}")
        return Outcome(End.CRASHED, None, error)

    def _stop(self, job: _Job) -> None:
        deadline = time.monotonic() + _LONGEST_STOP
        if job.stop():
            # The lock itself may have been taken just before the interrupt.
            while not job.ended and time.monotonic() < deadline:
                job.done.acquire(True, SLICE)

    def _count_one_more(self) -> None:
        """Expect another job; add a master where too few are idle for what is expected, and the limit allows it."""
        with self._lock:
            # An interrupt behind this leaves it too high, which at worst starts a worker too soon.
            self._expected += 1
            if not self._closed and self._expected > self._idle and len(self._masters) < self._limit:
                # It counts itself when it begins: one that an interrupt kept from its start must not.
                number = len(self._masters)
                threading.Thread(target=self._serve, name=f"jupyter-wf-worker-{number}", daemon=True).start()

    def _serve(self) -> None:
        me = threading.current_thread()
        with self._lock:
            if self._closed or len(self._masters) >= self._limit:
                return
            self._masters.add(me)
        child: Child | None = None
        try:
            while True:
                with self._lock:
                    self._idle += 1
                job = self._jobs.get()
                if job is None:
                    return
                with self._lock:
                    self._idle -= 1
                    self._expected -= 1
                child = self._work(job, child)
                del job
        finally:
            if child is not None:
                child.end()
            with self._lock:
                self._masters.discard(me)

    def _work(self, job: _Job, child: Child | None) -> Child | None:
        """Have a worker make the call, ``child`` if it is still good; return the one to go on with."""
        with self._lock:
            self._at_work.add(job)
            if self._closed:
                job.wanted = False
        try:
            if not job.take():
                return child
            if child is not None and not child.alive:
                child.end()
                child = None
            child = child or Child()
            job.answer = child.call(job.parcel, job.call.log, job.is_wanted)
        except BaseException as error:
            # Whatever goes wrong here is the call's end, never the thread's.
            job.error = error
        finally:
            job.parcel = b""
            try:
                if child is not None and not child.usable:
                    child.end()
                    child = None
            finally:
                with self._lock:
                    self._at_work.discard(job)
                job.end()
        return child

    def _shut_down(self) -> None:
        with self._lock:
            self._closed = True
            masters = list(self._masters)
            for job in self._at_work:
                job.wanted = False
        for _ in masters:
            self._jobs.put(None)
        deadline = time.monotonic() + _LONGEST_STOP
        for master in masters:
            master.join(max(0.0, deadline - time.monotonic()))
