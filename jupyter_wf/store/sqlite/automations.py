"""The automations of a state file. Their secret texts lie in a column of their own, which only `whole` reads."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from typing import Any

from jupyter_wf.core.automations import Action, Automation, Filters, hidden, shown, with_hidden, with_stored
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.parameters import MASK
from jupyter_wf.core.scheduling_errors import AutomationNotFound
from jupyter_wf.store.automations import AutomationStore
from jupyter_wf.store.sqlite.checks import checked_id, checked_name, encoded_json
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal

__all__ = ["Automations"]

_COLUMNS = "id, name, description, enabled, when_, after_, filters, actions, created_at, updated_at"
_FIND = f"SELECT {_COLUMNS} FROM automations"
_SHORTEST_PREFIX = 6
_LONGEST_NAME = 250


class Automations(AutomationStore):
    """The `AutomationStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def save(self, automation: Automation, now: float) -> Automation:
        """Store an automation."""
        checked_name("name", automation.name, _LONGEST_NAME)

        def work(connection: sqlite.Connection) -> Automation:
            before = _whole(connection, automation.id) if automation.id else None
            ident = before.id if before else new_id()
            created_at = before.created_at if before else now
            taken = connection.execute(
                "SELECT 1 FROM automations WHERE name = ? AND id <> ?", (automation.name, ident)
            ).fetchall()
            if taken:
                raise InvalidRequest("name", automation.name, "there is an automation of this name already")
            actions = _actions(automation.actions, before.actions if before else ())
            whole = replace(automation, id=ident, actions=actions, created_at=created_at, updated_at=now)
            connection.execute(
                f"INSERT OR REPLACE INTO automations ({_COLUMNS}, secrets) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*_row(whole), encoded_json("actions", {each.id: hidden(each) for each in actions})),
            )
            return _shown(whole)

        return self._journal.run(work, tells=False)

    def get(self, automation_id: str) -> Automation:
        """Return the automation with this id."""
        self._journal.settle()
        if checked_id(automation_id) is not None:
            rows = self._database.rows(f"{_FIND} WHERE id = ?", (automation_id,))
            if rows:
                return _from(rows[0])
        raise AutomationNotFound(automation_id)

    def find(self, text: str) -> Automation:
        """Return the automation that is meant."""
        found = [each for each in self.list() if text in (each.name, each.id)]
        if not found and len(text) >= _SHORTEST_PREFIX:
            found = [each for each in self.list() if each.id.startswith(text.lower())]
        if len(found) > 1:
            raise InvalidRequest("automation", text, "the ids of several begin so; say more of it")
        if not found:
            raise AutomationNotFound(text)
        return found[0]

    def list(self) -> builtins.list[Automation]:
        """Return all automations."""
        self._journal.settle()
        return [_from(row) for row in self._database.rows(f"{_FIND} ORDER BY name")]

    def whole(self, automation_id: str) -> Automation:
        """Return the automation with what nobody else gets to see."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            return _whole(connection, automation_id)

    def remove(self, automation_id: str) -> None:
        """Forget the automation."""

        def work(connection: sqlite.Connection) -> None:
            _whole(connection, automation_id)
            connection.execute("DELETE FROM outbox WHERE automation_id = ?", (automation_id,))
            connection.execute("DELETE FROM automations WHERE id = ?", (automation_id,))

        self._journal.run(work, tells=False)


def _actions(given: tuple[Action, ...], stored: tuple[Action, ...]) -> tuple[Action, ...]:
    """Return actions with ids, each its own, and with their secret texts."""
    known, found, used = {each.id for each in stored}, [], set[str]()
    for each in given:
        action = with_stored(each, stored)
        for path, text in hidden(action).items():
            if MASK in text:
                raise InvalidRequest(f"actions.{path}", MASK, "it was masked when it was read: give the text itself")
        ident = action.id if action.id in known and action.id not in used else new_id()[:8]
        used.add(ident)
        found.append(replace(action, id=ident))
    return tuple(found)


def _row(automation: Automation) -> tuple[Any, ...]:
    filters = automation.filters
    return (
        automation.id,
        automation.name,
        automation.description,
        int(automation.enabled),
        encoded_json("when", list(automation.when)),
        automation.after,
        encoded_json("filters", {name: list(getattr(filters, name)) for name in ("deployments", "flows", "tags")}),
        encoded_json("actions", [_action_json(shown(each)) for each in automation.actions]),
        automation.created_at,
        automation.updated_at,
    )


def _action_json(action: Action) -> dict[str, Any]:
    return {"id": action.id, "type": action.type, "options": dict(action.options)}


def _from(row: tuple[Any, ...]) -> Automation:
    return Automation(
        id=row[0],
        name=row[1],
        description=row[2],
        enabled=bool(row[3]),
        when=tuple(json.loads(row[4])),
        after=row[5],
        filters=Filters(**{name: tuple(values) for name, values in json.loads(row[6]).items()}),
        actions=tuple(Action(**each) for each in json.loads(row[7])),
        created_at=row[8],
        updated_at=row[9],
    )


def _whole(connection: sqlite.Connection, automation_id: str) -> Automation:
    rows = (
        []
        if checked_id(automation_id) is None
        else connection.execute(
            f"SELECT {_COLUMNS}, secrets FROM automations WHERE id = ?", (automation_id,)
        ).fetchall()
    )
    if not rows:
        raise AutomationNotFound(str(automation_id))
    *row, secrets = rows[0]
    found, texts = _from(tuple(row)), json.loads(secrets)
    return replace(found, actions=tuple(with_hidden(each, texts.get(each.id, {})) for each in found.actions))


def _shown(automation: Automation) -> Automation:
    return replace(automation, actions=tuple(shown(each) for each in automation.actions))
