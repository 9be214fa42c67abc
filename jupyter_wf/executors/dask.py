"""The Dask executor: calls are made by the workers of a Dask cluster, on this machine or on others.

A worker sees a call and sends back its outcome, nothing else: it needs this package and what the function imports, but
neither the store nor a way to this process. Log lines come over the scheduler as events.

One thread here has an event loop that is the only one to speak to the cluster. The threads that come to `run` leave
their call for it: the exception that interrupts such a thread, at whatever bytecode, meets nothing of Dask's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, suppress
from typing import Any

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import CancelledRun, CrashedRun
from jupyter_wf.executors.base import Call
from jupyter_wf.executors.line import SLICE
from jupyter_wf.executors.parcels import pack_call, unpack_outcome
from jupyter_wf.executors.thread import ThreadExecutor

try:
    from distributed import KilledWorker

    from jupyter_wf.executors.dask_place import Place
    from jupyter_wf.executors.dask_worker import PREFIX, interrupt_call, make_call, nothing
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"{missing}: tasks run on Dask with its package `distributed`; install it with: pip install 'jupyter_wf[dask]'",
        name=missing.name,
    ) from missing

__all__ = ["INTERRUPT_GRACE", "DaskExecutor", "Place"]

_LOGGER = logging.getLogger("jupyter_wf.dask")

#: How long (seconds) a call has to end after it was interrupted.
INTERRUPT_GRACE = 1.0
#: How long (seconds) a worker has to answer.
_ANSWER_GRACE = 1.0
#: How long (seconds) a stopped call is waited for at most: Dask is asked a few things.
_LONGEST_STOP = 5 * (INTERRUPT_GRACE + _ANSWER_GRACE)
#: How long (seconds) our own cluster has to end.
_LONGEST_END = 30.0
#: How often (seconds) the number of the cluster's threads is asked for.
_LOOK = 1.0
#: Calls above this size (bytes) do not pass through the scheduler with the task graph.
_LARGE = 1 << 20
#: How many calls are given at the same time to a cluster that grows and shrinks with them.
_ADAPTIVE = 64
#: Reasons of a cancellation that nobody has asked for.
_LOST = ("lost dependencies", "scheduler-connection-lost", "scheduler-restart")


class _Job:
    """One call on its way. ``ended`` is set, and ``done`` released, when it has ended or will not begin."""

    __slots__ = (
        *("answer", "broken", "call", "done", "ended", "error", "future", "key", "parcel", "pid", "wanted", "worker"),
    )

    def __init__(self, call: Call, parcel: bytes) -> None:
        self.call = call
        self.parcel = parcel
        self.key = f"{PREFIX}{call.name.rpartition('-')[0] or call.name or 'call'}-{uuid.uuid4().hex}"
        self.answer: bytes | None = None
        self.error: BaseException | None = None
        #: Whether its own log lines could not be written.
        self.broken = False
        self.wanted = True
        self.ended = False
        self.future: Any = None
        #: The address of the worker that has begun the call, and its process id.
        self.worker = ""
        self.pid = 0
        self.done = threading.Lock()
        self.done.acquire()

    def end(self) -> None:
        """Wake whoever waits for it; later calls do nothing."""
        if not self.ended:
            self.ended = True
            self.parcel = b""
            self.done.release()


class DaskExecutor:
    """Has calls made by the workers of a Dask cluster, ``size`` at the same time (as many as it has threads when None).

    Functions and arguments are pickled as for `ProcessExecutor`. A worker that dies ends its call as CRASHED; the call
    is not made again. A stopped call is taken from Dask and interrupted in its thread, which a call in C code notices
    late; a worker of our own that has nothing else to do is then started anew. Drivers run on threads of this process.
    """

    name = "dask"
    remote = True
    #: Calls are made where this process's store may not be.
    far = True

    def __init__(self, size: int | None = None, place: Place | None = None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"size={size}: at least one call at a time is needed")
        if place is None:
            place = Place() if size is None else Place(cluster_kwargs={"n_workers": size, "threads_per_worker": 1})
        self._place = place
        self._size = size
        self._drivers = ThreadExecutor(size or 1)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        #: What was spawned before the cluster was there; None when it is.
        self._early: list[Callable[[], Any]] | None = []
        self._failure: BaseException | None = None
        self._client: Any = None
        # These belong to the loop.
        self._jobs: dict[str, _Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = asyncio.Event()
        self._closing = asyncio.Event()

    def start(self, exit_stack: ExitStack) -> None:
        """Register the shutdown; the cluster is made, or connected to, when work comes."""
        exit_stack.callback(self._shut_down)
        self._drivers.start(exit_stack)

    def spawn(self, work: Callable[[], Any]) -> None:
        """Queue ``work`` for a thread of this process; it begins when the cluster is there."""
        self._check_open()
        self._open()
        with self._lock:
            if self._early is not None:
                self._early.append(work)
                return
        self._drivers.spawn(work)

    def waiting(self) -> AbstractContextManager[None]:
        """Let another driver work in the place of this one, if this is one of ours."""
        return self._drivers.waiting()

    def run(self, call: Call) -> Outcome:
        """Have a worker execute ``call``, wait for its end and return its outcome.

        RAISED with a `TypeError` where an argument or the value can't be pickled, with a `RemoteError` where an
        exception can't; CRASHED with a `CrashedRun` where the worker dies, does not know what it is to call, or where
        there is no cluster. An exception raised in the calling thread stops the call. Raises `RuntimeError` after the
        executor was shut down.
        """
        self._check_open()
        try:
            job = _Job(call, pack_call(call))
        except TypeError as error:
            return Outcome(End.RAISED, None, error)
        try:
            self._open().call_soon_threadsafe(self._begin, job)
            # In slices: the exception that is to stop us is raised between two of them.
            while not job.done.acquire(True, SLICE):
                if self._closed and not self._is_alive():
                    break
        except BaseException:
            self._stop(job)
            raise
        if job.broken:
            return Outcome(End.CRASHED, None, job.error)
        if job.answer is not None:
            return unpack_outcome(bytearray(job.answer))
        return self._lost(job)

    def _lost(self, job: _Job) -> Outcome:
        """Return the outcome of a call that no worker has told of."""
        name, error = job.call.name or "the call", job.error
        if error is None or not job.wanted:
            return Outcome(End.CANCELLED, None, CancelledRun(f"{name} was stopped with its executor"))
        if error is self._failure:
            hint = ""
            if self._place.is_local and getattr(sys.modules["__main__"], "__file__", None):
                hint = " (workers import the script: it has to call its flow below `if __name__ == '__main__':`)"
            crashed = CrashedRun(f"there is no Dask cluster for {name}: {_told(error)}{hint}")
        elif isinstance(error, KilledWorker):
            where = getattr(error.last_worker, "address", job.worker)
            crashed = CrashedRun(f"the Dask worker of {name} died ({where})")
        elif isinstance(error, (CancelledError, asyncio.CancelledError)):
            reason = str(getattr(error, "reason", ""))
            if reason not in _LOST:
                return Outcome(End.CANCELLED, None, CancelledRun(f"{name} was cancelled in Dask"))
            crashed = CrashedRun(f"Dask has lost {name}: {reason}")
        else:
            crashed = CrashedRun(
                f"the Dask worker of {name} could not make the call: {_told(error)} "
                "(jupyter_wf and what the task imports have to be installed there)"
            )
        crashed.__cause__ = error
        return Outcome(End.CRASHED, None, crashed)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the dask executor has been shut down")

    def _is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _open(self) -> asyncio.AbstractEventLoop:
        """Return the loop that speaks to the cluster; its thread is started when it is first asked for."""
        with self._lock:
            if self._loop is None:
                self._loop = loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, args=(loop,), name="jupyter-wf-dask", daemon=True)
                self._thread.start()
            return self._loop

    def _stop(self, job: _Job) -> None:
        """Want a job no more, and wait until it is over, or was left to itself."""
        loop, deadline = self._loop, time.monotonic() + _LONGEST_STOP
        if loop is None or not self._is_alive():
            return
        loop.call_soon_threadsafe(self._drop, job)
        # The lock itself may have been taken just before the interrupt.
        while not job.ended and time.monotonic() < deadline:
            job.done.acquire(True, SLICE)

    def _shut_down(self) -> None:
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(self._closing.set)
            thread.join(_LONGEST_END)

    # What follows happens in the loop's thread.

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._main())

    async def _main(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                client = await self._place.enter(stack)
                client.subscribe_topic(PREFIX + client.id, self._on_event)
                await self._look(client)
                self._client = client
            except Exception as error:
                self._failure = error
            self._ready.set()
            self._let_go()
            while not self._closing.is_set():
                try:
                    await asyncio.wait_for(self._closing.wait(), _LOOK)
                except TimeoutError:
                    if self._client is not None and self._size is None and self._jobs:
                        await self._look(self._client)
            for job in list(self._jobs.values()):
                self._drop(job)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=_LONGEST_STOP)

    def _let_go(self) -> None:
        """Begin with what was spawned early."""
        with self._lock:
            early, self._early = self._early or [], None
        for work in early:
            if not self._closed:
                self._drivers.spawn(work)

    async def _look(self, client: Any) -> None:
        """Have as many drivers as the cluster has threads, where nobody has said how many."""
        if self._size is None:
            threads = sum((await client.nthreads()).values())
            if self._place.adapt_kwargs is not None:
                threads = max(threads, _ADAPTIVE)
            self._drivers.resize(max(1, threads))

    def _begin(self, job: _Job) -> None:
        if job.wanted:
            self._jobs[job.key] = job
            self._keep(self._make(job))

    def _drop(self, job: _Job) -> None:
        if job.wanted:
            job.wanted = False
            self._keep(self._end(job))

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, job: _Job) -> None:
        try:
            await self._ready.wait()
            if self._failure is not None:
                raise self._failure
            if job.wanted:
                job.answer = await self._answer(job, self._client)
        except BaseException as error:
            # Whatever goes wrong here is the call's end, never the loop's.
            job.error = job.error or error
            if job.wanted and job.future is not None and isinstance(error, CancelledError):
                # Somebody else has taken it from Dask, whose worker goes on with it.
                await self._interrupted(job)
        finally:
            self._jobs.pop(job.key, None)
            if job.wanted:
                job.end()

    async def _answer(self, job: _Job, client: Any) -> bytes:
        parcel: Any = job.parcel
        if len(parcel) > _LARGE:
            if not await client.nthreads():
                await client.submit(nothing, pure=False)
            (parcel,) = await client.scatter([parcel], hash=False)
        path = list(sys.path) if self._place.is_local else None
        if not job.wanted:
            raise CancelledError
        topic = PREFIX + client.id
        job.future = client.submit(make_call, parcel, job.key, topic, path, key=job.key, pure=False)
        answer: bytes = await job.future
        return answer

    async def _end(self, job: _Job) -> None:
        """Take a job from Dask, interrupt it where it is, and end it."""
        try:
            if job.future is not None:
                await self._client.cancel([job.future], force=True)
                over = await self._interrupted(job)
                if not over and job.worker and self._place.is_local:
                    await self._kill(job)
        except Exception as error:
            _LOGGER.warning("%s could not be stopped on Dask: %r", job.call.name or "a call", error)
        finally:
            job.end()

    async def _interrupted(self, job: _Job) -> bool:
        """Have the call interrupted where it is, or everywhere if that is not known; return whether it is over."""
        workers = [job.worker] if job.worker else list(await self._client.nthreads())

        async def ask(worker: str) -> bool:
            asked = self._client.run(interrupt_call, job.key, INTERRUPT_GRACE, workers=[worker])
            answer: dict[str, bool] = await asyncio.wait_for(asked, INTERRUPT_GRACE + _ANSWER_GRACE)
            return answer.get(worker, True)

        return all(over is True for over in await asyncio.gather(*map(ask, workers), return_exceptions=True))

    async def _kill(self, job: _Job) -> None:
        """End the worker of our own that makes the call, unless it may be making others; its nanny starts it anew."""
        if job.pid != os.getpid() and (await self._client.nthreads()).get(job.worker) == 1:
            with suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
            # What is submitted before the scheduler knows would be sent there too.
            deadline = time.monotonic() + _ANSWER_GRACE
            while job.worker in await self._client.nthreads() and time.monotonic() < deadline:
                await asyncio.sleep(SLICE)

    def _on_event(self, event: tuple[float, list[Any]]) -> None:
        key, *told = event[1]
        job = self._jobs.get(key)
        if job is None:
            return
        if len(told) == 2:
            job.worker, job.pid = told
            return
        try:
            job.call.log(*told)
        except BaseException as error:
            job.error, job.broken = error, True
            self._drop(job)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
