"""Makes the runs of slots when they are due: one scheduler of a state file does it, the others stand by."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jupyter_wf.core.durations import duration
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.schedules import parse_schedule
from jupyter_wf.core.scheduling_errors import DeploymentNotFound, ScheduleError
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.slot_messages import Reason
from jupyter_wf.core.slots import Timetable, plan
from jupyter_wf.services.clocks import ClockWatch, steady
from jupyter_wf.store.base import Store
from jupyter_wf.store.bell import Bell
from jupyter_wf.store.scheduling import Due, Slots

__all__ = ["LATE_AFTER", "LEASE", "SERVICE", "Scheduler"]

#: The name of the lease.
SERVICE = "scheduler"
#: How long (seconds) a scheduler that gives no sign of life keeps the others from taking over.
LEASE = 10.0
#: A run that waits for longer than this (seconds) after it was due is named Late.
LATE_AFTER = 15.0
#: Nobody sleeps longer than this (seconds), because wall clocks are put forward.
_LONGEST_WAIT = 30.0
#: How long (seconds) after a slot was due others look whether the one who has the lease still lives.
_PATIENCE = 1.0
_AFTER_ERROR = 1.0
_BATCH = 1000
#: What is committed at once: at most so many decisions, and what can be planned in so many seconds.
_MOST_DECISIONS = 500
_SLICE = 0.25
#: No clock that is right goes back by more than this (seconds): slots were decided by one that was wrong.
_WRONG = 86400.0
_ASLEEP = 5.0
_REMEMBERED = 20_000
_log = logging.getLogger(__name__)


class _Remembering:
    """A timetable that knows its last two answers, for all schedules that say the same.

    A slot is asked for when it is foreseen, and once more, together with the one after it, when it has come.
    """

    __slots__ = ("_begin", "_end", "_middle", "_table", "spec")

    def __init__(self, spec: Mapping[str, Any], table: Timetable) -> None:
        self.spec = spec
        self._table = table
        #: ``_middle`` is the first slot after ``_begin``, ``_end`` the first after ``_middle``.
        self._begin = self._middle = self._end = 0.0

    def next_slot(self, after: float) -> float | None:
        """Return the first slot after ``after``."""
        if self._begin <= after < self._middle:
            return self._middle
        if self._middle <= after < self._end:
            return self._end
        slot = self._table.next_slot(after)
        if slot is not None:
            self._begin = self._middle if after == self._end else after
            self._middle = after
            self._end = slot
        return slot


def _nothing(run_ids: Sequence[str]) -> None:
    """Do nothing with the ids of new runs."""


class Scheduler:
    """A thread that decides slots while it has the lease, and otherwise waits for the one who has it to be gone.

    It sleeps until the next slot, a bell, or half of its lease. Two that decide at the same time do no harm: who comes
    second to a schedule finds its watermark moved, and what it has decided is left out.

    ``process`` must be registered. ``clock`` gives epoch seconds, ``monotonic`` seconds that nobody can set.
    ``on_decided`` is called on the thread with the ids of new runs, after their commit. ``timetable`` makes what tells
    the slots from a schedule's ``spec``. ``lease`` (seconds) is how long the others believe that it lives. A run that
    waits for more than ``late_after`` seconds is named Late; None names none.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        process: ProcessInfo,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = steady,
        bell: Bell | None = None,
        on_decided: Callable[[Sequence[str]], None] = _nothing,
        timetable: Callable[[Mapping[str, Any]], Timetable] = parse_schedule,
        lease: float = LEASE,
        late_after: float | None = LATE_AFTER,
    ) -> None:
        self._store = store
        self._settings = settings
        self._process = process
        self._clock = clock
        self._monotonic = monotonic
        self._bell = bell
        self._on_decided = on_decided
        self._timetable = timetable
        self._lease = lease
        self._late_after = late_after
        self._watch = ClockWatch(clock, monotonic)
        #: By schedule; schedules that say the same share one.
        self._timetables: dict[str, _Remembering] = {}
        self._same: dict[str, _Remembering] = {}
        self._renewed = 0.0
        self._reason: Reason = "late"
        #: Whether one schedule had more undecided slots than can be decided at once.
        self._goes_on = False
        self._complaint = ""
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        #: Whether it decides slots; false where another scheduler does.
        self.active = False
        #: When (epoch seconds) it will look again at the latest, None before its first look.
        self.next_wake: float | None = None

    def start(self) -> None:
        """Begin, at once, on a thread of its own."""
        if self._bell is None:
            self._bell = Bell(self._settings)
        self._thread = threading.Thread(target=self._run, args=(self._bell,), name="jupyter_wf-scheduler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended and the lease is free. A second call does nothing."""
        self._stopped.set()
        if self._thread is not None and self._bell is not None:
            self._bell.wake()
            self._thread.join()
            self._bell.close()
            self._thread = None

    def step(self) -> float:
        """Do what is due; return after how many seconds to do so again, if no bell rings before. For one thread.

        Raises `StoreError` where the records can't be read or written; the next step goes on from what is there.
        """
        look = self._watch.look()
        now = look.now
        back = self._consider(look.jump, look.overslept)
        if self._has_lease(now, anew=bool(look.jump)):
            if back or self._reason == "down":
                self._go_back(now)
            self._decide_due(now)
            if self._late_after is not None:
                self._store.slots.mark_late(now, self._late_after)
            longest = min(_LONGEST_WAIT, max(0.0, self._lease / 2 - (self._monotonic() - self._renewed)))
        else:
            longest = _LONGEST_WAIT
        upcoming = self._store.slots.next_slot()
        now = self._clock()
        wait = longest if upcoming is None else upcoming - now
        if not self.active and upcoming is not None:
            wait = max(wait, 0.0) + _PATIENCE
        wait = max(0.0, min(wait, longest))
        self.next_wake = now + wait
        self._watch.expect(wait)
        return wait

    def _run(self, bell: Bell) -> None:
        while not self._stopped.is_set():
            try:
                wait = self.step()
                self._complaint = ""
            except Exception as error:  # the thread must outlive whatever one step meets
                if str(error) != self._complaint:
                    _log.warning("slots could not be decided, it is tried again: %s", error, exc_info=True)
                self._complaint = str(error)
                wait = _AFTER_ERROR
                self._watch.expect(wait)
            if wait and not self._stopped.is_set():
                bell.wait(wait)
        try:
            self._store.services.release(SERVICE, self._process.id)
        except Exception as error:  # the lease ends by itself
            _log.info("the scheduler's lease could not be given back: %s", error)
        self.active = False

    def _consider(self, jump: float, overslept: float) -> bool:
        """Note what the clocks say; return whether slots may have been decided by a clock that was far ahead."""
        if jump:
            way = "forward" if jump > 0 else "back"
            _log.warning("the clock was put %s by %s", way, duration(abs(jump)))
        if overslept > _ASLEEP:
            _log.info("the scheduler did not run for %s: the machine slept, or it was stopped", duration(overslept))
        if self._reason == "late":
            self._reason = "jump" if jump > 0 else "asleep" if overslept > _ASLEEP else "late"
        return jump < -_WRONG

    def _has_lease(self, now: float, *, anew: bool = False) -> bool:
        """Return whether it has the lease, which is taken or prolonged (a commit) where half of it has passed."""
        if self.active and not anew and self._monotonic() - self._renewed < self._lease / 2:
            return True
        held = self._store.services.hold(SERVICE, self._process.id, now=now, lease=self._lease)
        if held and not self.active:
            _log.info("this process decides slots now")
            self._reason = "down"
        elif self.active and not held:
            _log.info("another process decides slots now")
        self.active = held
        self._renewed = self._monotonic()
        return held

    def _go_back(self, now: float) -> None:
        """Have schedules that were decided by a clock far ahead go on from now. What has got its run gets no other."""
        found = []
        for deployment in self._store.deployments.list():
            for schedule in deployment.schedules:
                if schedule.watermark > now + _WRONG and schedule.active and not deployment.paused:
                    upcoming = self._table(schedule.id, schedule.spec).next_slot(now)
                    found.append(Slots(schedule.id, schedule.watermark, (), now, upcoming))
        if found:
            _log.warning("%d schedules were decided by a clock that was ahead; they go on from now", len(found))
            self._store.slots.decide(found, now)

    def _decide_due(self, now: float) -> None:
        """Decide what is due at ``now``, in batches."""
        seen: set[tuple[str, float, float | None]] = set()
        while not self._stopped.is_set():
            found = self._store.slots.due(now, limit=_BATCH)
            due = []
            for each in found:
                key = each.schedule.id, each.schedule.watermark, each.schedule.next_slot
                if key not in seen:
                    seen.add(key)
                    due.append(each)
            if due and not self._decide(due, now):
                return
            if not due or (len(found) < _BATCH and not self._goes_on):
                self._reason = "late"
                return

    def _decide(self, due: Sequence[Due], now: float) -> bool:
        """Decide for some schedules; return whether it still has the lease."""
        planned: list[Slots] = []
        number, begun = 0, self._monotonic()
        self._goes_on = False
        being_made: dict[str, list[str]] = {}
        for each in due:
            found = self._plan(each, now, being_made.setdefault(each.deployment.id, []))
            if found is not None:
                planned.append(found)
                number += len(found.decisions)
                self._goes_on |= found.next_slot is not None and found.next_slot <= now
            if number >= _MOST_DECISIONS or self._monotonic() - begun > _SLICE:
                self._commit(planned, now)
                planned, number, begun = [], 0, self._monotonic()
                if not self._has_lease(self._clock()):
                    return False
        self._commit(planned, now)
        return True

    def _plan(self, due: Due, now: float, being_made: list[str]) -> Slots | None:
        schedule, deployment = due.schedule, due.deployment
        try:
            table = self._table(schedule.id, schedule.spec)
            open_runs = [*due.open_runs, *being_made]
            found = plan(schedule, deployment.policies, table, now, open_runs=open_runs, reason=self._reason)
        except ScheduleError as error:
            _log.error("deployment %s is paused: its schedule can't be used: %s", deployment.address, error)
            try:
                self._store.deployments.pause(deployment.id, f"its schedule can't be used: {error}", now)
            except DeploymentNotFound:
                _log.info("deployment %s is gone", deployment.address)
            return None
        # A run that is made here has no id yet.
        being_made += ["" for decision in found.decisions if decision.outcome == "run"]
        return Slots(schedule.id, schedule.watermark, found.decisions, found.watermark, found.next_slot)

    def _commit(self, planned: Sequence[Slots], now: float) -> None:
        if planned:
            made = self._store.slots.decide(planned, now)
            if made:
                self._on_decided(made)

    def _table(self, schedule_id: str, spec: Mapping[str, Any]) -> Timetable:
        known = self._timetables.get(schedule_id)
        if known is not None and (known.spec is spec or known.spec == spec):
            return known
        if max(len(self._timetables), len(self._same)) >= _REMEMBERED:
            self._timetables.clear()
            self._same.clear()
        text = json.dumps(spec, sort_keys=True)
        known = self._same.get(text)
        if known is None:
            known = self._same[text] = _Remembering(spec, self._timetable(spec))
        self._timetables[schedule_id] = known
        return known
