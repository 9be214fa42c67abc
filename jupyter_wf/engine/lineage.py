"""The runs that the calling code is part of, also those of another process (a headless notebook and its cells)."""

from __future__ import annotations

from collections.abc import Iterator

from jupyter_wf.core.models import Run
from jupyter_wf.engine.context import CURRENT, ambient_parent
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime

__all__ = ["Known", "above", "flow_runs", "innermost", "task_run"]

#: A run of this process, or one of another process as the store has it. Their attributes have the same names.
Known = LiveRun | Run


def innermost() -> Known | None:
    """Return the run that the calling code is directly part of, None outside any.

    In a runner's kernel that is the ambient run where this process has none of its own. Raises `RunNotFound` where the
    ambient run is not in the store, `StoreError` where that can't be read.
    """
    live = CURRENT.get()
    if live is not None:
        return live
    ambient = ambient_parent()
    return current_runtime().store.get_run(ambient.run_id) if ambient is not None else None


def above(run: Known) -> Iterator[Known]:
    """Yield the runs that ``run`` is part of, from its parent up. Only those of another process are looked up."""
    while isinstance(run, LiveRun) and run.parent is not None:
        run = run.parent
        yield run
    # Where a call is executed in another process the store is opened only for what was not sent along.
    while run.parent_id is not None:
        run = (run.runtime if isinstance(run, LiveRun) else current_runtime()).store.get_run(run.parent_id)
        yield run


def flow_runs(run: Known | None = None) -> Iterator[Known]:
    """Yield the flow runs that ``run`` (by default `innermost`) is part of or is itself, the innermost first."""
    first = innermost() if run is None else run
    if first is None:
        return
    if first.kind == "flow":
        yield first
    yield from (each for each in above(first) if each.kind == "flow")


def task_run() -> Known | None:
    """Return the innermost task run around the calling code; None outside any, and in a flow that a task calls."""
    first = innermost()
    if first is None or first.kind == "task":
        return first
    if first.kind == "cell":
        nearest = next((each for each in above(first) if each.kind != "cell"), None)
        return nearest if nearest is not None and nearest.kind == "task" else None
    return None
