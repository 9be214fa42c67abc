"""What schedules mean, and what is refused at the door with the field and the reason."""

from __future__ import annotations

import itertools
import random
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule as library
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_wf.core.durations import seconds_of
from jupyter_wf.core.schedules import (
    CronSchedule,
    IntervalSchedule,
    OnceSchedule,
    RRuleSchedule,
    next_times,
    parse_schedule,
    to_spec,
    words,
)
from jupyter_wf.core.schedules.zones import local_zone_name, zone_names
from jupyter_wf.core.scheduling_errors import ScheduleError

UTC = ZoneInfo("UTC")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LONG = "1," * 130 + "1 * * * *"
MANY = f"{','.join(map(str, range(60)))} {','.join(map(str, range(24)))} {','.join(map(str, range(1, 31)))} * *"

REFUSED: list[tuple[str, Any, str, str]] = [
    ("empty", {}, "spec", "says no time"),
    ("two kinds", {"cron": "* * * * *", "interval": 5}, "spec", "has cron and interval"),
    ("no mapping", 5, "spec", "must be an object"),
    ("no JSON", {"cron": object()}, "spec", "must be JSON"),
    ("much", {"rrule": "x" * 9000}, "spec", "at most 8,000 characters"),
    ("unknown key", {"cron": "* * * * *", "colour": 5}, "colour", "there are cron, day_or, timezone"),
    ("number", {"cron": 5}, "cron", "must be a text"),
    ("four fields", {"cron": "* * * *"}, "cron", "has 4 fields"),
    ("six fields", {"cron": "0 * * * * *"}, "cron", "no field for seconds"),
    ("minute", {"cron": "61 * * * *"}, "cron", "'61' is no minute"),
    ("hour", {"cron": "0 24 * * *"}, "cron", "'24' is no hour"),
    ("day", {"cron": "0 0 32 * *"}, "cron", "'32' is no day of month"),
    ("month", {"cron": "0 0 1 13 *"}, "cron", "'13' is no month"),
    ("weekday", {"cron": "0 0 * * 8"}, "cron", "'8' is no day of week"),
    ("backwards", {"cron": "5-1 * * * *"}, "cron", "'5-1' is no minute"),
    ("no step", {"cron": "*/0 * * * *"}, "cron", "'*/0' is no minute"),
    ("a-a/n", {"cron": "5-5/10 * * * *"}, "cron", "a range of one value"),
    ("long step", {"cron": "*/90 * * * *"}, "cron", "a step over 59"),
    ("huge step", {"cron": f"*/{'9' * 50} * * * *"}, "cron", "a step over 59"),
    ("star in a list", {"cron": "*,5 * * * *"}, "cron", "a * in a list"),
    ("step of the last day", {"cron": "0 0 L/2 * *"}, "cron", "it has no steps"),
    ("hash", {"cron": "H * * * *"}, "cron", "'H' is no minute"),
    ("alias", {"cron": "@reboot"}, "cron", "there are @hourly"),
    ("long", {"cron": LONG}, "cron", "256 are allowed"),
    ("many", {"cron": MANY[:256]}, "cron", "fields"),
    ("items", {"cron": ",".join("0" * 101) + " * * * *"}, "cron", "more than 100 items"),
    ("other digits", {"cron": "\u0665 * * * *"}, "cron", "characters that no cron"),
    ("30 February", {"cron": "0 0 30 2 *"}, "cron", "never fires"),
    ("31 June", {"cron": "0 0 31 4,6 *"}, "cron", "never fires"),
    ("fifth first", {"cron": "0 0 */31 * 1#5"}, "cron", "never fires"),
    ("flag", {"cron": "0 0 * * *", "day_or": "x"}, "day_or", "true or false"),
    ("zone", {"cron": "* * * * *", "timezone": "Europe/Osol"}, "timezone", "did you mean 'Europe/Oslo'?"),
    ("city", {"cron": "* * * * *", "timezone": "oslo"}, "timezone", "did you mean 'Europe/Oslo'?"),
    ("path", {"cron": "* * * * *", "timezone": "../../etc/passwd"}, "timezone", "no such time zone"),
    ("leap seconds", {"cron": "* * * * *", "timezone": "right/Europe/Oslo"}, "timezone", "no such time zone"),
    ("zone's type", {"cron": "* * * * *", "timezone": 5}, "timezone", "must be a text"),
    ("no interval", {"interval": 0}, "interval", "from a second"),
    ("negative", {"interval": -5}, "interval", "from a second"),
    ("interval flag", {"interval": True}, "interval", "length of time"),
    ("interval word", {"interval": "soon"}, "interval", "length of time"),
    ("endless", {"interval": 1e12}, "interval", "hundred years"),
    ("anchor", {"interval": 60, "anchor_date": "x"}, "anchor_date", "is no time"),
    ("at", {"at": "tomorrow"}, "at", "is no time"),
    ("year", {"at": "9999-12-31T23:00"}, "at", "is no time"),
    ("no rule", {"rrule": ""}, "rrule", "has no RRULE"),
    ("no parts", {"rrule": "daily"}, "rrule", "is no part of a rule"),
    ("no FREQ", {"rrule": "BYHOUR=3"}, "rrule", "has no FREQ"),
    ("seconds", {"rrule": "FREQ=SECONDLY"}, "rrule", "use an interval for seconds"),
    ("part", {"rrule": "FREQ=DAILY;BYEASTER=0"}, "rrule", "BYEASTER is no part"),
    ("twice", {"rrule": "FREQ=DAILY;BYHOUR=3;BYHOUR=4"}, "rrule", "has BYHOUR twice"),
    ("value", {"rrule": "FREQ=DAILY;BYHOUR=24"}, "rrule", "BYHOUR=24"),
    ("zero", {"rrule": "FREQ=MONTHLY;BYMONTHDAY=0"}, "rrule", "not 0"),
    ("weekday name", {"rrule": "FREQ=WEEKLY;BYDAY=XX"}, "rrule", "BYDAY=XX"),
    ("numbered weekday", {"rrule": "FREQ=WEEKLY;BYDAY=2MO"}, "rrule", "MONTHLY or YEARLY only"),
    ("count", {"rrule": "FREQ=DAILY;COUNT=10001"}, "rrule", "COUNT=10001"),
    ("interval of a rule", {"rrule": "FREQ=DAILY;INTERVAL=0"}, "rrule", "INTERVAL=0"),
    ("both ends", {"rrule": "FREQ=DAILY;COUNT=3;UNTIL=20300101T000000"}, "rrule", "both COUNT and UNTIL"),
    ("days by the minute", {"rrule": "FREQ=MINUTELY;BYMONTH=2"}, "rrule", "write FREQ=DAILY with BYHOUR"),
    ("line", {"rrule": "EXRULE:FREQ=DAILY"}, "rrule", "'EXRULE' is not known"),
    ("starts", {"rrule": "DTSTART:20260101\nDTSTART:20260102\nRRULE:FREQ=DAILY"}, "rrule", "more than one DTSTART"),
    ("other zone", {"rrule": "DTSTART;TZID=Asia/Tokyo:20260101T060000\nFREQ=DAILY"}, "rrule", "'Asia/Tokyo'"),
    ("no date", {"rrule": "FREQ=DAILY\nEXDATE:20260231T000000"}, "rrule", "there is no time"),
    ("lines", {"rrule": "RRULE:FREQ=DAILY\n" * 51}, "rrule", "more than 50 lines"),
    ("never daily", {"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rrule", "never fires"),
    ("never yearly", {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "rrule", "never fires"),
    ("never monthly", {"rrule": "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6"}, "rrule", "never fires"),
    ("never weekly", {"rrule": "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=2"}, "rrule", "never fires"),
    ("never on Monday", {"rrule": "FREQ=DAILY;INTERVAL=7;BYDAY=MO"}, "rrule", "never fires"),
    ("never at three", {"rrule": "FREQ=HOURLY;INTERVAL=24;BYHOUR=3"}, "rrule", "never fires"),
    ("never that hour", {"rrule": "FREQ=HOURLY;INTERVAL=168;BYDAY=MO"}, "rrule", "never fires"),
]


@pytest.mark.parametrize(("spec", "field", "why"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_can_not_be_is_refused_with_field_and_reason(spec: Any, field: str, why: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_schedule(spec)
    assert refused.value.field == field
    assert why in refused.value.why
    assert len(str(refused.value)) < 900


SAID = [
    ({"cron": "0 6 * * 1-5"}, "At 06:00, Monday through Friday"),
    ({"cron": "@daily"}, "At 00:00"),
    ({"cron": "*/15 9-17 * * *"}, "Every 15 minutes, between 09:00 and 17:59"),
    ({"cron": "0 0 * * */2"}, "At 00:00, only on Sunday, Tuesday, Thursday, and Saturday"),
    ({"cron": "0 6 1 * MON"}, "At 06:00, on day 1 of the month, on Monday (on days that match either)"),
    ({"cron": "0 6 */2 * MON"}, "At 06:00, every 2 days, on Monday (on days that match both)"),
    ({"cron": "0 6 1 * MON", "day_or": False}, "At 06:00, on day 1 of the month, on Monday (on days that match both)"),
    ({"interval": 900}, "Every 15 minutes"),
    ({"interval": "90m"}, "Every 90 minutes"),
    ({"interval": 1.5}, "Every 1.5 s"),
    ({"interval": "1d"}, "Every day at 00:00"),
    ({"interval": "36h"}, "Every 36 hours"),
    ({"interval": "2w", "anchor_date": "2026-01-01T08:30"}, "Every 14 days at 08:30"),
    ({"at": "2026-12-01T06:00"}, "Once, on Tuesday, 1 December 2026 at 06:00"),
    ({"rrule": "FREQ=WEEKLY;BYDAY=MO,TH;BYHOUR=6;BYMINUTE=30"}, "Every week, on Monday and Thursday, at 06:30"),
    ({"rrule": "FREQ=MONTHLY;BYDAY=-1FR;COUNT=1"}, "Every month, on the last Friday, at 00:00, 1 time"),
    ({"rrule": "FREQ=HOURLY;INTERVAL=2\nEXDATE:20260101T000000"}, "Every 2 hours, at minute 0; except on 1 given date"),
    ({"rrule": "RDATE:20270101T000000,20270201T000000"}, "On 2 given dates"),
]


@pytest.mark.parametrize(("spec", "said"), SAID, ids=[said for _, said in SAID])
def test_words(spec: dict[str, Any], said: str) -> None:
    assert words(parse_schedule(spec)) == said


@pytest.mark.parametrize("spec", [spec for spec, _ in SAID], ids=[said for _, said in SAID])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo"])
def test_a_schedule_is_what_its_json_says(spec: dict[str, Any], zone: str) -> None:
    schedule = parse_schedule({**spec, "timezone": zone})
    written = to_spec(schedule)
    again = parse_schedule(written)
    assert to_spec(again) == written
    assert written["timezone"] == zone
    assert next_times(again, NOON, 4) == next_times(schedule, NOON, 4)
    assert all(each.tzinfo is not None and each > NOON for each in next_times(schedule, NOON, 4))


def test_day_of_month_and_weekday() -> None:
    either = CronSchedule(expression="0 0 13 * FRI")
    both = CronSchedule(expression="0 0 13 * FRI", day_or=False)
    assert [each.day for each in next_times(either, NOON, 4)] == [27, 4, 11, 13]
    assert [each.date().isoformat() for each in next_times(both, NOON, 2)] == ["2027-08-13", "2028-10-13"]


def test_aware_times_come_in_and_go_out() -> None:
    schedule = CronSchedule(expression="0 6 * * *", timezone="Europe/Oslo")
    found = schedule.next_after(NOON)
    assert found is not None
    assert (found.isoformat(), str(found.tzinfo)) == ("2026-11-23T06:00:00+01:00", "Europe/Oslo")
    assert schedule.next_after(found) == found + timedelta(days=1)
    assert schedule.next_after(found - timedelta(microseconds=1)) == found
    with pytest.raises(ScheduleError, match="no time zone"):
        schedule.next_after(datetime(2026, 1, 1))


def test_bounds() -> None:
    daily = CronSchedule(expression="0 6 * * *")
    first = datetime(2026, 12, 1, 6, tzinfo=UTC).timestamp()
    found = next_times(daily, NOON, 10, start_at=first, end_at=first + 2 * 86400)
    assert [each.timestamp() for each in found] == [first, first + 86400]
    every = IntervalSchedule(interval=900)
    assert next_times(every, NOON.timestamp(), 1, start_at=first)[0].timestamp() == first
    once = OnceSchedule(at="2026-12-01T06:00")
    assert [each.timestamp() for each in next_times(once, NOON, 5)] == [first]
    assert next_times(once, first, 5) == []


def test_no_time_comes_after_the_end_of_times() -> None:
    for spec, _ in SAID:
        assert parse_schedule(spec).next_slot(1e18) is None
        assert parse_schedule(spec).next_slot(float("nan")) is None


RULES = [
    "FREQ=MINUTELY;INTERVAL=7",
    "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10;BYDAY=MO,WE",
    "FREQ=HOURLY;INTERVAL=5",
    "FREQ=HOURLY;BYMINUTE=10,40;BYDAY=SA",
    "FREQ=DAILY;INTERVAL=3;BYHOUR=6,18;BYMINUTE=30",
    "FREQ=DAILY;BYMONTH=2,3;BYMONTHDAY=-1",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;WKST=SU",
    "FREQ=WEEKLY;INTERVAL=3",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE;BYSETPOS=-1",
    "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17",
    "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=31",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
    "FREQ=YEARLY",
    "FREQ=YEARLY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=MO",
    "FREQ=YEARLY;BYYEARDAY=1,-1",
    "FREQ=DAILY;INTERVAL=2;COUNT=900",
    "FREQ=WEEKLY;UNTIL=20280401T000000",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("start", ["20200101T000000", "20191231T053000", "20240229T120005"])
def test_recurrence_rules_from_wherever_they_are_asked(rule: str, start: str) -> None:
    begin = datetime.strptime(start, "%Y%m%dT%H%M%S")
    theirs = library.rrulestr(rule, dtstart=begin)
    ours = RRuleSchedule(rrule=f"DTSTART:{start}\nRRULE:{rule}")
    chance = random.Random(f"{rule} {start}")
    # Theirs walks through all times from its beginning.
    far = 90 if "MINUTELY" in rule else 1500
    asked = [begin + timedelta(days=chance.uniform(-far / 4, far)) for _ in range(6)]
    for naive in asked:
        wanted = [each.replace(tzinfo=UTC) for each in _first(theirs, naive, 4)]
        assert next_times(ours, naive.replace(tzinfo=UTC), 4) == wanted


def _first(rule: Any, after: datetime, count: int) -> list[datetime]:
    return list(itertools.islice(rule.xafter(after), count))


def test_dates_are_added_and_left_out() -> None:
    text = (
        "DTSTART;TZID=Europe/Oslo:20261201T060000\nRRULE:FREQ=DAILY;COUNT=4\n"
        "EXDATE:20261202T060000\nRDATE:20261202T120000,20261130T230000Z\nRRULE:FREQ=DAILY;INTERVAL=2;COUNT=2"
    )
    found = next_times(RRuleSchedule(rrule=text, timezone="Europe/Oslo"), NOON, 20)
    assert [each.strftime("%dT%H") for each in found] == ["01T00", "01T06", "02T12", "03T06", "04T06"]


@given(
    interval=st.one_of(st.integers(1, 10**6), st.floats(1, 10**6)),
    after=st.floats(-1e9, 4e9),
    zone=st.sampled_from(["UTC", "Europe/Oslo", "Australia/Lord_Howe"]),
)
@settings(deadline=None)
def test_intervals_are_strictly_after_and_close(interval: float, after: float, zone: str) -> None:
    schedule = IntervalSchedule(interval=interval, timezone=zone)
    found = schedule.next_slot(after)
    assert found is not None
    slack = 3601 if interval >= 86400 else 0.001
    assert after < found <= after + interval + slack
    following = schedule.next_slot(found)
    assert following is not None
    assert abs(following - found - interval) <= slack


def test_prefect_s_intervals() -> None:
    anchored = IntervalSchedule(interval=timedelta(hours=6), anchor_date=datetime(2026, 1, 1, 1, 30), timezone="UTC")
    assert [each.strftime("%H:%M") for each in next_times(anchored, NOON, 2)] == ["13:30", "19:30"]
    assert to_spec(anchored) == {"interval": 21600.0, "anchor_date": "2026-01-01T01:30:00", "timezone": "UTC"}


def test_zones_have_names() -> None:
    assert local_zone_name() in zone_names()
    assert "Europe/Oslo" in zone_names()


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("90s", 90), ("1d", 86400), ("1h30m", 5400), ("90", 90)])
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    assert parse_schedule({"interval": text}) == IntervalSchedule(interval=seconds)
