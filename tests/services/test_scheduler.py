"""Slots become runs: once, in time, and by the policies, whatever clocks and stores do."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.failpoints import FAILPOINT_VARIABLE
from jupyter_wf.core.schedules import parse_schedule
from jupyter_wf.core.scheduling_errors import ScheduleError
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.scheduler import LEASE, SERVICE, Scheduler
from jupyter_wf.store.bell import Bell, ring
from tests.contracts.processes import dead_process
from tests.services.scheduling import Clock, Table, instant, names
from tests.waiting import until

HOURLY = {"cron": "0 * * * *", "timezone": "UTC"}
OSLO = "Europe/Oslo"
HOUR = 3600.0


@pytest.fixture
def table(wf_home: Path) -> Iterator[Table]:
    made = Table(Settings(home=wf_home), "2026-06-01 05:30")
    yield made
    made.store.close()


def at(table: Table, text: str) -> Table:
    table.clock.now = instant(text)
    return table


def test_a_slot_gets_its_run_at_its_time(table: Table) -> None:
    deployment = table.deploy("hourly", HOURLY, parameters={"day": 1})
    scheduler = table.scheduler()
    assert scheduler.step() == LEASE / 2
    table.clock.now = instant("2026-06-01 05:59:58")
    assert scheduler.step() == pytest.approx(2.0)
    assert table.runs() == []
    table.clock.go_on(2.0)
    scheduler.step()
    (run,) = table.runs()
    assert (run.state.type, run.state.name, run.parameters) == ("SCHEDULED", "Scheduled", {"day": 1})
    assert run.source["deployment"] == "report/hourly"
    (schedule,) = table.store.deployments.get(deployment.id).schedules
    assert (schedule.watermark, schedule.made) == (table.clock.now, 1)
    assert schedule.next_slot == table.clock.now + HOUR


def test_it_sleeps_until_the_next_slot_or_a_renewal_of_its_lease(table: Table) -> None:
    scheduler = table.scheduler()
    assert scheduler.step() == LEASE / 2
    table.deploy("soon", {"interval": 60.0, "timezone": "UTC"})
    table.clock.go_on(57.0)
    assert scheduler.step() == pytest.approx(3.0)
    assert scheduler.next_wake == pytest.approx(table.clock.now + 3.0)


def test_what_is_saved_rings_it_awake(table: Table) -> None:
    made = threading.Event()
    table.clock = Clock(instant("2026-06-01 06:00"))
    scheduler = table.scheduler(on_decided=lambda ids: made.set())
    scheduler.start()
    until(lambda: scheduler.next_wake)
    deployment = table.deploy("now", HOURLY)
    (schedule,) = deployment.schedules
    table.clock.go_on(HOUR)
    # It sleeps by a clock that went on without it: only the bell can wake it before its five seconds are over.
    table.store.deployments.set_schedule(replace(schedule, jitter=1.0))
    assert made.wait(30)
    scheduler.stop()
    assert names(table.runs()) == ["waits"]


def test_a_scheduler_that_starts_again_goes_on_where_the_last_one_stopped(table: Table) -> None:
    deployment = table.deploy("quarters", {"cron": "*/15 * * * *", "timezone": "UTC"}, overlap="allow")
    for end in ("06:07", "06:15", "06:16", "07:00", "07:40"):
        table.go_on(table.scheduler(), f"2026-06-01 {end}")
    table.scheduler().step()
    assert [slot[11:] for slot, _ in table.story(deployment)] == [
        *("05:45", "06:00", "06:15", "06:30", "06:45", "07:00", "07:15", "07:30")
    ]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ({"missed": "skip"}, ["Missed", "Missed", "Missed"]),
        ({"missed": "latest"}, ["Missed", "Missed", "waits"]),
        ({"missed": "all"}, ["waits", "waits", "waits"]),
        ({"missed": "all", "missed_limit": 2}, ["Missed", "waits", "waits"]),
        ({"missed": "skip", "grace": 3 * HOUR}, ["waits", "waits", "waits"]),
    ],
)
def test_down_over_three_slots(table: Table, policy: dict[str, Any], told: list[str]) -> None:
    deployment = table.deploy("hourly", HOURLY, **policy)
    table.scheduler().step()
    at(table, "2026-06-01 08:20")
    table.scheduler().step()
    why = "no scheduler was running from 2026-06-01 06:00 UTC to 2026-06-01 08:20 UTC"
    assert table.story(deployment) == [(f"2026-06-01 0{6 + index}:00", name) for index, name in enumerate(told)]
    for run in table.runs(deployment):
        if run.state.name == "Missed":
            assert run.state.type == "CANCELLED"
            assert why in str(run.state.message)
    (schedule,) = table.store.deployments.get(deployment.id).schedules
    assert schedule.made == told.count("waits")
    assert schedule.next_slot == instant("2026-06-01 09:00")


def test_a_year_of_minutes_is_a_few_records(table: Table) -> None:
    table.deploy("minutes", {"interval": 60.0, "timezone": "UTC"}, missed="skip")
    at(table, "2027-06-01 05:30:30")
    table.scheduler().step()
    runs = table.runs()
    assert len(runs) < 40
    assert "slots from 2026-06-01 05:31 UTC to 2027-06-01 0" in str(runs[0].state.message)


def test_overlap_allow_and_queue_make_every_run(table: Table) -> None:
    for overlap in ("allow", "queue"):
        deployment = table.deploy(overlap, HOURLY, overlap=overlap)
    table.go_on(table.scheduler(), "2026-06-01 08:30")
    assert names(table.runs(deployment)) == ["waits"] * 3
    assert len(table.runs()) == 6


def test_overlap_skip_leaves_a_record_while_a_run_is_open(table: Table) -> None:
    deployment = table.deploy("careful", HOURLY, overlap="skip")
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 07:30")
    first, second = table.runs(deployment)
    assert names([first, second]) == ["waits", "Skipped"]
    assert second.state.message == f"skipped: run {first.id[:8]} of the deployment had not ended"
    table.store.request(first.id, "cancel")
    table.go_on(scheduler, "2026-06-01 08:30")
    assert names(table.runs(deployment)) == ["Cancelled", "Skipped", "waits"]


def test_overlap_skip_counts_the_runs_of_all_schedules(table: Table) -> None:
    deployment = table.deploy("both", HOURLY, {"cron": "0 */2 * * *", "timezone": "UTC"}, overlap="skip")
    table.go_on(table.scheduler(), "2026-06-01 06:30")
    assert sorted(names(table.runs(deployment))) == ["Skipped", "waits"]


def test_overlap_cancel_running_asks_the_run_before_to_stop(table: Table) -> None:
    deployment = table.deploy("restless", HOURLY, overlap="cancel_running")
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 06:30")
    (first,) = table.runs(deployment)
    agent, owner = table.process(), table.process()
    (claimed,) = table.store.queue.claim(["default"], agent.id, now=table.clock(), lease=60.0)
    table.store.queue.take(first.id, claimed.attempt, agent.id, owner.id)
    table.go_on(scheduler, "2026-06-01 08:30")
    assert names(table.runs(deployment))[1:] == ["Cancelled", "waits"]
    (asked,) = table.store.requests(process_id=owner.id)
    assert (asked.run_id, asked.kind) == (first.id, "cancel")


def test_so_many_runs_and_no_more(table: Table) -> None:
    deployment = table.deploy("twice", {**HOURLY, "max_runs": 2})
    table.go_on(table.scheduler(), "2026-06-01 12:30")
    assert len(table.runs(deployment)) == 2
    assert table.store.slots.next_slot() is None


def test_one_date(table: Table) -> None:
    deployment = table.deploy("once", {"at": "2026-06-01T08:00", "timezone": OSLO})
    table.go_on(table.scheduler(), "2026-06-03 00:00")
    assert table.story(deployment) == [("2026-06-01 06:00", "waits")]


def test_jitter_puts_a_run_off_and_not_its_slot(table: Table) -> None:
    deployment = table.deploy("spread", {**HOURLY, "jitter": 600.0})
    table.go_on(table.scheduler(), "2026-06-01 06:30")
    (run,) = table.runs(deployment)
    queued = table.store.queue.get(run.id)
    assert queued is not None
    assert queued.slot == instant("2026-06-01 06:00")
    assert 0 < queued.due_at - queued.slot < 600


def test_paused_deployments_make_nothing_and_do_not_look_back(table: Table) -> None:
    deployment = table.deploy("paused", HOURLY, missed="all")
    table.store.deployments.pause(deployment.id, "holidays", table.clock())
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 09:30")
    assert table.runs() == []
    table.store.deployments.unpause(deployment.id, table.clock())
    table.go_on(scheduler, "2026-06-01 10:30")
    assert table.story() == [("2026-06-01 10:00", "waits")]


def test_what_waits_too_long_is_late(table: Table) -> None:
    table.deploy("hourly", HOURLY)
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 06:00:10")
    scheduler.step()
    assert table.runs()[0].state.name == "Scheduled"
    table.clock.go_on(6.0)
    scheduler.step()
    assert (table.runs()[0].state.type, table.runs()[0].state.name) == ("SCHEDULED", "Late")


# Clocks -----------------------------------------------------------------------------------------------------------


def test_a_clock_put_back_an_hour_fires_nothing_twice(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    deployment = table.deploy("hourly", HOURLY)
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 07:10")
    scheduler.step()
    table.clock.put(-HOUR)
    table.go_on(scheduler, "2026-06-01 09:10")
    assert table.story(deployment) == [(f"2026-06-01 0{hour}:00", "waits") for hour in (6, 7, 8, 9)]
    assert "the clock was put back by 1 h 00 min" in caplog.text


def test_a_clock_put_forward_follows_the_missed_policy(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    deployment = table.deploy("hourly", HOURLY, missed="skip")
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 06:10")
    scheduler.step()
    table.clock.put(HOUR)
    scheduler.step()
    assert table.story(deployment) == [("2026-06-01 06:00", "waits"), ("2026-06-01 07:00", "Missed")]
    assert "the clock was put forward to 2026-06-01 07:10 UTC" in str(table.runs(deployment)[1].state.message)
    assert "the clock was put forward by 1 h 00 min" in caplog.text


def test_a_clock_a_month_ahead_and_back_again(table: Table) -> None:
    deployment = table.deploy("daily", {"cron": "0 6 * * *", "timezone": "UTC"}, missed="latest")
    scheduler = table.scheduler()
    table.go_on(scheduler, "2026-06-01 06:10")
    scheduler.step()
    table.clock.put(30 * 86400.0)
    scheduler.step()
    ahead = table.story(deployment)
    assert ahead[-1] == ("2026-07-01 06:00", "waits")
    assert [name for _, name in ahead[1:-1]] == ["Missed"] * (len(ahead) - 2)
    table.clock.put(-30 * 86400.0)
    scheduler.step()
    # It goes on from now, and no slot that has a record gets another.
    assert table.store.slots.next_slot() == instant("2026-06-02 06:00")
    table.go_on(scheduler, "2026-07-03 07:00")
    story = table.story(deployment)
    assert len({slot for slot, _ in story}) == len(story)
    assert story[-2:] == [("2026-07-02 06:00", "waits"), ("2026-07-03 06:00", "waits")]


def test_a_machine_that_slept(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    deployment = table.deploy("hourly", HOURLY, missed="skip")
    scheduler = table.scheduler()
    scheduler.step()
    table.clock.go_on(8 * HOUR)
    scheduler.step()
    assert names(table.runs(deployment)) == ["Missed"] * 8
    assert "the machine was asleep" in str(table.runs(deployment)[0].state.message)
    assert "the scheduler did not run for 7 h 59 min" in caplog.text


DAYS = {
    # Clocks go from 02:00 to 03:00 on the 29th: right after the gap.
    "spring, at a fixed time": (
        *("30 2 * * *", OSLO, "2026-03-28 00:00", "2026-03-31 00:00"),
        ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"],
    ),
    # Clocks go from 03:00 to 02:00 on the 25th: the first time.
    "autumn, at a fixed time": (
        *("30 2 * * *", OSLO, "2026-10-24 00:00", "2026-10-27 00:00"),
        ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"],
    ),
    "spring, every half hour": (
        *("*/30 * * * *", OSLO, "2026-03-29 00:10", "2026-03-29 02:10"),
        ["2026-03-29 00:30", "2026-03-29 01:00", "2026-03-29 01:30", "2026-03-29 02:00"],
    ),
    "autumn, every half hour": (
        *("*/30 * * * *", OSLO, "2026-10-25 00:10", "2026-10-25 02:10"),
        ["2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30", "2026-10-25 02:00"],
    ),
    "a leap day": (
        "0 12 29 2 *",
        "UTC",
        "2027-01-01 00:00",
        "2033-01-01 00:00",
        ["2028-02-29 12:00", "2032-02-29 12:00"],
    ),
    # Samoa left the 30th out.
    "a skipped day": (
        *("0 6 * * *", "Pacific/Apia", "2011-12-29 00:00", "2012-01-01 00:00"),
        ["2011-12-29 16:00", "2011-12-30 16:00", "2011-12-31 16:00"],
    ),
}


@pytest.mark.parametrize("day", DAYS)
def test_days_on_which_clocks_are_odd(table: Table, day: str) -> None:
    expression, zone, begin, end, slots = DAYS[day]
    at(table, begin)
    deployment = table.deploy("odd", {"cron": expression, "timezone": zone})
    table.go_on(table.scheduler(), end, shift=0.02)
    assert table.story(deployment) == [(slot, "waits") for slot in slots]


# Leases and failures ----------------------------------------------------------------------------------------------


def test_one_decides_and_the_other_stands_by(table: Table) -> None:
    table.deploy("hourly", HOURLY)
    first, second = table.scheduler(), table.scheduler()
    first.step()
    # It looks again a second after the next slot, to see whether somebody has decided it.
    table.clock.now = instant("2026-06-01 05:59:50")
    first.step()
    assert second.step() == pytest.approx(11.0)
    assert (first.active, second.active) == (True, False)
    table.clock.go_on(5.0)
    first.step()
    table.clock.go_on(5.0)
    assert second.step() == pytest.approx(1.0)
    assert table.runs() == []
    first.step()
    assert len(table.runs()) == 1


def test_a_scheduler_that_is_silent_is_relieved_and_stands_by_when_it_comes_back(table: Table) -> None:
    table.deploy("hourly", HOURLY)
    first, second = table.scheduler(), table.scheduler()
    first.step()
    table.clock.go_on(LEASE + 0.1)
    second.step()
    first.step()
    assert (first.active, second.active) == (False, True)


def test_a_scheduler_that_is_dead_is_relieved_at_once(table: Table) -> None:
    dead = table.process(dead_process())
    assert table.store.services.hold(SERVICE, dead.id, now=table.clock(), lease=3600)
    scheduler = table.scheduler()
    scheduler.step()
    assert scheduler.active


def test_the_lease_is_free_when_a_scheduler_stops(table: Table) -> None:
    scheduler = table.scheduler()
    scheduler.start()
    until(lambda: scheduler.active)
    scheduler.stop()
    scheduler.stop()
    assert table.store.services.holder(SERVICE) is None
    assert not scheduler.active


def test_two_that_decide_at_the_same_time_do_it_once(table: Table) -> None:
    table.deploy("hourly", HOURLY, missed="all")
    at(table, "2026-06-01 15:30")
    store = table.store
    stale = store.slots.due(table.clock())
    table.scheduler().step()

    class Stale:
        """Shows what was due before the other had decided."""

        def __init__(self) -> None:
            self.left = [stale]

        def due(self, now: float, *, limit: int = 1000) -> Any:
            return self.left.pop() if self.left else []

        def __getattr__(self, name: str) -> Any:
            return getattr(store.slots, name)

    late = table.scheduler()
    late._store = Overlay(store, slots=Stale(), services=Everybody())  # type: ignore[assignment]
    late.step()
    assert len(table.runs()) == 10


class Everybody:
    """Gives the lease to everybody."""

    def hold(self, *_: Any, **__: Any) -> bool:
        return True

    def release(self, *_: Any) -> None: ...


class Overlay:
    """A store with some of its parts replaced."""

    def __init__(self, store: Any, **parts: Any) -> None:
        self.__dict__.update(parts)
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Broken:
    """Slots that can't be read for a while."""

    def __init__(self, slots: Any) -> None:
        self.slots = slots
        self.failures = 0
        self.mended = False

    def due(self, now: float, *, limit: int = 1000) -> Any:
        if not self.mended:
            self.failures += 1
            raise StoreError("database is locked")
        return self.slots.due(now, limit=limit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.slots, name)


