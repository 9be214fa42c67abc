"""Runs that somebody asks for now: by an agent where there is one, which has a runner ready; else by a new runner."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from jupyter_wf.core.deployments import Policies, QueuedRun
from jupyter_wf.core.models import Run
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.snapshots import keep_snapshot
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.services.launcher import launch_notebook
from jupyter_wf.store.base import Store

__all__ = ["FIRST", "has_agent", "submit_or_launch"]

#: The priority of runs that somebody waits for.
FIRST = 100
_POOL = "default"


def has_agent(store: Store, pool: str = _POOL) -> bool:
    """Return whether an agent on this machine takes runs of the pool. Raises `StoreError`."""
    here = os.uname().nodename
    agents = store.agents.list(time.time())
    return any(each.alive and each.status == "online" and each.host == here and pool in each.pools for each in agents)


def submit_or_launch(
    store: Store,
    settings: Settings,
    path: Path,
    *,
    parameters: dict[str, Any],
    source: dict[str, Any],
    process: ProcessInfo,
) -> Run:
    """Have the notebook at ``path``, as it is now, run at once; return its run, SCHEDULED or PENDING.

    The arguments, and what is raised, are those of `launch_notebook`.
    """
    if not has_agent(store):
        return launch_notebook(store, settings, path, parameters=parameters, source=source, process=process)
    notebook = read_notebook(path)
    bound = notebook_arguments(notebook).bind(parameters, {})
    keep_snapshot(settings, notebook)
    now = time.time()
    queued = QueuedRun(
        run_id="",
        kind="notebook",
        target=str(notebook.path),
        parameters=bound,
        # As it is now, not as it may be when there is a free place.
        policies=Policies(snapshot="pinned", overlap="allow", concurrency_limit=None),
        pool=_POOL,
        priority=FIRST,
        due_at=now,
        digest=notebook.digest,
    )
    run_id = store.queue.submit(queued, flow_name=notebook.path.stem, now=now, source=source)
    return store.get_run(run_id)
