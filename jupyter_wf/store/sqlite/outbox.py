"""The outbox, what of the stream it is filled from, and the notifications."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable, Sequence
from typing import Any

from jupyter_wf.core.automations import DEADLINE, DEPLOYMENT_PAUSED, Delivery, Notification, Occasion
from jupyter_wf.store.automations import NotificationStore, OpenRun, OutboxStore, Watched
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_integer, encoded_json
from jupyter_wf.store.sqlite.closing import write_event
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["DELIVERY_COLUMNS", "Notifications", "Outbox", "delivery_from", "insert_delivery"]

DELIVERY_COLUMNS = (
    "id, key, automation_id, trigger_id, action_id, occasion, payload, state, attempts, created_at, next_at, done_at, "
    "error, outcome"
)
_NOTIFICATION_COLUMNS = "id, at, title, message, level, run_id, deployment_id"
#: The run number of events that are not of a run: no run has it.
_NO_RUN = 0
#: How many events one look goes through at most: it holds a read transaction.
_STRETCH = 50_000
_KEPT_NOTIFICATIONS = 1_000
_LONGEST = 2_000
_WATCH = """
    SELECT e.seq, e.at, e.kind, e.payload, r.id, r.name, r.flow_name, r.tags, r.source,
    d.paused_at, d.paused_reason
    FROM events e LEFT JOIN runs r ON r.n = e.run
    LEFT JOIN deployments d ON e.kind = 'deployment' AND d.id = e.payload ->> 'deployment_id'
    WHERE e.seq > ? AND e.seq <= ? AND e.kind <> 'log'
    AND (e.kind = 'deployment' OR (e.kind = 'state' AND r.id IS NOT NULL AND r.parent_id IS NULL))
    ORDER BY e.seq LIMIT ?"""

_WITH_DEADLINE = """
    SELECT q.run_id, r.name, r.flow_name, r.tags, r.attempt, r.source, q.deployment_id, q.due_at, r.started_at,
    q.policies ->> 'deadline', q.policies ->> 'deadline_factor'
    FROM queue q CROSS JOIN runs r ON r.n = q.n
    WHERE q.stage IN ('waiting', 'claimed') AND r.ended_at IS NULL AND q.deployment_id IS NOT NULL
    AND (q.policies ->> 'deadline' IS NOT NULL OR q.policies ->> 'deadline_factor' IS NOT NULL)"""
_COMPLETED = (
    "FROM queue q CROSS JOIN runs r ON r.n = q.n "
    "WHERE q.deployment_id = ? AND r.state_type = 'COMPLETED' ORDER BY q.n DESC LIMIT ?"
)


class Outbox(OutboxStore):
    """The `OutboxStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def cursor(self) -> int | None:
        """Return how far the stream was watched."""
        self._journal.settle()
        rows = self._database.rows("SELECT seq FROM watched WHERE name = 'automations'")
        return rows[0][0] if rows else None

    def watch(self, after: int, *, limit: int = 1000) -> Watched:
        """Return what has happened behind an event."""
        checked_integer("after", after, 0, HIGHEST)
        self._journal.settle()
        with self._database.snapshot() as connection:
            (newest,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            end = min(newest, after + _STRETCH)
            rows = connection.execute(_WATCH, (after, end, limit)).fetchall()
        found = [occasion for row in rows if (occasion := _occasion(row)) is not None]
        return Watched(found, rows[-1][0] if len(rows) == limit else max(end, after))

    def put(self, deliveries: Sequence[Delivery], now: float, *, cursor: int | None = None) -> builtins.list[str]:
        """Put rows in."""

        def work(connection: sqlite.Connection) -> builtins.list[str]:
            if cursor is not None:
                connection.execute(
                    "INSERT INTO watched (name, seq) VALUES ('automations', ?) "
                    "ON CONFLICT (name) DO UPDATE SET seq = max(seq, excluded.seq)",
                    (cursor,),
                )
            return [each.key for each in deliveries if insert_delivery(connection, each, now)]

        return self._journal.run(work, tells=False)

    def due(self, now: float, *, limit: int = 8) -> builtins.list[Delivery]:
        """Return what is to be tried."""
        return self._rows("state = 'waiting' AND next_at <= ? ORDER BY attempts, next_at, id", (now,), limit)

    def next_at(self) -> float | None:
        """Return when something is to be tried."""
        self._journal.settle()
        found: float | None = self._database.rows("SELECT min(next_at) FROM outbox WHERE state = 'waiting'")[0][0]
        return found

    def sent(self, delivery_id: int, outcome: str, now: float) -> None:
        """Note that it is done."""
        self._set(
            "state = 'sent', outcome = ?, done_at = ?, error = NULL, payload = NULL, attempts = attempts + 1",
            (_short(outcome), now),
            delivery_id,
        )

    def again(self, delivery_id: int, error: str, at: float) -> None:
        """Note that it is to be tried again."""
        self._set("error = ?, next_at = ?, attempts = attempts + 1", (_short(error), at), delivery_id)

    def fail(self, delivery_id: int, error: str, now: float) -> None:
        """Note that nobody tries any more."""
        self._set(
            "state = 'failed', error = ?, done_at = ?, payload = NULL, attempts = attempts + 1",
            (_short(error), now),
            delivery_id,
        )

    def list(
        self, *, automation_id: str | None = None, trigger_id: str | None = None, limit: int = 100
    ) -> builtins.list[Delivery]:
        """Return rows."""
        given = {"automation_id": automation_id, "trigger_id": trigger_id}
        where = {name: value for name, value in given.items() if value is not None}
        condition = " AND ".join([f"{name} = ?" for name in where] or ["1"])
        return self._rows(f"{condition} ORDER BY id DESC", tuple(where.values()), limit)

    def with_deadline(self) -> builtins.list[OpenRun]:
        """Return open runs that may be late."""
        self._journal.settle()
        return [_open_run(row) for row in self._database.rows(_WITH_DEADLINE)]

    def durations(self, deployment_id: str, *, limit: int = 10) -> builtins.list[float]:
        """Return how long the last ones took."""
        self._journal.settle()
        rows = self._database.rows(f"SELECT r.ended_at - r.started_at {_COMPLETED}", (deployment_id, limit))
        return [seconds for (seconds,) in rows if seconds is not None]

    def last_success(self, deployment_id: str) -> float | None:
        """Return when the last one has completed."""
        self._journal.settle()
        rows = self._database.rows(f"SELECT r.ended_at {_COMPLETED}", (deployment_id, 1))
        return rows[0][0] if rows else None

    def prune(self, before: float) -> int:
        """Forget what is long done."""

        def work(connection: sqlite.Connection) -> int:
            gone = connection.execute(
                "DELETE FROM outbox WHERE state <> 'waiting' AND done_at < ? RETURNING 1", (before,)
            ).fetchall()
            connection.execute(
                "DELETE FROM notifications WHERE id <= (SELECT max(id) FROM notifications) - ?", (_KEPT_NOTIFICATIONS,)
            )
            return len(gone)

        return self._journal.run(work, tells=False)

    def _rows(self, condition: str, values: tuple[Any, ...], limit: int) -> builtins.list[Delivery]:
        checked_integer("limit", limit, 1, 1000)
        self._journal.settle()
        rows = self._database.rows(f"SELECT {DELIVERY_COLUMNS} FROM outbox WHERE {condition} LIMIT ?", (*values, limit))
        return [delivery_from(row) for row in rows]

    def _set(self, what: str, values: tuple[Any, ...], delivery_id: int) -> None:
        def work(connection: sqlite.Connection) -> None:
            connection.execute(f"UPDATE outbox SET {what} WHERE id = ? AND state = 'waiting'", (*values, delivery_id))

        self._journal.run(work, tells=False)


class Notifications(NotificationStore):
    """The `NotificationStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def add(self, key: str, notification: Notification, now: float) -> bool:
        """Add a message, and its event."""
        title, message = clean(notification.title), clean(notification.message)

        def work(connection: sqlite.Connection) -> bool:
            rows = connection.execute(
                "INSERT INTO notifications (key, at, title, message, level, run_id, deployment_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING id",
                (key, now, title, message, notification.level, notification.run_id, notification.deployment_id),
            ).fetchall()
            if rows:
                payload = {
                    "id": rows[0][0],
                    "title": title,
                    "message": message,
                    "level": notification.level,
                    "run_id": notification.run_id,
                    "deployment_id": notification.deployment_id,
                }
                write_event(connection, _NO_RUN, now, "notification", json.dumps(payload))
            return bool(rows)

        return self._journal.run(work)

    def list(self, *, after: int = 0, limit: int = 100) -> builtins.list[Notification]:
        """Return messages."""
        checked_integer("after", after, 0, HIGHEST)
        checked_integer("limit", limit, 1, 1000)
        self._journal.settle()
        rows = self._database.rows(
            f"SELECT {_NOTIFICATION_COLUMNS} FROM notifications WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
        )
        return [Notification(**dict(zip(_NOTIFICATION_COLUMNS.split(", "), row, strict=True))) for row in rows]

    def last_id(self) -> int:
        """Return the id of the newest message."""
        self._journal.settle()
        found: int = self._database.rows("SELECT coalesce(max(id), 0) FROM notifications")[0][0]
        return found


