"""What follows from what happens: watches the stream of events, and puts into the outbox what is to be done.

Nothing is done here, so nothing that waits for another machine holds the watching up. The same occasion gives the same
keys whoever sees it, so that several watchers, or one that begins again, do no harm.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from jupyter_wf.core.automations import (
    DEPLOYMENT_PAUSED,
    NO_SUCCESS,
    Automation,
    Delivery,
    Notification,
    Occasion,
    matches,
    told,
)
from jupyter_wf.core.deployments import Deployment, QueuedRun
from jupyter_wf.core.durations import duration
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.models import Run
from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.core.states import StateType
from jupyter_wf.store.automations import OpenRun
from jupyter_wf.store.base import Store

__all__ = ["Watcher", "occasion_of", "on_settled"]

#: While nothing follows, how far was watched is written down only so often (seconds): reading it again does no harm.
_NOTE = 15.0
#: How often (seconds) is looked for what has not happened.
_LOOK = 30.0
_FAILED = frozenset((StateType.FAILED.value, StateType.CRASHED.value))
#: How many completed runs the usual duration is taken from.
_LAST = 10


def on_settled(store: Store, run: Run, queued: QueuedRun, now: float | None = None) -> list[str]:
    """Put into the outbox what follows from the end of a queued run that no further attempt follows.

    Return the keys of what was not there yet. A second call changes nothing. ``now`` is in epoch seconds.
    """
    occasion = occasion_of(run)
    if occasion.deployment_id is None:
        occasion = replace(occasion, deployment_id=queued.deployment_id)
    deliveries = _following(store, [occasion])
    return store.outbox.put(deliveries, time.time() if now is None else now) if deliveries else []


def occasion_of(run: Run) -> Occasion:
    """Return the occasion that a run is in the state that it is in."""
    source = run.source
    error = None if run.error is None else f"{run.error.type}: {run.error.message}"
    return Occasion(
        event="state",
        key=f"{run.id}:{run.attempt}:{run.state.name}",
        at=run.state.at,
        run_id=run.id,
        run_name=run.name,
        attempt=run.attempt,
        flow_name=run.flow_name,
        state_type=run.state.type.value,
        state_name=run.state.name,
        message=run.state.message or error,
        tags=run.tags,
        deployment_id=source["deployment_id"] if isinstance(source.get("deployment_id"), str) else None,
        deployment=source["deployment"] if isinstance(source.get("deployment"), str) else None,
        queued=source.get("queued") is True,
    )


class Watcher:
    """Looks at what has happened since it last looked. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seq: int | None = None
        self._noted = (-1, -math.inf)
        self._late: set[str] = set()
        self._next_look = -math.inf

    def look(self, now: float) -> bool:
        """Look through the next events; return whether there may be more to look at at once. Raises `StoreError`."""
        if self._seq is None:
            self._seq = self._begin(now)
        watched = self._store.outbox.watch(self._seq)
        occasions = [each for each in watched.occasions if not _waits_for_settling(each)]
        deliveries = _following(self._store, occasions) if occasions else []
        for occasion in occasions:
            if occasion.event == DEPLOYMENT_PAUSED:
                self._say_paused(occasion, now)
        if deliveries or (watched.seq != self._noted[0] and now - self._noted[1] >= _NOTE):
            self._store.outbox.put(deliveries, now, cursor=watched.seq)
            self._noted = (watched.seq, now)
        more = watched.seq > self._seq
        self._seq = watched.seq
        return more

    def look_for_silence(self, now: float) -> float:
        """Look for runs that are late and deployments without a success; return when to look again at the latest."""
        again = now + _LOOK
        late: list[Occasion] = []
        open_runs = self._store.outbox.with_deadline()
        for each in open_runs:
            moment, why = self._limit(each)
            if each.occasion.key in self._late or moment is None:
                continue
            if now < moment:
                again = min(again, moment)
                continue
            late.append(_at(each.occasion, now, why))
        self._late &= {each.occasion.key for each in open_runs}
        for occasion in late:
            title, message, level = told(occasion)
            self._notify(occasion, title, message, level, now)
        if now >= self._next_look or late:
            self._next_look = now + _LOOK
            deliveries = [*_following(self._store, late), *self._silent(now)]
            if deliveries:
                self._store.outbox.put(deliveries, now)
        self._late |= {each.key for each in late}
        return again

    def close(self, now: float) -> None:
        """Write down how far was watched."""
        if self._seq is not None and self._seq != self._noted[0]:
            self._store.outbox.put((), now, cursor=self._seq)
            self._noted = (self._seq, now)

    def _begin(self, now: float) -> int:
        found = self._store.outbox.cursor()
        if found is None:
            # Nobody has watched here before: what was before is nobody's business.
            found = self._store.last_seq()
            self._store.outbox.put((), now, cursor=found)
        return found

    def _limit(self, run: OpenRun) -> tuple[float | None, str]:
        """Return when an open run counts as late, and why."""
        limits: list[tuple[float, str]] = []
        if run.deadline is not None:
            limits.append((run.due_at + run.deadline, f"has not ended {duration(run.deadline)} after it was due"))
        if run.factor is not None and run.started_at is not None and run.occasion.deployment_id is not None:
            usual = self._store.outbox.durations(run.occasion.deployment_id, limit=_LAST)
            if usual:
                average = sum(usual) / len(usual)
                longest = average * run.factor
                why = f"has run for more than {duration(longest)}, {run.factor:g} times as long as usual"
                limits.append((run.started_at + longest, why))
        return min(limits, default=(None, ""))

    def _silent(self, now: float) -> list[Delivery]:
        """Return what follows from deployments of which nothing has completed for too long."""
        automations = [each for each in self._store.automations.list() if each.enabled and NO_SUCCESS in each.when]
        triggers = [each for each in self._store.triggers.list(kind=NO_SUCCESS) if each.enabled]
        if not automations and not triggers:
            return []
        deployments = [each for each in self._store.deployments.list() if not each.paused]
        found: list[Delivery] = []
        for automation in automations:
            for deployment in deployments:
                occasion = self._silence(deployment, automation.after or math.inf, automation.created_at, now)
                if occasion is not None and matches(automation, occasion):
                    found += _of_automation(automation, occasion)
        by_id = {each.id: each for each in deployments}
        for trigger in triggers:
            watched = self._watched(trigger)
            if trigger.deployment_id in by_id and watched is not None:
                occasion = self._silence(watched, trigger.spec["after"], trigger.created_at, now)
                if occasion is not None:
                    found.append(_of_trigger(trigger, occasion))
        return found

    def _watched(self, trigger: EventTrigger) -> Deployment | None:
        try:
            return self._store.deployments.find(trigger.spec.get("deployment") or trigger.deployment_id)
        except DeploymentNotFound:
            return None

    def _silence(self, deployment: Deployment, after: float, since: float, now: float) -> Occasion | None:
        """Return that nothing has completed for ``after`` seconds (again and again, after each such time), or None."""
        last = self._store.outbox.last_success(deployment.id)
        base = max(since, deployment.created_at) if last is None else last
        times = math.floor((now - base) / after)
        if times < 1:
            return None
        said = (
            "no run of it has completed" if last is None else f"no run of it has completed for {duration(now - last)}"
        )
        return Occasion(
            event=NO_SUCCESS,
            key=f"{deployment.id}:{NO_SUCCESS}:{base:.3f}:{times}",
            at=now,
            flow_name=deployment.flow_name,
            message=said,
            tags=deployment.tags,
            deployment_id=deployment.id,
            deployment=deployment.address,
        )

    def _say_paused(self, occasion: Occasion, now: float) -> None:
        """Tell everybody that a deployment was paused because its runs have failed; who pauses by hand knows it."""
        try:
            deployment = self._store.deployments.get(occasion.deployment_id or "")
        except DeploymentNotFound:
            return
        most = deployment.policies.max_consecutive_failures
        if deployment.paused and most is not None and deployment.failures >= most:
            title, message, level = told(occasion)
            self._notify(occasion, title, message, level, now)

    def _notify(self, occasion: Occasion, title: str, message: str, level: str, now: float) -> None:
        notification = Notification(
            title=title,
            message=message,
            level=level,
            run_id=occasion.run_id,
            deployment_id=occasion.deployment_id,
        )
        self._store.notifications.add(occasion.key, notification, now)


