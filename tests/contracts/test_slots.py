"""Slots: each becomes one run, whoever decides; what was decided is written with the watermark or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, SlotDecision
from jupyter_wf.core.events import StateChanged
from jupyter_wf.core.states import StateType
from jupyter_wf.store.base import Store
from jupyter_wf.store.scheduling import Slots
from tests.contracts.processes import dead_process
from tests.contracts.scheduling import (
    HOURLY,
    MINUTE,
    T,
    a_deployment,
    a_schedule,
    claim,
    names,
    registered,
    slot_runs,
    submit,
)


@pytest.fixture
def deployment(store: Store) -> Deployment:
    """A deployment with a schedule."""
    return store.deployments.save(
        a_deployment(
            parameters={"region": "no", "api_key": "hush"},
            tags=("db",),
            pool="big",
            priority=3,
            kernel="python3",
            digest="abc",
            retries=2,
            schedules=[a_schedule(parameters={"region": "se"})],
        )
    )


def test_a_slot_becomes_a_run_that_waits(store: Store, deployment: Deployment) -> None:
    (schedule,) = deployment.schedules
    decision = SlotDecision(slot=T + 60, outcome="run", due_at=T + 61.5)
    (run_id,) = store.slots.decide([Slots(schedule.id, T, [decision], T + 60, T + 120)], T + 60.25)
    run = store.get_run(run_id)
    assert (run.kind, run.flow_name, run.tags, run.max_attempts) == ("flow", "sales", ("db",), 3)
    assert (run.state.type, run.state.name, run.state.at) == (StateType.SCHEDULED, "Scheduled", T + 60.25)
    assert run.state.message == f"due {iso(T + 61.5)}" and "-" in run.name
    assert (run.created_at, run.started_at, run.ended_at, run.process_id) == (T + 60.25, None, None, None)
    assert run.parameters == {"region": "se", "api_key": "***"}
    assert run.source == {
        "queued": True,
        "notebook": "/books/sales.ipynb",
        "path": "/books/sales.ipynb",
        "deployment": "sales/daily",
        "deployment_id": deployment.id,
        "schedule_id": schedule.id,
        "slot": iso(T + 60),
    }
    queued = store.queue.get(run_id)
    assert queued is not None and store.queue.waiting() == [queued]
    assert queued.parameters == {"region": "se", "api_key": "hush"}
    assert (queued.slot, queued.due_at, queued.schedule_id) == (T + 60, T + 61.5, schedule.id)
    for name in ("kind", "target", "policies", "pool", "priority", "kernel", "digest", "tags"):
        assert getattr(queued, name) == getattr(deployment, name)
    (decided,) = store.deployments.get(deployment.id).schedules
    assert (decided.watermark, decided.next_slot, decided.made) == (T + 60, T + 120, 1)
    assert [event.kind for event in store.events(after=0) if event.run_id == run_id] == ["run", "state"]


def test_a_flow_names_its_entry_point(store: Store) -> None:
    deployment = store.deployments.save(
        a_deployment(kind="flow", target="etl.py:load", digest=None, schedules=[a_schedule()])
    )
    (run_id,) = store.slots.decide([slot_runs(deployment.schedules[0], 1)], T + 60)
    source = store.get_run(run_id).source
    assert source["entrypoint"] == "etl.py:load" and "path" not in source


def test_missed_and_skipped_slots_are_seen(store: Store, deployment: Deployment) -> None:
    (schedule,) = deployment.schedules
    decisions = [
        SlotDecision(slot=T + 60, outcome="missed", due_at=T + 60, message="no scheduler ran"),
        SlotDecision(slot=T + 120, outcome="skipped", due_at=T + 120, message="run x is open"),
        SlotDecision(slot=T + 180, outcome="run", due_at=T + 180, message="a word"),
    ]
    ids = store.slots.decide([Slots(schedule.id, T, decisions, T + 180, None)], T + 200)
    found = [store.get_run(each) for each in ids]
    assert [(run.state.type, run.state.name, run.state.message) for run in found] == [
        (StateType.CANCELLED, "Missed", "no scheduler ran"),
        (StateType.CANCELLED, "Skipped", "run x is open"),
        (StateType.SCHEDULED, "Scheduled", "a word"),
    ]
    assert [run.ended_at for run in found] == [T + 200, T + 200, None]
    assert [each.run_id for each in store.queue.waiting()] == ids[2:]
    assert [each.run_id for each in store.queue.unsettled()] == ids[:2]
    assert store.deployments.get(deployment.id).schedules[0].made == 1, "only what is executed counts"
    assert store.slots.next_slot() is None
    assert store.queue.runs_of(deployment.id) == ids[::-1]


def test_a_slot_is_decided_once(store: Store, opened: Callable[[], Store], deployment: Deployment) -> None:
    (schedule,) = deployment.schedules
    other = opened()
    decided = slot_runs(schedule, 1, 2)
    assert len(store.slots.decide([decided], T + 120)) == 2
    # Somebody was quicker: the watermark is another one.
    assert other.slots.decide([decided], T + 120) == []
    # Somebody has gone by the new watermark, and yet decides a slot that has a run.
    late = slot_runs(schedule, 2, 3, before=T + 120)
    assert len(other.slots.decide([late], T + 180)) == 1
    # And twice within one call.
    assert len(store.slots.decide([slot_runs(schedule, 4, 4, 4, before=T + 180)], T + 240)) == 1
    assert sorted(each.slot or 0 for each in store.queue.waiting()) == [T + 60, T + 120, T + 180, T + 240]
    assert store.deployments.get(deployment.id).schedules[0].made == 4


def test_many_schedulers_at_once_leave_neither_gap_nor_double(store: Store, opened: Callable[[], Store]) -> None:
    schedules = [a_schedule(spec={"cron": f"{n} * * * *", "timezone": "UTC"}) for n in range(5)]
    deployment = store.deployments.save(a_deployment(schedules=schedules))
    stores = [store, opened(), opened()]

    def work(mine: Store) -> None:
        while found := mine.slots.due(T + 20 * MINUTE):
            mine.slots.decide(
                [
                    slot_runs(due.schedule, round((due.schedule.next_slot or 0) - T) / MINUTE)
                    for due in found
                ],
                T + 20 * MINUTE,
            )  # fmt: skip

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, stores))
    made = sorted((each.schedule_id, each.slot) for each in store.queue.waiting())
    assert made == sorted((each.id, T + MINUTE * minute) for each in deployment.schedules for minute in range(1, 21))


def test_what_has_changed_meanwhile_is_left_out(store: Store) -> None:
    spec = [{"cron": f"{n} * * * *", "timezone": "UTC"} for n in range(1, 5)]
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule(spec=each) for each in spec]))
    gone, inactive, changed, whole = deployment.schedules
    store.deployments.remove_schedule(gone.id)
    store.deployments.set_schedule(replace(inactive, active=False))
    store.deployments.set_schedule(replace(changed, watermark=T + 30))
    made = store.slots.decide([slot_runs(each, 1) for each in deployment.schedules], T + 60)
    (queued,) = store.queue.waiting()
    assert made == [queued.run_id] and queued.schedule_id == whole.id
    marks = {each.id: each.watermark for each in store.deployments.get(deployment.id).schedules}
    assert marks == {inactive.id: T, changed.id: T + 30, whole.id: T + 60}


def test_a_decision_is_written_whole_or_not_at_all(
    store: Store, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (schedule,) = deployment.schedules

    def power_cut(*_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError, match="power cut"):
        # The run and its events are written then, its places in the queue and among the slots are not.
        broken.setattr("jupyter_wf.store.sqlite.slot_rows.write_rows", power_cut)
        store.slots.decide([slot_runs(schedule, 1)], T + 60)
    assert store.list_runs().items == () and store.queue.waiting() == []
    assert store.deployments.get(deployment.id).schedules == (schedule,)
    assert len(store.slots.decide([slot_runs(schedule, 1)], T + 60)) == 1


def test_due_schedules_come_with_what_is_open(store: Store, opened: Callable[[], Store]) -> None:
    # A deployment that does not skip slots need not know.
    deployment = store.deployments.save(a_deployment(overlap="skip", concurrency_limit=3, schedules=[a_schedule()]))
    later = store.deployments.save(
        a_deployment("later", schedules=[a_schedule(next_slot=T + 90), a_schedule(spec=HOURLY, next_slot=None)])
    )
    (schedule,) = deployment.schedules
    assert store.slots.next_slot() == T + 60 and store.slots.due(T + 59.9) == []
    running, ended, dead, waiting = store.slots.decide([slot_runs(schedule, 1, 2, 3, 4)], T + 240)
    agent = registered(store)
    store.queue.claim(["default"], agent, now=T + 300, lease=60, limit=3)
    store.queue.take(running, 1, agent, agent)
    store.request(ended, "cancel")
    store.queue.take(dead, 1, agent, registered(store, dead_process()))
    submit(store, deployment_id=deployment.id, group_id="a-backfill")
    first, second = opened().slots.due(T + 300)
    assert (first.deployment.id, first.schedule.id) == (later.id, later.schedules[0].id)
    assert (second.schedule.watermark, second.schedule.next_slot) == (T + 240, T + 300)
    assert first.open_runs == () and second.open_runs == (running, waiting)
    assert second.deployment == replace(store.deployments.get(deployment.id), schedules=())
    assert len(store.slots.due(T + 300, limit=1)) == 1


def test_a_newer_run_cancels_what_is_open(store: Store) -> None:
    deployment = store.deployments.save(a_deployment(overlap="cancel_running", schedules=[a_schedule()]))
    (schedule,) = deployment.schedules
    agent = registered(store)
    (running,) = store.slots.decide([slot_runs(schedule, 1)], T + 60)
    claim(store, agent, now=T + 60)
    store.queue.take(running, 1, agent, agent)
    store.journal().append(StateChanged(running, T + 61, 1, "RUNNING", "Running"))
    (waiting,) = store.slots.decide([slot_runs(schedule, 2, before=T + 60)], T + 120)
    (newest,) = store.slots.decide([slot_runs(schedule, 3, before=T + 120, cancels=True)], T + 180)
    assert [request.run_id for request in store.requests()] == [running]
    assert [store.get_run(each).state.name for each in (running, waiting, newest)] == [
        "Running", "Cancelled", "Scheduled",
    ]  # fmt: skip
    assert store.get_run(waiting).state.message == "a newer run of its deployment is due"
    assert [each.run_id for each in store.queue.unsettled()] == [waiting]


def test_what_waits_too_long_is_late(store: Store) -> None:
    soon, old = submit(store, due_at=T + 50), submit(store, due_at=T)
    assert store.slots.mark_late(T + 15, 15) == []
    assert store.slots.mark_late(T + 16, 15) == [old]
    assert store.slots.mark_late(T + 17, 15) == [], "once"
    state = store.get_run(old).state
    assert (state.type, state.name, state.message, state.at) == (
        StateType.SCHEDULED, "Late", f"due {iso(T)}", T + 16,
    )  # fmt: skip
    assert names(store, soon) == ["Scheduled"]
    agent = registered(store)
    assert claim(store, agent, now=T + 20) == [old]
    assert names(store, old) == ["Scheduled", "Late", "Pending"]
    store.queue.give_back(old, agent)
    assert store.slots.mark_late(T + 40, 15) == [old], "it waits again"


def test_a_retry_that_waits_is_not_late(store: Store) -> None:
    run_id = submit(store)
    store.request(run_id, "cancel")
    assert store.queue.retry(run_id, 1, due_at=T, message="again")
    assert store.slots.mark_late(T + 100, 15) == [] and store.get_run(run_id).state.name == "AwaitingRetry"


def test_schedules_of_one_slot_make_a_run_each(store: Store) -> None:
    schedules: list[DeploymentSchedule] = []
    for name in "ab":
        schedules += store.deployments.save(a_deployment(name, schedules=[a_schedule()])).schedules
    assert len(store.slots.decide([slot_runs(each, 1) for each in schedules], T + 60)) == 2
