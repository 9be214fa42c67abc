"""The records in one SQLite file that many processes write: WAL, one writer each, a gate in front of the lock."""

from __future__ import annotations

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "open_store"]


def open_store(settings: Settings) -> SqliteStore:
    """Return the store of ``settings.home``, made there (folder 0700, file 0600) if need be.

    Raises `StoreError` for a folder that is not ours or open to all, `DatabaseDamaged` for a file that is not a sound
    database of ours, `DatabaseTooNew` for one of a newer release.
    """
    return SqliteStore(settings)
