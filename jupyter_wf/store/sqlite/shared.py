"""What the runs on one file share, loaded when it is first asked for."""

from __future__ import annotations

from jupyter_wf.store.sqlite.artifacts import Artifacts
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.inputs import Inputs
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.limits import Limits
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.variables import Variables

__all__ = ["Shared"]


class Shared:
    """The artifacts, variables, limits and messages of one state file."""

    def __init__(self, database: Database, journal: SqliteJournal, owners: Owners) -> None:
        self.artifacts = Artifacts(database, journal)
        self.variables = Variables(database, journal)
        self.inputs = Inputs(database, journal)
        self.limits = Limits(database, journal, owners)
