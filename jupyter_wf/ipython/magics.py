"""``%%task`` and ``%%flow``."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython's own functions have no types)
from __future__ import annotations

from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand

from jupyter_wf.core.errors import CellLineError, ParameterError
from jupyter_wf.ipython.session import Session
from jupyter_wf.ipython.work import Options
from jupyter_wf.notebook.cell_options import CellOptions, options_help, parse_cell_options
from jupyter_wf.notebook.heads import split_head

__all__ = ["WorkflowMagics"]


@magics_class
class WorkflowMagics(Magics):
    """The magics of a `Session`."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @cell_magic
    def task(self, line: str, cell: str) -> Any:
        """Run the cell as a task, or define a task that can be called.

        ``%%task load`` runs the cell's body. What it reads comes from the notebook; what it assigns goes back there
        only if it succeeds, but for names that begin with an underscore. ``%%task clean(frame, limit=3) -> out``
        defines a task that returns ``out``, or the value of the last expression.
        """
        return self._run("task", line, cell)

    @no_var_expand
    @cell_magic
    def flow(self, line: str, cell: str) -> Any:
        """Run the cell as a flow, or define a flow that can be called.

        Tasks that the body calls or submits become the flow's children. Otherwise as ``%%task``.
        """
        return self._run("flow", line, cell)

    task.__doc__ = f"{task.__doc__}\n{options_help('task')}"
    flow.__doc__ = f"{flow.__doc__}\n{options_help('flow')}"

    def _run(self, kind: str, line: str, cell: str) -> Any:
        silent = DisplayHook.semicolon_at_end_of_expression(cell)
        try:
            options = parse_cell_options(kind, split_head(kind, line))
            return self._session.run_cell(kind, line, cell, _common(kind, options), silent=silent)
        except (CellLineError, ParameterError) as error:
            raise UsageError(str(error)) from None


def _common(kind: str, options: CellOptions) -> Options:
    """Return the options that flows and tasks with parameters have, as their classes take them."""
    common: Options = {
        "retries": options.retries,
        "retry_delay_seconds": options.retry_delay_seconds,
        "timeout_seconds": options.timeout_seconds,
        "log_prints": options.log_prints,
    }
    return {**common, "tags": options.tags} if kind == "task" else common
