"""Time zones, and which instants a time on the wall clock is: none, one or two.

Everything here works on zones of `zoneinfo` and on naive datetimes as the clocks of the zone show them.
"""

from __future__ import annotations

import difflib
import os
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from jupyter_wf.core.scheduling_errors import ScheduleError

__all__ = [
    "at_wall",
    "fixed_instant",
    "instants",
    "local_zone_name",
    "read_time",
    "second_pass",
    "wall",
    "zone_names",
    "zone_of",
]

#: Files of a zone database that are not zones of places, or count leap seconds.
_REFUSED = ("posix/", "right/", "posixrules", "localtime", "Factory")
#: A longer jump of the clocks is a correction of the calendar (Samoa left a whole day out), as it is for Debian's cron.
_CORRECTION = 3 * 3600
_UTC = ZoneInfo("UTC")


def zone_of(name: str | None) -> ZoneInfo:
    """Return the zone of an IANA name such as ``Europe/Oslo``; None is UTC.

    Raises `ScheduleError` (field ``timezone``), with the name that may have been meant.
    """
    if name is not None and not isinstance(name, str):
        raise ScheduleError("timezone", name, "give the name of a zone, such as 'Europe/Oslo'")
    return _zone(name)


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo:
    if name is None:
        return _UTC
    if name and not name.startswith(_REFUSED):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    known = {each.casefold(): each for each in zone_names()}
    words = name[:100].strip().replace(" ", "_").casefold()
    cities = {each.rpartition("/")[2].casefold(): each for each in sorted(known.values())}
    near = difflib.get_close_matches(words, [*known, *cities], n=1, cutoff=0.6)
    hint = f"did you mean {(known | cities)[near[0]]!r}?" if near else "use a name such as 'Europe/Oslo' or 'UTC'"
    raise ScheduleError("timezone", name, f"there is no such time zone; {hint}")


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Return the names of all zones, sorted."""
    return tuple(sorted(each for each in available_timezones() if not each.startswith(_REFUSED)))


def local_zone_name() -> str:
    """Return the name of this machine's zone, UTC where it does not say one."""
    found = os.environ.get("TZ", "").lstrip(":")
    if not found:
        found = os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2]
    return found if found in zone_names() else "UTC"


def wall(instant: float, zone: ZoneInfo) -> datetime:
    """Return what the clocks of ``zone`` show at an instant (seconds since the epoch), naive, ``fold`` as it is."""
    return datetime.fromtimestamp(instant, zone).replace(tzinfo=None)


def instants(naive: datetime, zone: ZoneInfo) -> tuple[float, ...]:
    """Return the instants at which the clocks show ``naive``, earliest first: none in a gap, two in an overlap."""
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return (first.timestamp(),)
    if first.utcoffset() < second.utcoffset():  # type: ignore[operator]  # zones of zoneinfo always have an offset
        return ()
    return (first.timestamp(), second.timestamp())


def fixed_instant(naive: datetime, zone: ZoneInfo, *, corrections: bool = False) -> float | None:
    """Return when a job for this time on the wall clock runs: once in an overlap, right after a gap.

    None where the time was left out by a correction of the calendar (three hours and more), unless ``corrections``
    are to be treated as the other gaps.
    """
    first = naive.replace(tzinfo=zone, fold=0)
    second = naive.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    if before is None or after is None or before >= after:
        return first.timestamp()
    if not corrections and (after - before).total_seconds() >= _CORRECTION:
        return None
    return _end_of_gap(first.timestamp(), second.timestamp(), zone)


def _end_of_gap(high: float, low: float, zone: ZoneInfo) -> float:
    """Return the instant between the two at which the zone's offset changes, to the second."""
    low, high = int(low) - 1, int(high) + 1
    old = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return float(high)


def second_pass(instant: float, zone: ZoneInfo) -> timedelta | None:
    """Return by how much the clocks will be put back where they will show again what they show at ``instant``.

    None where they will not, or have done so already.
    """
    here = datetime.fromtimestamp(instant, zone)
    if here.fold:
        return None
    before, after = here.utcoffset(), here.replace(fold=1).utcoffset()
    return before - after if before is not None and after is not None and before > after else None


def at_wall(instant: float, zone: ZoneInfo) -> datetime:
    """Return an instant as an aware datetime of the zone."""
    return datetime.fromtimestamp(instant, zone)


def read_time(text: object, zone: ZoneInfo, field: str) -> float:
    """Return the instant of an ISO 8601 text; without an offset it is a time on the clocks of ``zone``.

    Such a time in a gap is the gap's end, and in an overlap the first one. Raises `ScheduleError` for ``field``.
    """
    try:
        found = datetime.fromisoformat(text.strip()) if isinstance(text, str) else None
        if found is None or not 1900 <= found.year <= 9000:
            raise ValueError
    except ValueError:
        why = "is no time; write it like 2026-12-01T06:00 or 2026-12-01T06:00+01:00"
        raise ScheduleError(field, text, why) from None
    if found.tzinfo is not None:
        return found.timestamp()
    instant = fixed_instant(found, zone, corrections=True)
    assert instant is not None
    return instant
