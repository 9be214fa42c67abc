"""The events: one growing sequence, read from anywhere in it; log lines of a run or of all below it."""

from __future__ import annotations

import pytest

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.base import Store
from tests.contracts.scheduling import a_deployment
from tests.contracts.stores import Maker


def test_events_in_order(store: Store, maker: Maker) -> None:
    flow = maker.run("PENDING", name="brave-otter")
    task = maker.run("PENDING", parent=flow, name="load-0")
    maker.log(task, "hello", 30, "my.logger")
    maker.patch(flow, expected=3)
    request = store.request(flow, "cancel")
    events = store.events(after=0)
    assert [(event.run_id, event.kind) for event in events] == [
        (flow, "run"),
        (flow, "state"),
        (task, "run"),
        (task, "state"),
        (task, "log"),
        (flow, "patch"),
        (flow, "request"),
    ]
    assert [event.payload for event in events][:1] + [event.payload for event in events][2:] == [
        {"kind": "flow", "name": "brave-otter", "parent_id": None, "root_id": flow},
        {"kind": "task", "name": "load-0", "parent_id": flow, "root_id": flow},
        {"type": "PENDING", "name": "Pending", "message": None, "attempt": 1},
        {"level": 30, "logger": "my.logger", "message": "hello"},
        {"expected": 3},
        {"id": request.id, "kind": "cancel"},
    ]
    seqs = [event.seq for event in events]
    assert seqs == sorted(set(seqs)) and store.last_seq() == seqs[-1]
    assert [event.seq for event in store.events(after=seqs[2])] == seqs[3:]
    assert [event.seq for event in store.events(after=seqs[0], limit=2)] == seqs[1:3]
    assert [event.kind for event in store.events(after=seqs[3], with_logs=False)] == ["patch", "request"]
    assert store.events(after=seqs[-1]) == []


def test_what_becomes_of_deployments_is_told_without_a_run(store: Store, maker: Maker) -> None:
    run_id = maker.run("PENDING")
    maker.journal.flush()
    deployment = store.deployments.save(a_deployment())
    maker.log(run_id, "behind it")
    first, second, third, last = store.events(after=0)
    assert [event.kind for event in (first, second, third, last)] == ["run", "state", "deployment", "log"]
    assert third.run_id == "" and third.seq == last.seq - 1
    assert third.payload == {"deployment_id": deployment.id, "address": "sales/daily", "change": "saved"}
    assert store.events(after=second.seq, with_logs=False) == [third]
    assert store.get_runs([""]) == {} and store.last_seq() == last.seq


def test_logs_of_a_run_and_of_its_tree(store: Store, maker: Maker) -> None:
    root = maker.run()
    sub = maker.run(parent=root)
    leaf = maker.run(parent=sub)
    sibling = maker.run(parent=root)
    stranger = maker.run()
    order = [root, stranger, leaf, sibling, sub, root, leaf, stranger, sub]
    for index, run_id in enumerate(order):
        maker.log(run_id, str(index), level=10 * (index % 5))

    def lines(run_id: str, **options: object) -> list[int]:
        return [int(line.message) for line in store.logs(run_id, **options)]  # type: ignore[arg-type]

    assert lines(root) == [0, 2, 3, 4, 5, 6, 8]
    assert lines(sub) == [2, 4, 6, 8]
    assert lines(leaf) == [2, 6]
    assert lines(root, tree=False) == [0, 5]
    assert lines(sub, tree=False) == [4, 8]
    assert lines(stranger) == [1, 7]
    assert lines(root, limit=3) == [0, 2, 3]
    assert lines(root, limit=3, tail=True) == [5, 6, 8]
    assert lines(sub, limit=1, tail=True) == [8]
    assert lines(root, min_level=30) == [3, 4, 8]
    assert lines(root, min_level=30, limit=1, tail=True) == [8]
    third = store.logs(root)[2]
    assert (third.run_id, third.level, third.logger) == (sibling, 30, "test")
    assert lines(root, after=third.seq) == [4, 5, 6, 8]
    assert lines(sub, after=third.seq, limit=2) == [4, 6]
    assert lines(root, after=store.last_seq()) == []


def test_logs_of_a_tree_whose_root_is_elsewhere(store: Store, maker: Maker) -> None:
    top = maker.run(root_id="in-another-file", parent_id="in-another-file")
    child = maker.run(parent=top, root_id="in-another-file")
    for index, run_id in enumerate((top, child, top)):
        maker.log(run_id, str(index))
    assert [line.message for line in store.logs(top)] == ["0", "1", "2"]
    assert [line.message for line in store.logs(child)] == ["1"]


@pytest.mark.parametrize(
    "options", [{"after": -1}, {"after": 10**30}, {"limit": 0}, {"limit": 10**30}, {"after": "1"}, {"after": True}]
)
def test_hostile_positions_are_refused(store: Store, maker: Maker, options: dict[str, int]) -> None:
    run_id = maker.run()
    with pytest.raises(InvalidRequest):
        store.events(**({"after": 0} | options))
    with pytest.raises(InvalidRequest):
        store.logs(run_id, **options)


def test_others_commits_are_noticed(store: Store, maker: Maker) -> None:
    maker.journal.flush(10)
    before = store.data_version()
    assert store.data_version() == before
    maker.run()
    maker.journal.flush(10)
    assert store.data_version() != before
