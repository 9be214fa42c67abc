"""``%%task`` and ``%%flow``."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython's own functions have no types)
from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from jupyter_wf.core.errors import CellLineError, ParameterError
from jupyter_wf.ipython.session import Session
from jupyter_wf.ipython.work import Options
from jupyter_wf.notebook.heads import delays, non_negative_int, positive_seconds, split_head, tag_list

__all__ = ["WorkflowMagics"]

_Method = Callable[..., Any]


def _run_options(method: _Method) -> _Method:
    """Declare the options that tasks and flows have in common."""
    declared = (
        argument("--retries", type=non_negative_int, help="How often to try again after a failure."),
        argument(
            "--retry-delay",
            type=delays,
            metavar="SECONDS",
            help="Seconds to wait before trying again; several with commas between, one for each retry.",
        ),
        argument("--timeout", type=positive_seconds, metavar="SECONDS", help="Seconds after which an attempt fails."),
        argument(
            "--log-prints",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="Whether what is printed also goes to the run's log.",
        ),
    )
    for declare in reversed(declared):
        method = declare(method)
    return method


@magics_class
class WorkflowMagics(Magics):
    """The magics of a `Session`."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @magic_arguments("%task")
    @argument("name", metavar="NAME[(parameters) [-> out]]", help="The task's name; with parameters, a callable task.")
    @_run_options
    @argument("--tags", type=tag_list, metavar="A,B", help="Tags of the run, with commas between.")
    @cell_magic
    def task(self, line: str, cell: str) -> Any:
        """Run the cell as a task, or define a task that can be called.

        ``%%task load`` runs the cell's body. What it reads comes from the notebook; what it assigns goes back there
        only if it succeeds, but for names that begin with an underscore. ``%%task clean(frame, limit=3) -> out``
        defines a task that returns ``out``, or the value of the last expression.
        """
        args = self._parse(self.task, "task", line)
        return self._run("task", line, cell, {**_common(args), "tags": args.tags})

    @no_var_expand
    @magic_arguments("%flow")
    @argument("name", metavar="NAME[(parameters) [-> out]]", help="The flow's name; with parameters, a callable flow.")
    @_run_options
    @cell_magic
    def flow(self, line: str, cell: str) -> Any:
        """Run the cell as a flow, or define a flow that can be called.

        Tasks that the body calls or submits become the flow's children. Otherwise as ``%%task``.
        """
        args = self._parse(self.flow, "flow", line)
        return self._run("flow", line, cell, _common(args))

    def _parse(self, method: _Method, kind: str, line: str) -> argparse.Namespace:
        try:
            head = split_head(kind, line)
        except CellLineError as error:
            raise UsageError(str(error)) from None
        args: argparse.Namespace = parse_argstring(method, f"{head.name} {head.options}")
        return args

    def _run(self, kind: str, line: str, cell: str, options: Options) -> Any:
        silent = DisplayHook.semicolon_at_end_of_expression(cell)
        try:
            return self._session.run_cell(kind, line, cell, options, silent=silent)
        except (CellLineError, ParameterError) as error:
            raise UsageError(str(error)) from None


def _common(args: argparse.Namespace) -> Options:
    return {
        "retries": args.retries,
        "retry_delay_seconds": args.retry_delay,
        "timeout_seconds": args.timeout,
        "log_prints": args.log_prints,
    }
