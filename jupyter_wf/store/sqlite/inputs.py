"""Messages to runs."""

from __future__ import annotations

import builtins
import json
import time
from typing import Any

from jupyter_wf.core.shared import StoredInput
from jupyter_wf.store.shared import InputStore
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_id, checked_integer, checked_name, encoded_json
from jupyter_wf.store.sqlite.closing import find_stored
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal

__all__ = ["Inputs"]


_INPUT_COLUMNS = "id, run_id, key, value, sender, created_at"
_LONGEST_KEY = 1_000


class Inputs(InputStore):
    """The `InputStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def send(self, run_id: str, key: str, value: Any, *, sender: str | None = None) -> StoredInput:
        """Leave a value for a run, and wake who waits for one in this process."""
        checked_name("key", key, _LONGEST_KEY)
        if sender is not None:
            checked_name("sender", sender, _LONGEST_KEY)
        row = (run_id, key, encoded_json("value", value), sender, time.time())

        def work(connection: sqlite.Connection) -> StoredInput:
            find_stored(connection, run_id)
            return _input_from(
                connection.execute(
                    "INSERT INTO inputs (run_id, key, value, sender, created_at) VALUES (?, ?, ?, ?, ?) "
                    f"RETURNING {_INPUT_COLUMNS}",
                    row,
                ).fetchone()
            )

        return self._journal.run(work)

    def list(self, run_id: str, *, key_prefix: str = "", after: int = 0) -> builtins.list[StoredInput]:
        """Return the messages to a run."""
        checked_name("key_prefix", key_prefix, _LONGEST_KEY, shortest=0)
        checked_integer("after", after, 0, HIGHEST)
        if checked_id(run_id) is None:
            return []
        self._journal.settle()
        rows = self._database.rows(
            f"SELECT {_INPUT_COLUMNS} FROM inputs WHERE run_id = ? AND id > ? AND substr(key, 1, ?) = ? ORDER BY id",
            (run_id, after, len(key_prefix), key_prefix),
        )
        return [_input_from(row) for row in rows]

    def remove(self, input_id: int) -> bool:
        """Remove a message; of many who try, one is told that it did."""
        checked_integer("input_id", input_id, 1, HIGHEST)

        def work(connection: sqlite.Connection) -> bool:
            return bool(connection.execute("DELETE FROM inputs WHERE id = ? RETURNING 1", (input_id,)).fetchall())

        return self._journal.run(work, tells=False)


def _input_from(row: tuple[Any, ...]) -> StoredInput:
    """Return the message of a row of `_INPUT_COLUMNS`."""
    return StoredInput(id=row[0], run_id=row[1], key=row[2], value=json.loads(row[3]), sender=row[4], created_at=row[5])
