"""Ended runs are deleted with everything that is theirs, and nothing else; what is to go is told by rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.core.errors import InvalidRequest, RunNotFound
from jupyter_wf.core.events import ArtifactWritten, Kept, LogWritten, ResultStored, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.store.backfills import Keep
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite.deleting import KEPT_WITH_RUN
from jupyter_wf.store.sqlite.driver import sqlite
from tests.contracts.processes import dead_process
from tests.contracts.scheduling import T, a_deployment, a_schedule, slot_runs, submit
from tests.contracts.stores import Maker

DAY = 86_400.0
#: What must be as it was for everybody else.
TABLES = ("runs", "events", "results", "artifacts", "inputs", "requests", "leases", "queue", "slots")


def rows(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that the file holds."""
    connection = sqlite.connect(home / "state.db")
    try:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in TABLES
        }  # fmt: skip
    finally:
        connection.close()


def furnished(store: Store, maker: Maker, *, children: int = 2) -> str:
    """Make an ended run that has left a trace in every table, and return its id."""
    root = maker.run("COMPLETED", flow_name="f")
    last = root
    for _ in range(children):
        last = maker.run("COMPLETED", parent=last)
    for run_id in {root, last}:
        maker.log(run_id, "a line")
        for kind in KEPT_WITH_RUN:
            suffix = "/0" if kind == "pause" else ""
            maker.journal.append(ResultStored(run_id, T, f"{kind}/{run_id}{suffix}", None, "json", b"1"))
        maker.journal.append(ArtifactWritten(run_id, T, new_id(), "key", "markdown", None, '"x"'))
    maker.journal.append(ResultStored(last, T, f"cache-of-{last}", None, "json", b"2", "task"))
    maker.journal.flush()
    store.inputs.send(root, "key", 1)
    store.limits.set("shared", 1000)
    store.limits.take(f"lease-{root}", ["shared"], 1, process_id=maker.process.id, run_id=root)
    return root


def test_all_that_is_theirs_goes_and_nothing_else(store: Store, maker: Maker, wf_home: Path) -> None:
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule()]))
    (kept_run,) = store.slots.decide([slot_runs(deployment.schedules[0], 1)], T + 60)
    furnished(store, maker)
    before = rows(wf_home)
    root = furnished(store, maker)
    (slot_run,) = store.slots.decide([slot_runs(deployment.schedules[0], 2, before=T + 60)], T + 120)
    store.request(slot_run, "cancel")
    cached = {row for row in rows(wf_home)["results"] if "cache-of" in str(row)} - set(before["results"])
    slots = rows(wf_home)["slots"]

    done = store.retention.delete([root, slot_run])
    assert done.roots == [root, slot_run] and done.refused == {} and len(done.ids) == 4
    after = rows(wf_home)
    # What other runs may still find by its key stays, and so do slots: none fires again.
    assert set(after["results"]) == set(before["results"]) | cached and len(cached) == 1
    assert after["slots"] == slots and len(slots) == 2
    for table in {*TABLES} - {"results", "slots"}:
        assert after[table] == before[table], table
    assert store.slots.decide([slot_runs(deployment.schedules[0], 2, before=T + 120)], T + 180) == []
    assert store.get_run(kept_run).state.name == "Scheduled"
    for gone in done.ids:
        with pytest.raises(RunNotFound):
            store.get_run(gone)
    assert all(event.run_id not in done.ids for event in store.events(after=0, limit=10_000))


def test_what_is_open_stays(store: Store, maker: Maker, wf_home: Path) -> None:
    running = maker.run("RUNNING")
    waiting = submit(store)
    around = maker.run("COMPLETED")
    child = maker.run("RUNNING", parent=around)
    part = maker.run("COMPLETED", parent=running)
    dead = Maker(store, dead_process())
    left = dead.run("RUNNING")
    maker.journal.flush()
    before = rows(wf_home)
    done = store.retention.delete([running, waiting, around, part, left, "nothing", "a\0b", running])
    assert done.roots == [] and done.ids == []
    assert list(done.refused) == [running, waiting, around, part, left, "nothing", "a\0b"]
    assert "is Running" in done.refused[running] and "is Scheduled" in done.refused[waiting]
    assert f"run {child} below it" in done.refused[around] and "part of another run" in done.refused[part]
    assert "no run 'nothing'" in done.refused["nothing"]
    assert rows(wf_home) == before
    # What a dead process has left is written down first.
    store.reap(T)
    assert store.retention.delete([left]).roots == [left]


