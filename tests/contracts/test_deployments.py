"""Deployments and schedules: saved under an address, changed without losing their place, paused and deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.scheduling_errors import (
    AmbiguousDeployment,
    DeploymentExists,
    DeploymentNotFound,
    ScheduleNotFound,
)
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.base import Store
from jupyter_wf.store.bell import Bell
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


def changes(store: Store) -> list[tuple[str, str]]:
    """Return what the stream tells of deployments."""
    events = [event for event in store.events(after=0) if event.kind == "deployment"]
    assert all(event.run_id == "" and event.payload["deployment_id"] for event in events)
    return [(event.payload["address"], event.payload["change"]) for event in events]


def test_a_deployment_comes_back_as_it_was_saved(store: Store, opened: Callable[[], Store]) -> None:
    schedule = a_schedule(slug="nightly", parameters={"full": True}, start_at=T, end_at=T + 9, max_runs=3, jitter=1.5)
    given = a_deployment(
        tags=("db",), description="d", priority=7, kernel="python3", digest="abc", declared_in="/w.yaml", pool="big",
        policies=Policies(missed="all", overlap="skip", retries=2, timeout=9.5, formats=("ipynb", "html")),
        schedules=[schedule],
    )  # fmt: skip
    saved = store.deployments.save(given)
    assert saved == opened().deployments.get(saved.id)
    (kept,) = saved.schedules
    assert replace(kept, id="", deployment_id="") == schedule and kept.deployment_id == saved.id
    same = {"id": "", "schedules": (), "created_at": 0.0, "updated_at": 0.0}
    assert replace(saved, **same) == replace(given, **same)
    assert saved.address == "sales/daily" and saved.next_slot == T + MINUTE
    assert changes(store) == [("sales/daily", "saved")]


def test_one_with_the_same_address_is_changed(store: Store) -> None:
    first = store.deployments.save(a_deployment())
    store.deployments.count_end(first.id, failed=True)
    store.deployments.pause(first.id, "for now", T)
    second = store.deployments.save(a_deployment(target="/books/other.ipynb"))
    assert (second.id, second.created_at, second.failures) == (first.id, first.created_at, 1)
    assert (second.paused_at, second.paused_reason, second.target) == (T, "for now", "/books/other.ipynb")
    with pytest.raises(DeploymentExists, match="sales/daily"):
        store.deployments.save(a_deployment(), replace=False)
    assert [each.id for each in store.deployments.list()] == [first.id]


def test_a_known_one_gets_another_address(store: Store) -> None:
    first = store.deployments.save(a_deployment("a", schedules=[a_schedule()]))
    other = store.deployments.save(a_deployment("b"))
    moved = store.deployments.save(replace(first, name="c"))
    assert (moved.id, moved.address, moved.schedules) == (first.id, "sales/c", first.schedules)
    with pytest.raises(DeploymentExists, match="sales/b"):
        store.deployments.save(replace(moved, name="b"))
    assert {each.address for each in store.deployments.list()} == {"sales/b", "sales/c"}
    assert store.deployments.get(other.id).name == "b"


def test_schedules_keep_their_place(store: Store) -> None:
    specs: list[dict[str, Any]] = [{"cron": f"{n} * * * *", "timezone": "UTC"} for n in range(1, 5)]
    first = store.deployments.save(
        a_deployment(schedules=[a_schedule(spec=spec, slug=slug) for spec, slug in zip(specs, "abc", strict=False)])
    )
    a, b, c = first.schedules
    store.slots.decide([slot_runs(each, 1) for each in first.schedules], T + MINUTE)
    again = store.deployments.save(
        a_deployment(
            schedules=[
                # By what it says, by its slug (its times have changed), by its id; and a new one.
                a_schedule(spec=specs[1], slug="z", watermark=T + 500),
                a_schedule(spec=HOURLY, slug="a", watermark=T + 500, next_slot=T + 600),
                a_schedule(id=c.id, spec=specs[2], slug="y", parameters={"p": 1}),
                a_schedule(spec=specs[3], watermark=T + 500, next_slot=T + 700),
            ]
        )
    )
    by_spec, by_slug, by_id, new = again.schedules
    assert [by_spec.id, by_slug.id, by_id.id] == [b.id, a.id, c.id] and new.id not in (a.id, b.id, c.id)
    assert [each.made for each in again.schedules] == [1, 1, 1, 0]
    assert [each.watermark - T for each in again.schedules] == [60, 500, 60, 500]
    assert [(each.next_slot or 0) - T for each in again.schedules] == [120, 600, 120, 700]
    assert (by_id.slug, by_id.parameters) == ("y", {"p": 1})
    # Exactly these are left: what is not named is gone.
    assert store.deployments.save(a_deployment()).schedules == ()
    assert store.slots.next_slot() is None


@pytest.mark.parametrize(
    "wrong",
    [
        *({"name": name} for name in ("", " a", "x" * 251, "a/b", "a\nb", "a\0", 7)),
        *({"flow_name": name} for name in ("", "x/y")),
        *({"pool": ""}, {"kind": "script"}, {"target": ""}, {"priority": 1.5}, {"concurrency_limit": 0}),
        *({"parameters": {"a": {1}}}, {"parameters": {"a": float("nan")}}, {"tags": ("",)}),
        {"schedules": (a_schedule(slug="a"), a_schedule(slug="a", spec=HOURLY))},
        *({"schedules": (a_schedule(next_slot=bad),)} for bad in (float("inf"), float("nan"), "soon")),
        {"schedules": (a_schedule(parameters={"a": {1}}),)},
        {"schedules": (a_schedule(id="same"), a_schedule(id="same", spec=HOURLY))},
    ],
    ids=str,
)
def test_what_can_be_no_deployment_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        store.deployments.save(a_deployment(**wrong))
    assert store.deployments.list() == [] and changes(store) == []


def test_a_deployment_is_found_by_what_people_type(store: Store) -> None:
    one = store.deployments.save(a_deployment("a"))
    two = store.deployments.save(a_deployment("b"))
    store.deployments.save(a_deployment("b", flow_name="costs"))
    for text in ("sales/a", "a", one.id, one.id[:6], one.id[:9].upper()):
        assert store.deployments.find(text) == one
    assert store.deployments.find("sales/b") == two
    with pytest.raises(AmbiguousDeployment, match="costs/b, sales/b"):
        store.deployments.find("b")
    for text in ("", "c", "sales", "sales/", "%", one.id[:5], "x" * 2000, "a\0"):
        with pytest.raises(DeploymentNotFound):
            store.deployments.find(text)
    with pytest.raises(DeploymentNotFound):
        store.deployments.get("nothing")


def test_deployments_are_listed_by_address(store: Store) -> None:
    for name, flow, pool in (("b", "x", "default"), ("a", "y", "big"), ("a", "x", "default")):
        store.deployments.save(a_deployment(name, flow_name=flow, pool=pool, target=f"/{flow}.ipynb"))

    def listed(**where: Any) -> list[str]:
        return [each.address for each in store.deployments.list(**where)]

    assert listed() == ["x/a", "x/b", "y/a"]
    assert listed(pool="big") == ["y/a"] and listed(target="/x.ipynb") == ["x/a", "x/b"]
    assert listed(text="X/") == ["x/a", "x/b"] and listed(text="%") == []


def test_pausing_stops_the_schedules(store: Store) -> None:
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule(), a_schedule(spec=HOURLY, active=False)]))
    paused = store.deployments.pause(deployment.id, "too many failures", T + 5)
    assert (paused.paused_at, paused.paused_reason, paused.next_slot) == (T + 5, "too many failures", None)
    assert store.slots.due(T + 999) == [] and store.slots.next_slot() is None
    assert store.slots.decide([slot_runs(deployment.schedules[0], 1)], T + 60) == []
    store.deployments.count_end(deployment.id, failed=True)
    back = store.deployments.unpause(deployment.id, T + 500)
    assert (back.paused_at, back.paused_reason, back.failures) == (None, None, 0)
    # What came meanwhile is not made up for, and one that is not active stays so.
    assert [each.watermark for each in back.schedules] == [T + 500, T + 500]
    assert [each.schedule.id for each in store.slots.due(T + 999)] == [deployment.schedules[0].id]
    assert [change for _, change in changes(store)] == ["saved", "paused", "unpaused"]


def test_schedules_are_added_changed_and_removed(store: Store) -> None:
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule(slug="a")]))
    added = store.deployments.set_schedule(a_schedule(deployment_id=deployment.id, spec=HOURLY, slug="b"))
    first, second = added.schedules
    assert (first.slug, second.slug) == ("a", "b") and second.id
    store.slots.decide([slot_runs(first, 1, 2)], T + 120)
    # Whoever changes it has read it before: what was decided meanwhile is not taken back.
    changed = store.deployments.set_schedule(replace(first, active=False, made=0))
    assert [each.id for each in changed.schedules] == [first.id, second.id]
    assert (changed.schedules[0].watermark, changed.schedules[0].made, changed.schedules[0].active) == (
        T + 120, 2, False,
    )  # fmt: skip
    assert [each.schedule.id for each in store.slots.due(T + 999)] == [second.id]
    with pytest.raises(InvalidRequest, match="another schedule"):
        store.deployments.set_schedule(replace(second, slug="a"))
    other = store.deployments.save(a_deployment("other"))
    with pytest.raises(InvalidRequest, match="belongs to another"):
        store.deployments.set_schedule(replace(second, slug=None, deployment_id=other.id))
    with pytest.raises(DeploymentNotFound):
        store.deployments.set_schedule(replace(second, deployment_id="nothing"))
    left = store.deployments.remove_schedule(first.id)
    assert [each.id for each in left.schedules] == [second.id]
    assert len(store.queue.waiting()) == 2, "what waits of it stays"
    with pytest.raises(ScheduleNotFound):
        store.deployments.remove_schedule(first.id)


def test_a_deleted_deployment_takes_along_what_waits(store: Store) -> None:
    deployment = store.deployments.save(a_deployment(schedules=[a_schedule()], overlap="allow"))
    waiting, running, ended = store.slots.decide([slot_runs(deployment.schedules[0], 3, 1, 2)], T + 180)
    agent = registered(store)
    assert claim(store, agent, now=T + 200, limit=2) == [running, ended]
    store.request(ended, "cancel")
    other = submit(store)
    assert store.deployments.delete(deployment.id) == 1
    assert [store.get_run(each).state.name for each in (waiting, running, ended, other)] == [
        "Cancelled", "Pending", "Cancelled", "Scheduled",
    ]  # fmt: skip
    assert store.get_run(waiting).state.message == "its deployment was deleted"
    assert [each.run_id for each in store.queue.waiting()] == [other]
    assert store.slots.next_slot() is None and store.deployments.list() == []
    # Its runs are still known as such.
    assert set(store.queue.runs_of(deployment.id)) == {waiting, running, ended}
    assert {run.id for run in store.list_runs(RunFilter(deployment=deployment.id)).items} == {waiting, running, ended}
    assert changes(store)[-1] == ("sales/daily", "deleted")
    for act in (store.deployments.delete, lambda each: store.deployments.pause(each, "", T)):
        with pytest.raises(DeploymentNotFound):
            act(deployment.id)


def test_failures_are_counted_until_one_completes(store: Store) -> None:
    deployment = store.deployments.save(a_deployment())
    counts = [store.deployments.count_end(deployment.id, failed=failed) for failed in (True, True, False, True)]
    assert counts == [1, 2, 0, 1] and store.deployments.get(deployment.id).failures == 1
    assert store.deployments.count_end("nothing", failed=True) == 0


def test_changes_ring(store: Store, wf_home: Path) -> None:
    def act(deployment: Deployment) -> list[Callable[[], object]]:
        schedule = deployment.schedules[0]
        return [
            lambda: store.deployments.save(deployment),
            lambda: store.deployments.pause(deployment.id, "", T),
            lambda: store.deployments.unpause(deployment.id, T),
            lambda: store.deployments.set_schedule(schedule),
            lambda: store.slots.decide([slot_runs(schedule, 1)], T + 60),
            lambda: submit(store),
            lambda: store.deployments.remove_schedule(schedule.id),
            lambda: store.deployments.delete(deployment.id),
        ]

    deployment = store.deployments.save(a_deployment(schedules=[a_schedule()]))
    with Bell(Settings(home=wf_home)) as bell:
        assert not bell.wait(0)
        for number, each in enumerate(act(deployment)):
            each()
            assert bell.wait(0), number
            assert not bell.wait(0), number
    assert names(store, store.queue.runs_of(deployment.id)[0]) == ["Scheduled", "Cancelled"]
