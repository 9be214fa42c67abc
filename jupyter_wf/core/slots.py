"""Decides what becomes of the slots of a schedule: which get a run, and which only a record that they got none.

Pure: the same answer for the same arguments, in whatever process and however often it is asked. The work is bounded
however long nobody asked.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from jupyter_wf.core.deployments import DeploymentSchedule, Policies, SlotDecision
from jupyter_wf.core.slot_messages import Reason, cause, made_up, missed, overtaken, skipped, summary

__all__ = ["COUNTED", "MOST", "SHOWN", "Plan", "Timetable", "jitter_of", "plan"]

#: So many missed slots at most get a record each; older ones share one.
SHOWN = 24
#: So many missed slots are counted one by one; of more it is said that they are more.
COUNTED = 1500
#: So many slots in their grace time are decided at once; the next call goes on with the others.
MOST = 500
#: A slot is found again by asking for the one after this much (seconds) before it.
_JUST = 0.001
_FIRST_WINDOW = 64.0


class Timetable(Protocol):
    """When slots are, by a schedule's ``spec`` alone."""

    def next_slot(self, after: float) -> float | None:
        """Return the first slot (epoch seconds) strictly after ``after``, None where there is none any more."""


class Plan(NamedTuple):
    """What becomes of a schedule's undecided slots, oldest first; ``next_slot`` is None where none will come.

    ``next_slot`` may have come already: then there was too much for one call.
    """

    decisions: tuple[SlotDecision, ...]
    watermark: float
    next_slot: float | None


class _Missed(NamedTuple):
    """Slots that are past their grace time: the newest, and how many (at least, if not ``exact``) were before those."""

    newest: list[float]
    older: int
    exact: bool
    first: float
    last_older: float
    #: The first slot that is not among them.
    then: float | None


class _Wish(NamedTuple):
    slot: float
    runs: bool
    message: str | None


def jitter_of(schedule_id: str, slot: float, most: float) -> float:
    """Return by how many seconds the run of a slot is put off: 0 to ``most``, the same in every process."""
    if most <= 0:
        return 0.0
    digest = hashlib.blake2b(f"{schedule_id} {slot!r}".encode(), digest_size=8).digest()
    return most * (int.from_bytes(digest, "big") / 2**64)


def plan(
    schedule: DeploymentSchedule,
    policies: Policies,
    timetable: Timetable,
    now: float,
    *,
    open_runs: Sequence[str] = (),
    reason: Reason = "down",
) -> Plan:
    """Return what becomes of the slots after ``schedule.watermark`` up to ``now`` (epoch seconds).

    ``open_runs`` are the runs of the deployment that have not ended, oldest first; an empty id among them is a run that
    is being made. ``reason`` says why slots were not decided in time, where some were not.

    A slot is on time until ``policies.grace`` seconds after it. Of those that are not, ``missed`` says which get a run:
    none, the ``latest`` (none where a later slot is on time), or ``all``, at most ``missed_limit``, the newest. The
    others are recorded, the newest `SHOWN` one by one and all before those in one record. Then ``overlap`` says which
    of the runs are skipped: ``skip`` leaves the first where none is open, ``cancel_running`` the last; ``allow`` and
    ``queue`` leave all, because who may be executed when is decided at the claim.

    Where ``schedule.next_slot`` is a slot, undecided ones begin with it: a schedule that was changed does not look
    back. Otherwise (the rules of a time zone have changed) they begin after the watermark.
    """
    following = _following(schedule, timetable)
    left = None if schedule.max_runs is None else schedule.max_runs - schedule.made
    first = _first(schedule, following) if left is None or left > 0 else None
    if first is None or first > now:
        return Plan((), schedule.watermark, first)
    then = following(first)
    if first >= now - policies.grace and (then is None or then > now):
        # What nearly all calls are about: one slot has come, and is on time.
        decisions, ended = _bounded(_decide(schedule, policies, [_Wish(first, True, None)], open_runs), left)
        return Plan(tuple(decisions), first, None if ended else then)
    zone = str(schedule.spec.get("timezone") or "UTC")
    keep = policies.missed_limit if policies.missed == "all" else max(1, min(policies.missed_limit, SHOWN))
    past = _missed(following, first, now - policies.grace, keep)
    on_time, then = _on_time(following, past.then, now)
    wishes: list[_Wish] = []
    if past.newest or past.older:
        why = cause(reason, first, now, zone)
        wishes = _wishes_of_missed(past, policies, why, zone, now, followed=bool(on_time))
    wishes += [_Wish(slot, True, None) for slot in on_time]
    decided = _decide(schedule, policies, wishes, open_runs)
    decisions, ended = _bounded(decided, left)
    return Plan(tuple(decisions), decisions[-1].slot, None if ended else then)