def threaded(table: Table, store: Any, bell: Bell) -> Scheduler:
    scheduler = table.scheduler(bell=bell)
    scheduler._store = store
    scheduler.start()
    return scheduler


def test_a_store_that_fails_is_told_of_once_and_tried_again(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    table.deploy("hourly", HOURLY)
    at(table, "2026-06-01 06:00")
    broken = Broken(table.store.slots)
    scheduler = threaded(table, Overlay(table.store, slots=broken), Bell(table.settings))

    def failed() -> bool:
        ring(table.settings)
        return broken.failures >= 3

    until(failed)
    broken.mended = True
    ring(table.settings)
    until(lambda: table.runs())
    scheduler.stop()
    assert caplog.text.count("slots could not be decided") == 1


def test_a_failure_before_the_commit_leaves_nothing(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = table.deploy("hourly", HOURLY)
    before = table.store.deployments.get(deployment.id).schedules
    at(table, "2026-06-01 06:00")
    scheduler = table.scheduler()
    monkeypatch.setenv(FAILPOINT_VARIABLE, "slot.before_commit:raise")
    with pytest.raises(Exception, match=r"slot\.before_commit"):
        scheduler.step()
    assert table.runs() == []
    assert table.store.deployments.get(deployment.id).schedules == before
    monkeypatch.delenv(FAILPOINT_VARIABLE)
    scheduler.step()
    assert table.story() == [("2026-06-01 06:00", "waits")]


def test_a_schedule_that_can_not_be_read_pauses_its_deployment_and_no_other(table: Table) -> None:
    wrong = table.deploy("wrong", {**HOURLY, "slug": "wrong"}, {"cron": "30 5 * * *", "timezone": OSLO})
    table.deploy("right", HOURLY)
    at(table, "2026-06-01 06:00")

    def read(spec: Any) -> Any:
        if spec["timezone"] == OSLO:
            raise ScheduleError("timezone", OSLO, "is gone from this machine")
        return parse_schedule(spec)

    (_, other) = wrong.schedules
    table.store.deployments.set_schedule(replace(other, next_slot=table.clock() - 1))
    table.scheduler(timetable=read).step()
    assert "is gone from this machine" in str(table.store.deployments.get(wrong.id).paused_reason)
    assert [run.source["deployment"] for run in table.runs()] == ["report/right"]
