"""The parts of the stream, without a server: what waits for one listener, and what a batch is made of."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

from jupyter_wf.core.models import Event, Progress, Run
from jupyter_wf.core.states import State, StateType
from jupyter_wf.server.stream import PAGE, Batch, Describer, Feed, Item, Subscription

LOG = logging.getLogger(__name__)


def batch(*seqs: int, runs: dict[str, str] | None = None, within: tuple[str, ...] = ()) -> Batch:
    return Batch(seq=seqs[-1], items=[Item(seq, within, f'{{"n":{seq}}}'.__str__) for seq in seqs], runs=runs or {})


def taken(subscription: Subscription) -> tuple[int, list[int], list[Any]]:
    found = json.loads(subscription.take())
    return found["seq"], [event["n"] for event in found["events"]], found["runs"]


def test_what_was_seen_is_not_taken_again() -> None:
    subscription = Subscription(seq=5, logs=None, limit=1000)
    subscription.offer(batch(3, 4, 5, runs={"a": "1"}))
    assert not subscription.ready.is_set()
    subscription.offer(batch(5, 6, 7, runs={"a": "2"}))
    subscription.offer(batch(8, runs={"a": "3", "b": "4"}))
    assert taken(subscription) == (8, [6, 7, 8], [3, 4])
    assert not subscription.ready.is_set()
    assert taken(subscription) == (8, [], [])


def test_log_lines_of_others_only_move_the_number() -> None:
    subscription = Subscription(seq=0, logs="mine", limit=1000)
    subscription.offer(batch(1, 2, within=("other", "root")))
    assert not subscription.ready.is_set()
    subscription.offer(batch(3, within=("child", "mine", "root")))
    assert taken(subscription) == (3, [3], [])


def test_many_events_are_taken_in_pages() -> None:
    subscription = Subscription(seq=0, logs=None, limit=10**6)
    subscription.offer(batch(*range(1, PAGE + 11), runs={"a": "1"}))
    assert taken(subscription)[::2] == (PAGE, [1])
    assert subscription.ready.is_set()
    assert taken(subscription) == (PAGE + 10, list(range(PAGE + 1, PAGE + 11)), [])
    assert not subscription.ready.is_set()


def test_what_waits_is_bounded() -> None:
    subscription = Subscription(seq=0, logs=None, limit=100)
    subscription.offer(batch(1, runs={"a": "x" * 60}))
    for seq in range(2, 5):
        subscription.offer(batch(seq, runs={"a": "x" * 60}))
    assert not subscription.over.is_set(), "the same run waits once"
    subscription.offer(batch(5, runs={"b": "x" * 60}))
    assert subscription.over.is_set() and subscription.too_slow
    subscription.offer(batch(6, runs={"b": "x"}))
    assert taken(subscription) == (5, [], [])


def test_catching_up_has_its_own_pace() -> None:
    subscription = Subscription(seq=0, logs=None, limit=10)
    subscription.offer(batch(1, runs={"a": '"x"' * 1}), bounded=False)
    subscription.offer(batch(2, runs={"a": '"' + "x" * 100 + '"'}), bounded=False)
    assert taken(subscription) == (2, [1, 2], ["x" * 100])


def run(run_id: str, parent_id: str | None) -> Run:
    return Run(
        id=run_id,
        kind="task",
        name=run_id,
        flow_name=None,
        task_name=None,
        parent_id=parent_id,
        root_id="root",
        attempt=1,
        state=State(type=StateType.RUNNING, name="Running"),
        parameters={},
        tags=(),
        upstream=(),
        source={},
        created_at=0.0,
        started_at=None,
        ended_at=None,
        progress=Progress(total=0, done=0, counts={}),
    )


class FewRuns:
    """A store with three runs, one below the other, that counts how often it is asked."""

    def __init__(self, events: list[Event]) -> None:
        self.runs = {"root": run("root", None), "flow": run("flow", "root"), "task": run("task", "flow")}
        self.all = events
        self.asked: list[set[str]] = []

    def get_runs(self, run_ids: set[str]) -> dict[str, Run]:
        self.asked.append(set(run_ids))
        return {run_id: self.runs[run_id] for run_id in run_ids if run_id in self.runs}

    def events(self, *, after: int, limit: int, with_logs: bool) -> list[Event]:
        return [event for event in self.all if event.seq > after and (with_logs or event.kind != "log")][:limit]

    def last_seq(self) -> int:
        return self.all[-1].seq if self.all else 0


def event(seq: int, kind: str, run_id: str) -> Event:
    return Event(seq=seq, at=0.0, run_id=run_id, kind=kind, payload={})


def describer(*events: Event) -> tuple[Describer, FewRuns]:
    store: Any = FewRuns(list(events))
    return Describer(store, encode=lambda found: json.dumps(found.id), dump=json.dumps), store


def test_a_batch_has_the_runs_above_and_asks_once_when_it_knows_them() -> None:
    made, store = describer()
    first = made.describe([event(1, "state", "task")], seq=1)
    assert set(first.runs) == {"task", "flow"}
    assert store.asked == [{"task"}, {"flow"}]
    again = made.describe([event(2, "state", "task")], seq=2)
    assert set(again.runs) == {"task", "flow"}
    assert store.asked[2:] == [{"task", "flow"}]


def test_log_lines_bring_no_runs() -> None:
    made, _ = describer()
    found = made.describe([event(1, "log", "task"), event(2, "log", "unknown")], seq=2)
    assert found.runs == {}
    assert [item.within for item in found.items] == [("task", "flow", "root"), ("unknown",)]


def test_a_page_without_logs_ends_where_nothing_is_left_out() -> None:
    made, _ = describer(event(1, "state", "task"), event(2, "log", "task"), event(3, "log", "task"))
    assert made.page(0, with_logs=False).seq == 3
    assert made.page(0, with_logs=False, limit=1).seq == 1
    assert made.page(3, with_logs=True) == Batch(seq=3)


def test_text_of_log_lines_is_made_when_somebody_wants_it() -> None:
    made: list[int] = []

    def text() -> str:
        made.append(1)
        return "{}"

    line = Batch(seq=1, items=[Item(1, ("flow",), text)])
    Subscription(seq=0, logs="other", limit=100).offer(line)
    assert made == []
    for _ in range(2):
        Subscription(seq=0, logs="flow", limit=100).offer(line)
    assert made == [1]


class Gate:
    """A tail that gives one event for each permit, and ends when it is closed."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.closed = threading.Event()
        self.permits = threading.Semaphore(0)

    def wait(self, timeout: float) -> list[Event]:
        if not self.permits.acquire(timeout=timeout):
            return []
        self.after += 1
        return [event(self.after, "state", "task")]

    def close(self) -> None:
        self.closed.set()


def test_a_feed_hands_on_and_ends() -> None:
    async def scene() -> None:
        made, store = describer()
        tails: list[Gate] = []

        def tail(after: int) -> Gate:
            tails.append(Gate(after))
            return tails[-1]

        feed = Feed(made, tail=tail, log=LOG)
        feed.start(4)
        while not tails:
            await asyncio.sleep(0)
        tails[0].permits.release()
        while feed.seq < 5:
            await asyncio.sleep(0)
        assert store.asked == [], "nobody listens: nothing is read"
        early = Subscription(seq=4, logs=None, limit=1000)
        assert not feed.subscribe(early), "event 5 was handed on before it came"
        ready = Subscription(seq=5, logs=None, limit=10_000)
        assert feed.subscribe(ready)
        tails[0].permits.release()
        await asyncio.wait_for(ready.ready.wait(), 10)
        assert json.loads(ready.take())["seq"] == feed.seq == 6
        feed.end()
        assert ready.over.is_set() and not ready.too_slow
        late = Subscription(seq=6, logs=None, limit=1000)
        assert feed.subscribe(late) and late.over.is_set()
        await asyncio.to_thread(feed.join)
        assert tails[0].closed.is_set()

    asyncio.run(scene())
