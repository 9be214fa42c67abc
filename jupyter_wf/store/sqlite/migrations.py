"""The schema, step by step. ``PRAGMA user_version`` is the number of steps that a file has been through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from jupyter_wf.store.sqlite.driver import sqlite

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "create", "migrate"]

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

# What a run left for its next attempt lies in the run's own row, behind all that lists read. ``call_number`` counts the
# calls of one task below one parent; ``code`` and ``inputs`` tell whether a later call is the same one.
_RESUME = (
    "ALTER TABLE runs ADD COLUMN call_number INTEGER",
    "ALTER TABLE runs ADD COLUMN code TEXT",
    "ALTER TABLE runs ADD COLUMN inputs TEXT",
    "ALTER TABLE runs ADD COLUMN result_format TEXT",
    "ALTER TABLE runs ADD COLUMN result BLOB",
    "ALTER TABLE results ADD COLUMN task TEXT",
    "ALTER TABLE results ADD COLUMN code TEXT",
    "ALTER TABLE results ADD COLUMN inputs TEXT",
    "ALTER TABLE results ADD COLUMN at REAL",
    "CREATE INDEX results_task ON results (task, at) WHERE task IS NOT NULL",
    "ALTER TABLE requests ADD COLUMN payload TEXT",
)
_SHARED = (
    """
    CREATE TABLE artifacts (
        id TEXT PRIMARY KEY,
        run_id TEXT,
        key TEXT,
        type TEXT NOT NULL,
        description TEXT,
        data TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    )""",
    "CREATE INDEX artifacts_run ON artifacts (run_id, created_at)",
    "CREATE INDEX artifacts_key ON artifacts (key, created_at) WHERE key IS NOT NULL",
    """
    CREATE TABLE variables (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    )""",
    # ``decay`` is how many slots of a rate limit come back each second, 0 for a plain limit.
    """
    CREATE TABLE limits (
        name TEXT PRIMARY KEY,
        slots INTEGER NOT NULL,
        decay REAL NOT NULL,
        active INTEGER NOT NULL,
        used REAL NOT NULL,
        used_at REAL NOT NULL
    )""",
    """
    CREATE TABLE leases (
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        slots INTEGER NOT NULL,
        process_id TEXT NOT NULL,
        run_id TEXT,
        taken_at REAL NOT NULL,
        PRIMARY KEY (id, name)
    )""",
    "CREATE INDEX leases_name ON leases (name)",
    """
    CREATE TABLE inputs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        sender TEXT,
        created_at REAL NOT NULL
    )""",
    "CREATE INDEX inputs_run ON inputs (run_id, id)",
)


class _Executes(Protocol):
    """What a step may use of what it gets: a connection for a new file, sqlite_utils' database for an older one."""

    def execute(self, sql: str, /) -> object: ...


def _first(db: _Executes) -> None:
    for statement in (*_RUNS, *_EVENTS, *_RESULTS, *_ASKING):
        db.execute(statement)


def _second(db: _Executes) -> None:
    for statement in (*_RESUME, *_SHARED):
        db.execute(statement)


def _third(db: _Executes) -> None:
    from jupyter_wf.store.sqlite.scheduling_schema import SCHEDULING

    for statement in SCHEDULING:
        db.execute(statement)


def _fourth(db: _Executes) -> None:
    from jupyter_wf.store.sqlite.automation_schema import AUTOMATIONS

    for statement in AUTOMATIONS:
        db.execute(statement)


def _fifth(db: _Executes) -> None:
    from jupyter_wf.store.sqlite.keeping_schema import KEEPING

    for statement in KEEPING:
        db.execute(statement)


#: Name and step, in order; a released step is never changed, only followed by another.
_STEPS: tuple[tuple[str, Callable[[_Executes], None]], ...] = (
    ("0001_runs_events_results_requests", _first),
    ("0002_resume_artifacts_variables_limits_inputs", _second),
    ("0003_deployments_queue_agents", _third),
    ("0004_automations", _fourth),
    ("0005_backfills_retention", _fifth),
)
_SET = "jupyter_wf"

SCHEMA_VERSION = len(_STEPS)

# The table in which sqlite_utils notes what was applied, as it makes it.
_NOTES = (
    "CREATE TABLE _sqlite_migrations (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)",
    "CREATE UNIQUE INDEX idx__sqlite_migrations_migration_set_name ON _sqlite_migrations (migration_set, name)",
)


def create(connection: sqlite.Connection) -> None:
    """Make the schema in an empty file, in one transaction, and note its steps as sqlite_utils would.

    Without sqlite_utils, because that takes 0.1 s to import, and 1.5 s where pandas is installed.
    """
    with _stepping(connection):
        for statement in _NOTES:
            connection.execute(statement)
        for name, step in _STEPS:
            step(connection)
            connection.execute(
                "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, datetime())",
                (_SET, name),
            )


def migrate(connection: sqlite.Connection) -> None:
    """Bring an older file to `SCHEMA_VERSION`, in one transaction; the caller holds the gate."""
    from sqlite_utils import Database, Migrations

    migrations = Migrations(_SET)
    for name, step in _STEPS:
        migrations(name=name)(step)
    with _stepping(connection):
        migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


@contextmanager
def _stepping(connection: sqlite.Connection) -> Iterator[None]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={len(_STEPS)}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
