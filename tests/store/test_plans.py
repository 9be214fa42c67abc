"""What is asked often goes by an index, and a query of a large file does not read all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
}


@pytest.mark.parametrize("name", sorted(ASKED))
def test_by_an_index(store: SqliteStore, maker: Maker, name: str) -> None:
    flow = maker.run("RUNNING")
    task = maker.run("RUNNING", parent=flow)
    for _ in range(20):
        maker.run("COMPLETED", parent=flow)
        maker.log(task, "a line")
    store.last_seq()
    (handle,) = [each for each in store._database._handles if each is not store._database._writer]
    assert handle.connection is not None
    statements: list[str] = []
    handle.connection.set_trace_callback(statements.append)
    ASKED[name](store, flow, task)
    handle.connection.set_trace_callback(None)
    queries = [each for each in statements if each.lstrip().startswith(("SELECT", "WITH"))]
    assert queries
    for query in queries:
        plan = [row[3] for row in handle.connection.execute(f"EXPLAIN QUERY PLAN {query}")]
        assert not [step for step in plan if _reads_all(step)], (query, plan)


def _reads_all(step: str) -> bool:
    """Return whether a step of a plan reads a table of ours from end to end, or sorts what it reads."""
    words = step.split()
    if step.startswith("USE TEMP B-TREE FOR ORDER BY"):
        return True
    ours = words[0] == "SCAN" and words[1] in ("runs", "r", "events", "e", "requests", "processes", "results")
    return ours and "INDEX" not in words
