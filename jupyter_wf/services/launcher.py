"""Starts a notebook run: the snapshot, the run's record, and a runner process that takes it from there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import JupyterWfError, RunFinished
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.models import Run
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE, Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.context import ROOT_VARIABLE
from jupyter_wf.notebook.parameters import inject, notebook_arguments
from jupyter_wf.notebook.source import NotebookSource, read_notebook, write_atomically
from jupyter_wf.notebook.steps import steps
from jupyter_wf.store.base import Store

__all__ = ["PASS_VARIABLE", "Launched", "clean_environment", "launch_notebook", "start_notebook"]

#: Names of environment variables, separated by commas, that are handed on although they look like secrets.
PASS_VARIABLE = "JUPYTER_WF_PASS_ENV"
_RUNNER = "jupyter_wf.services.runner_main"
_SECRET_ENDINGS = ("_TOKEN", "_SECRET")
_LOG_TAIL = 2_000
#: Bytes of a folder's path in which sockets still fit: their paths end at 108 on Linux, at 104 elsewhere.
_LONGEST_FOLDER = 80
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
    watcher: threading.Thread

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the runner has ended and its end is recorded, at most ``seconds``; return whether that is so."""
        self.watcher.join(seconds)
        return not self.watcher.is_alive()


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without tokens and secrets (``JUPYTER_TOKEN``, ``*_TOKEN``, ``*_SECRET``).

    Those that `PASS_VARIABLE` names stay. Variables that say which run this process belongs to are left out too.
    """
    kept = {name.strip() for name in environ.get(PASS_VARIABLE, "").split(",")}
    return {
        name: value
        for name, value in environ.items()
        if (name in kept or not name.upper().endswith(_SECRET_ENDINGS)) and name not in (PARENT_VARIABLE, ROOT_VARIABLE)
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
) -> Launched:
    """Start the notebook at ``path`` in a runner process of its own.

    ``parameters`` are JSON values by name; ``source`` is added to what the run's record says about where it comes
    from; ``process`` is the caller, who must not end before the runner has claimed the run if nobody is to wonder why
    it didn't. In the ``foreground`` the run ends when the caller does; otherwise it outlives the caller.

    Raises `TargetError` for what is no notebook, `ParameterError` for a wrong parameter, `StoreError`, and `OSError`
    where the run's folder can't be written; then there is no run.
    """
    notebook = read_notebook(path)
    arguments = notebook_arguments(notebook)
    bound = arguments.bind(parameters)
    run_id = new_id()
    content = inject(notebook, arguments, bound)
    executed = _lay_out(settings.runs / run_id, notebook, content)
    folder = executed.parent
    told = {
        "notebook": str(path),
        "path": str(notebook.path),
        "digest": notebook.digest,
        "executed": str(executed),
        "folder": str(folder),
        **source,
    }
    run = _record(store, run_id, notebook, content, {**arguments.defaults(), **bound}, told, process)
    log = folder / "runner.log"
    private = Path(tempfile.mkdtemp(prefix="jwf-", dir=_short_folder()))
    job = {
        "run_id": run_id,
        "private": str(private),
        "executed": str(executed),
        "folder": str(notebook.path.parent),
        "notebook": str(told["notebook"]),
        "lifeline": foreground,
    }
    try:
        runner = _spawn(settings, folder, log)
    except OSError as error:
        shutil.rmtree(private, ignore_errors=True)
        _crash(store, run_id, process, f"the runner can't be started: {error}")
        raise
    _hand_over(runner, job, keep_open=foreground)
    watcher = threading.Thread(
        target=_watch,
        args=(store, run_id, process, runner, log, private),
        name=f"jupyter-wf-runner-{run_id[:8]}",
        daemon=True,
    )
    watcher.start()
    return Launched(run=run, process=runner, executed=executed, log=log, watcher=watcher)


def _lay_out(folder: Path, notebook: NotebookSource, content: dict[str, Any]) -> Path:
    """Make the run's folder with the copy of the notebook that will be executed; return the copy's path."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    executed = folder / f"{notebook.path.stem}.ipynb"
    write_atomically(executed, json.dumps(content, indent=1))
    return executed


def _record(
    store: Store,
    run_id: str,
    notebook: NotebookSource,
    content: dict[str, Any],
    parameters: dict[str, Any],
    source: dict[str, Any],
    process: ProcessInfo,
) -> Run:
    """Write the run down, PENDING and owned by nobody yet."""
    store.register(process)
    journal = store.journal()
    now = time.time()
    journal.append(
        RunCreated(
            run_id,
            now,
            "flow",
            run_name(),
            notebook.path.stem,
            None,
            None,
            run_id,
            None,
            parameters=to_json(parameters),
            source=json.dumps(source),
            expected=len(steps(content["cells"])),
        )
    )
    journal.append(StateChanged(run_id, now, 1, StateType.PENDING.value, "Pending"))
    journal.flush()
    return store.get_run(run_id)


def _short_folder() -> str | None:
    """Return a folder for sockets, short enough for their paths: the system's own choice where that is."""
    return None if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER else "/tmp"


def _spawn(settings: Settings, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        return subprocess.Popen(
            # -P: a module beside the notebook must not stand in for one of ours in the runner.
            [sys.executable, "-P", "-m", _RUNNER],
            stdin=subprocess.PIPE,
            stdout=handle,
            stderr=handle,
            cwd=folder,
            env={**clean_environment(os.environ), HOME_VARIABLE: str(settings.home)},
            start_new_session=True,
        )
    finally:
        os.close(handle)


def _hand_over(runner: subprocess.Popen[bytes], job: dict[str, Any], *, keep_open: bool) -> None:
    """Send the job to the runner; one that is dead already is noticed by `_watch`."""
    assert runner.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        runner.stdin.write(json.dumps(job).encode() + b"\n")
        runner.stdin.flush()
    if not keep_open:
        with contextlib.suppress(BrokenPipeError):
            runner.stdin.close()


def _watch(
    store: Store, run_id: str, process: ProcessInfo, runner: subprocess.Popen[bytes], log: Path, private: Path
) -> None:
    """Wait for the runner's end; see to it that neither its run stays open then nor its folder is left behind."""
    code = runner.wait()
    shutil.rmtree(private, ignore_errors=True)
    try:
        if not store.get_run(run_id).state.is_closed():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            _crash(store, run_id, process, f"the runner ended before it took the run ({how}){_tail(log)}")
        store.reap(time.time())
    except (JupyterWfError, RuntimeError) as error:
        _log.warning("the end of the runner of run %s could not be recorded: %s", run_id, error)


def _crash(store: Store, run_id: str, process: ProcessInfo, message: str) -> None:
    """Make a run CRASHED that nobody has claimed; one that was claimed is left to the reaper."""
    try:
        run = store.claim(run_id, process.id)
    except RunFinished:
        return
    journal = store.journal()
    journal.append(StateChanged(run_id, time.time(), run.attempt, StateType.CRASHED.value, "Crashed", message))
    journal.flush()


def _tail(log: Path) -> str:
    try:
        text = log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return f"; it said:\n{text}" if text else f"; its log {log} is empty"
