"""Going on with notebook runs: the next attempt of one that did not complete, and new runs that restore from old ones.

Nothing is changed until the runner has started: it is the runner that takes the run over, in one transaction, so that
of several who ask at the same time one gets it, and one that can't start leaves the run as it was.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import InvalidRequest, ParameterError, RunFinished, RunnerError, TargetError
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.parameters import exact_json, is_secret, to_json
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.dataflow import Dataflow, notebook_cells, read_dataflow
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.plan import Plan
from jupyter_wf.notebook.snapshots import read_snapshot
from jupyter_wf.notebook.source import NotebookSource, read_notebook
from jupyter_wf.services.launcher import (
    ARGUMENTS_KEY,
    Laid,
    Launched,
    kept_arguments,
    lay_out,
    set_off,
    start_notebook,
)
from jupyter_wf.services.results import plain_json
from jupyter_wf.services.runners import last_words, private_folder
from jupyter_wf.store.base import Store
from jupyter_wf.store.blobs import Blobs

__all__ = ["prepare_next", "rerun_notebook", "resume_notebook"]

#: Seconds that a runner may take to begin with the next attempt.
_PATIENCE = 60.0
_INTERVAL = 0.02
_MOST_CHILDREN = 1_000
_MOST_ATTEMPTS = 10_000


def resume_notebook(
    store: Store,
    settings: Settings,
    run: Run,
    *,
    process: ProcessInfo,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    repair: bool = False,
    foreground: bool = False,
) -> Launched:
    """Begin the next attempt of a notebook run that ended without having completed; return when it has begun.

    The notebook's file is used as it is now, where it is gone the snapshot of the attempt before. The parameters are
    those of the run, but for ``parameters`` (JSON values) and ``texts`` (as people type them). Task cells that had
    completed are restored where their source and inputs are the same; with ``repair`` whatever has changed, but for
    those that failed and what depends on them. ``process`` is the caller; for ``foreground`` see `start_notebook`.

    Raises `TargetError` for what is no notebook run, and where the notebook can't be read; `RunFinished` for a run
    that COMPLETED or that a process has; `ParameterError`; `RunnerError` where the runner can't start; `OSError`. The
    run is then as it was.
    """
    _refuse(store, run)
    notebook, lines = _notebook_of(settings, run)
    given, dropped = _given(store, settings, run, notebook, parameters or {}, texts or {})
    laid = _lay_out_next(settings, run, notebook, given, texts or {})
    private = private_folder()
    try:
        plan, told = prepare_next(store, run, laid, repair=repair)
        job = {
            **_job(run, laid, private, foreground, plan),
            "next_attempt": {
                "source": laid.told(),
                "parameters": to_json(laid.parameters),
                "expected": laid.expected,
                "log": [*lines, *dropped, told],
            },
        }
        store.register(process)
        launched = set_off(store, settings, run, laid, job, process)
    except BaseException:
        shutil.rmtree(private, ignore_errors=True)
        shutil.rmtree(laid.executed.parent, ignore_errors=True)
        raise
    taken = _when_taken(store, run, launched)
    journal = store.journal()
    journal.append(kept_arguments(settings, run.id, laid.given, time.time()))
    journal.flush()
    return replace(launched, run=taken)


def prepare_next(store: Store, run: Run, laid: Laid, *, repair: bool = False) -> tuple[Plan, str]:
    """Return what the next attempt of a notebook run, laid out already, may restore; and a line about it for the log.

    ``repair`` is as for `resume_notebook`.
    """
    flow = _dataflow(laid.notebook)
    unfinished = _unfinished(store, run, flow)
    plan = Plan(
        mode="repair" if repair else "resume",
        from_run=run.id,
        again=_and_below(flow, unfinished) if repair else None,
        executed=_executed_before(run, laid.executed),
    )
    return plan, _told(plan, unfinished)


def rerun_notebook(
    store: Store,
    settings: Settings,
    run: Run,
    *,
    process: ProcessInfo,
    parameters: Mapping[str, Any] | None = None,
    texts: Mapping[str, str] | None = None,
    from_task: str | None = None,
    source: Mapping[str, Any] | None = None,
    foreground: bool = False,
) -> Launched:
    """Start a new run of the notebook of ``run``, with its parameters but for those that are given.

    With ``from_task`` only that task cell and what depends on it must run: the others are restored from ``run`` where
    their source and inputs are the same. ``source`` is added to what the new run's record says about where it comes
    from. The other arguments, and what is raised, are as for `resume_notebook`; `InvalidRequest` for a task that the
    notebook does not have.
    """
    _refuse_stranger(run)
    notebook, _ = _notebook_of(settings, run)
    given, _ = _given(store, settings, run, notebook, parameters or {}, texts or {})
    bound = notebook_arguments(notebook).bind(given, dict(texts or {}))
    plan = Plan()
    if from_task is not None:
        flow = _dataflow(notebook)
        if flow.task(from_task) is None:
            known = ", ".join(task.name for task in flow.tasks) or "none"
            raise InvalidRequest("from", from_task, f"the notebook has no task of this name; it has {known}")
        again = (from_task, *flow.downstream(from_task))
        plan = Plan(mode="rerun", from_run=run.id, again=again, executed=_executed_before(run, None))
    return start_notebook(
        store,
        settings,
        Path(str(run.source.get("notebook", notebook.path))),
        parameters=bound,
        source={"rerun_of": run.id, **(source or {})},
        process=process,
        foreground=foreground,
        plan=plan,
        notebook=notebook,
    )


def _refuse(store: Store, run: Run) -> None:
    """Raise what `resume_notebook` raises for runs of which there can be no next attempt."""
    _refuse_stranger(run)
    if run.state.is_completed():
        raise RunFinished(run.id, run.state.name, "resumed: it is done; 'jupyter wf rerun' runs it again")
    if not run.state.is_closed():
        raise RunFinished(run.id, run.state.name, "resumed: it has not ended; cancel it first")
    if run.parent_id is not None and (above := store.get_run(run.parent_id)).state.is_closed():
        told = f"resumed alone: run {above.id}, which called it, is {above.state.name}; resume that one"
        raise RunFinished(run.id, run.state.name, told)


def _refuse_stranger(run: Run) -> None:
    if not run.is_notebook:
        what = f"is a run of the {run.kind} {run.task_name or run.flow_name or run.name!r}"
        raise TargetError(run.id, f"{what}, not of a notebook that was run as a workflow")


def _notebook_of(settings: Settings, run: Run) -> tuple[NotebookSource, list[str]]:
    """Return the notebook as it is now, or as it was; with a line for the log where that is not the file."""
    path = Path(str(run.source["path"]))
    if path.exists():
        return read_notebook(path), []
    notebook = read_snapshot(settings, str(run.source.get("digest", "")), path)
    return notebook, [f"the notebook {path} is gone: the snapshot of the attempt before is used"]


def _given(
    store: Store,
    settings: Settings,
    run: Run,
    notebook: NotebookSource,
    parameters: Mapping[str, Any],
    texts: Mapping[str, str],
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters that were given for a run, changed; with a line for those that there are not any more."""
    names = run.source.get("given")
    stored = store.find_result(ARGUMENTS_KEY + run.id, time.time())
    kept: Any = plain_json(Blobs(settings.results), stored)
    if not isinstance(names, list) or not isinstance(kept, dict):
        # A run of an older release: its record is all there is.
        kept = dict(run.parameters) if exact_json(run.parameters) is not None else {}
        names = list(run.parameters)
    declared = {item.name for item in notebook_arguments(notebook).items}
    lost = [name for name in names if name in declared and name not in {*kept, *parameters, *texts}]
    if lost:
        why = "is a secret, so it was not stored" if is_secret(lost[0]) else "is not known any more"
        raise ParameterError(lost[0], f"its value {why}: give it again, with -p {lost[0]}=…")
    gone = [name for name in kept if name not in declared]
    lines = [f"the notebook has no parameter {name!r} any more: its value is not used" for name in gone]
    return {**{name: value for name, value in kept.items() if name in declared}, **parameters}, lines


