"""Named values that all runs share."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Sequence
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.shared import StoredVariable
from jupyter_wf.store.shared import VariableStore
from jupyter_wf.store.sqlite.checks import checked_name, encoded_json
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal

__all__ = ["Variables"]


_VARIABLE_COLUMNS = "name, value, tags, created_at, updated_at"
_LONGEST_NAME = 255
_SET = f"""
    INSERT INTO variables ({_VARIABLE_COLUMNS}) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, tags = excluded.tags, updated_at = excluded.updated_at
    WHERE ? RETURNING {_VARIABLE_COLUMNS}"""


class Variables(VariableStore):
    """The `VariableStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def get(self, name: str) -> StoredVariable | None:
        """Return the variable with this name."""
        checked_name("name", name, _LONGEST_NAME)
        self._journal.settle()
        rows = self._database.rows(f"SELECT {_VARIABLE_COLUMNS} FROM variables WHERE name = ?", (name,))
        return _variable_from(rows[0]) if rows else None

    def set(self, name: str, value: Any, *, tags: Sequence[str] = (), overwrite: bool = True) -> StoredVariable | None:
        """Store a value, in place of what is there if that may be."""
        checked_name("name", name, _LONGEST_NAME)
        if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags):
            raise InvalidRequest("tags", tags, "must be a list of texts")
        now = time.time()
        row = (name, encoded_json("value", value), encoded_json("tags", list(tags)), now, now)

        def work(connection: sqlite.Connection) -> builtins.list[tuple[Any, ...]]:
            return connection.execute(_SET, (*row, int(overwrite))).fetchall()

        stored = self._journal.run(work, tells=False)
        return _variable_from(stored[0]) if stored else None

    def unset(self, name: str) -> bool:
        """Remove the variable."""
        checked_name("name", name, _LONGEST_NAME)

        def work(connection: sqlite.Connection) -> bool:
            return bool(connection.execute("DELETE FROM variables WHERE name = ? RETURNING 1", (name,)).fetchall())

        return self._journal.run(work, tells=False)

    def list(self) -> builtins.list[StoredVariable]:
        """Return all variables."""
        self._journal.settle()
        rows = self._database.rows(f"SELECT {_VARIABLE_COLUMNS} FROM variables ORDER BY name")
        return [_variable_from(row) for row in rows]


def _variable_from(row: tuple[Any, ...]) -> StoredVariable:
    """Return the variable of a row of `_VARIABLE_COLUMNS`."""
    return StoredVariable(
        name=row[0], value=json.loads(row[1]), tags=tuple(json.loads(row[2])), created_at=row[3], updated_at=row[4]
    )
