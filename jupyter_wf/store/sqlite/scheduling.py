"""Deployments, slots, queue, backfills, agents and services, loaded when one of them is first asked for."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_wf.store.sqlite.agents import Agents, Services
from jupyter_wf.store.sqlite.backfills import Backfills
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.deleting import Retention
from jupyter_wf.store.sqlite.deployments import Deployments
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.queue import Queue
from jupyter_wf.store.sqlite.runs import RunReader
from jupyter_wf.store.sqlite.slots import SlotTable

__all__ = ["Scheduling"]


class Scheduling:
    """What makes runs on its own, and who executes them; ``ring`` wakes those who wait for it."""

    def __init__(
        self,
        database: Database,
        journal: SqliteJournal,
        owners: Owners,
        ring: Callable[[], None],
        runs: Callable[[], RunReader],
    ) -> None:
        self.deployments = Deployments(database, journal, owners, ring)
        self.slots = SlotTable(database, journal, owners, ring)
        self.queue = Queue(database, journal, owners, ring, runs)
        self.backfills = Backfills(database, journal, owners, ring)
        self.retention = Retention(database, journal)
        self.agents = Agents(database, journal, owners, ring)
        self.services = Services(database, journal, owners, ring)
