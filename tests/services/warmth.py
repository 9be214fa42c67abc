"""Notebooks that are run by runners from a fork server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.plan import Plan
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.services.launcher import lay_out
from jupyter_wf.services.warm import RunnerProcess, Warm
from tests.notebook.making import printed, read_cells, write_notebook
from tests.waiting import until

__all__ = ["Hearth", "Started"]


class Started:
    """A run, and the runner that has it."""

    def __init__(self, runtime: Runtime, run_id: str, process: RunnerProcess, executed: Path) -> None:
        self._runtime = runtime
        self.run_id = run_id
        self.process = process
        self.executed = executed

    @property
    def run(self) -> Run:
        return self._runtime.store.get_run(self.run_id)

    @property
    def log(self) -> str:
        """What the runner has printed."""
        return (self.executed.parent / "runner.log").read_text()

    def printed(self, seconds: float = 60) -> list[str]:
        """Return what each cell printed once the run has ended well."""
        code = self.process.wait(seconds)
        assert (code, self.run.state.name) == (0, "Completed"), (self.run.state, self.log)
        return [printed(cell) for cell in read_cells(self.executed)]


class Hearth:
    """Runs notebooks in ``folder`` by the runners of ``warm``."""

    def __init__(self, runtime: Runtime, warm: Warm, folder: Path) -> None:
        self._runtime = runtime
        self.warm = warm
        self.folder = folder

    def start(self, *cells: str, kernel: str | None = None, wanted: str | None = None) -> Started:
        """Start a notebook; ``kernel`` is what it asks for, ``wanted`` what the runner is told to have ready."""
        spec = {"kernelspec": {"name": kernel or "python3", "display_name": "some"}}
        path = write_notebook(self.folder / "n.ipynb", *cells, metadata=spec)
        run_id, settings = new_id(), self._runtime.settings
        laid = lay_out(settings, read_notebook(path), {}, settings.runs / run_id)
        journal, now = self._runtime.journal, time.time()
        told = '{"executed": "' + str(laid.executed) + '"}'
        journal.append(RunCreated(run_id, now, "flow", "test", "n", None, None, run_id, None, "{}", source=told))
        journal.append(StateChanged(run_id, now, 1, "PENDING", "Pending"))
        journal.flush()
        job: dict[str, Any] = {
            "run_id": run_id,
            "executed": str(laid.executed),
            "folder": str(self.folder),
            "notebook": str(path),
            "lifeline": False,
            "plan": Plan().to_json(),
        }
        log = laid.executed.parent / "runner.log"
        return Started(self._runtime, run_id, self.warm.start(job, log=log, kernel=wanted), laid.executed)

    def ready(self, count: int = 1) -> None:
        """Wait until there are spares."""
        until(lambda: self.warm.ready >= count, "a spare", 60)