def insert_delivery(connection: sqlite.Connection, delivery: Delivery, now: float) -> bool:
    """Put a row in; return False where there is one with its key."""
    payload = None if delivery.payload is None else encoded_json("payload", dict(delivery.payload))
    rows = connection.execute(
        "INSERT INTO outbox (key, automation_id, trigger_id, action_id, occasion, payload, state, attempts, "
        "created_at, next_at) VALUES (?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?) ON CONFLICT (key) DO NOTHING RETURNING id",
        (
            delivery.key,
            delivery.automation_id,
            delivery.trigger_id,
            delivery.action_id,
            encoded_json("occasion", delivery.occasion.as_json()),
            payload,
            now,
            now,
        ),
    ).fetchall()
    if rows and delivery.trigger_id is not None:
        connection.execute("UPDATE triggers SET fired_at = ? WHERE id = ?", (now, delivery.trigger_id))
    return bool(rows)


def delivery_from(row: tuple[Any, ...]) -> Delivery:
    """Return the delivery of a row of `DELIVERY_COLUMNS`."""
    values = dict(zip(DELIVERY_COLUMNS.split(", "), row, strict=True))
    values["occasion"] = Occasion.of_json(json.loads(values["occasion"]))
    values["payload"] = None if values["payload"] is None else json.loads(values["payload"])
    return Delivery(**values)


