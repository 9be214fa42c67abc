"""jupyter_wf: a workflow orchestrator that lives in Jupyter.

``from jupyter_wf import flow, task`` is all that a Python file needs; ``%load_ext jupyter_wf`` brings the cell magics.
Names are handed out lazily, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jupyter_wf._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_wf import runtime as runtime
    from jupyter_wf import variables as variables
    from jupyter_wf.annotations import allow_failure as allow_failure
    from jupyter_wf.annotations import quote as quote
    from jupyter_wf.annotations import unmapped as unmapped
    from jupyter_wf.checkpoints import checkpoint as checkpoint
    from jupyter_wf.context import tags as tags
    from jupyter_wf.control import skip as skip
    from jupyter_wf.control import stop_flow as stop_flow
    from jupyter_wf.flow_runs import pause_flow_run as pause_flow_run
    from jupyter_wf.flow_runs import resume_flow_run as resume_flow_run
    from jupyter_wf.flow_runs import suspend_flow_run as suspend_flow_run
    from jupyter_wf.flow_runs import wait_for_flow_run as wait_for_flow_run
    from jupyter_wf.flows import Flow as Flow
    from jupyter_wf.flows import flow as flow
    from jupyter_wf.futures import as_completed as as_completed
    from jupyter_wf.futures import wait as wait
    from jupyter_wf.logging import get_run_logger as get_run_logger
    from jupyter_wf.notebooks import run_notebook as run_notebook
    from jupyter_wf.notebooks import wf_return as wf_return
    from jupyter_wf.states import State as State
    from jupyter_wf.tasks import Task as Task
    from jupyter_wf.tasks import task as task
    from jupyter_wf.transactions import Transaction as Transaction
    from jupyter_wf.transactions import transaction as transaction

#: The module of each name; a name without one is a module itself.
_HOMES = {
    "Flow": "flows",
    "State": "states",
    "Task": "tasks",
    "Transaction": "transactions",
    "allow_failure": "annotations",
    "as_completed": "futures",
    "checkpoint": "checkpoints",
    "flow": "flows",
    "get_run_logger": "logging",
    "pause_flow_run": "flow_runs",
    "quote": "annotations",
    "resume_flow_run": "flow_runs",
    "run_notebook": "notebooks",
    "runtime": "",
    "skip": "control",
    "stop_flow": "control",
    "suspend_flow_run": "flow_runs",
    "tags": "context",
    "task": "tasks",
    "transaction": "transactions",
    "unmapped": "annotations",
    "variables": "",
    "wait": "futures",
    "wait_for_flow_run": "flow_runs",
    "wf_return": "notebooks",
}

__all__ = [
    "Flow",
    "State",
    "Task",
    "Transaction",
    "__version__",
    "allow_failure",
    "as_completed",
    "checkpoint",
    "flow",
    "get_run_logger",
    "pause_flow_run",
    "quote",
    "resume_flow_run",
    "run_notebook",
    "runtime",
    "skip",
    "stop_flow",
    "suspend_flow_run",
    "tags",
    "task",
    "transaction",
    "unmapped",
    "variables",
    "wait",
    "wait_for_flow_run",
    "wf_return",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'jupyter_wf' has no attribute {name!r}")
    value = getattr(import_module(f"jupyter_wf.{home}"), name) if home else import_module(f"jupyter_wf.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell jupyter_server which application to load."""
    from jupyter_wf.server.app import WorkflowsApp

    return [{"module": "jupyter_wf.server.app", "app": WorkflowsApp}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab where the built front end is."""
    return [{"src": "labextension", "dest": "jupyter-wf"}]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Register the cell magics: ``%load_ext jupyter_wf``."""
    from jupyter_wf.ipython import load_ipython_extension as load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take the cell magics away again: ``%unload_ext jupyter_wf``."""
    from jupyter_wf.ipython import unload_ipython_extension as unload

    unload(ipython)
