"""Backfills: slots of the past under the same unique key, as a group with a limit of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from jupyter_wf.core.backfills import Backfill, Reprocess
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.events import StateChanged
from jupyter_wf.core.scheduling_errors import BackfillNotFound, DeploymentNotFound
from jupyter_wf.core.states import StateType
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite.driver import sqlite
from tests.contracts.scheduling import T, a_deployment, a_schedule, claim, registered, slot_runs, submit


def a_backfill(deployment_id: str, **fields: Any) -> Backfill:
    values: dict[str, Any] = {
        "id": "", "deployment_id": deployment_id, "begin_at": T, "end_at": T + 600, "created_at": T + 1000,
        "counts": {},
    }  # fmt: skip
    return Backfill(**(values | fields))


@pytest.fixture
def deployment(store: Store) -> Deployment:
    """A deployment with a schedule and a place for one run."""
    schedule = a_schedule(parameters={"full": True})
    return store.deployments.save(a_deployment(schedules=[schedule], parameters={"region": "no", "token": "t"}))


def create(store: Store, deployment: Deployment, *minutes: float, **fields: Any) -> Backfill:
    slots = [(deployment.schedules[0].id, T + 60 * minute) for minute in minutes]
    return store.backfills.create(a_backfill(deployment.id, **fields), slots, parameters={"region": "se"}, priority=-1)


def test_a_backfill_is_a_group_of_runs_that_wait(
    store: Store, opened: Callable[[], Store], deployment: Deployment
) -> None:
    made = create(store, deployment, 3, 1, 2, parallel=2, reprocess="failed", newest_first=True)
    assert opened().backfills.get(made.id) == made == store.backfills.get(made.id[:8].upper())
    assert (made.runs, made.open, made.counts, made.done) == (3, 3, {"Scheduled": 3}, False)
    assert (made.parallel, made.reprocess, made.newest_first, made.created_at) == (2, "failed", True, T + 1000)
    waiting = store.queue.waiting()
    assert [(each.slot or 0) - T for each in waiting] == [180, 60, 120], "in the order given"
    assert {each.group_id for each in waiting} == {made.id} and {each.priority for each in waiting} == {-1}
    run = store.get_run(waiting[0].run_id)
    assert run.parameters == {"region": "se", "token": "***", "full": True}
    assert run.source["group_id"] == made.id and run.source["slot"].startswith("2027-01-15T08:03")
    assert store.queue.runs_of(deployment.id, group_id=made.id) == [each.run_id for each in waiting[::-1]]
    assert store.deployments.get(deployment.id).schedules == deployment.schedules, "no schedule moves"


def test_its_limit_is_its_own(store: Store, deployment: Deployment) -> None:
    made = create(store, deployment, *range(1, 6), parallel=2)
    (scheduled,) = store.slots.decide([slot_runs(deployment.schedules[0], 9)], T + 540)
    agent = registered(store)
    first = claim(store, agent, now=T + 2000, limit=9)
    assert len(first) == 3 and first[0] == scheduled, "the deployment's own run has its place beside the two"
    assert claim(store, agent, now=T + 2000, limit=9) == []
    store.queue.take(first[1], 1, agent, agent)
    store.journal().append(StateChanged(first[1], T + 2001, 1, "COMPLETED", "Completed"))
    store.journal().flush()
    assert len(claim(store, agent, now=T + 2001, limit=9)) == 1
    assert store.backfills.get(made.id).counts == {"Completed": 1, "Pending": 2, "Scheduled": 2}


def test_a_slot_that_a_backfill_has_made_is_decided(store: Store, deployment: Deployment) -> None:
    create(store, deployment, 1, 2)
    made = store.slots.decide([slot_runs(deployment.schedules[0], 1, 2, 3)], T + 180)
    assert len(made) == 1 and store.get_run(made[0]).source["slot"].startswith("2027-01-15T08:03")


def test_what_is_run_again(store: Store, deployment: Deployment) -> None:
    (schedule,) = deployment.schedules
    completed, failed, still_open = store.slots.decide([slot_runs(schedule, 1, 2, 3)], T + 180)
    store.slots.decide([slot_runs(schedule, 4, before=T + 180, outcome="missed")], T + 240)
    store.slots.decide([slot_runs(schedule, 5, before=T + 240, outcome="skipped")], T + 300)
    (deleted,) = store.slots.decide([slot_runs(schedule, 6, before=T + 300)], T + 360)
    agent = registered(store)
    for run_id, end in ((completed, "COMPLETED"), (failed, "FAILED")):
        assert claim(store, agent, now=T + 999) == [run_id]
        store.queue.take(run_id, 1, agent, agent)
        store.journal().append(StateChanged(run_id, T + 999, 1, end, end.capitalize()))
        store.journal().flush()
    store.request(deleted, "cancel")
    assert store.retention.delete([deleted]).roots == [deleted]
    slots = [(schedule.id, T + 60 * minute) for minute in (7, 6, 5, 4, 3, 2, 1, 7)]
    vacant: dict[str, list[float]] = {}
    for which in get_args(Reprocess):
        vacant[which] = [(slot - T) / 60 for _, slot in store.backfills.vacant(slots, which)]
    assert vacant == {"none": [7, 5, 4], "failed": [7, 5, 4, 2], "all": [7, 6, 5, 4, 2, 1]}
    made = create(store, deployment, 1, 2, 3, reprocess="failed")
    (again,) = store.queue.runs_of(deployment.id, group_id=made.id)
    assert store.backfills.vacant([(schedule.id, T + 120)], "all") == [], "the slot's run is the new one, and open"
    assert store.get_run(again).state.name == "Scheduled" and store.get_run(still_open).state.name == "Scheduled"


def test_a_backfill_is_cancelled(store: Store, deployment: Deployment) -> None:
    made = create(store, deployment, 1, 2, 3, parallel=2)
    other = submit(store)
    agent = registered(store)
    running, claimed = claim(store, agent, now=T + 2000, limit=9)[1:]
    store.queue.take(running, 1, agent, agent)
    assert store.backfills.cancel(made.id, T + 2000) == 3
    assert [each.run_id for each in store.requests()] == [running]
    assert store.get_run(claimed).state.type is StateType.CANCELLED
    after = store.backfills.get(made.id)
    assert (after.cancelled_at, after.open, after.counts["Cancelled"]) == (T + 2000, 1, 2)
    assert store.backfills.cancel(made.id, T + 3000) == 1 and store.backfills.get(made.id) == after
    assert store.get_run(other).state.name == "Pending"


def test_backfills_are_listed_newest_first(store: Store, deployment: Deployment) -> None:
    other = store.deployments.save(a_deployment("other", schedules=[a_schedule()]))
    first, second = create(store, deployment, 1), create(store, other, 1, created_at=T + 2000)
    assert store.backfills.list() == [second, first] and store.backfills.list(limit=1) == [second]
    assert store.backfills.list(deployment_id=deployment.id) == [first]


@pytest.mark.parametrize(
    "wrong", [{"parallel": 0}, {"reprocess": "some"}, {"begin_at": float("nan")}, {"end_at": "now"}], ids=str
)
def test_what_can_be_no_backfill_is_refused(store: Store, deployment: Deployment, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        create(store, deployment, 1, **wrong)
    assert store.backfills.list() == [] and store.queue.waiting() == []


def test_who_is_unknown(store: Store, deployment: Deployment) -> None:
    with pytest.raises(DeploymentNotFound):
        store.backfills.create(a_backfill("nothing"), [], parameters={}, priority=0)
    with pytest.raises(InvalidRequest, match="is none of the deployment"):
        store.backfills.create(a_backfill(deployment.id), [("else", T)], parameters={}, priority=0)
    for act in (store.backfills.get, lambda each: store.backfills.cancel(each, T)):
        for text in ("", "nothing", "a\0"):
            with pytest.raises(BackfillNotFound):
                act(text)


def test_the_file_itself_has_one_run_for_a_slot(store: Store, wf_home: Path, deployment: Deployment) -> None:
    """Whatever a scheduler believes: the key is what keeps two runs from one slot."""
    store.slots.decide([slot_runs(deployment.schedules[0], 1)], T + 60)
    connection = sqlite.connect(wf_home / "state.db")
    try:
        (row,) = connection.execute("SELECT schedule_id, slot, run_id FROM slots").fetchall()
        with pytest.raises(sqlite.IntegrityError, match="UNIQUE"):
            connection.execute("INSERT INTO slots (schedule_id, slot, run_id) VALUES (?, ?, 'another')", row[:2])
    finally:
        connection.close()
