"""The threads that watch for what automations and triggers wait for, and that deliver what follows."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from jupyter_wf.core.arguments import Arguments
from jupyter_wf.core.automation_forms import read_trigger
from jupyter_wf.core.automations import Delivery, Occasion
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import InvalidRequest, TargetError
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.actions import Actions
from jupyter_wf.services.automations import Watcher
from jupyter_wf.services.deployables import deployable_of
from jupyter_wf.services.files import FileTriggers, notices
from jupyter_wf.services.outbox import Deliverer
from jupyter_wf.services.targets import Allowed
from jupyter_wf.store.base import Store

__all__ = ["Triggers", "add_trigger", "arrived"]

_log = logging.getLogger(__name__)
_LEASE = 10.0
#: What of a spec names a parameter, and what that may get: of a result nobody knows before what it is.
_NAMING: Mapping[str, Any] = {"result_as": None, "changed_as": ["/data/changed.csv"], "body_as": {}}
#: Seconds between two looks whether anything was committed: that costs microseconds.
_GLANCE = 0.1
#: Seconds between two looks at lateness and silence while something goes on.
_SILENCE = 1.0
#: Seconds to wait after something went wrong, so that a state file that can't be used is not asked without pause.
_AFTER_TROUBLE = 2.0


class _Worker:
    """A thread that does one thing again and again, as long as this process has the lease on it.

    ``work`` is called with whether the lease is held, and returns how long (seconds) to wait at most.
    """

    def __init__(self, name: str, hold: Callable[[str], bool], work: Callable[[bool], float]) -> None:
        self.name = name
        self._hold = hold
        self._work = work
        self._complaint = ""
        self._nudged = threading.Event()
        self.stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"jupyter_wf-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        self._nudged.set()

    def stop(self) -> None:
        self.stopped.set()
        self._nudged.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self.stopped.is_set():
            self._nudged.clear()
            try:
                wait = self._work(self._hold(self.name))
                self._complaint = ""
            except Exception as error:  # the thread must outlive whatever it meets
                if str(error) != self._complaint:
                    _log.warning("%s: %s", self.name, error, exc_info=True)
                self._complaint, wait = str(error), _AFTER_TROUBLE
            if not self.stopped.is_set():
                self._nudged.wait(wait)


class Triggers:
    """Watches the stream, lateness, silence and files, and delivers; each in one process of a state file at a time.

    ``process`` is who does it, registered; ``clock`` gives epoch seconds. ``allowed`` gives the targets inside that may
    be called, by default those of the environment.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        process: ProcessInfo,
        clock: Callable[[], float] = time.time,
        allowed: Callable[[], Allowed] = Allowed.of_environment,
    ) -> None:
        self._store = store
        self._process = process
        self._clock = clock
        self._watcher = Watcher(store)
        self._deliverer = Deliverer(store, Actions(store, settings, clock=clock, allowed=allowed).perform)
        self._files = FileTriggers(store)
        self._held: dict[str, float] = {}
        self._version: int | None = None
        #: When lateness and silence were last looked at, when that is due, and whether anything has changed since.
        self._looked, self._due, self._changed = 0.0, 0.0, True
        self._watching = _Worker("automations", self._hold, self._watch)
        self._delivering = _Worker("outbox", self._hold, self._deliver)
        self._looking = _Worker("file-triggers", self._hold, self._look)
        self._workers = (self._watching, self._delivering, self._looking)

    def start(self) -> None:
        """Begin."""
        for each in self._workers:
            each.start()

    def stop(self) -> None:
        """Return when all of it has ended; what was not delivered is by whoever begins next. Twice does nothing."""
        for each in self._workers:
            each.stop()
        self._deliverer.close()
        held, self._held = self._held, {}
        if "automations" in held:
            self._watcher.close(self._clock())
        for name in held:
            self._store.services.release(name, self._process.id)

    def _hold(self, name: str) -> bool:
        """Return whether this process has the lease; it is prolonged at half of its time."""
        now = self._clock()
        if 0 <= self._held.get(name, -1.0) - now <= _LEASE and self._held[name] - now > _LEASE / 2:
            return True
        if self._store.services.hold(name, self._process.id, now=now, lease=_LEASE):
            self._held[name] = now + _LEASE
            return True
        self._held.pop(name, None)
        return False

    def _watch(self, mine: bool) -> float:
        version = self._store.data_version()
        now = self._clock()
        if version != self._version:
            self._version, self._changed = version, True
            # Others put rows in as well: a request, an agent that settles a run.
            self._delivering.nudge()
            if mine:
                while self._watcher.look(now) and not self._watching.stopped.is_set():
                    pass
                self._delivering.nudge()
            else:
                self._watcher = Watcher(self._store)
        if mine and (not 0 <= now - self._looked < _SILENCE if self._changed else now >= self._due):
            self._looked, self._changed = now, False
            self._due = self._watcher.look_for_silence(now)
            self._delivering.nudge()
        return _GLANCE

    def _deliver(self, mine: bool) -> float:
        if not mine:
            return 1.0
        now = self._clock()
        soonest = self._deliverer.step(now)
        return 5.0 if soonest is None else min(5.0, max(0.0, soonest - now))

    def _look(self, mine: bool) -> float:
        if not mine:
            return 1.0
        triggers = self._files.triggers()
        if not triggers:
            return 1.0
        version = self._store.data_version()
        again: float | None = self._clock()
        for changed in notices(triggers, self._looking.stopped):
            now = self._clock()
            if changed or (again is not None and now >= again):
                again = self._files.look(now, triggers)
            if self._store.data_version() != version:
                version = self._store.data_version()
                if self._files.triggers() != triggers:
                    break
            if not self._hold("file-triggers"):
                break
        return 0.0


