"""Automations, the outbox, notifications and event triggers, loaded when one of them is first asked for."""

from __future__ import annotations

from jupyter_wf.store.sqlite.automations import Automations
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.event_triggers import EventTriggers
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.outbox import Notifications, Outbox

__all__ = ["Alerts"]


class Alerts:
    """What follows from events on one state file."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self.automations = Automations(database, journal)
        self.outbox = Outbox(database, journal)
        self.notifications = Notifications(database, journal)
        self.triggers = EventTriggers(database, journal)