def _waits_for_settling(occasion: Occasion) -> bool:
    """Return whether it is too early to tell: a failed run that agents execute may get another attempt."""
    return occasion.event == "state" and occasion.queued and occasion.state_type in _FAILED


def _at(occasion: Occasion, now: float, why: str) -> Occasion:
    return replace(occasion, at=now, message=why)


def _following(store: Store, occasions: Sequence[Occasion]) -> list[Delivery]:
    """Return what is to be done because of these occasions, by automations and by triggers on deployments."""
    if not occasions:
        return []
    automations = [each for each in store.automations.list() if each.enabled]
    found = [
        delivery
        for occasion in occasions
        for automation in automations
        if matches(automation, occasion)
        for delivery in _of_automation(automation, occasion)
    ]
    triggers = [each for each in store.triggers.list(kind="deployment") if each.enabled]
    return found + _of_triggers(store, triggers, occasions)


def _of_triggers(store: Store, triggers: Iterable[EventTrigger], occasions: Sequence[Occasion]) -> list[Delivery]:
    found = []
    for trigger in triggers:
        words = {word.lower() for word in trigger.spec["on"]}
        for occasion in occasions:
            states = {(occasion.state_type or "").lower(), (occasion.state_name or "").lower()}
            names = (occasion.deployment, occasion.deployment_id)
            new = occasion.event == "state" and occasion.at >= trigger.created_at
            if new and trigger.spec["deployment"] in names and words & states and not _rests(store, trigger):
                found.append(_of_trigger(trigger, occasion))
    return found


def _rests(store: Store, trigger: EventTrigger) -> bool:
    """Return whether the trigger's deployment is paused, or gone."""
    try:
        return store.deployments.get(trigger.deployment_id).paused
    except DeploymentNotFound:
        return True


def _of_automation(automation: Automation, occasion: Occasion) -> list[Delivery]:
    return [
        Delivery(
            key=f"{automation.id}:{action.id}:{occasion.key}",
            occasion=occasion,
            automation_id=automation.id,
            action_id=action.id,
        )
        for action in automation.actions
    ]


def _of_trigger(trigger: EventTrigger, occasion: Occasion) -> Delivery:
    return Delivery(key=f"{trigger.id}:{occasion.key}", occasion=occasion, trigger_id=trigger.id)