def test_a_large_tree_goes_in_many_transactions(
    store: Store, maker: Maker, wf_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_wf.store.sqlite.deleting._RUNS", 3)
    monkeypatch.setattr("jupyter_wf.store.sqlite.deleting._EVENTS", 5)
    root = furnished(store, maker, children=7)
    for number in range(12):
        maker.log(root, f"line {number}")
    maker.journal.flush()
    (part,) = store.earlier(root)
    done = store.retention.delete([root])
    assert done.roots == [root] and len(done.ids) == 8 and done.ids[-1] == root
    assert done.ids.index(part.id) == 6, "the youngest go first, so that what is left is always a tree"
    assert store.list_runs().items == ()
    assert rows(wf_home)["events"] == []


def test_an_interrupted_deletion_is_gone_on_with(
    store: Store, opened: Callable[[], Store], maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_wf.store.sqlite.deleting._RUNS", 2)
    root = furnished(store, maker, children=5)
    journal, calls = store.journal(), []
    run = journal.run  # type: ignore[attr-defined]

    def dies_at_the_third(*args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return run(*args, **options)

    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(journal, "run", dies_at_the_third)
        store.retention.delete([root])
    other = opened()
    assert len(other.list_runs().items) == 2 and other.get_run(root).state.is_completed()
    assert len(other.retention.delete([root]).ids) == 2
    assert other.list_runs().items == ()


def test_numbers_are_not_given_twice(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    """A process that still knows a deleted run by its number must not write into the log of a younger one."""
    old = maker.run("COMPLETED")
    maker.journal.flush()
    maker.log(old, "known by its number from now on")
    maker.journal.flush()
    other = opened()
    assert other.retention.delete([old]).roots == [old]
    young = Maker(other).run("RUNNING")
    other.journal().flush()
    maker.log(old, "too late")
    maker.journal.flush()
    assert store.logs(young) == [] and store.events(after=0, limit=100)[-1].kind != "log"
    queued = submit(store)
    assert other.retention.delete([queued]).refused and store.get_run(queued).state.name == "Scheduled"


def ended_run(store: Store, ended_at: float, **fields: object) -> str:
    """Put a run into the queue that has ended and is settled; return its id."""
    run_id = submit(store, now=ended_at - 1, **fields)
    store.journal().append(StateChanged(run_id, ended_at, 1, "COMPLETED", "Completed"))
    store.journal().flush()
    assert store.queue.settle(run_id, 1)
    return run_id


def test_a_deployment_keeps_so_many_or_so_long(store: Store) -> None:
    deployment = store.deployments.save(a_deployment())
    ids = [ended_run(store, T + day * DAY, deployment_id=deployment.id) for day in range(6)]
    ended_run(store, T, deployment_id=store.deployments.save(a_deployment("other")).id)
    ended_run(store, T)
    now = T + 6 * DAY

    def outdated(last: int | None = None, days: float | None = None, limit: int = 500) -> list[str]:
        return store.retention.outdated(Keep(last, days), now, deployment_id=deployment.id, limit=limit)

    assert outdated() == [] and outdated(last=6) == [] and outdated(days=7) == []
    assert outdated(last=2) == ids[:4] and outdated(days=2.5) == ids[:4]
    assert outdated(last=1, days=100) == ids[:5] and outdated(last=100, days=5.5) == ids[:1]
    assert outdated(last=2, limit=3) == ids[:3]
    # What waits, runs, or whose end nobody has dealt with, is not to go.
    submit(store, deployment_id=deployment.id)
    unsettled = submit(store, deployment_id=deployment.id)
    store.request(unsettled, "cancel")
    assert outdated(last=1, days=0.001) == ids
    assert store.queue.settle(unsettled, 1)
    assert outdated(last=1) == ids


def test_missed_slots_push_nothing_out(store: Store) -> None:
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule()]))
    real = ended_run(store, T, deployment_id=deployment.id)
    missed = store.slots.decide([slot_runs(deployment.schedules[0], *range(1, 6), outcome="missed")], T + 600)
    for run_id in missed:
        store.queue.settle(run_id, 1)
    keep = Keep(last=1)
    assert store.retention.outdated(keep, T + 900, deployment_id=deployment.id) == []
    newest = ended_run(store, T + 700, deployment_id=deployment.id)
    assert store.retention.outdated(keep, T + 900, deployment_id=deployment.id) == [real, *missed]
    assert store.get_run(newest).state.is_completed()


def test_the_general_rule_is_for_each_flow_and_for_who_has_none_of_its_own(store: Store, maker: Maker) -> None:
    own = store.deployments.save(a_deployment("own", keep_last=3))
    plain = store.deployments.save(a_deployment("plain"))
    for day in range(3):
        ended_run(store, T + day * DAY, deployment_id=own.id)
    mine = [ended_run(store, T + day * DAY, deployment_id=plain.id) for day in range(3)]
    others = [maker.run("FAILED", flow_name="other", at=T + day * DAY) for day in (0.1, 1.1)]
    below = maker.run("COMPLETED", parent=others[0], at=T)
    task = maker.run("COMPLETED", kind="task", task_name="t", at=T + 0.2 * DAY)
    maker.run("RUNNING", flow_name="other", at=T)
    maker.journal.flush()
    now = T + 100 * DAY
    assert store.retention.outdated(Keep(), now) == []
    assert store.retention.outdated(Keep(last=1), now) == [mine[0], others[0], mine[1]]
    assert store.retention.outdated(Keep(last=2), now) == [mine[0]]
    found = store.retention.outdated(Keep(days=1), now)
    assert set(found) == {*mine, *others, task} and below not in found
    assert len(store.retention.outdated(Keep(last=1, days=1), now, limit=4)) == 4


def test_the_rule_is_kept(store: Store, opened: Callable[[], Store]) -> None:
    assert store.retention.rule() == Keep()
    store.retention.set_rule(Keep(last=5, days=0.5))
    assert opened().retention.rule() == Keep(last=5, days=0.5)
    for wrong in (Keep(last=0), Keep(last=True), Keep(days=0), Keep(days=float("inf")), Keep(days=-1)):
        with pytest.raises(InvalidRequest):
            store.retention.set_rule(wrong)
        with pytest.raises(InvalidRequest):
            store.retention.outdated(wrong, T)
    store.retention.set_rule(Keep())
    assert opened().retention.rule() == Keep()


def test_files_that_are_needed(store: Store, maker: Maker) -> None:
    digests = [f"{number:x}" * 64 for number in range(1, 8)]
    one, two, three, four, snapshot, environment, pinned = digests
    names = json.dumps({"names": {"a": {"format": "file:json", "data": three, "size": 1, "type": "x"}}, "missing": {}})
    source = {"digest": snapshot, "environment": {"digest": environment}}
    root = maker.run("RUNNING", source=json.dumps(source))
    maker.state(root, "COMPLETED", kept=Kept("file:cloudpickle", f"{one}:{'f' * 64}".encode()))
    maker.journal.append(ResultStored(root, T, "k", None, "file:json", two.encode()))
    maker.journal.append(ResultStored(root, T, "names", None, "names", names.encode()))
    maker.journal.append(ResultStored(root, T, "inline", None, "json", json.dumps(four).encode()))
    maker.journal.append(LogWritten(root, T, 20, "x", four))
    maker.journal.flush()
    store.deployments.save(a_deployment(digest=pinned))
    needed = store.retention.files()
    assert {one, two, three} <= needed.results and four not in needed.results
    assert needed.snapshots >= {snapshot, pinned} and environment in needed.environments
    assert needed.runs == {root}
