"""Cron expressions against 258 cases of another implementation, and why Debian's rule decides 25 of them differently.

The cases are facts taken from the test data of HangfireIO/Cronos (MIT), which moves every job out of the gap, and runs
every job with ranges, lists or steps in both passes of the hour that is repeated.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jupyter_wf.core.schedules import CronSchedule

CASES = json.loads((Path(__file__).parent / "data" / "cron_vectors.json").read_text())["cases"]

_SKIPS = "a job with * in minutes or hours is not made up for: in the gap the clocks show none of its times"
_ONCE = "a job without * in minutes and hours is one at fixed times: what the clocks show twice runs once"
#: (expression, from, inclusive) and what comes by Debian's rule, with the reason.
DIFFERENT = {
    ("*/30 */2 * * *", "2016-03-13T06:59:00+00:00", True): ("2016-03-13T08:00:00+00:00", _SKIPS),
    ("1-58 */2 * * *", "2016-03-13T06:59:00+00:00", True): ("2016-03-13T08:01:00+00:00", _SKIPS),
    ("*/30 2 * * *", "2016-03-13T06:59:00+00:00", True): ("2016-03-14T06:00:00+00:00", _SKIPS),
    ("*/30 2 13 03 *", "2016-03-13T06:59:00+00:00", True): ("2017-03-13T06:00:00+00:00", _SKIPS),
    ("0 */2 * * *", "2016-03-13T06:59:00+00:00", True): ("2016-03-13T08:00:00+00:00", _SKIPS),
    ("*/30 */2 * * *", "2016-03-13T06:30:00+00:00", False): ("2016-03-13T08:00:00+00:00", _SKIPS),
    ("1-58 */2 * * *", "2016-03-13T06:58:00+00:00", False): ("2016-03-13T08:01:00+00:00", _SKIPS),
    ("*/30 2 13 03 *", "2016-03-13T06:59:00+00:00", False): ("2017-03-13T06:00:00+00:00", _SKIPS),
    ("0 */2 * * *", "2016-03-13T05:00:00+00:00", False): ("2016-03-13T08:00:00+00:00", _SKIPS),
    ("30 0/1 * * *", "2016-11-06T05:59:00+00:00", True): ("2016-11-06T07:30:00+00:00", _ONCE),
    ("30 0/1 * * *", "2016-11-06T05:30:00+00:00", False): ("2016-11-06T07:30:00+00:00", _ONCE),
    ("30 1-9 * * *", "2016-11-06T05:59:00+00:00", True): ("2016-11-06T07:30:00+00:00", _ONCE),
    ("30 1-9 * * *", "2016-11-06T05:30:00+00:00", False): ("2016-11-06T07:30:00+00:00", _ONCE),
    ("0/30 1 * * *", "2016-11-06T05:59:00+00:00", True): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0/30 1 * * *", "2016-11-06T06:20:00+00:00", True): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0/30 1 * * *", "2016-11-06T05:30:00+00:00", False): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0/30 1 * * *", "2016-11-06T06:00:00+00:00", False): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0-30 1 * * *", "2016-11-06T05:59:00+00:00", True): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0-30 1 * * *", "2016-11-06T06:20:00+00:00", True): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0-30 1 * * *", "2016-11-06T05:59:00+00:00", False): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("0-30 1 * * *", "2016-11-06T06:20:00+00:00", False): ("2016-11-07T06:00:00+00:00", _ONCE),
    ("30 0/1 * * *", "2017-04-01T14:59:00+00:00", True): ("2017-04-01T16:00:00+00:00", _ONCE),
    ("30 1-9 * * *", "2017-04-01T14:59:00+00:00", True): ("2017-04-01T16:00:00+00:00", _ONCE),
    ("0/30 1 * * *", "2017-04-01T14:59:00+00:00", True): ("2017-04-02T14:30:00+00:00", _ONCE),
    ("0-30 1 * * *", "2017-04-01T14:59:00+00:00", True): ("2017-04-02T14:30:00+00:00", _ONCE),
}


def next_of(expression: str, start: str, zone: str, inclusive: bool) -> datetime:
    found = CronSchedule(expression=expression, timezone=zone).next_slot(
        datetime.fromisoformat(start).timestamp() - (1 if inclusive else 0)
    )
    assert found is not None
    return datetime.fromtimestamp(found, ZoneInfo("UTC"))


@pytest.mark.parametrize(("name", "expression", "start", "expected", "zone", "inclusive"), CASES)
def test_case(name: str, expression: str, start: str, expected: str, zone: str, inclusive: bool) -> None:
    found = next_of(expression, start, zone, inclusive)
    theirs = datetime.fromisoformat(expected)
    ours, reason = DIFFERENT.get((expression, start, inclusive), (expected, ""))
    assert found == datetime.fromisoformat(ours), reason or name
    assert (found != theirs) is bool(reason)


def test_nothing_is_excused_that_is_not_there() -> None:
    assert len(CASES) == 258
    assert DIFFERENT.keys() <= {(case[1], case[2], case[5]) for case in CASES}
