"""What people are told of slots that did not become runs in time. Pure: times are given, and shown in a zone."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from jupyter_wf.core.durations import duration

__all__ = ["Reason", "cause", "made_up", "missed", "overtaken", "shown_at", "skipped", "summary"]

#: Why a slot is decided late: no scheduler was running; the machine slept or the scheduler's process was stopped; the
#: clock was put forward; the scheduler was running but could not write.
Reason = Literal["down", "asleep", "jump", "late"]
_DAY = 86400.0


def shown_at(at: float, zone: str) -> str:
    """Return an instant (epoch seconds) as people of a time zone read it: ``2026-11-22 06:00 CET``.

    Seconds are shown where they are not 0. A zone that this machine does not know is shown as UTC.
    """
    try:
        local = datetime.fromtimestamp(at, _zone(zone))
    except (OverflowError, ValueError, OSError):
        return f"{at:.0f} s after 1970"
    return f"{local:%Y-%m-%d %H:%M:%S %Z}" if local.second else f"{local:%Y-%m-%d %H:%M %Z}"


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a zone that is not there is a KeyError
        return UTC


def cause(reason: Reason, begun: float, now: float, zone: str) -> str:
    """Return a clause: why slots from ``begun`` on are decided only ``now``."""
    since, until = shown_at(begun, zone), shown_at(now, zone)
    if reason == "down":
        return f"no scheduler was running from {since} to {until}"
    if reason == "asleep":
        return f"the machine was asleep or the scheduler was stopped from {since} to {until}"
    if reason == "jump":
        return f"the clock was put forward to {until}"
    return f"it could be decided only at {until}"


def missed(why: str, *, followed: bool) -> str:
    """Return the message of one slot that gets no run; ``followed`` says that a later one runs in its place."""
    return f"missed: {why}" + ("; a later slot is run in its place" if followed else "")


def summary(why: str, number: int, *, exact: bool, first: float, last: float, zone: str) -> str:
    """Return the message of the one record that stands for many missed slots, the ends included."""
    many = f"{number:,}" if exact else f"more than {number:,}"
    return f"missed: {many} slots from {shown_at(first, zone)} to {shown_at(last, zone)}; {why}"


def made_up(why: str, late: float) -> str:
    """Return the message of a run that is made although its slot was missed, ``late`` seconds after it."""
    return f"made {_length(late)} late: {why}"


def skipped(run_id: str | None) -> str:
    """Return the message of a slot that gets no run because another run (None: of the same moment) is open."""
    if run_id is None:
        return "skipped: the slot before it had only just got its run"
    return f"skipped: run {run_id[:8]} of the deployment had not ended"


def overtaken() -> str:
    """Return the message of a slot whose run would have been cancelled at once by that of the next."""
    return "skipped: a later slot was due too, and each run of the deployment cancels the one before"


def _length(seconds: float) -> str:
    return duration(seconds) if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
