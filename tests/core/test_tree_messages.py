"""A tree's messages: who takes them in one after another has the whole tree at any time."""

from __future__ import annotations

import json
import random
from typing import Any

from jupyter_wf.core.events import Entry, LogWritten, RunPatched
from jupyter_wf.core.models import Event, Run, RunError
from jupyter_wf.core.states import State, StateType
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_entries import entry_of, made, stored_entries
from jupyter_wf.core.tree_json import MOST_CHANGES, MOST_LINES, TreeJSON
from jupyter_wf.core.tree_messages import TreeWriter, whole_tree
from tests.core.test_tree import WAITED_AND_RAN, created, error, make, ran, state


class Reader:
    """Does with messages what `core.tree_json` says."""

    def __init__(self) -> None:
        self.seq = -1
        self.made: list[Any] = []
        self.rows: dict[int, Any] = {}
        self.lines: list[Any] = []
        self.last: Any = None

    def take(self, message: TreeJSON) -> None:
        data = json.loads(json.dumps(message))
        if data["reset"]:
            self.made, self.rows, self.lines = [], {}, []
        else:
            assert data["seq"] == self.seq + 1
            assert len(data["changed"]) <= 2 * MOST_CHANGES and len(data["lines"]) <= MOST_LINES
        self.seq, self.last = data["seq"], data
        for row in data["made"]:
            assert row[0] <= len(self.made) and -1 <= row[2] < row[0]
            self.made[row[0] : row[0] + 1] = [row]
            assert row[0] in self.rows or any(changed[0] == row[0] for changed in data["changed"])
        for row in data["changed"]:
            assert -1 <= row[0] < len(self.made)
            self.rows[row[0]] = row
        self.lines = [*self.lines, *data["lines"]][-MOST_LINES:]
        assert [line[0] for line in self.lines] == sorted({line[0] for line in self.lines})


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def test_whoever_follows_has_what_the_whole_says() -> None:
    chance = random.Random(7)
    tree, reader = make(most_rows=1_500), Reader()
    writer = TreeWriter(tree)
    ids = ["root"]
    states = ["RUNNING", "COMPLETED", "FAILED", "SCHEDULED", "PAUSED", "CANCELLED"]
    for turn in range(120):
        batch: list[Entry] = []
        for _ in range(chance.randrange(60)):
            run_id = chance.choice(ids)
            kind = chance.randrange(5)
            if kind < 2:
                batch.append(created(f"t{len(ids)}", run_id, task_name="t", upstream=json.dumps([run_id])))
                ids.append(f"t{len(ids)}")
            elif kind == 2:
                batch.append(LogWritten(run_id, turn, 20, "x", f"line {turn}"))
            elif kind == 3 and chance.random() < 0.2:
                batch.append(RunPatched(run_id, turn, json.dumps({"name": f"name {turn}"})))
            else:
                type_ = chance.choice(states)
                text = error("no") if type_ == "FAILED" else None
                batch.append(state(run_id, type_, turn, chance.randrange(1, 3), error=text))
        tree.feed(batch)
        if turn == 3:
            reader.take(writer.begin(turn))
        elif turn > 3 and chance.random() < 0.7:
            reader.take(writer.next(turn))
        if turn == 60:
            # A page that has missed something asks for the whole.
            reader.take(writer.whole(turn))
    while writer.has_news:
        reader.take(writer.next(120.0))
    whole = as_json(whole_tree(tree, 120.0, seq=5))
    assert (whole["seq"], whole["reset"]) == (5, True)
    assert reader.made == whole["made"]
    assert [reader.rows[i] for i in range(-1, len(reader.made))] == whole["changed"]
    assert reader.lines == whole["lines"]
    for name in ("run", "progress", "more", "live", "last_log", "stale"):
        assert reader.last[name] == whole[name]
    assert whole == as_json({**writer.whole(120.0), "seq": 5})


def test_a_message_is_bounded_and_the_next_one_brings_the_rest() -> None:
    tree, reader = make(most_rows=20_000), Reader()
    writer = TreeWriter(tree)
    reader.take(writer.begin(0.0))
    tree.feed([entry for n in range(5_000) for entry in (created(f"t{n}"), *ran(f"t{n}", 2.0, 3.0))])
    tree.feed([LogWritten("t0", 1.0, 20, "x", str(n)) for n in range(1_200)])
    message = writer.next(0.0)
    reader.take(message)
    assert (len(message["made"]), len(message["lines"]), message["dropped"]) == (MOST_CHANGES, MOST_LINES, 700)
    assert message["progress"]["done"] == 5_000
    count = 1
    while writer.has_news:
        reader.take(writer.next(0.0))
        count += 1
    assert count == 10
    assert len(reader.made) == 5_000 and all(row[1] == "COMPLETED" for i, row in reader.rows.items() if i >= 0)
    assert not writer.has_news


