"""The tables of backfills and of what is kept: only a new or an old file needs these statements."""

from __future__ import annotations

__all__ = ["KEEPING"]

#: The fifth step. ``marks`` holds the highest number that a run has ever had, where that run is deleted: numbers are
#: not given twice.
KEEPING = (
    """
    CREATE TABLE backfills (
        id TEXT PRIMARY KEY,
        deployment_id TEXT NOT NULL,
        begin_at REAL NOT NULL,
        end_at REAL NOT NULL,
        reprocess TEXT NOT NULL,
        parallel INTEGER NOT NULL,
        newest_first INTEGER NOT NULL,
        created_at REAL NOT NULL,
        cancelled_at REAL
    )""",
    "CREATE INDEX backfills_deployment ON backfills (deployment_id, created_at)",
    "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE marks (name TEXT PRIMARY KEY, n INTEGER NOT NULL)",
)
