"""Agents and services: who works, and who does what only one process should do."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from jupyter_wf.core.deployments import Agent
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.scheduling import AgentStore, ServiceStore
from jupyter_wf.store.sqlite.checks import checked_name
from jupyter_wf.store.sqlite.claims import running_by
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.owners import Owners

__all__ = ["Agents", "Services"]

#: After how many seconds of silence an agent counts as gone whose process can't be judged from here.
_SILENCE = 60.0
_SHOWN = 86_400.0
_COLUMNS = "id, name, pools, places, pid, host, started_at, seen_at, status"
_LONGEST_NAME = 250


class Agents(AgentStore):
    """The `AgentStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners, ring: Callable[[], None]) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring

    def beat(self, agent: Agent, now: float) -> None:
        """Note an agent's sign of life."""
        checked_name("name", agent.name, _LONGEST_NAME)

        def work(connection: sqlite.Connection) -> None:
            if not connection.execute("SELECT 1 FROM processes WHERE id = ?", (agent.id,)).fetchall():
                raise InvalidRequest("agent", agent.id, "register the process first")
            connection.execute(
                f"INSERT OR REPLACE INTO agents ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(agent.id, agent.name, json.dumps(list(agent.pools)), agent.limit, agent.pid, agent.host),
                    *(agent.started_at, now, agent.status),
                ),
            )

        self._journal.run(work, tells=False)

    def leave(self, agent_id: str) -> None:
        """Note that an agent has ended by will."""

        def work(connection: sqlite.Connection) -> None:
            connection.execute("UPDATE agents SET status = 'offline' WHERE id = ?", (agent_id,))

        self._journal.run(work, tells=False)
        self._ring()

    def list(self, now: float) -> builtins.list[Agent]:
        """Return the agents that are alive, and those that were within the last day, newest first."""
        self._journal.settle()
        with self._database.snapshot() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM agents WHERE seen_at > ? ORDER BY started_at DESC, rowid DESC", (now - _SHOWN,)
            ).fetchall()
            running = running_by("agent", connection, self._owners)
            return [self._shown(connection, row, now, running[row[0]]) for row in rows]

    def _shown(self, connection: sqlite.Connection, row: Sequence[Any], now: float, running: int) -> Agent:
        gone = row[8] == "offline" or now - row[7] > _SILENCE or self._owners.judge(connection, row[0]) is not None
        return Agent(
            id=row[0],
            name=row[1],
            pools=tuple(json.loads(row[2])),
            limit=row[3],
            pid=row[4],
            host=row[5],
            started_at=row[6],
            seen_at=row[7],
            status="offline" if gone else row[8],
            alive=not gone,
            running=running,
        )


class Services(ServiceStore):
    """The `ServiceStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners, ring: Callable[[], None]) -> None:
        self._database = database
        self._journal = journal
        self._owners = owners
        self._ring = ring

    def hold(self, name: str, process_id: str, *, now: float, lease: float) -> bool:
        """Take or prolong the lease on a service."""
        checked_name("name", name, _LONGEST_NAME)

        def work(connection: sqlite.Connection) -> bool:
            if self._held_by_another(connection, name, process_id, now):
                return False
            connection.execute(
                "INSERT OR REPLACE INTO services (name, process_id, lease_until) VALUES (?, ?, ?)",
                (name, process_id, now + lease),
            )
            return True

        # Who stands by asks again and again: that takes no write lock.
        with self._database.snapshot() as connection:
            if self._held_by_another(connection, name, process_id, now):
                return False
        return self._journal.run(work, tells=False)

    def holder(self, name: str) -> str | None:
        """Return who has the lease now."""
        with self._database.snapshot() as connection:
            row = _service(connection, name)
            if row is None or row[1] <= time.time() or self._owners.judge(connection, row[0]) is not None:
                return None
        holder: str = row[0]
        return holder

    def release(self, name: str, process_id: str) -> None:
        """Give the lease back."""

        def work(connection: sqlite.Connection) -> None:
            connection.execute("DELETE FROM services WHERE name = ? AND process_id = ?", (name, process_id))

        self._journal.run(work, tells=False)
        self._ring()

    def _held_by_another(self, connection: sqlite.Connection, name: str, process_id: str, now: float) -> bool:
        row = _service(connection, name)
        if row is None or row[0] == process_id or row[1] <= now:
            return False
        return self._owners.judge(connection, row[0], fresh=True) is None


def _service(connection: sqlite.Connection, name: str) -> tuple[str, float] | None:
    found: tuple[str, float] | None = connection.execute(
        "SELECT process_id, lease_until FROM services WHERE name = ?", (name,)
    ).fetchone()
    return found
