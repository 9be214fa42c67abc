"""The schema, step by step. ``PRAGMA user_version`` is the number of steps that a file has been through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

    from jupyter_wf.store.sqlite.driver import sqlite

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "migrate"]

#: "JpWf": tells our files from those of other programs.
APPLICATION_ID = 0x4A705766

# ``n`` is a run's number inside the file: events name it instead of the id, because an index that grows at its end
# costs half of one whose keys are random. ``ended_at`` is null exactly while the state's type is not terminal.
_RUNS = (
    """
    CREATE TABLE runs (
        n INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        flow_name TEXT,
        task_name TEXT,
        parent_id TEXT,
        root_id TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        state_type TEXT NOT NULL,
        state_name TEXT NOT NULL,
        state_message TEXT,
        state_at REAL NOT NULL,
        parameters TEXT NOT NULL,
        tags TEXT NOT NULL,
        upstream TEXT NOT NULL,
        source TEXT NOT NULL,
        error TEXT,
        created_at REAL NOT NULL,
        started_at REAL,
        ended_at REAL,
        expected INTEGER,
        process_id TEXT
    )""",
    # Every index ends with ``n``, so that lists go by (created_at, n). Children; with a null parent: the roots.
    "CREATE INDEX runs_children ON runs (parent_id, created_at)",
    "CREATE INDEX runs_created ON runs (created_at)",
    "CREATE INDEX runs_tree ON runs (root_id, created_at)",
    "CREATE INDEX runs_open ON runs (process_id) WHERE ended_at IS NULL AND state_name <> 'NotReady'",
)
# ``root`` is the number of the root run, on log lines only: a tree's log is one range of an index.
_EVENTS = (
    """
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        run INTEGER NOT NULL,
        kind TEXT NOT NULL,
        payload TEXT NOT NULL,
        root INTEGER
    )""",
    "CREATE INDEX events_run ON events (run, seq)",
    "CREATE INDEX events_tree ON events (root, seq) WHERE kind = 'log'",
    "CREATE INDEX events_not_log ON events (seq) WHERE kind <> 'log'",
)
_RESULTS = (
    """
    CREATE TABLE results (
        key TEXT PRIMARY KEY,
        run_id TEXT NOT NULL,
        expires_at REAL,
        format TEXT NOT NULL,
        data BLOB NOT NULL
    )""",
)
_ASKING = (
    """
    CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_at REAL NOT NULL,
        outcome TEXT
    )""",
    "CREATE UNIQUE INDEX requests_open ON requests (run_id, kind) WHERE outcome IS NULL",
    """
    CREATE TABLE processes (
        id TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        started INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        pid_namespace TEXT NOT NULL,
        host TEXT NOT NULL,
        role TEXT NOT NULL,
        created_at REAL NOT NULL
    )""",
)


def _first(db: Database) -> None:
    for statement in (*_RUNS, *_EVENTS, *_RESULTS, *_ASKING):
        db.execute(statement)


#: Name and step, in order; a released step is never changed, only followed by another.
_STEPS: tuple[tuple[str, Callable[[Database], None]], ...] = (("0001_runs_events_results_requests", _first),)

SCHEMA_VERSION = len(_STEPS)


def migrate(connection: sqlite.Connection) -> None:
    """Bring a file to `SCHEMA_VERSION` in one transaction; the caller holds the gate."""
    # sqlite_utils takes about 0.1 s to import, and only a new or old file needs it.
    from sqlite_utils import Database, Migrations

    migrations = Migrations("jupyter_wf")
    for name, step in _STEPS:
        migrations(name=name)(step)
    try:
        connection.execute("BEGIN IMMEDIATE")
        migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
