"""Shells for the tests: a plain one in this process, and real kernels."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from traitlets.config import Config

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import current_runtime


class Shell:
    """A plain IPython shell with the extension loaded; `run` gives a cell's outcome."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        # The one of the process: IPython asks it how to name a cell in a traceback.
        self.shell = InteractiveShell.instance(config=config)
        self.shell.run_line_magic("load_ext", "jupyter_wf")

    @property
    def namespace(self) -> dict[str, Any]:
        return self.shell.user_ns

    def run(self, cell: str) -> ExecutionResult:
        return self.shell.run_cell(cell, store_history=True)

    def ok(self, cell: str) -> Any:
        """Run a cell that must succeed; return its displayed value."""
        result = self.run(cell)
        result.raise_error()
        return result.result

    def runs(self) -> list[Run]:
        """Every run so far, oldest first."""
        runtime = current_runtime()
        runtime.journal.flush()
        return list(runtime.store.list_runs(RunFilter(oldest_first=True), limit=1000).items)

    def states(self) -> list[tuple[str, str, str]]:
        return [(run.kind, run.name, run.state.name) for run in self.runs()]


@pytest.fixture
def ip() -> Iterator[Shell]:
    made = Shell()
    yield made
    made.shell.run_line_magic("unload_ext", "jupyter_wf")
    current_runtime().close()
    atexit.unregister(made.shell.atexit_operations)
    made.shell.atexit_operations()
    # The process has its own `__main__` back: new processes are told of it.
    made.shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


@pytest.fixture
def published(ip: Shell) -> CapturingDisplayPublisher:
    """What the shell publishes, instead of printing it."""
    ip.shell.display_pub = CapturingDisplayPublisher(parent=ip.shell)
    return ip.shell.display_pub
