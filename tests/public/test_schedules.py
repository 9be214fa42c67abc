"""`jupyter_wf.schedules`: Prefect's names, checked where they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_wf.exceptions import ScheduleError
from jupyter_wf.schedules import Cron, Interval, Once, RRule, Schedule

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_each_kind_says_what_it_is() -> None:
    cron = Cron("0 6 * * 1-5", timezone="Europe/Oslo", parameters={"n": 1}, slug="morning", active=False, jitter="2m")
    assert cron.given() == {
        "spec": {"cron": "0 6 * * 1-5", "timezone": "Europe/Oslo"},
        "active": False,
        "start_at": None,
        "end_at": None,
        "max_runs": None,
        "jitter": 120.0,
        "parameters": {"n": 1},
        "slug": "morning",
    }
    assert cron.describe() == "At 06:00, Monday through Friday (Europe/Oslo)"
    assert Interval(timedelta(minutes=15)).given()["spec"] == {
        "interval": 900.0,
        "anchor_date": "2020-01-01T00:00:00",
        "timezone": "UTC",
    }
    assert Interval("1d", anchor_date=datetime(2026, 1, 1, 6), timezone="Asia/Tokyo").describe() == (
        "Every day at 06:00 (Asia/Tokyo)"
    )
    assert RRule("FREQ=DAILY;BYHOUR=6").describe() == "Every day, at 06:00 (UTC)"
    assert Once(datetime(2026, 12, 1, 6)).given()["spec"] == {"at": "2026-12-01T06:00:00", "timezone": "UTC"}
    assert Cron("0 0 13 * FRI", day_or=False).given()["spec"]["day_or"] is False


def test_they_are_values() -> None:
    assert Cron("@daily") == Cron("@daily", None, True, True)
    with pytest.raises(AttributeError):
        Cron("@daily").cron = "@hourly"  # type: ignore[misc]


def test_next_times_keep_to_the_bounds() -> None:
    daily = Cron("0 6 * * *", timezone="Europe/Oslo", start="2026-12-01", end=datetime(2026, 12, 9), max_runs=2)
    assert [each.isoformat() for each in daily.next_times(NOON)] == [
        "2026-12-01T06:00:00+01:00",
        "2026-12-02T06:00:00+01:00",
    ]
    with pytest.raises(ScheduleError, match="no time zone"):
        daily.next_times(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Cron("* * *"), "cron"),
        (lambda: Cron("@daily", timezone="Oslo"), "timezone"),
        (lambda: Interval(0), "interval"),
        (lambda: Interval("1d", anchor_date="x"), "anchor_date"),
        (lambda: RRule("FREQ=SECONDLY"), "rrule"),
        (lambda: Once("soon"), "at"),
        (lambda: Cron("@daily", start="x"), "start"),
        (lambda: Cron("@daily", start="2026-02-01", end="2026-01-01"), "end"),
        (lambda: Cron("@daily", max_runs=0), "max_runs"),
        (lambda: Cron("@daily", jitter=-1), "jitter"),
        (lambda: Schedule(), "spec"),
        (lambda: Schedule(cron="@daily", rrule="FREQ=DAILY"), "spec"),
    ],
    ids=["cron", "zone", "interval", "anchor", "rrule", "at", "start", "end", "runs", "jitter", "nothing", "two"],
)
def test_what_can_not_be_is_refused_at_once(make: Any, field: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        make()
    assert refused.value.field == field
