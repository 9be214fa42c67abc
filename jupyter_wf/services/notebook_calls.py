"""A notebook as a part of other work: started below the run that calls it, waited for, and stopped with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import RunFinished
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.notebook_errors import NotebookFailed
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.context import ambient_parent
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.source import NotebookSource, read_notebook
from jupyter_wf.services.launcher import Launched, start_notebook
from jupyter_wf.services.notebook_runs import resume_notebook

__all__ = ["call_notebook"]

#: How long (seconds) a notebook run may take to stop by itself; then its runner is told to hurry.
_GRACE = 20.0
_HURRY = 10.0
#: Between two looks; each is a moment in which the caller can be interrupted.
_INTERVAL = 0.1


def call_notebook(runtime: Runtime, caller: LiveRun | None, path: Path, parameters: Mapping[str, Any]) -> Run:
    """Run the notebook at ``path`` below the run that calls it, and return its run when it has COMPLETED.

    A later attempt of ``caller`` goes on with the notebook's run that the attempt before has left. When the calling
    thread is interrupted, the notebook's run is cancelled. Raises `NotebookFailed`, and what `start_notebook` raises.
    """
    # The caller must be known before anything is below it.
    runtime.journal.flush()
    parent = _parent(caller)
    notebook = read_notebook(path)
    earlier = _left(runtime, parent, notebook.path) if parent is not None else None
    if earlier is not None and earlier.state.is_completed():
        if _is_same(earlier, notebook, parameters):
            return earlier
        earlier = None
    if earlier is None:
        launched = start_notebook(
            runtime.store,
            runtime.settings,
            notebook.path,
            parameters=dict(parameters),
            source={"notebook": str(path)},
            process=runtime.process,
            foreground=True,
            parent=parent,
            notebook=notebook,
        )
    else:
        launched = resume_notebook(
            runtime.store,
            runtime.settings,
            earlier,
            process=runtime.process,
            parameters=parameters,
            foreground=True,
        )
    _attend(runtime, launched)
    run = runtime.store.get_run(launched.run.id)
    if not run.state.is_completed():
        raise _failure(runtime, run)
    return run


def _parent(caller: LiveRun | None) -> tuple[str, str] | None:
    if caller is not None:
        return caller.id, caller.root_id
    ambient = ambient_parent()
    return None if ambient is None else (ambient.run_id, ambient.root_id)


def _left(runtime: Runtime, parent: tuple[str, str], path: Path) -> Run | None:
    """Return the ended run of the same notebook that an earlier attempt of the caller has left."""
    above = runtime.store.get_run(parent[0])
    if above.kind != "task" or above.attempt == 1:
        return None
    page = runtime.store.list_runs(RunFilter(kinds=("flow",), parent_id=above.id))
    found = next((run for run in page.items if run.source.get("path") == str(path)), None)
    until = time.monotonic() + _GRACE
    pause = threading.Event()
    # What the attempt before has cancelled may still be about to stop.
    while found is not None and not found.state.is_closed() and time.monotonic() < until:
        pause.wait(_INTERVAL)
        found = runtime.store.get_run(found.id)
    return found


def _is_same(run: Run, notebook: NotebookSource, parameters: Mapping[str, Any]) -> bool:
    """Whether a run is that of a notebook as it is now, with these parameters."""
    arguments = notebook_arguments(notebook)
    wanted = {**arguments.defaults(), **arguments.bind(dict(parameters))}
    return run.source.get("digest") == notebook.digest and json.loads(to_json(wanted)) == dict(run.parameters)


def _attend(runtime: Runtime, launched: Launched) -> None:
    """Wait for the end of a run; when the caller is to stop, have it stopped too."""
    assert launched.process.stdin is not None
    try:
        with runtime.waiting():
            while not launched.wait(_INTERVAL):
                pass
    except BaseException:
        with suppress(RunFinished):
            runtime.store.request(launched.run.id, "cancel")
        launched.wait(_GRACE)
        raise
    finally:
        # Without its lifeline, one that still runs ends at once.
        with suppress(OSError):
            launched.process.stdin.close()
        launched.wait(_HURRY)


def _failure(runtime: Runtime, run: Run) -> NotebookFailed:
    below = RunFilter(parent_id=run.id, states=(StateType.FAILED.value, StateType.CRASHED.value), oldest_first=True)
    cells = [each.source.get("cell") for each in runtime.store.list_runs(below).items]
    first = next((cell for cell in cells if isinstance(cell, int)), None)
    return NotebookFailed(
        str(run.source.get("notebook")),
        run.id,
        run.state.name,
        run.state.message or (run.error.message if run.error else "it says nothing of why"),
        executed=str(run.source.get("executed")),
        cell=None if first is None else first + 1,
        traceback=run.error.traceback if run.error else "",
    )
