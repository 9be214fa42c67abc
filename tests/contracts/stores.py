"""The stores that are held to the contract, and what the tests make in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

from jupyter_wf.core.events import LogWritten, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

FACTORIES: dict[str, Callable[[Settings], Store]] = {"sqlite": open_store}

_DEADLINE = 20.0
_NAMES = {"COMPLETED": "Completed", "FAILED": "Failed", "CRASHED": "Crashed", "CANCELLED": "Cancelled"}


class Maker:
    """Makes runs through the journal of a store, owned by a process that it registers."""

    def __init__(self, store: Store, process: ProcessInfo | None = None) -> None:
        self.store = store
        self.journal = store.journal()
        self.process = process or this_process("python")
        store.register(self.process)
        self._clock = itertools.count(1)
        self._attempts: dict[str, int] = {}

    def tick(self) -> float:
        """Return the next of ever later times."""
        return 1_800_000_000.0 + next(self._clock)

    def run(
        self, state: str | None = "RUNNING", *, parent: str | None = None, owned: bool = True, **fields: Any
    ) -> str:
        """Create a run, bring it to ``state`` by PENDING (and RUNNING), and return its id."""
        run_id = fields.pop("run_id", None) or new_id()
        values: dict[str, Any] = {
            "kind": "flow" if parent is None else "task",
            "name": "a-run",
            "flow_name": None,
            "task_name": None,
            "parent_id": parent,
            "root_id": self.store.get_run(parent).root_id if parent else run_id,
            "process_id": self.process.id if owned else None,
        }
        self.journal.append(RunCreated(run_id, fields.pop("at", None) or self.tick(), **(values | fields)))
        if state is not None:
            self.state(run_id, "PENDING")
            if state not in ("PENDING", "SCHEDULED"):
                self.state(run_id, "RUNNING")
            if state not in ("PENDING", "RUNNING"):
                self.state(run_id, state)
        return run_id

    def state(self, run_id: str, type_: str, name: str | None = None, *, attempt: int = 1, **fields: Any) -> float:
        """Append a change of state and return its time."""
        at: float = fields.pop("at", None) or self.tick()
        self.journal.append(StateChanged(run_id, at, attempt, type_, name or type_.capitalize(), **fields))
        return at

    def log(self, run_id: str, message: str, level: int = 20, logger: str = "test") -> None:
        """Append a line of log."""
        self.journal.append(LogWritten(run_id, self.tick(), level, logger, message))

    def patch(self, run_id: str, **patch: Any) -> None:
        """Append a patch."""
        self.journal.append(RunPatched(run_id, self.tick(), json.dumps(patch)))