def add_trigger(
    store: Store, deployment: Deployment, given: Any, now: float, settings: Settings | None = None
) -> EventTrigger:
    """Store a trigger of a deployment from what somebody gives; a webhook's comes with its secret, this once.

    With ``settings`` it is looked whether the deployment has the parameter that it gives, and whether that takes a list
    of paths or a body, where what it runs can be read. Raises `InvalidRequest` with the field, `ParameterError`, and
    `DeploymentNotFound` or `AmbiguousDeployment` for what it is to watch.
    """
    trigger = read_trigger(given, deployment.id)
    if settings is not None:
        with suppress(TargetError):
            _check_parameter(deployable_of(settings, deployment).arguments, trigger)
    watched = trigger.spec.get("deployment")
    if watched is not None:
        found = store.deployments.find(watched)
        if trigger.kind == "deployment" and found.id == deployment.id:
            raise InvalidRequest("spec.deployment", watched, "a deployment that begins at its own end would never end")
        trigger = replace(trigger, spec={**trigger.spec, "deployment": found.address})
    return store.triggers.add(trigger, now)


def _check_parameter(arguments: Arguments, trigger: EventTrigger) -> None:
    """Raise `ParameterError` where the parameter that a trigger gives is unknown, or can't be what it would get."""
    for key, sample in _NAMING.items():
        name = trigger.spec.get(key)
        if not name:
            continue
        arguments.check_name(name)
        argument = next((each for each in arguments.items if each.name == name), None)
        if sample is not None and argument is not None:
            replace(arguments, items=(argument,)).bind({name: sample})


def arrived(store: Store, trigger: EventTrigger, body: Any, now: float, *, once: str) -> bool:
    """Put the run that a webhook asks for into the outbox; return whether the trigger takes requests now.

    ``once`` tells this request from others; the same one again asks for nothing more. A trigger that is switched off,
    and one whose deployment is paused or gone, do nothing.
    """
    try:
        paused = store.deployments.get(trigger.deployment_id).paused
    except DeploymentNotFound:
        return False
    if paused or not trigger.enabled:
        return False
    name = trigger.spec.get("body_as")
    key = f"{trigger.id}:webhook:{once}"
    delivery = Delivery(
        key=key,
        occasion=Occasion(event="trigger", key=key, at=now, message="a webhook has arrived"),
        trigger_id=trigger.id,
        payload={name: body} if name else {},
    )
    store.triggers.fire(trigger.id, delivery, now)
    return True
