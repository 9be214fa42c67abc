"""A run and everything below it as entries that tell of it."""

from __future__ import annotations

import pytest

from jupyter_wf.core.errors import RunNotFound
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.tree import RunTree
from jupyter_wf.store.base import Store
from tests.contracts.processes import dead_process
from tests.contracts.stores import Maker


def told(store: Store, run_id: str) -> list[tuple[str, str]]:
    """Return each run of the tree with the last state that is told of it."""
    last: dict[str, str] = {}
    for entry in store.tree(run_id):
        if isinstance(entry, RunCreated):
            last[entry.run_id] = ""
        elif isinstance(entry, StateChanged):
            last[entry.run_id] = entry.type
    return list(last.items())


def test_a_run_is_told_of_after_its_parent(store: Store, maker: Maker) -> None:
    root = maker.run()
    sub = maker.run(parent=root, kind="flow")
    first = maker.run("COMPLETED", parent=sub)
    second = maker.run("FAILED", parent=root)
    maker.run()
    maker.journal.flush(10)
    whole = [(root, "RUNNING"), (sub, "RUNNING"), (first, "COMPLETED"), (second, "FAILED")]
    assert told(store, root) == whole
    assert told(store, sub) == whole[1:3]
    assert told(store, first) == whole[2:3]


def test_what_is_told_makes_a_tree(store: Store, maker: Maker) -> None:
    root = maker.run()
    task = maker.run(None, parent=root, max_attempts=2)
    maker.state(task, "PENDING")
    began = maker.state(task, "RUNNING")
    failed = maker.state(task, "SCHEDULED", "AwaitingRetry")
    again = maker.state(task, "RUNNING", attempt=2)
    error = '{"type":"ValueError","message":"no rows","traceback":"line 1"}'
    ended = maker.state(task, "FAILED", attempt=2, error=error)
    maker.journal.flush(10)
    created, *entries = store.tree(root)
    assert isinstance(created, RunCreated)
    tree = RunTree(created)
    tree.feed(entries)
    spans = tree.spans(1)
    ran = [spans[place : place + 4] for place in range(0, len(spans), 4) if spans[place] == "run"]
    assert ran == [["run", 1, began * 1e3, failed * 1e3], ["run", 2, again * 1e3, ended * 1e3]]
    assert tree.error(1) == {"type": "ValueError", "message": "no rows", "traceback": "line 1"}
    assert tree.progress(0) == {"total": 1, "done": 1, "counts": {"FAILED": 1}}


def test_open_runs_of_a_dead_process_are_crashed(store: Store) -> None:
    doomed = Maker(store, dead_process())
    root = doomed.run()
    done = doomed.run("COMPLETED", parent=root)
    open_ = doomed.run(parent=root)
    doomed.journal.flush(10)
    assert told(store, root) == [(root, "CRASHED"), (done, "COMPLETED"), (open_, "CRASHED")]


@pytest.mark.parametrize("run_id", ["00000000-0000-7000-8000-000000000000", "", "x\x00", "\ud800"])
def test_an_unknown_run(store: Store, run_id: str) -> None:
    with pytest.raises(RunNotFound):
        store.tree(run_id)