def _lay_out_next(
    settings: Settings, run: Run, notebook: NotebookSource, given: Mapping[str, Any], texts: Mapping[str, str]
) -> Laid:
    """Lay the notebook out in a folder of the next attempt's own, beside those of the attempts before."""
    for number in range(1, _MOST_ATTEMPTS):
        # Somebody may have asked at the same time, or not have come to an end with asking.
        mark = f"-{number}" if number > 1 else ""
        folder = settings.runs / run.id / f"attempt-{run.attempt + 1}{mark}"
        try:
            return lay_out(settings, notebook, given, folder, texts=texts)
        except FileExistsError:
            continue
    raise RunnerError(run.id, f"there are too many folders of attempts in {settings.runs / run.id}")


def _executed_before(run: Run, now: Path | None) -> tuple[str, ...]:
    """Return the executed notebooks of a run's attempts so far, the newest first."""
    told = run.source.get("executed")
    if not isinstance(told, str):
        # No attempt has come so far.
        return ()
    last = Path(told)
    top = last.parent.parent if last.parent.name.startswith("attempt-") else last.parent
    found = [path for path in (*top.glob("*.ipynb"), *top.glob("attempt-*/*.ipynb")) if path != now]
    return tuple(str(path) for path in sorted(found, key=_modified, reverse=True))


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _unfinished(store: Store, run: Run, flow: Dataflow) -> tuple[str, ...]:
    """Return the names of the task cells that have not completed."""
    done = {child.task_name or child.name for child in _children(store, run) if child.state.is_completed()}
    return tuple(task.name for task in flow.tasks if task.name not in done)


