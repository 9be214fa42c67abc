"""Waiting for slots of concurrency and rate limits, which all processes on the state file share."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import TracebackType

from jupyter_wf.core.errors import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    InvalidRequest,
    StoreError,
)
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.shared import Limit
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runs import LiveRun

__all__ = ["TAG_PREFIX", "Ask", "Lease", "Steps", "changed", "tag_slots", "tags_limited", "take", "wait_in_line"]

_log = logging.getLogger("jupyter_wf.concurrency")
#: A task with the tag "db" takes a slot of the limit "tag:db".
TAG_PREFIX = "tag:"
#: How often (seconds) the first in a line looks whether another process has committed something.
_LOOK = 0.02
#: How often (seconds) one who is not the first looks whether it is to stop.
_STEP = 0.1
#: After how many seconds also one who is not the first asks: the first may wait for what this one would do.
_OUT_OF_TURN = 0.5
#: How long (seconds) the list of tag limits is believed: another process may make one.
_BELIEVED = 0.05


class Ask:
    """What the steps of waiting yield when the store is to be asked: the answer is what `Lease.ask` returns."""


_ASK = Ask()
#: The steps of waiting: `Ask`, or seconds to sleep, unless woken.
Steps = Generator[Ask | float, float | None, None]


class Lease:
    """Slots that are wanted, then held, by one ``with`` block of this process.

    ``run_id`` is the run that wants them; ``whole`` means that it holds them until everything below it has ended.
    ``unlisted`` is how many slots a name has that has no limit, None for any number.
    """

    __slots__ = (
        "_abandoned",
        "_asked",
        "_lock",
        "_pid",
        "_runtime",
        "id",
        "names",
        "occupy",
        "run_id",
        "taken",
        "thread",
        "unlisted",
        "whole",
    )

    def __init__(
        self,
        runtime: Host,
        names: Sequence[str],
        occupy: int,
        run_id: str | None,
        *,
        whole: bool = False,
        unlisted: int | None = None,
    ) -> None:
        self.id = new_id()
        self.unlisted = unlisted
        self.names = tuple(names)
        self.occupy = occupy
        self.run_id = run_id
        self.whole = whole
        self.taken = False
        #: The thread (or the thread of the event loop) that goes on when the slots are there.
        self.thread = threading.current_thread()
        self._runtime = runtime
        self._pid = os.getpid()
        self._asked = False
        self._abandoned = False
        self._lock = threading.Lock()

    def ask(self) -> float | None:
        """Try to take the slots; return None where they are taken, else the seconds until it is worth while again.

        Raises `ConcurrencySlotAcquisitionError` where there will never be so many.
        """
        # Makes this process known in the store, which gives back what the dead have held.
        _ = self._runtime.journal
        self._asked = True
        try:
            wait = self._runtime.store.limits.take(
                self.id,
                self.names,
                self.occupy,
                process_id=self._runtime.process.id,
                run_id=self.run_id,
                unlisted=self.unlisted,
            )
        except InvalidRequest as error:
            raise ConcurrencySlotAcquisitionError(self.names, error.reason) from None
        with self._lock:
            self.taken = wait is None
            abandoned = self._abandoned
        if self.taken:
            _held.add(self)
            if abandoned:
                self.release()
        return wait

    def abandon(self) -> None:
        """Give back what was taken, also by an `ask` that another thread is in the middle of."""
        with self._lock:
            self._abandoned = True
        self.release()

    def forget(self) -> None:
        """Keep no note of slots that are used up: nobody has to give them back."""
        _held.discard(self)

    def release(self) -> None:
        """Give the slots back. A store that fails is logged: the slots come back when this process ends."""
        _held.discard(self)
        # In the child of a fork they are still the parent's.
        if not self._asked or self._pid != os.getpid():
            return
        try:
            self._runtime.store.limits.release(self.id)
        except StoreError as error:
            _log.warning("slots of %s are held until this process ends: %s", ", ".join(self.names), error)
        _place.ring(self.names)

    def refuse_to_wait_for_itself(self, *, blocking: bool) -> None:
        """Raise `ConcurrencySlotAcquisitionError` where the slots are held by what can't go on before this has them.

        Those are the runs around the current one, which wait for it, and, for one that is ``blocking``, its thread:
        inside another ``with`` block of the same limit, and where a coroutine blocks the event loop.
        """
        me = threading.current_thread() if blocking else None
        around = {run.id for run in _with_parents(current_run())}
        mine = [
            lease
            for lease in list(_held)
            if lease._runtime is self._runtime and (lease.thread is me or (lease.whole and lease.run_id in around))
        ]
        for name in self.names:
            held = sum(lease.occupy for lease in mine if name in lease.names)
            slots = self._slots(name) if held else None
            if slots is not None and held + self.occupy > slots:
                raise ConcurrencySlotAcquisitionError(
                    self.names,
                    f"the code that asks for them, or a run that it is part of, holds {held} of the {slots} slots of "
                    f"{name!r} itself, so it would wait for ever; raise the limit, take all slots at once, or use "
                    "'async with' in async code",
                )

    def _slots(self, name: str) -> int | None:
        """Return how many may hold slots of ``name`` at the same time, None for any number."""
        limit = self._runtime.store.limits.get(name)
        if limit is None:
            return self.unlisted
        return limit.slots if limit.active and not limit.decay else None


def _with_parents(run: LiveRun | None) -> Iterator[LiveRun]:
    while run is not None:
        yield run
        run = run.parent


class _Place:
    """Who waits in this process: a line for each set of names, the first of which asks."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin empty: at first, and in the child of a fork."""
        self.lock = threading.Lock()
        self.lines: dict[tuple[str, ...], deque[_Waiter]] = {}
        _held.clear()

    def crowded(self, names: tuple[str, ...]) -> bool:
        return names in self.lines

    def join(self, waiter: _Waiter) -> None:
        with self.lock:
            self.lines.setdefault(waiter.names, deque()).append(waiter)

    def is_first(self, waiter: _Waiter) -> bool:
        return self.lines[waiter.names][0] is waiter

    def leave(self, waiter: _Waiter) -> None:
        with self.lock:
            line = self.lines[waiter.names]
            was_first = line[0] is waiter
            line.remove(waiter)
            if not line:
                del self.lines[waiter.names]
            following = line[0] if was_first and line else None
        if following is not None:
            following.ring()

    def ring(self, names: Iterable[str] | None) -> None:
        """Have those ask who are first in a line for one of the names (None: for any)."""
        wanted = None if names is None else set(names)
        with self.lock:
            first = [line[0] for line in self.lines.values()]
        for waiter in first:
            if wanted is None or not wanted.isdisjoint(waiter.names):
                waiter.ring()