def _short(text: str) -> str:
    return clean(text[:_LONGEST])


def _occasion(row: tuple[Any, ...]) -> Occasion | None:
    seq, at, kind, text, run_id, name, flow_name, tags, source, paused_at, reason = row
    payload = json.loads(text)
    if kind == "deployment":
        return _of_deployment(seq, at, payload, paused_at, reason)
    found = json.loads(source)
    attempt, state = payload.get("attempt", 1), payload.get("name")
    error = payload.get("error")
    said = [payload.get("message"), error and f"{error.get('type')}: {error.get('message')}"]
    return Occasion(
        event="state",
        key=f"{run_id}:{attempt}:{state}",
        at=at,
        run_id=run_id,
        run_name=name,
        attempt=attempt,
        flow_name=flow_name,
        state_type=payload.get("type"),
        state_name=state,
        message=_first(said),
        tags=tuple(json.loads(tags)),
        deployment_id=_text(found.get("deployment_id")),
        deployment=_text(found.get("deployment")),
        queued=found.get("queued") is True,
    )


def _open_run(row: tuple[Any, ...]) -> OpenRun:
    run_id, name, flow_name, tags, attempt, source, deployment_id, due_at, started_at, deadline, factor = row
    occasion = Occasion(
        event=DEADLINE,
        key=f"{run_id}:{DEADLINE}",
        at=0.0,
        run_id=run_id,
        run_name=name,
        attempt=attempt,
        flow_name=flow_name,
        tags=tuple(json.loads(tags)),
        deployment_id=deployment_id,
        deployment=_text(json.loads(source).get("deployment")),
    )
    return OpenRun(occasion, due_at, started_at, deadline, factor)


def _of_deployment(
    seq: int, at: float, payload: dict[str, Any], paused_at: float | None, reason: str | None
) -> Occasion | None:
    if payload.get("change") != "paused":
        return None
    address, ident = _text(payload.get("address")), _text(payload.get("deployment_id"))
    return Occasion(
        event=DEPLOYMENT_PAUSED,
        # Paused twice is paused once; what is no longer paused is told by the event alone.
        key=f"{ident}:paused:{seq if paused_at is None else paused_at}",
        at=at if paused_at is None else paused_at,
        flow_name=None if address is None else address.rpartition("/")[0],
        message=reason,
        deployment_id=ident,
        deployment=address,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _first(values: Iterable[Any]) -> str | None:
    return next((value[:_LONGEST] for value in values if isinstance(value, str) and value), None)
