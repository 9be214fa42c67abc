"""Backfills are planned from the schedules of a deployment, in its zone, and made of what was not run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.scheduling_errors import ScheduleNotFound
from jupyter_wf.services.backfill import create_backfill, plan_backfill
from jupyter_wf.store.base import Store
from tests.contracts.conftest import kind, opened, store
from tests.contracts.scheduling import a_deployment, a_schedule

__all__ = ["kind", "opened", "store"]

OSLO = ZoneInfo("Europe/Oslo")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=OSLO).timestamp()


NOW = at("2026-06-01T12:00")


@pytest.fixture
def deployment(store: Store) -> Deployment:
    """A deployment with a daily schedule, a weekly one and one that is switched off."""
    return store.deployments.save(
        a_deployment(
            schedules=[
                a_schedule(spec={"cron": "0 6 * * *", "timezone": "Europe/Oslo"}, slug="daily"),
                a_schedule(spec={"cron": "0 8 * * 0", "timezone": "Europe/Oslo"}, slug="weekly"),
                a_schedule(spec={"cron": "0 * * * *", "timezone": "Europe/Oslo"}, slug="off", active=False),
            ],
            priority=5,
        )
    )


def planned(store: Store, deployment: Deployment, begin: str, end: str, **options: object) -> list[str]:
    plan = plan_backfill(store, deployment, begin=at(begin), end=at(end), now=NOW, **options)  # type: ignore[arg-type]
    assert all(each.runs for each in plan)
    return [datetime.fromtimestamp(each.slot, OSLO).strftime("%m-%d %H:%M") for each in plan]


def test_slots_are_those_of_the_schedules_in_their_zone(store: Store, deployment: Deployment) -> None:
    # The clocks are changed on Sunday, 29 March: six in the morning stays six in the morning.
    wanted = ["03-28 06:00", "03-29 06:00", "03-29 08:00", "03-30 06:00"]
    assert planned(store, deployment, "2026-03-28T06:00", "2026-03-30T06:00") == wanted
    assert planned(store, deployment, "2026-03-28T06:00", "2026-03-30T06:00", newest_first=True) == wanted[::-1]
    assert planned(store, deployment, "2026-03-28T06:00", "2026-03-30T06:00", schedule="weekly") == wanted[2:3]
    off = deployment.schedules[2].id
    assert len(planned(store, deployment, "2026-03-28T00:00", "2026-03-28T23:00", schedule=off[:8])) == 24
    # None in the future, both ends included.
    assert planned(store, deployment, "2026-06-01T06:00", "2026-07-01T00:00") == ["06-01 06:00"]
    assert planned(store, deployment, "2026-06-01T06:01", "2026-06-01T11:00") == []


def test_a_schedule_has_slots_only_within_its_bounds(store: Store) -> None:
    schedule = a_schedule(
        spec={"cron": "0 6 * * *", "timezone": "UTC"},
        start_at=datetime(2026, 3, 2, 6, tzinfo=UTC).timestamp(),
        end_at=datetime(2026, 3, 4, 6, tzinfo=UTC).timestamp(),
    )
    deployment = store.deployments.save(a_deployment(schedules=[schedule]))
    assert planned(store, deployment, "2026-02-01T00:00", "2026-04-01T00:00") == ["03-02 07:00", "03-03 07:00"]


def test_a_backfill_runs_what_was_not_run(store: Store, deployment: Deployment, opened: Callable[[], Store]) -> None:
    options = {"begin": at("2026-03-28T00:00"), "end": at("2026-03-30T23:00"), "now": NOW}
    first = create_backfill(store, deployment, **options, parallel=3, parameters={"region": "dk"})  # type: ignore[arg-type]
    assert (first.runs, first.parallel, first.reprocess, first.created_at) == (4, 3, "none", NOW)
    waiting = opened().queue.waiting()
    assert [each.slot for each in waiting] == sorted(each.slot or 0 for each in waiting)
    assert {each.priority for each in waiting} == {4} and waiting[0].parameters == {"region": "dk"}
    with pytest.raises(InvalidRequest, match="have been run"):
        create_backfill(store, deployment, **options)  # type: ignore[arg-type]
    plan = plan_backfill(store, deployment, **options, reprocess="failed")  # type: ignore[arg-type]
    assert len(plan) == 4 and not any(each.runs for each in plan), "they are open"
    store.backfills.cancel(first.id, NOW)
    again = create_backfill(store, deployment, **options, reprocess="failed", newest_first=True)  # type: ignore[arg-type]
    assert again.runs == 4 and [each.slot for each in store.queue.waiting()] == [each.slot for each in plan[::-1]]


def test_what_can_be_no_backfill_is_refused(store: Store, deployment: Deployment) -> None:
    begin, end = at("2026-03-28T00:00"), at("2026-03-29T00:00")
    with pytest.raises(InvalidRequest, match="before the beginning"):
        plan_backfill(store, deployment, begin=end, end=begin, now=NOW)
    with pytest.raises(InvalidRequest, match="no slot"):
        create_backfill(store, deployment, begin=begin, end=begin, now=NOW)
    with pytest.raises(InvalidRequest, match=r"10,000"):
        plan_backfill(store, deployment, begin=at("2000-01-01T00:00"), end=end, schedule="off", now=NOW)
    for unknown in ("monthly", deployment.schedules[0].id[:5], ""):
        with pytest.raises(ScheduleNotFound):
            plan_backfill(store, deployment, begin=begin, end=end, schedule=unknown, now=NOW)
    bare = store.deployments.save(a_deployment("bare"))
    with pytest.raises(InvalidRequest, match="no active schedule"):
        plan_backfill(store, bare, begin=begin, end=end, now=NOW)
    assert store.backfills.list() == []