class _Waiter:
    """One who waits: ``wake`` ends its sleep, from any thread."""

    __slots__ = ("names", "rung", "wake")

    def __init__(self, names: tuple[str, ...], wake: Callable[[], object]) -> None:
        self.names = names
        self.wake = wake
        self.rung = False

    def ring(self) -> None:
        self.rung = True
        self.wake()


_held: set[Lease] = set()
_place = _Place()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_place.begin)


def wait_in_line(lease: Lease, look: Callable[[], int], wake: Callable[[], object], timeout: float | None) -> Steps:
    """Yield what to do until the slots are taken: `Ask`, or seconds to sleep, which ``wake`` (from any thread) ends.

    ``look`` returns the calling thread's number of others' commits. Raises `AcquireConcurrencySlotTimeoutError` after
    ``timeout`` seconds.
    """
    start = time.monotonic()
    again, seen = 0.0, -1
    if not _place.crowded(lease.names):
        seen = look()
        wait = yield _ASK
        if wait is None:
            return
        again = time.monotonic() + wait
    me = _Waiter(lease.names, wake)
    _place.join(me)
    own_turn = start + _OUT_OF_TURN
    try:
        while True:
            now = time.monotonic()
            first = _place.is_first(me)
            if first or now >= own_turn:
                version = look()
                if me.rung or version != seen or now >= again:
                    # Looked at before it is asked: what comes back meanwhile is seen at the next look.
                    me.rung, seen = False, version
                    wait = yield _ASK
                    if wait is None:
                        return
                    now = time.monotonic()
                    again, own_turn = now + wait, now + _OUT_OF_TURN
            sleep = min(_LOOK, max(0.0, again - now)) if first else _STEP
            if timeout is not None:
                left = start + timeout - now
                if left <= 0:
                    raise AcquireConcurrencySlotTimeoutError(lease.names, timeout)
                sleep = min(sleep, left)
            if not me.rung:
                yield sleep
    finally:
        _place.leave(me)


