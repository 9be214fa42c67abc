"""A desk at which notebooks are run, resumed and run again, each in a runner process and a kernel of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services.launcher import Launched, start_notebook
from jupyter_wf.services.notebook_runs import rerun_notebook, resume_notebook
from tests.notebook.making import printed, read_cells, write_notebook

__all__ = ["FAILS", "LOAD", "Desk", "shown"]

#: A cell that fails until `Desk.mend`.
FAILS = "from pathlib import Path\nassert Path('mended').exists()"
LOAD = "%load_ext jupyter_wf"


class Desk:
    """Starts and resumes the notebook ``n.ipynb`` and looks at what became of it."""

    def __init__(self, runtime: Runtime, folder: Path) -> None:
        self.runtime = runtime
        self.folder = folder
        self.path = folder / "n.ipynb"

    def write(self, *cells: str | dict[str, Any]) -> None:
        write_notebook(self.path, *cells)

    def start(self, **parameters: Any) -> Run:
        """Run the notebook to its end."""
        runtime = self.runtime
        launched = start_notebook(
            runtime.store, runtime.settings, self.path, parameters=parameters, source={}, process=runtime.process
        )
        return self.ended(launched)

    def resume(self, run: Run, **options: Any) -> Run:
        """Resume a run, and return it at its end."""
        return self.ended(self.begin(run, **options))

    def begin(self, run: Run, **options: Any) -> Launched:
        runtime = self.runtime
        return resume_notebook(runtime.store, runtime.settings, run, process=runtime.process, **options)

    def rerun(self, run: Run, **options: Any) -> Run:
        runtime = self.runtime
        return self.ended(rerun_notebook(runtime.store, runtime.settings, run, process=runtime.process, **options))

    def ended(self, launched: Launched) -> Run:
        assert launched.wait(60)
        return self.runtime.store.get_run(launched.run.id)

    def children(self, run: Run) -> list[Run]:
        return list(self.runtime.store.list_runs(RunFilter(parent_id=run.id, oldest_first=True)).items)

    def story(self, run: Run) -> dict[str, tuple[int, str]]:
        """The attempt and the state of each child, by name."""
        return {child.name: (child.attempt, child.state.name) for child in self.children(run)}

    def logged(self, run: Run) -> str:
        return "\n".join(line.message for line in self.runtime.store.logs(run.id))

    def mend(self) -> None:
        (self.folder / "mended").touch()


def shown(run: Run, cell: int) -> str:
    return printed(read_cells(run.source["executed"])[cell])
