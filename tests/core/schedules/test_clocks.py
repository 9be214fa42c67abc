"""Schedules where clocks are changed: daily jobs once a day, wildcard jobs held against the clock by minutes."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jupyter_wf.core.schedules import CronSchedule, IntervalSchedule, OnceSchedule, RRuleSchedule, Schedule

UTC = ZoneInfo("UTC")
#: Zones whose clocks do odd things, each with a day on which they do.
ZONES = {
    "Africa/Cairo": "2023-04-28",  # the gap begins at midnight
    "Africa/Casablanca": "2024-03-10",  # back and forth around Ramadan
    "America/Asuncion": "2023-10-01",  # the gap is the first hour of the day
    "America/Havana": "2024-11-03",  # the overlap begins with midnight
    "America/Nuuk": "2024-10-26",  # on Saturday evening
    "America/Santiago": "2022-09-11",  # the day begins at one o'clock
    "America/Sao_Paulo": "2018-11-04",
    "America/St_Johns": "2010-11-07",  # from 00:01 back to 23:01 of the day before
    "Antarctica/Troll": "2024-03-31",  # two hours at once
    "Asia/Tehran": "2022-03-22",
    "Australia/Lord_Howe": "2024-04-07",  # half an hour
    "Europe/Oslo": "2026-10-25",
    "Pacific/Apia": "2011-12-30",  # a day that was not
    "Pacific/Kwajalein": "1993-08-21",  # another one
}


def epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def slots(schedule: Schedule, begin: float, end: float) -> list[float]:
    found: list[float] = []
    at: float | None = begin
    while (at := schedule.next_slot(at)) is not None and at < end:
        found.append(at)
    return found


def days(begin: float, end: float, zone: ZoneInfo) -> set[date]:
    """Return the local days that there are wholly between two instants."""
    hours = range(int(begin), int(end), 1800)
    found = sorted({datetime.fromtimestamp(hour, zone).date() for hour in hours})
    return set(found[1:-1])


def meant(slot: float, zone: ZoneInfo, clock: time) -> date:
    """Return the day for which a job at ``clock`` runs at ``slot``: of two that a gap lies between, the one with it."""
    begin = datetime.fromtimestamp(slot - 1, zone).replace(tzinfo=None) + timedelta(seconds=1)
    end = datetime.fromtimestamp(slot, zone).replace(tzinfo=None)
    if end.time() == clock:
        return end.date()
    found = [day for day in (begin.date(), end.date()) if begin <= datetime.combine(day, clock) < end]
    assert found, f"{end} is neither at {clock} nor the end of a gap with it"
    return found[0]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("kind", ["cron", "rrule", "interval"])
@given(hour=st.integers(0, 23), minute=st.integers(0, 59), shift=st.integers(-300, 5))
@example(hour=0, minute=0, shift=-3)
@example(hour=0, minute=30, shift=-3)
@example(hour=1, minute=45, shift=-3)
@example(hour=2, minute=15, shift=-3)
@example(hour=23, minute=30, shift=-3)
@settings(max_examples=4, deadline=None)
def test_a_daily_job_runs_once_on_each_day_that_there_is(
    zone: str, kind: str, hour: int, minute: int, shift: int
) -> None:
    made: dict[str, Schedule] = {
        "cron": CronSchedule(expression=f"{minute} {hour} * * *", timezone=zone),
        "rrule": RRuleSchedule(
            rrule=f"DTSTART:19900101T000000\nFREQ=DAILY;BYHOUR={hour};BYMINUTE={minute}", timezone=zone
        ),
        "interval": IntervalSchedule(interval=86400, anchor_date=f"1990-01-01T{hour:02}:{minute:02}", timezone=zone),
    }
    begin = epoch(ZONES[zone]) + shift * 86400
    end = begin + 320 * 86400 if shift > -5 else begin + 400 * 86400
    found = slots(made[kind], begin, end)
    wanted = days(begin, end, ZoneInfo(zone))
    assert all(first < second for first, second in pairwise(found))
    assert all(datetime.fromtimestamp(slot, ZoneInfo(zone)).fold == 0 for slot in found)
    run_for = [day for slot in found if (day := meant(slot, ZoneInfo(zone), time(hour, minute))) in wanted]
    assert run_for == sorted(wanted)


@pytest.mark.parametrize("zone", ZONES)
@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    hours=st.one_of(st.none(), st.sets(st.integers(0, 23), min_size=1, max_size=6)),
    step=st.sampled_from([1, 7, 15, 30]),
    offset=st.integers(0, 86400),
)
@settings(max_examples=15, deadline=None)
def test_a_wildcard_job_runs_whenever_the_clock_shows_its_time(
    zone: str, minutes: set[int], hours: set[int] | None, step: int, offset: int
) -> None:
    if hours is None:
        expression, right = f"{','.join(map(str, sorted(minutes)))} * * * *", (minutes, set(range(24)))
    else:
        expression, right = f"*/{step} {','.join(map(str, sorted(hours)))} * * *", (set(range(0, 60, step)), hours)
    begin = epoch(ZONES[zone]) - 86400 + offset
    end = begin + 2.5 * 86400
    clocks = [
        (at, datetime.fromtimestamp(at, ZoneInfo(zone))) for at in range(int(begin) + 1, int(end)) if at % 60 == 0
    ]
    wanted = [float(at) for at, shown in clocks if shown.minute in right[0] and shown.hour in right[1]]
    assert slots(CronSchedule(expression=expression, timezone=zone), begin, end) == wanted


@pytest.mark.parametrize("zone", ZONES)
@given(
    expression=st.sampled_from(["*/10 * * * *", "30 0-3 * * *", "15,45 */2 * * *", "0 2 * * *", "@hourly"]),
    at=st.floats(-86400, 2 * 86400),
    rrule=st.sampled_from(["FREQ=HOURLY;BYMINUTE=0,20", "FREQ=MINUTELY;INTERVAL=25"]),
)
@example(expression="@hourly", at=1201.0, rrule="FREQ=MINUTELY;INTERVAL=25")
@settings(max_examples=15, deadline=None)
def test_who_starts_again_goes_on_where_it_stopped(zone: str, expression: str, rrule: str, at: float) -> None:
    middle = epoch(ZONES[zone])
    for schedule in (
        CronSchedule(expression=expression, timezone=zone),
        RRuleSchedule(rrule=rrule, timezone=zone),
        IntervalSchedule(interval=7000, timezone=zone),
        IntervalSchedule(interval=1.1 * 86400, timezone=zone),
    ):
        whole = slots(schedule, middle - 86400, middle + 3 * 86400)
        assert all(first < second for first, second in pairwise(whole))
        assert slots(schedule, middle + at, middle + 3 * 86400) == [slot for slot in whole if slot > middle + at]
        for slot in whole[:20]:
            assert schedule.next_slot(slot - 0.001) == slot


def test_hourly_rules_run_in_both_passes_and_daily_ones_in_the_first() -> None:
    begin, end = epoch("2026-10-24T23:00"), epoch("2026-10-25T03:00")
    hourly = RRuleSchedule(rrule="FREQ=HOURLY", timezone="Europe/Oslo")
    assert [at / 3600 % 24 for at in slots(hourly, begin, end)] == [0, 1, 2]
    daily = RRuleSchedule(rrule="FREQ=DAILY;BYHOUR=2;BYMINUTE=30", timezone="Europe/Oslo")
    assert [at / 3600 % 24 for at in slots(daily, begin, end)] == [0.5]


def test_times_in_a_gap_are_its_end() -> None:
    end = epoch("2026-03-29T01:00")
    for schedule in (
        CronSchedule(expression="15,45 2 * * *", timezone="Europe/Oslo"),
        RRuleSchedule(rrule="FREQ=DAILY;BYHOUR=2;BYMINUTE=15,45", timezone="Europe/Oslo"),
        OnceSchedule(at="2026-03-29T02:30", timezone="Europe/Oslo"),
        IntervalSchedule(interval=86400, anchor_date="2026-01-01T02:30", timezone="Europe/Oslo"),
    ):
        assert slots(schedule, epoch("2026-03-28T12:00"), epoch("2026-03-29T12:00")) == [end]
    assert slots(RRuleSchedule(rrule="FREQ=HOURLY;BYHOUR=2", timezone="Europe/Oslo"), end - 7200, end + 7200) == []


def test_short_intervals_count_elapsed_time() -> None:
    found = slots(IntervalSchedule(interval=6 * 3600, timezone="Europe/Oslo"), epoch("2026-03-28"), epoch("2026-03-30"))
    assert {second - first for first, second in pairwise(found)} == {6 * 3600.0}
    local = [datetime.fromtimestamp(at, ZoneInfo("Europe/Oslo")).hour for at in found]
    assert local == [6, 12, 18, 0, 7, 13, 19, 1]


def test_intervals_are_the_same_before_and_after_their_anchor() -> None:
    every = IntervalSchedule(interval=timedelta(minutes=15))
    assert slots(every, epoch("2019-12-31T23:20"), epoch("2020-01-01T00:20")) == [
        epoch(text) for text in ("2019-12-31T23:30", "2019-12-31T23:45", "2020-01-01T00:00", "2020-01-01T00:15")
    ]


def test_a_job_on_a_day_that_was_left_out_does_not_run() -> None:
    december = CronSchedule(expression="0 6 30 12 *", timezone="Pacific/Apia")
    assert slots(december, epoch("2011-12-01"), epoch("2012-06-01")) == []
    assert len(slots(december, epoch("2010-12-01"), epoch("2013-06-01"))) == 2
