"""All the services that a state file needs, in one process: a Jupyter server, or ``jupyter wf server start``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from logging import Logger
from typing import Literal, NamedTuple, Protocol

from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.reaper import Reaper
from jupyter_wf.services.scheduler import Scheduler
from jupyter_wf.services.upkeep import Upkeep
from jupyter_wf.store.base import Store

__all__ = ["HostStatus", "Service", "ServiceHost"]


class Service(Protocol):
    """Something that works on threads of its own while the host runs."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """Return when it has ended. A second call does nothing."""


class HostStatus(NamedTuple):
    """What a host does.

    ``scheduler`` is ``active`` where it decides slots, ``reader`` where another process does, ``off`` where it does not
    run. ``next_wake`` (epoch seconds) is when its scheduler looks again at the latest. ``open_runs`` are the root runs
    whose process lives. ``agent`` is the pid of the local agent, None where there is none.
    """

    scheduler: Literal["active", "reader", "off"]
    reaper: Literal["active", "off"]
    next_wake: float | None
    open_runs: int
    agent: int | None


class ServiceHost:
    """Runs the scheduler, the reaper and further services, and sees to one local agent process.

    ``process`` is who hosts them; it is registered at the start. ``start_agent`` says whether ``ensure_agent``, which
    returns the pid of the local agent that lives, started if need be, is called: at the start, and now and then.
    ``chores`` are done again and again, soon after anything was committed while runs are open; see `Upkeep`.
    ``services`` are started and stopped with the others. ``on_look`` is called as `Reaper` calls it.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        process: ProcessInfo,
        log: Logger,
        start_agent: bool,
        clock: Callable[[], float] = time.time,
        on_look: Callable[[int], None] | None = None,
        ensure_agent: Callable[[Store, Settings], int] | None = None,
        chores: Mapping[str, Callable[[], object]] | None = None,
        services: Sequence[Service] = (),
        schedule: bool = True,
    ) -> None:
        self._store = store
        self._settings = settings
        self._process = process
        self._log = log
        self._on_look = on_look
        self._ensure_agent = ensure_agent if start_agent else None
        self._agent: int | None = None
        self._reaper = Reaper(store, clock=clock, on_look=self._looked)
        self._scheduler = Scheduler(store, settings, process=process, clock=clock) if schedule else None
        wanted = dict(chores or {})
        if self._ensure_agent is not None:
            wanted["the local agent could not be started"] = self._see_to_agent
        self._upkeep = Upkeep(wanted) if wanted else None
        more = [each for each in (self._scheduler, self._upkeep) if each is not None]
        # They are stopped in the other order: first the reaper, which nudges the upkeep.
        self._services: list[Service] = [*more, *services, self._reaper]
        self._running: list[Service] = []

    def start(self) -> None:
        """Begin all of it. Raises `StoreError` where the process can't be registered."""
        self._store.register(self._process)
        for each in self._services:
            each.start()
            self._running.append(each)

    def stop(self) -> None:
        """Return when all of it has ended; the agent goes on. A second call does nothing."""
        while self._running:
            try:
                self._running.pop().stop()
            except Exception:  # the others must be stopped nevertheless
                self._log.exception("a service did not stop as it should")

    def nudge(self) -> None:
        """Have the chores done soon."""
        if self._upkeep is not None:
            self._upkeep.nudge()

    @property
    def open_runs(self) -> int:
        """How many root runs were open when the reaper last looked."""
        return self._reaper.open_runs

    def status(self) -> HostStatus:
        """Return what it does now."""
        scheduler = self._scheduler if self._running else None
        return HostStatus(
            scheduler="off" if scheduler is None else "active" if scheduler.active else "reader",
            reaper="active" if self._running else "off",
            next_wake=None if scheduler is None else scheduler.next_wake,
            open_runs=self._reaper.open_runs,
            agent=self._agent,
        )

    def _looked(self, open_runs: int) -> None:
        self.nudge()
        if self._on_look is not None:
            self._on_look(open_runs)

    def _see_to_agent(self) -> None:
        if self._ensure_agent is not None:
            pid = self._ensure_agent(self._store, self._settings)
            if pid != self._agent:
                self._log.info("runs are executed by the agent process %d", pid)
            self._agent = pid
