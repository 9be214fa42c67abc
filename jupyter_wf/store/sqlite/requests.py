"""What a process that executes runs asks of the store: to be known there, and what it is asked for."""

from __future__ import annotations

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.processes import ProcessInfo, Request
from jupyter_wf.store.sqlite.checks import HIGHEST, checked_integer
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal

__all__ = ["PROCESS_COLUMNS", "REQUEST_COLUMNS", "Requests"]

PROCESS_COLUMNS = ", ".join(ProcessInfo._fields)
REQUEST_COLUMNS = ", ".join(Request._fields)


class Requests:
    """The processes, and the requests that are made to them."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def register(self, process: ProcessInfo) -> None:
        """Make a process known."""
        marks = ", ".join("?" * len(PROCESS_COLUMNS.split(",")))

        def work(connection: sqlite.Connection) -> None:
            connection.execute(f"INSERT OR IGNORE INTO processes ({PROCESS_COLUMNS}) VALUES ({marks})", process)

        self._journal.run(work, tells=False)

    def requests(self, after: int, process_id: str | None) -> list[Request]:
        """Return unanswered requests with ``id > after``, oldest first."""
        checked_integer("after", after, 0, HIGHEST)
        columns = ", ".join(f"q.{column}" for column in REQUEST_COLUMNS.split(", "))
        owner = "" if process_id is None else "AND r.process_id = ?"
        rows = self._database.rows(
            f"SELECT {columns} FROM requests q CROSS JOIN runs r ON r.id = q.run_id "
            f"WHERE q.outcome IS NULL AND q.id > ? {owner} ORDER BY q.id",
            (after,) if process_id is None else (after, process_id),
        )
        return [Request._make(row) for row in rows]

    def get_request(self, request_id: int) -> Request:
        """Return the request with this id."""
        checked_integer("request", request_id, 1, HIGHEST)
        rows = self._database.rows(f"SELECT {REQUEST_COLUMNS} FROM requests WHERE id = ?", (request_id,))
        if not rows:
            raise InvalidRequest("request", request_id, "there is no request with this id")
        return Request._make(rows[0])

    def answer(self, request_id: int, outcome: str) -> None:
        """Write down what the owner did; the first answer stays."""
        checked_integer("request", request_id, 1, HIGHEST)

        def work(connection: sqlite.Connection) -> None:
            connection.execute(
                "UPDATE requests SET outcome = coalesce(outcome, ?) WHERE id = ? RETURNING id", (outcome, request_id)
            )
            if not connection.execute("SELECT 1 FROM requests WHERE id = ?", (request_id,)).fetchall():
                raise InvalidRequest("request", request_id, "there is no request with this id")

        self._journal.run(work, tells=False)