def take(lease: Lease, runtime: Host, timeout: float | None) -> None:
    """Wait, blocking the calling thread, until the slots are taken.

    An interrupt gives back what was taken. Raises `ConcurrencySlotAcquisitionError` and
    `AcquireConcurrencySlotTimeoutError`.
    """
    event = threading.Event()
    steps = wait_in_line(lease, runtime.store.data_version, event.set, timeout)
    answer: float | None = None
    given_back = False
    with ExitStack() as waiting:
        try:
            while True:
                step = steps.send(answer)
                if isinstance(step, Ask):
                    answer = lease.ask()
                    continue
                if not given_back:
                    if timeout is None:
                        lease.refuse_to_wait_for_itself(blocking=True)
                    # Others do their work in this pool's thread's place meanwhile.
                    waiting.enter_context(runtime.waiting())
                    given_back = True
                event.wait(step)
                event.clear()
        except StopIteration:
            return
        except BaseException:
            steps.close()
            lease.abandon()
            raise


class _TagLimits:
    """Which tags have a limit, as it was a moment ago."""

    def __init__(self) -> None:
        self._store: object = None
        self._until = 0.0
        self._names: frozenset[str] = frozenset()

    def names(self, runtime: Host) -> frozenset[str]:
        """Return the tags that are limited."""
        now = time.monotonic()
        if now >= self._until or self._store is not runtime.store:
            found: list[Limit] = runtime.store.limits.list()
            self._names = frozenset(
                limit.name.removeprefix(TAG_PREFIX)
                for limit in found
                if limit.active and limit.name.startswith(TAG_PREFIX)
            )
            self._store = runtime.store
            self._until = now + _BELIEVED
        return self._names

    def forget(self) -> None:
        """Look again the next time."""
        self._until = 0.0


_tag_limits = _TagLimits()
_FREE: AbstractContextManager[None] = nullcontext()


def changed() -> None:
    """Have everybody in this process look again: limits were made, changed or removed."""
    _tag_limits.forget()
    _place.ring(None)


def tags_limited(live: LiveRun, tags: Iterable[str]) -> Lease | None:
    """Return the lease that a run with these tags has to take before it runs, None where no tag is limited."""
    if live.kind != "task":
        # The tags of a flow are also those of its tasks, each of which takes a slot of its own.
        return None
    names = _tag_limits.names(live.runtime)
    if not names or names.isdisjoint(tags):
        return None
    wanted = [TAG_PREFIX + tag for tag in dict.fromkeys(tags) if tag in names]
    return Lease(live.runtime, wanted, 1, live.id, whole=True)


def tag_slots(live: LiveRun, tags: Iterable[str]) -> AbstractContextManager[None]:
    """Return a context that holds a slot of each limit on the run's tags, and waits for them when it is entered.

    It raises `ConcurrencySlotAcquisitionError` where a limit is 0: such a task never runs.
    """
    lease = tags_limited(live, tags)
    return _FREE if lease is None else _TagSlots(lease, live.runtime)


class _TagSlots:
    """The slots of one call's tags."""

    __slots__ = ("_lease", "_runtime")

    def __init__(self, lease: Lease, runtime: Host) -> None:
        self._lease = lease
        self._runtime = runtime

    def __enter__(self) -> None:
        take(self._lease, self._runtime, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._lease.release()