def _following(schedule: DeploymentSchedule, timetable: Timetable) -> Callable[[float], float | None]:
    begin = None if schedule.start_at is None else schedule.start_at - _JUST
    end = schedule.end_at

    def following(after: float) -> float | None:
        slot = timetable.next_slot(after if begin is None or after > begin else begin)
        return None if slot is None or (end is not None and slot >= end) else slot

    return following


def _first(schedule: DeploymentSchedule, following: Callable[[float], float | None]) -> float | None:
    known = schedule.next_slot
    if known is not None and known > schedule.watermark and following(known - _JUST) == known:
        return known
    return following(schedule.watermark)


def _missed(following: Callable[[float], float | None], first: float, until: float, keep: int) -> _Missed:
    """Return the slots from ``first`` on that are before ``until``."""
    newest: deque[float] = deque(maxlen=keep + 1)
    number, exact, slot = 0, True, first
    then: float | None = first
    while then is not None and then < until and number < COUNTED:
        slot = then
        newest.append(slot)
        number += 1
        then = following(slot)
    if then is not None and then < until:
        tail, found, then = _newest(following, slot, until, keep + 1)
        newest.extend(tail)
        number, exact = (number + found, True) if found is not None else (COUNTED, False)
    shown = list(newest)
    if exact and number <= keep:
        return _Missed(shown, 0, True, first, first, then)
    older = number - keep if exact else number
    return _Missed(shown[1:], older, exact, first, shown[0], then)


def _newest(
    following: Callable[[float], float | None], after: float, until: float, keep: int
) -> tuple[deque[float], int | None, float | None]:
    """Return the newest slots between two instants, how many there are (None: not known), and the one that follows.

    They are looked for in longer and longer times before ``until``, so that nobody walks through years of them.
    """
    window = _FIRST_WINDOW
    while True:
        begin = max(after, until - window)
        found: deque[float] = deque(maxlen=keep)
        number = 0
        slot = following(begin)
        while slot is not None and slot < until:
            found.append(slot)
            number += 1
            slot = following(slot)
        if begin <= after:
            return found, number, slot
        if number >= keep:
            return found, None, slot
        window *= 4


def _on_time(
    following: Callable[[float], float | None], slot: float | None, now: float
) -> tuple[list[float], float | None]:
    found: list[float] = []
    while slot is not None and slot <= now and len(found) < MOST:
        found.append(slot)
        slot = following(slot)
    return found, slot


def _wishes_of_missed(
    past: _Missed, policies: Policies, why: str, zone: str, now: float, *, followed: bool
) -> list[_Wish]:
    wishes: list[_Wish] = []
    runs_all, runs_last = policies.missed == "all", policies.missed == "latest" and not followed
    # What is told of a slot that is left out: only `latest` puts another in its place.
    replaced = policies.missed == "latest" and (followed or bool(past.newest))
    if past.older == 1:
        wishes.append(_Wish(past.last_older, False, missed(why, followed=replaced)))
    elif past.older:
        text = summary(why, past.older, exact=past.exact, first=past.first, last=past.last_older, zone=zone)
        wishes.append(_Wish(past.last_older, False, text))
    for slot in past.newest:
        if runs_all or (runs_last and slot == past.newest[-1]):
            wishes.append(_Wish(slot, True, made_up(why, now - slot)))
        else:
            wishes.append(_Wish(slot, False, missed(why, followed=replaced)))
    return wishes


def _decide(
    schedule: DeploymentSchedule, policies: Policies, wishes: Sequence[_Wish], open_runs: Sequence[str]
) -> list[SlotDecision]:
    decided: list[SlotDecision] = []
    blocker: str | None = open_runs[-1] if open_runs else None
    blocked = bool(open_runs)
    last = max((wish.slot for wish in wishes if wish.runs), default=None)
    for slot, runs, message in wishes:
        due_at = slot + jitter_of(schedule.id, slot, schedule.jitter)
        if not runs:
            decided.append(SlotDecision(slot=slot, outcome="missed", due_at=due_at, message=message))
        elif policies.overlap == "skip" and blocked:
            text = skipped(blocker or None)
            decided.append(SlotDecision(slot=slot, outcome="skipped", due_at=due_at, message=text))
        elif policies.overlap == "cancel_running" and slot != last:
            decided.append(SlotDecision(slot=slot, outcome="skipped", due_at=due_at, message=overtaken()))
        else:
            cancels = policies.overlap == "cancel_running"
            decided.append(SlotDecision(slot=slot, outcome="run", due_at=due_at, message=message, cancels=cancels))
            blocked, blocker = True, None
    return decided


def _bounded(decided: list[SlotDecision], left: int | None) -> tuple[list[SlotDecision], bool]:
    """Return the decisions up to the last run that the schedule may make, and whether it has made that one."""
    if left is None:
        return decided, False
    for index, decision in enumerate(decided):
        left -= decision.outcome == "run"
        if not left:
            return decided[: index + 1], True
    return decided, False
