"""The stream of events, as the server hands it on: read once by one thread, shared by all that listen.

A *batch* is a page of events with the runs they are about, already in JSON. `Describer` makes batches, `Feed` makes
one of every page that is committed from now on, `Subscription` is what one listener has not been sent yet.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from logging import Logger
from typing import Protocol

from jupyter_wf.core.codec import encode_event
from jupyter_wf.core.models import Event, Run
from jupyter_wf.store.base import Store

__all__ = ["PAGE", "Batch", "Describer", "Feed", "Item", "Subscription", "TailLike", "message"]

#: Events in one message at most.
PAGE = 1000
_CACHED_PARENTS = 100_000
#: How long (seconds) the thread waits at most before it looks whether it should end.
_WAIT = 0.25


class TailLike(Protocol):
    """What waits for commits; `jupyter_wf.engine.tail.Tail` is one."""

    def wait(self, timeout: float) -> list[Event]:
        """Return the events committed since the last call, waiting up to ``timeout`` seconds for some."""

    def close(self) -> None:
        """Let go of what it holds."""


class Item:
    """One event. ``within`` is empty, or for a log line the run and all runs above it.

    ``make`` makes the text of its `EventJSON`, once, when somebody wants it: most log lines nobody does.
    """

    __slots__ = ("_make", "_text", "seq", "within")

    def __init__(self, seq: int, within: tuple[str, ...], make: Callable[[], str]) -> None:
        self.seq = seq
        self.within = within
        self._make = make
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The event as JSON."""
        if self._text is None:
            self._text = self._make()
        return self._text


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Events in order, up to ``seq``, and the runs they changed, by id, as `RunJSON` texts read after the events."""

    seq: int
    items: Sequence[Item] = ()
    runs: Mapping[str, str] = field(default_factory=dict)


def message(seq: int, events: Iterable[str] = (), runs: Iterable[str] = ()) -> str:
    """Return a `StreamJSON` text made of texts."""
    return f'{{"seq":{seq},"events":[{",".join(events)}],"runs":[{",".join(runs)}]}}'


class Describer:
    """Makes batches of events. Its calls block and are safe from any thread.

    ``encode`` gives a run's `RunJSON` as a text, ``dump`` any value's JSON.
    """

    def __init__(self, store: Store, *, encode: Callable[[Run], str], dump: Callable[[object], str]) -> None:
        self._store = store
        self._encode = encode
        self._dump = dump
        self._parents: dict[str, str | None] = {}

    def page(self, after: int, *, with_logs: bool, limit: int = PAGE) -> Batch:
        """Return what follows ``after``; without events when there is nothing more."""
        newest = self._store.last_seq()
        events = self._store.events(after=after, limit=limit, with_logs=with_logs)
        end = events[-1].seq if events else after
        # A short page holds everything up to what was the newest before it was read, log lines left out or not.
        return self.describe(events, seq=end if len(events) >= limit else max(end, newest))

    def describe(self, events: Sequence[Event], *, seq: int) -> Batch:
        """Return the batch of these events. The runs that changed, and those right above them, are read once."""
        changed = {event.run_id for event in events if event.kind != "log"}
        above = {parent for run_id in changed if (parent := self._parents.get(run_id))}
        runs = self._load(changed | above)
        missed = {run.parent_id for run in runs.values() if run.id in changed and run.parent_id} - runs.keys()
        runs |= self._load(missed)
        items = tuple(self._item(event) for event in events)
        return Batch(seq=seq, items=items, runs={run.id: self._encode(run) for run in runs.values()})

    def _item(self, event: Event) -> Item:
        within = self._above(event.run_id) if event.kind == "log" else ()
        return Item(event.seq, within, lambda: self._dump(encode_event(event)))

    def _load(self, run_ids: set[str]) -> dict[str, Run]:
        if not run_ids:
            return {}
        runs = self._store.get_runs(run_ids)
        if len(self._parents) > _CACHED_PARENTS:
            self._parents = {}
        self._parents |= {run.id: run.parent_id for run in runs.values()}
        return runs

    def _above(self, run_id: str) -> tuple[str, ...]:
        """Return the run and all runs above it."""
        chain = [run_id]
        while True:
            last = chain[-1]
            parent = self._parents[last] if last in self._parents else self._load({last}) and self._parents.get(last)
            if not parent or parent in chain:
                return tuple(chain)
            chain.append(parent)


class Subscription:
    """What one listener has not been sent yet. Used on the loop's thread only.

    ``seq`` is the last event it has been offered; ``logs`` the run whose tree's log lines it wants.
    """

    def __init__(self, *, seq: int, logs: str | None, limit: int) -> None:
        self.seq = seq
        self.logs = logs
        #: Something is there to be taken.
        self.ready = asyncio.Event()
        #: Nothing more will come: the feed has ended, or the listener was too slow.
        self.over = asyncio.Event()
        #: More than ``limit`` characters were waiting; they are dropped.
        self.too_slow = False
        self._limit = limit
        self._size = 0
        self._events: list[tuple[int, str]] = []
        self._runs: dict[str, str] = {}

    def offer(self, batch: Batch, *, bounded: bool = True) -> None:
        """Take from a batch what is new and wanted; give up when that is too much, unless not ``bounded``."""
        if self.over.is_set() or batch.seq <= self.seq:
            return
        for item in batch.items:
            if item.seq > self.seq and (not item.within or self.logs in item.within):
                self._events.append((item.seq, item.text))
                self._size += len(item.text)
        for run_id, text in batch.runs.items():
            self._size += len(text) - len(self._runs.get(run_id, ""))
            self._runs[run_id] = text
        self.seq = batch.seq
        if bounded and self._size > self._limit:
            self.too_slow = True
            self.end()
        if self._events or self._runs:
            self.ready.set()

    def end(self) -> None:
        """Drop what waits and take nothing more."""
        self._events, self._runs, self._size = [], {}, 0
        self.over.set()

    def take(self) -> str:
        """Return the next message, a heartbeat when nothing waits."""
        events, self._events = self._events[:PAGE], self._events[PAGE:]
        runs, self._runs = self._runs, {}
        self._size = sum(len(text) for _, text in self._events)
        if not self._events:
            self.ready.clear()
        seq = events[-1][0] if self._events else self.seq
        return message(seq, (text for _, text in events), runs.values())


class Feed:
    """One thread that waits for commits and hands their batches to every subscription, on the loop's thread.

    ``tail`` makes what waits, beginning after a number. It starts with the first subscription.
    """

    def __init__(self, describer: Describer, *, tail: Callable[[int], TailLike], log: Logger) -> None:
        self._describer = describer
        self._tail = tail
        self._log = log
        self._subscriptions: set[Subscription] = set()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: The last event handed on.
        self.seq = 0

    def start(self, seq: int) -> None:
        """Begin after event ``seq``; on the loop's thread. A second call does nothing."""
        if self._thread is None and not self._stopped.is_set():
            self.seq = seq
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=(seq,), name="jupyter_wf-feed", daemon=True)
            self._thread.start()

    def subscribe(self, subscription: Subscription) -> bool:
        """Have a subscription offered everything from now on; False when it must catch up further first."""
        if subscription.seq < self.seq:
            return False
        if self._stopped.is_set():
            subscription.end()
        self._subscriptions.add(subscription)
        return True

    def unsubscribe(self, subscription: Subscription) -> None:
        """Offer no more to a subscription."""
        self._subscriptions.discard(subscription)

    def end(self) -> None:
        """End all subscriptions and tell the thread to end; on the loop's thread."""
        self._stopped.set()
        for subscription in self._subscriptions:
            subscription.end()

    def join(self) -> None:
        """Return when the thread has ended; on another thread than the loop's."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, seq: int) -> None:
        while not self._stopped.is_set():
            try:
                with closing(self._tail(seq)) as tail:
                    while not self._stopped.is_set():
                        events = tail.wait(_WAIT)
                        for start in range(0, len(events), PAGE):
                            seq = self._hand_on(events[start : start + PAGE])
            except Exception:  # the thread must outlive whatever it meets; it goes on after the last event handed on
                self._log.warning("the stream of events was interrupted and goes on", exc_info=True)
                self._stopped.wait(_WAIT)

    def _hand_on(self, page: Sequence[Event]) -> int:
        """Hand a page on, and return where it ends; while nobody listens, only the number."""
        seq = page[-1].seq
        if self._subscriptions or not self._publish(Batch(seq=seq), to_nobody=True):
            self._publish(self._describer.describe(page, seq=seq))
        return seq

    def _publish(self, batch: Batch, *, to_nobody: bool = False) -> bool:
        """Publish on the loop's thread, and wait for it: a busy loop slows the reading, nothing piles up.

        With ``to_nobody`` it is not done, and False returned, when somebody has come meanwhile.
        """
        done = threading.Event()
        accepted = True

        def publish() -> None:
            nonlocal accepted
            try:
                accepted = not (to_nobody and self._subscriptions)
                if accepted:
                    self.seq = batch.seq
                    for subscription in self._subscriptions:
                        subscription.offer(batch)
            finally:
                done.set()

        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(publish)
            while not done.wait(_WAIT) and not self._stopped.is_set():
                pass
        return accepted
