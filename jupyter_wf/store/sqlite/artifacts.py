"""Reading artifacts; the journal writes them."""

from __future__ import annotations

import json
from typing import Any

from jupyter_wf.core.shared import Artifact
from jupyter_wf.store.shared import ArtifactStore
from jupyter_wf.store.sqlite.checks import checked_id, checked_integer
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["Artifacts"]


_ARTIFACT_COLUMNS = "id, run_id, key, type, description, data, created_at, updated_at"
_LONGEST_PAGE = 1_000
_OF_TREE = f"""
    WITH RECURSIVE tree(id) AS (
        SELECT ? UNION SELECT child.id FROM tree CROSS JOIN runs child ON child.parent_id = tree.id
    )
    SELECT {", ".join(f"a.{column}" for column in _ARTIFACT_COLUMNS.split(", "))}
    FROM tree CROSS JOIN artifacts a ON a.run_id = tree.id ORDER BY a.created_at, a.rowid"""


class Artifacts(ArtifactStore):
    """The `ArtifactStore` of a state file. The methods are documented there."""

    def __init__(self, database: Database, journal: SqliteJournal) -> None:
        self._database = database
        self._journal = journal

    def get(self, artifact_id: str) -> Artifact | None:
        """Return the artifact with this id."""
        if checked_id(artifact_id) is None:
            return None
        found = self._select("WHERE id = ?", artifact_id)
        return found[0] if found else None

    def of_run(self, run_id: str, *, tree: bool = False) -> list[Artifact]:
        """Return the artifacts of a run, or of all below it as well."""
        if checked_id(run_id) is None:
            return []
        if not tree:
            return self._select("WHERE run_id = ? ORDER BY created_at, rowid", run_id)
        self._journal.settle()
        return [_artifact_from(row) for row in self._database.rows(_OF_TREE, (run_id,))]

    def of_key(self, key: str, *, limit: int = 100) -> list[Artifact]:
        """Return the newest artifacts with this key."""
        checked_integer("limit", limit, 1, _LONGEST_PAGE)
        # As they were written: with what can't be stored spelled out.
        return self._select("WHERE key = ? ORDER BY created_at DESC, rowid DESC LIMIT ?", clean(key), limit)

    def latest(self, *, limit: int = 100) -> list[Artifact]:
        """Return the artifacts that were made last."""
        checked_integer("limit", limit, 1, _LONGEST_PAGE)
        return self._select("ORDER BY rowid DESC LIMIT ?", limit)

    def _select(self, rest: str, *parameters: object) -> list[Artifact]:
        self._journal.settle()
        rows = self._database.rows(f"SELECT {_ARTIFACT_COLUMNS} FROM artifacts {rest}", parameters)
        return [_artifact_from(row) for row in rows]


def _artifact_from(row: tuple[Any, ...]) -> Artifact:
    """Return the artifact of a row of `_ARTIFACT_COLUMNS`."""
    return Artifact(
        id=row[0],
        run_id=row[1],
        key=row[2],
        type=row[3],
        description=row[4],
        data=json.loads(row[5]),
        created_at=row[6],
        updated_at=row[7],
    )
