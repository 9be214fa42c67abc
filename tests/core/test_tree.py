"""A run's tree as its journal entries tell it: times, counts, what is bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_wf.core.events import ArtifactWritten, Kept, LogWritten, RunCreated, RunKept, RunPatched, StateChanged
from jupyter_wf.core.tree import RunTree
from jupyter_wf.core.tree_json import MOST_LINES

WAITED_AND_RAN = ["wait", 1, 1000.0, 2000.0, "run", 1, 2000.0, 3000.0]


def created(run_id: str, parent: str | None = "root", at: float = 1.0, **facts: Any) -> RunCreated:
    fields = {"kind": "task", "name": run_id, "flow_name": None, "task_name": run_id, "process_id": "p", **facts}
    return RunCreated(run_id=run_id, at=at, parent_id=parent, root_id="root", **fields)


def state(run_id: str, type_: str, at: float = 2.0, attempt: int = 1, **facts: Any) -> StateChanged:
    return StateChanged(run_id, at, attempt, type_, facts.pop("name", None) or type_.capitalize(), **facts)


def error(message: str, traceback: str = "tb") -> str:
    return json.dumps({"type": "ValueError", "message": message, "traceback": traceback})


def make(most_rows: int = 1_000) -> RunTree:
    return RunTree(created("root", None, kind="flow", name="brave-otter", flow_name="etl", task_name=None), most_rows)


@pytest.fixture
def tree() -> RunTree:
    return make()


def ran(run_id: str, begun: float, ended: float, type_: str = "COMPLETED") -> list[StateChanged]:
    return [state(run_id, "PENDING", 1.0), state(run_id, "RUNNING", begun), state(run_id, type_, ended)]


@pytest.mark.parametrize(
    ("entries", "spans"),
    [
        ([], ["wait", 1, 1000.0, None]),
        ([state("a", "RUNNING", 2.0)], ["wait", 1, 1000.0, 2000.0, "run", 1, 2000.0, None]),
        (ran("a", 2.0, 3.0), WAITED_AND_RAN),
        (ran("a", 1.0, 3.0), ["run", 1, 1000.0, 3000.0]),
        ([state("a", "COMPLETED", 1.5, name="Cached")], ["wait", 1, 1000.0, 1500.0]),
        ([state("a", "PENDING", 5.0, name="NotReady")], ["wait", 1, 1000.0, 5000.0]),
        (
            [
                state("a", "RUNNING", 2.0),
                state("a", "SCHEDULED", 3.0, name="AwaitingRetry"),
                state("a", "RUNNING", 4.0, attempt=2, name="Retrying"),
                state("a", "CANCELLING", 5.0, attempt=2),
                state("a", "CANCELLED", 6.0, attempt=2),
            ],
            [*WAITED_AND_RAN, "wait", 1, 3000.0, 4000.0, "run", 2, 4000.0, 6000.0],
        ),
        (
            [state("a", "RUNNING", 2.0), state("a", "PAUSED", 3.0), state("a", "RUNNING", 5.0)],
            [*WAITED_AND_RAN, "pause", 1, 3000.0, 5000.0, "run", 1, 5000.0, None],
        ),
        (
            [*ran("a", 2.0, 3.0, "FAILED"), state("a", "PENDING", 8.0, attempt=2), state("a", "RUNNING", 9.0, 2)],
            [*WAITED_AND_RAN, "wait", 2, 8000.0, 9000.0, "run", 2, 9000.0, None],
        ),
    ],
    ids=["made", "running", "done", "at once", "cached", "never called", "retried", "paused", "tried again"],
)
def test_times_by_attempt(tree: RunTree, entries: list[StateChanged], spans: list[Any]) -> None:
    tree.feed([created("a"), state("a", "PENDING", 1.0)])
    for entry in entries:
        tree.feed([entry])
    assert tree.spans(1) == spans


def test_a_run_that_is_tried_for_days_keeps_its_last_times(tree: RunTree) -> None:
    tree.feed([created("a")])
    for attempt in range(1, 1_000):
        tree.feed([state("a", "RUNNING", attempt, attempt), state("a", "SCHEDULED", attempt + 0.5, attempt)])
    spans = tree.spans(1)
    assert len(spans) == 400
    assert spans[-4:] == ["wait", 999, 999_500.0, None]


def test_counts_whatever_the_order_and_however_often_they_are_asked_for(tree: RunTree) -> None:
    other = make()
    entries: list[Any] = []
    for number in range(50):
        entries += [created(f"t{number}"), *ran(f"t{number}", 2.0, 3.0, "FAILED" if number % 7 == 0 else "COMPLETED")]
    entries += [created("below", "t3"), state("below", "RUNNING"), created("late"), state("late", "PENDING")]
    for entry in entries:
        tree.feed([entry])
        tree.progress(0)
    other.feed(entries)
    expected = {"total": 51, "done": 50, "counts": {"FAILED": 8, "COMPLETED": 42, "PENDING": 1}}
    assert tree.progress(0) == other.progress(0) == expected
    assert tree.progress(4) == {"total": 1, "done": 0, "counts": {"RUNNING": 1}}


def test_a_large_result_is_not_held(tree: RunTree) -> None:
    data = bytearray(b"x" * 10)
    kept = Kept("json", memoryview(data))  # type: ignore[arg-type]
    tree.feed([created("a"), StateChanged("a", 2.0, 1, "COMPLETED", "Completed", None, None, kept)])
    tree.feed([RunKept("a", 2.0, 1, kept)])
    del kept
    # A view on it would forbid this.
    data.append(1)
    assert tree.types[1] == "COMPLETED"


def test_beyond_the_most_rows_runs_are_counted_and_failures_get_a_row() -> None:
    tree = make(most_rows=10)
    for number in range(500):
        type_ = "FAILED" if number >= 200 and number % 100 == 0 else "COMPLETED"
        tree.feed([created(f"t{number}"), *ran(f"t{number}", 2.0, 3.0, type_)])
    tree.feed([created("open"), state("open", "RUNNING"), created("child", "open")])
    assert [made.run_id for made in tree.made[1:]] == [*(f"t{n}" for n in range(10)), "t200", "t300", "t400"]
    progress = tree.progress(0)
    assert (progress["total"], progress["done"]) == (501, 500)
    assert progress["counts"] == {"COMPLETED": 497, "FAILED": 3, "PENDING": 1}
    assert tree.more == 501 - 13
    tree.feed([state("open", "COMPLETED")])
    assert tree.progress(0)["done"] == 501


def test_the_newest_lines_and_the_number_of_all(tree: RunTree) -> None:
    tree.feed([created("a")])
    tree.feed([LogWritten("a", float(n), 20, "x", f"line {n} {'y' * 5_000}") for n in range(2_000)])
    assert (len(tree.lines), tree.lines_written) == (MOST_LINES, 2_000)
    assert tree.lines[-1][:4] == (2_000, 1999.0, 1, 20)
    assert all(len(line[4]) == 2_000 for line in tree.lines)
    assert tree.last_logs[1].startswith("line 1999") and len(tree.last_logs[1]) == 300


def test_of_many_failures_the_first_keep_their_tracebacks_cut(tree: RunTree) -> None:
    for number in range(600):
        tree.feed([created(f"t{number}"), state(f"t{number}", "FAILED", error=error("no", "z" * 50_000))])
    first, last = tree.error(1), tree.error(600)
    assert first is not None and last is not None
    assert len(first["traceback"]) == 10_001 and first["traceback"].startswith("…")
    assert (last["type"], last["message"], last["traceback"]) == ("ValueError", "no", "")
    assert sum(len(text) for text in tree.errors.values()) < 6_000_000


def test_facts_that_come_later(tree: RunTree) -> None:
    root = created("root", None, kind="flow", name="brave-otter", flow_name="etl", expected=3, tags='["a"]')
    tree.feed([root, created("a"), RunPatched("a", 2.0, '{"name": "other"}')])
    tree.feed([RunPatched("root", 2.0, '{"expected": 9, "source": {"cell": 1}, "parameters": {"n": 1}}')])
    run = tree.run()
    assert (run["source"], run["parameters"], run["tags"]) == ({"cell": 1}, {"n": 1}, ["a"])
    assert tree.progress(0)["total"] == 9
    assert tree.row_name(1) == "other" and list(tree.renamed) == [1]


def test_a_flow_inside_says_which_it_is(tree: RunTree) -> None:
    tree.feed([created("f", kind="flow", name="calm-cat", flow_name="clean", task_name=None)])
    assert tree.row_name(1) == "clean · calm-cat"


def test_strangers_and_what_is_no_matter_of_a_tree(tree: RunTree) -> None:
    tree.feed(
        [
            created("x", "other"),
            state("x", "RUNNING"),
            LogWritten("x", 1.0, 20, "x", "hello"),
            RunPatched("x", 1.0, "{}"),
            ArtifactWritten(None, 1.0, "a", None, "text/plain", None, '""'),
        ]
    )
    assert (len(tree), tree.lines_written, tree.progress(0)["total"]) == (1, 0, 0)


def test_staleness_is_a_change_of_the_row(tree: RunTree) -> None:
    tree.feed([created("a")])
    tree.take_changed()
    assert tree.mark_stale("a", "load ran again")
    assert tree.take_changed() == [1]
    assert tree.stale == {1: "load ran again"}
    assert tree.mark_stale("a", None) and tree.stale == {}
    assert not tree.mark_stale("nobody", "why")
