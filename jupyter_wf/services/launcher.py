"""Starts a notebook run: the snapshot, the run's record, and a runner process that takes it from there."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import JupyterWfError, MissingResult, RunFinished
from jupyter_wf.core.events import ResultStored, RunCreated, StateChanged
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.models import Run
from jupyter_wf.core.parameters import is_secret, to_json
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.notebook.orphans import end_orphans
from jupyter_wf.notebook.parameters import inject, notebook_arguments
from jupyter_wf.notebook.plan import Plan
from jupyter_wf.notebook.snapshots import keep_snapshot
from jupyter_wf.notebook.source import NotebookSource, read_notebook, write_atomically
from jupyter_wf.notebook.steps import steps
from jupyter_wf.services.runners import last_words, private_folder, start_runner
from jupyter_wf.store.base import Store
from jupyter_wf.store.blobs import Blobs

__all__ = [
    "ARGUMENTS_KEY",
    "Laid",
    "Launched",
    "kept_arguments",
    "launch_notebook",
    "lay_out",
    "set_off",
    "start_notebook",
]

#: Under this and the run's id stand the parameters that were given for it, but for secrets.
ARGUMENTS_KEY = "arguments/"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A notebook run that was started.

    ``run`` is its record at that moment; ``process`` the runner; ``executed`` the copy of the notebook that it
    executes; ``log`` the file with what the runner itself prints. In the foreground ``process.stdin`` is the lifeline:
    when it is closed, by will or because this process died, the runner stops.
    """

    run: Run
    process: subprocess.Popen[bytes]
    executed: Path
    log: Path
    ended: threading.Event

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the runner has ended and its end is recorded, at most ``seconds``; return whether that is so."""
        # Not for the thread that sets it: Python 3.11 takes a thread for ended when joining it was interrupted.
        return self.ended.wait(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A notebook, laid out to be executed.

    ``executed`` is the copy with the parameters in it; ``given`` are those that somebody gave, ``parameters`` those and
    the defaults, both JSON values; ``expected`` is how many cells there are to execute.
    """

    notebook: NotebookSource
    executed: Path
    given: dict[str, Any]
    parameters: dict[str, Any] = field(repr=False)
    expected: int

    def told(self) -> dict[str, Any]:
        """Return what a run's ``source`` says of it."""
        return {
            "path": str(self.notebook.path),
            "digest": self.notebook.digest,
            "executed": str(self.executed),
            "given": sorted(self.given),
        }


def launch_notebook(
    store: Store,
    settings: Settings,
    path: Path,
    *,
    parameters: dict[str, Any],
    source: dict[str, Any],
    process: ProcessInfo,
    foreground: bool = False,
) -> Run:
    """Start the notebook at ``path`` in a runner process and return its run, which is PENDING.

    See `start_notebook`, which also returns the process.
    """
    return start_notebook(
        store, settings, path, parameters=parameters, source=source, process=process, foreground=foreground
    ).run


def start_notebook(
    store: Store,
    settings: Settings,
    path: Path,
    *,
    parameters: dict[str, Any],
    source: dict[str, Any],
    process: ProcessInfo,
    foreground: bool = False,
    plan: Plan | None = None,
    parent: tuple[str, str] | None = None,
    notebook: NotebookSource | None = None,
) -> Launched:
    """Start the notebook at ``path`` in a runner process of its own.

    ``parameters`` are JSON values by name; ``source`` is added to what the run's record says about where it comes
    from; ``process`` is the caller, who must not end before the runner has claimed the run if nobody is to wonder why
    it didn't. In the ``foreground`` the run ends when the caller does; otherwise it outlives the caller. ``plan`` says
    what may be restored from another run; ``parent`` are the ids of the run that this one is part of, and of that
    one's root; ``notebook`` is what is run instead of what the file holds now.

    Raises `TargetError` for what is no notebook, `ParameterError` for a wrong parameter, `StoreError`, and `OSError`
    where the run's folder can't be written; then there is no run.
    """
    notebook = notebook or read_notebook(path)
    run_id = new_id()
    folder = settings.runs / run_id
    laid = lay_out(settings, notebook, parameters, folder)
    told = {"notebook": str(path), **laid.told(), "folder": str(folder), **source}
    run = _record(store, settings, run_id, laid, told, process, parent)
    private = private_folder()
    job = {
        "run_id": run_id,
        "private": str(private),
        "executed": str(laid.executed),
        "folder": str(notebook.path.parent),
        "notebook": str(told["notebook"]),
        "lifeline": foreground,
        "plan": (plan or Plan()).to_json(),
    }
    try:
        return set_off(store, settings, run, laid, job, process)
    except OSError as error:
        _crash(store, run_id, process, f"the runner can't be started: {error}")
        raise


