"""Running notebooks in the test's own process, in real kernels, and looking at what became of them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.settings import PARENT_VARIABLE
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.runner import NotebookRunner, Outcome
from tests.notebook.making import read_cells, write_notebook

__all__ = ["Bench"]


class Bench:
    """Runs notebooks in this process and looks at what became of them."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.path = folder / "n.ipynb"
        self.live: Any = None
        self.private: Path | None = None

    def run(
        self,
        *cells: str | dict[str, Any],
        meanwhile: Callable[[NotebookRunner], None] | None = None,
        metadata: dict[str, Any] | None = None,
        **more: Any,
    ) -> Run:
        """Run a notebook; ``meanwhile`` is called in a thread while it runs, ``more`` goes to the runner."""
        write_notebook(self.path, *cells, metadata=metadata)
        self.live = self.runtime.begin("flow", "test", flow_name="n", source={"executed": str(self.path)})
        environ = {**os.environ, PARENT_VARIABLE: self.live.id}

        async def execute() -> Outcome:
            self.private = private = Path(tempfile.mkdtemp())
            paths: dict[str, Any] = {"executed": self.path, "folder": self.folder, "private": private}
            runner = NotebookRunner(self.live, environ=environ, **paths, **more)
            helper = asyncio.create_task(asyncio.to_thread(meanwhile, runner)) if meanwhile else None
            outcome = await runner.run()
            if helper:
                await helper
            return outcome

        outcome = asyncio.run(execute())
        assert self.private is not None and not self.private.exists()
        self.runtime.journal.flush()
        run = self.runtime.store.get_run(self.live.id)
        assert run.state.type is outcome.type
        return run

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells of the saved notebook."""
        return read_cells(self.path)

    def children(self) -> list[Run]:
        """The runs below the notebook's, in order."""
        where = RunFilter(parent_id=self.live.id, oldest_first=True)
        return list(self.runtime.store.list_runs(where).items)

    def logged(self, **kwargs: Any) -> list[tuple[str, str]]:
        """The lines that cells printed, with the names of their streams."""
        lines = self.runtime.store.logs(self.live.id, **kwargs)
        return [(line.logger, line.message) for line in lines if line.logger in ("stdout", "stderr")]
