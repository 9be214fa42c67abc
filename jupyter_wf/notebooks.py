"""Notebooks as parts of flows: calling one as a task, and what one returns to its caller."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePath
from typing import Any, TypeVar

from jupyter_wf.core.settings import PARENT_VARIABLE
from jupyter_wf.core.states import State
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.returned import store_return
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.store.blobs import Payload
from jupyter_wf.tasks import task

__all__ = ["NotebookRun", "run_notebook", "wf_return"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookRun:
    """A notebook's run that has completed.

    ``id`` and ``name`` are the run's, ``path`` is where the notebook lies, ``executed`` the copy with its outputs (both
    absolute).
    """

    id: str
    name: str
    state: State
    path: str
    executed: str

    def result(self) -> Any:
        """Return what the notebook has returned by `wf_return` or ``%%task … --return NAME``; None where nothing.

        Raises `MissingResult` where the value can't be read here (its file is gone, its class can't be imported).
        """
        host = current_runtime()
        kept = host.store.run_result(self.id)
        return None if kept is None else host.blobs.load(Payload(kept.format, kept.data))


@task(name="run_notebook", task_run_name="{path}")
def run_notebook(path: str | os.PathLike[str], /, **params: Any) -> NotebookRun:
    """Run a notebook in a kernel of its own, and return its run when it has completed.

    It is a task: ``run_notebook.submit(…)`` runs several at the same time, and ``run_notebook.with_options(retries=2)``
    tries again, each time from what has failed: task cells that had completed are restored. In a flow the notebook's
    run is part of the flow's, and is cancelled with it; a next attempt of the flow goes on with it.

    A relative ``path`` is looked for from the current folder (a notebook's kernel works in the notebook's), then from
    the folder of the file of the flow that calls it. ``params`` are values for what the notebook's cell tagged
    ``parameters`` declares: JSON values, dates and paths. Those named ``wait_for`` and ``return_state`` are every
    task's own.

    Raises `NotebookFailed` with the cell and the traceback when the notebook does not complete, `TargetError` where
    there is no such notebook, `ParameterError` for a parameter that does not fit.
    """
    caller = current_run()
    # A notebook that only returns something starts none.
    from jupyter_wf.services.notebook_calls import call_notebook

    run = call_notebook(
        current_runtime(), caller, _found(Path(path), caller), {n: _plain(value) for n, value in params.items()}
    )
    source: Mapping[str, Any] = run.source
    return NotebookRun(
        id=run.id, name=run.name, state=run.state, path=str(source["path"]), executed=str(source["executed"])
    )


def wf_return(value: T) -> T:
    """Make ``value`` the result of the notebook's run; return it, so that a cell which ends with this shows it.

    The run completes with it when the last cell has ended; a later call replaces it. In a kernel that no run has
    started, the value is only returned. Raises `MissingResult` where it can't be stored.
    """
    run_id = os.environ.get(PARENT_VARIABLE)
    if run_id:
        store_return(current_runtime(), run_id, value)
    return value


def _found(path: Path, caller: LiveRun | None) -> Path:
    """Return where a notebook lies; a path that leads nowhere as it is."""
    here = Path(os.path.abspath(path))
    flow = None if caller is None else caller.flow_run
    if here.exists() or flow is None:
        return here
    code = getattr(getattr(flow.callee, "fn", None), "__code__", None)
    beside = None if code is None else Path(os.path.abspath(code.co_filename)).parent / path
    return beside if beside is not None and beside.exists() else here


def _plain(value: Any) -> Any:
    """Return a value in the form in which parameters are handed over: dates and paths are texts there."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