def set_off(
    store: Store, settings: Settings, run: Run, laid: Laid, job: Mapping[str, Any], process: ProcessInfo
) -> Launched:
    """Start a runner with its job and have its end watched. Raises `OSError`."""
    log, private = laid.executed.parent / "runner.log", Path(job["private"])
    try:
        runner = start_runner(settings, job, folder=laid.executed.parent, log=log)
    except OSError:
        shutil.rmtree(private, ignore_errors=True)
        raise
    launched = Launched(run=run, process=runner, executed=laid.executed, log=log, ended=threading.Event())
    name = f"jupyter-wf-runner-{run.id[:8]}"
    threading.Thread(target=_watch, args=(store, process, launched, private), name=name, daemon=True).start()
    return launched


def lay_out(
    settings: Settings,
    notebook: NotebookSource,
    parameters: Mapping[str, Any],
    folder: Path,
    *,
    texts: Mapping[str, str] | None = None,
    kernel: str | None = None,
    is_made: bool = False,
) -> Laid:
    """Make ``folder``, which must not exist yet unless it ``is_made``, with the copy of the notebook to be executed.

    ``parameters`` are JSON values by name, ``texts`` more of them as people type them; ``kernel`` is the name of the
    kernelspec, where it is not to be the notebook's own. The notebook as it is now is kept too. Raises
    `ParameterError`, `TargetError`, and `OSError` where the folder can't be made.
    """
    arguments = notebook_arguments(notebook)
    bound = arguments.bind(dict(parameters), dict(texts or {}))
    content = inject(notebook, arguments, bound)
    if kernel is not None:
        content["metadata"]["kernelspec"] = {"name": kernel, "display_name": kernel}
    keep_snapshot(settings, notebook)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=is_made)
    executed = folder / f"{notebook.path.stem}.ipynb"
    write_atomically(executed, json.dumps(content, indent=1))
    return Laid(
        notebook=notebook,
        executed=executed,
        given=bound,
        parameters={**arguments.defaults(), **bound},
        expected=len(steps(content["cells"])),
    )


def kept_arguments(settings: Settings, run_id: str, given: Mapping[str, Any], at: float) -> ResultStored:
    """Return what is stored of the parameters that were given for a run: its record shows them shortened and masked."""
    blobs = Blobs(settings.results)
    told = {name: value for name, value in given.items() if not is_secret(name) and _is_storable(blobs, value)}
    # As JSON and as nothing else: a server reads it.
    return ResultStored(run_id, at, ARGUMENTS_KEY + run_id, None, *blobs.keep(told, "json"))


def _is_storable(blobs: Blobs, value: Any) -> bool:
    try:
        blobs.keep(value, "json")
    except MissingResult:
        return False
    return True


def _record(
    store: Store,
    settings: Settings,
    run_id: str,
    laid: Laid,
    source: Mapping[str, Any],
    process: ProcessInfo,
    parent: Sequence[str] | None,
) -> Run:
    """Write the run down, PENDING and owned by nobody yet."""
    store.register(process)
    journal = store.journal()
    now = time.time()
    parent_id, root_id = parent or (None, run_id)
    journal.append(kept_arguments(settings, run_id, laid.given, now))
    journal.append(
        RunCreated(
            run_id,
            now,
            "flow",
            run_name(),
            laid.notebook.path.stem,
            None,
            parent_id,
            root_id,
            None,
            parameters=to_json(laid.parameters),
            source=json.dumps(source),
            expected=laid.expected,
        )
    )
    journal.append(StateChanged(run_id, now, 1, StateType.PENDING.value, "Pending"))
    journal.flush()
    return store.get_run(run_id)


def _watch(store: Store, process: ProcessInfo, launched: Launched, private: Path) -> None:
    """Wait for the runner's end; see to it that neither its run stays open then nor its folder is left behind."""
    code, run_id = launched.process.wait(), launched.run.id
    # The system has killed the kernel with its runner, but not what the kernel had started.
    end_orphans(private)
    shutil.rmtree(private, ignore_errors=True)
    try:
        if not store.get_run(run_id).state.is_closed():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            said = last_words(launched.log)
            told = f"it said:\n{said}" if said else f"its log {launched.log} is empty"
            _crash(store, run_id, process, f"the runner ended before it took the run ({how}); {told}")
        store.reap(time.time())
    except (JupyterWfError, RuntimeError) as error:
        _log.warning("the end of the runner of run %s could not be recorded: %s", run_id, error)
    finally:
        launched.ended.set()


def _crash(store: Store, run_id: str, process: ProcessInfo, message: str) -> None:
    """Make a run CRASHED that nobody has claimed; one that was claimed is left to the reaper."""
    try:
        run = store.claim(run_id, process.id)
    except RunFinished:
        return
    journal = store.journal()
    journal.append(StateChanged(run_id, time.time(), run.attempt, StateType.CRASHED.value, "Crashed", message))
    journal.flush()