def _and_below(flow: Dataflow, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of task cells, and of all that depend on them, in the notebook's order."""
    again = set(names)
    for name in tuple(again):
        again.update(flow.downstream(name))
    return tuple(task.name for task in flow.tasks if task.name in again)


def _children(store: Store, run: Run) -> Iterable[Run]:
    where = RunFilter(kinds=("task",), parent_id=run.id)
    cursor: str | None = None
    while True:
        page = store.list_runs(where, limit=_MOST_CHILDREN, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _dataflow(notebook: NotebookSource) -> Dataflow:
    return read_dataflow(notebook_cells(notebook))


def _job(run: Run, laid: Laid, private: Path, foreground: bool, plan: Plan) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "private": str(private),
        "executed": str(laid.executed),
        "folder": str(laid.notebook.path.parent),
        "notebook": str(run.source.get("notebook", laid.notebook.path)),
        "lifeline": foreground,
        "plan": plan.to_json(),
    }


def _told(plan: Plan, unfinished: Iterable[str]) -> str:
    again = ", ".join(unfinished if plan.again is None else plan.again) or "no task cells"
    changed = "where nothing of them has changed" if plan.mode == "resume" else "whatever has changed"
    return f"to be run are {again}; other task cells are restored, {changed}"


def _when_taken(store: Store, run: Run, launched: Launched) -> Run:
    """Return the run once the runner has begun with its next attempt; raise why it has not."""
    until = time.monotonic() + _PATIENCE
    pause = threading.Event()
    mine = str(launched.executed)
    while True:
        # The order counts: one that has ended may have done all there was to do.
        ended = launched.process.poll() is not None
        now = store.get_run(run.id)
        if now.attempt > run.attempt and now.source.get("executed") == mine:
            return now
        if ended or time.monotonic() > until:
            break
        pause.wait(_INTERVAL)
    _give_up(launched.process)
    said = last_words(launched.log)
    shutil.rmtree(launched.executed.parent, ignore_errors=True)
    if now.attempt > run.attempt:
        raise RunFinished(run.id, now.state.name, "resumed: somebody else has begun its next attempt")
    why = f"it said:\n{said}" if said else "it said nothing"
    raise RunnerError(run.id, f"its runner did not begin; {why}")


def _give_up(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
