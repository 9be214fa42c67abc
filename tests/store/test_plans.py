"""What is asked often goes by an index, and a query of a large file does not read all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf.core.events import Kept, RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import RunFilter
from jupyter_wf.store.sqlite import SqliteStore
from tests.contracts.stores import Maker

ASKED: dict[str, Callable[[SqliteStore, str, str], Any]] = {
    "run": lambda store, flow, task: store.get_run(flow),
    "prefix": lambda store, flow, task: store.find_run(flow[:12]),
    "newest": lambda store, flow, task: store.list_runs(limit=5),
    "roots": lambda store, flow, task: store.list_runs(RunFilter(roots_only=True), limit=5),
    "next page": lambda store, flow, task: store.list_runs(limit=5, cursor=store.list_runs(limit=5).next_cursor),
    "children": lambda store, flow, task: store.list_runs(RunFilter(parent_id=flow, oldest_first=True), limit=5),
    "tree": lambda store, flow, task: store.list_runs(RunFilter(root_id=flow), limit=5),
    "log of a tree": lambda store, flow, task: store.logs(flow, limit=5),
    "end of a log": lambda store, flow, task: store.logs(flow, limit=5, tail=True),
    "log of a task": lambda store, flow, task: store.logs(task, tree=False),
    "states": lambda store, flow, task: store.states(task),
    "stream": lambda store, flow, task: store.events(after=3, limit=5),
    "stream without logs": lambda store, flow, task: store.events(after=3, limit=5, with_logs=False),
    "newest event": lambda store, flow, task: store.last_seq(),
    "requests": lambda store, flow, task: store.requests(process_id="x"),
    "result": lambda store, flow, task: store.find_result("k", 1.0),
    "last result of a task": lambda store, flow, task: store.last_result("t"),
    "result of a run": lambda store, flow, task: store.run_result(task),
    "earlier children": lambda store, flow, task: store.earlier(flow),
    "artifact": lambda store, flow, task: store.artifacts.get("a"),
    "artifacts of a run": lambda store, flow, task: store.artifacts.of_run(flow),
    "artifacts of a key": lambda store, flow, task: store.artifacts.of_key("k"),
    "newest artifacts": lambda store, flow, task: store.artifacts.latest(limit=5),
    "variable": lambda store, flow, task: store.variables.get("v"),
    "variables": lambda store, flow, task: store.variables.list(),
    "messages": lambda store, flow, task: store.inputs.list(flow, key_prefix="k", after=3),
}


#: What all asked for is small enough to be sorted.
SORTED: dict[str, Callable[[SqliteStore, str, str], Any]] = {
    "waiting tasks": lambda store, flow, task: store.list_runs(RunFilter(unowned=True, kinds=("task",)), limit=5),
    "artifacts of a tree": lambda store, flow, task: store.artifacts.of_run(flow, tree=True),
}
_OURS = ("runs", "r", "events", "e", "requests", "processes", "results", "artifacts", "a", "variables", "inputs")


@pytest.mark.parametrize("name", sorted(ASKED | SORTED))
def test_by_an_index(store: SqliteStore, maker: Maker, name: str) -> None:
    flow = maker.run("RUNNING")
    task = maker.run("RUNNING", parent=flow)
    for _ in range(20):
        maker.run("COMPLETED", parent=flow)
        maker.log(task, "a line")
    plans = plans_of(store, lambda: (ASKED | SORTED)[name](store, flow, task))
    for query, plan in plans.items():
        # The end of a table is read from its end.
        if not query.endswith("ORDER BY rowid DESC LIMIT 5"):
            assert not [step for step in plan if _reads_all(step, may_sort=name in SORTED)], (query, plan)


def plans_of(store: SqliteStore, ask: Callable[[], object]) -> dict[str, list[str]]:
    """Return the plan of each query that ``ask`` makes, in this thread."""
    store.last_seq()
    (handle,) = [each for each in store._database._handles if each is not store._database._writer]
    assert handle.connection is not None
    statements: list[str] = []
    handle.connection.set_trace_callback(statements.append)
    ask()
    handle.connection.set_trace_callback(None)
    queries = [each for each in statements if each.lstrip().startswith(("SELECT", "WITH"))]
    assert queries
    return {each: [row[3] for row in handle.connection.execute(f"EXPLAIN QUERY PLAN {each}")] for each in queries}


def test_many_earlier_children(store: SqliteStore, maker: Maker) -> None:
    flow, kept = maker.run("RUNNING"), Kept("json", b"41", "0123456789abcdef", '{"x": 1}')
    ids = [new_id() for _ in range(10_000)]
    for number, run_id in enumerate(ids):
        at = maker.tick()
        maker.journal.append(
            RunCreated(run_id, at, "task", f"t-{number}", None, "t", flow, flow, maker.process.id, call_number=number)
        )
        maker.journal.append(StateChanged(run_id, at, 1, "COMPLETED", "Completed", kept=kept))
    maker.journal.flush(30)
    store.earlier(flow)
    began = time.perf_counter()
    found = store.earlier(flow)
    print(f"{len(found)} earlier children in {(time.perf_counter() - began) * 1e3:.1f} ms")
    assert [(each.id, each.call_number) for each in found] == [(run_id, n) for n, run_id in enumerate(ids)]
    (plan,) = [plan for query, plan in plans_of(store, lambda: store.earlier(flow)).items() if "parent_id" in query]
    assert plan == ["SEARCH runs USING INDEX runs_children (parent_id=?)"]


def test_taking_over_looks_only_at_the_tree(store: SqliteStore, maker: Maker) -> None:
    run_id = maker.run("FAILED")
    maker.run("FAILED", parent=run_id)
    maker.journal.flush(10)
    connection = store._database._writer.connection
    assert connection is not None
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    store.take_over(run_id, maker.process.id)
    connection.set_trace_callback(None)
    asked = [each for each in statements if each.lstrip().startswith(("SELECT", "WITH", "UPDATE"))]
    assert len(asked) > 5
    for query in asked:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not [step for step in plan if _reads_all(step, may_sort=True)], (query, plan)


def _reads_all(step: str, *, may_sort: bool) -> bool:
    """Return whether a step of a plan reads a table of ours from end to end, or sorts what it reads."""
    words = step.split()
    if step.startswith("USE TEMP B-TREE FOR ORDER BY"):
        return not may_sort
    return words[0] == "SCAN" and words[1] in _OURS and "INDEX" not in words