def test_the_whole_is_as_old_as_the_last_message() -> None:
    tree = make()
    writer = TreeWriter(tree)
    tree.feed([created("a")])
    writer.begin(0.0)
    tree.feed([created("b"), LogWritten("b", 1.0, 20, "x", "hello"), LogWritten("a", 1.0, 20, "x", "hi")])
    whole = writer.whole(1.0)
    # What was not told of yet comes with the next number.
    assert (whole["seq"], [row[1] for row in whole["made"]]) == (1, ["a"])
    assert [line[4] for line in whole["lines"]] == ["hi"]
    after = writer.next(2.0)
    assert (after["seq"], [row[1] for row in after["made"]]) == (2, ["b"])
    assert [line[4] for line in after["lines"]] == ["hello", "hi"]


def test_the_numbers_go_on_with_another_run_in_the_same_view() -> None:
    writer = TreeWriter(make(), seq=7, earlier={"total": 2, "counts": {"Completed": 2}})
    message = writer.begin(0.0)
    assert (message["seq"], message["reset"], message["earlier"]) == (8, True, {"total": 2, "counts": {"Completed": 2}})


def stored(run_id: str, parent: str | None, state: State, **facts: Any) -> Run:
    fields: dict[str, Any] = {
        **{
            "kind": "task",
            "name": run_id,
            "flow_name": None,
            "task_name": run_id,
            "attempt": 2,
            "parameters": {"n": 1},
        },
        **{"parameters": {"n": 1}, "tags": ("t",), "upstream": ("u",), "source": {}},
        **{"created_at": 1.0, "started_at": 2.0, "ended_at": None},
        **facts,
    }
    return Run(id=run_id, parent_id=parent, root_id="root", state=state, **fields)


def test_a_tree_of_what_the_store_has() -> None:
    root = stored("root", None, State(type=StateType.RUNNING, name="Running", at=2.0), kind="flow", attempt=1)
    why = RunError(type="ValueError", message="no", traceback="tb")
    failed = State(type=StateType.FAILED, name="Failed", message="m", at=6.0)
    child = stored("a", "root", failed, error=why, ended_at=6.0)
    events = [
        Event(seq=n, at=float(n), run_id="a", kind="state", payload={"type": t, "name": t.capitalize(), **facts})
        for n, (t, facts) in enumerate(
            [
                ("PENDING", {"attempt": 1, "message": None}),
                ("RUNNING", {"attempt": 1, "message": None}),
                ("SCHEDULED", {"attempt": 1, "message": "later", "error": {"type": "E", "message": "x"}}),
                ("RUNNING", {"attempt": 2, "message": None}),
                ("FAILED", {"attempt": 2, "message": "m", "error": {"type": "ValueError", "message": "no"}}),
            ],
            start=1,
        )
    ]
    tree = RunTree(made(root))
    tree.feed(stored_entries(root))
    tree.feed(stored_entries(child, events))
    message = whole_tree(tree, 9.0)
    assert message["run"]["parameters"] == {"n": 1} and message["run"]["started_at"] is not None
    assert message["made"] == [(0, "a", -1, "a", "task", "a", 1000.0, 1, ["u"])]
    row = message["changed"][1]
    assert row[1:4] == ("FAILED", "Failed", 2)
    assert row[4] == [*WAITED_AND_RAN, "wait", 1, 3000.0, 4000.0, "run", 2, 4000.0, 5000.0]
    assert row[7] == {"type": "ValueError", "message": "no", "traceback": "tb"}
    without = RunTree(made(root))
    without.feed(stored_entries(root))
    without.feed(stored_entries(child))
    assert without.spans(1)[-4:] == ["run", 2, 2000.0, 6000.0]


def test_other_events_as_entries() -> None:
    log = Event(seq=1, at=1.0, run_id="a", kind="log", payload={"level": 20, "logger": "x", "message": "m"})
    patch = Event(seq=1, at=1.0, run_id="a", kind="patch", payload={"name": "n"})
    assert entry_of(log) == LogWritten("a", 1.0, 20, "x", "m")
    assert entry_of(patch) == RunPatched("a", 1.0, '{"name": "n"}')
    assert entry_of(Event(seq=1, at=1.0, run_id="a", kind="run", payload={})) is None
