"""The event triggers of a state file."""

from __future__ import annotations

import builtins
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from jupyter_wf.core.automations import Delivery
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.scheduling_errors import TriggerNotFound
from jupyter_wf.store.automations import EventTriggerStore
from jupyter_wf.store.sqlite.checks import checked_id, checked_name, encoded_json
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.outbox import insert_delivery
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["EventTriggers", "forget_triggers"]

_COLUMNS = "id, deployment_id, kind, spec, enabled, created_at, fired_at, error"
_FIND = f"SELECT {_COLUMNS} FROM triggers"
_SHORTEST_PREFIX = 6
#: Bytes of a webhook's secret: 192 bits, of which 32 characters of a URL are made.
_SECRET_BYTES = 24
_LONGEST_SECRET = 200


class EventTriggers(EventTriggerStore):
    """The `EventTriggerStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def add(self, trigger: EventTrigger, now: float) -> EventTrigger:
        """Store a new trigger."""
        checked_name("deployment_id", trigger.deployment_id, 1000)
        secret = secrets.token_urlsafe(_SECRET_BYTES) if trigger.kind == "webhook" else None
        ident, spec = new_id(), encoded_json("spec", dict(trigger.spec))

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                "INSERT INTO triggers (id, deployment_id, kind, spec, enabled, secret_hash, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    ident,
                    trigger.deployment_id,
                    trigger.kind,
                    spec,
                    int(trigger.enabled),
                    None if secret is None else _hash(secret),
                    now,
                ),
            )

        self._journal.run(work, tells=False)
        return replace(self.get(ident), secret=secret)

    def get(self, trigger_id: str) -> EventTrigger:
        """Return the trigger that is meant."""
        self._journal.settle()
        rows: builtins.list[tuple[Any, ...]] = []
        if checked_id(trigger_id) is not None:
            rows = self._database.rows(f"{_FIND} WHERE id = ?", (trigger_id,))
            if not rows and len(trigger_id) >= _SHORTEST_PREFIX:
                rows = self._database.rows(f"{_FIND} WHERE substr(id, 1, ?) = ?", (len(trigger_id), trigger_id.lower()))
        if len(rows) > 1:
            raise InvalidRequest("trigger", trigger_id, "the ids of several begin so; say more of it")
        if not rows:
            raise TriggerNotFound(str(trigger_id))
        return _from(rows[0])

    def list(self, *, deployment_id: str | None = None, kind: str | None = None) -> builtins.list[EventTrigger]:
        """Return triggers."""
        given = {"deployment_id": deployment_id, "kind": kind}
        where = {name: value for name, value in given.items() if value is not None}
        condition = " AND ".join([f"{name} = ?" for name in where] or ["1"])
        self._journal.settle()
        rows = self._database.rows(f"{_FIND} WHERE {condition} ORDER BY created_at, id", tuple(where.values()))
        return [_from(row) for row in rows]

    def by_secret(self, secret: str) -> EventTrigger | None:
        """Return the webhook's trigger; how long that takes tells nothing of the secrets that there are."""
        self._journal.settle()
        given = _hash(secret[:_LONGEST_SECRET])
        rows = self._database.rows(f"SELECT {_COLUMNS}, secret_hash FROM triggers WHERE secret_hash IS NOT NULL")
        found = [row for row in rows if hmac.compare_digest(row[-1], given)]
        return _from(found[0][:-1]) if found else None

    def enable(self, trigger_id: str, enabled: bool) -> EventTrigger:
        """Switch a trigger on or off; what changed while it was off is not made up for."""
        found = self.get(trigger_id)

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                "UPDATE triggers SET enabled = ?1, error = NULL, seen = CASE WHEN enabled = ?1 THEN seen END "
                "WHERE id = ?2",
                (int(enabled), found.id),
            )

        self._journal.run(work, tells=False)
        return self.get(found.id)

    def remove(self, trigger_id: str) -> None:
        """Forget a trigger."""
        found = self.get(trigger_id)

        def work(connection: sqlite.Connection) -> None:
            connection.execute("DELETE FROM outbox WHERE trigger_id = ?", (found.id,))
            connection.execute("DELETE FROM triggers WHERE id = ?", (found.id,))

        self._journal.run(work, tells=False)

    def trouble(self, trigger_id: str, error: str | None) -> None:
        """Note what keeps a trigger from working."""

        def work(connection: sqlite.Connection) -> None:
            why = None if error is None else clean(error[:2000])
            connection.execute("UPDATE triggers SET error = ? WHERE id = ?", (why, trigger_id))

        self._journal.run(work, tells=False)

    def seen(self, trigger_id: str) -> Mapping[str, Any] | None:
        """Return what was noted."""
        self._journal.settle()
        rows = self._database.rows("SELECT seen FROM triggers WHERE id = ?", (trigger_id,))
        return None if not rows or rows[0][0] is None else json.loads(rows[0][0])

    def fire(
        self,
        trigger_id: str,
        delivery: Delivery | None,
        now: float,
        *,
        seen: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put a run into the outbox, and note what was seen."""
        text = None if seen is None else encoded_json("seen", dict(seen))

        def work(connection: sqlite.Connection) -> bool:
            rows = connection.execute("SELECT seen FROM triggers WHERE id = ? AND enabled", (trigger_id,)).fetchall()
            if not rows:
                return False
            noted = None if rows[0][0] is None else json.loads(rows[0][0])
            if text is not None and noted != before:
                return False
            if delivery is not None and not insert_delivery(connection, delivery, now):
                return False
            if text is not None:
                connection.execute("UPDATE triggers SET seen = ? WHERE id = ?", (text, trigger_id))
            return True

        return self._journal.run(work, tells=False)


def forget_triggers(connection: sqlite.Connection, deployment_id: str) -> None:
    """Forget a deployment's triggers, and what of them was not begun."""
    of_it = "SELECT id FROM triggers WHERE deployment_id = ?"
    connection.execute(f"DELETE FROM outbox WHERE state = 'waiting' AND trigger_id IN ({of_it})", (deployment_id,))
    connection.execute("DELETE FROM triggers WHERE deployment_id = ?", (deployment_id,))


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _from(row: tuple[Any, ...]) -> EventTrigger:
    return EventTrigger(
        id=row[0],
        deployment_id=row[1],
        kind=row[2],
        spec=json.loads(row[3]),
        enabled=bool(row[4]),
        created_at=row[5],
        fired_at=row[6],
        error=row[7],
    )
