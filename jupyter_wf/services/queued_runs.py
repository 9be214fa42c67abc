"""What a runner does with a run that waited in the queue: takes it, lays it out, and executes it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from jupyter_wf.core.deployments import QueuedRun
from jupyter_wf.core.errors import InvalidRequest, ParameterError, RunFinished, RunNotFound, TargetError
from jupyter_wf.core.failpoints import failpoint
from jupyter_wf.core.output_paths import fill_output
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.scheduling_errors import DeploymentNotFound, LeaseLost
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.exports import export_notebook
from jupyter_wf.notebook.orphans import RUNNER_VARIABLE, note_group
from jupyter_wf.notebook.plan import Plan
from jupyter_wf.notebook.snapshots import read_snapshot
from jupyter_wf.notebook.source import NotebookSource, read_notebook
from jupyter_wf.services.agent_runs import note_private, run_folder
from jupyter_wf.services.execution import execute_notebook
from jupyter_wf.services.launcher import Laid, kept_arguments, lay_out
from jupyter_wf.services.notebook_runs import prepare_next
from jupyter_wf.services.queued_flows import execute_flow

if TYPE_CHECKING:
    from jupyter_wf.notebook.kernels import HeadlessKernel

__all__ = ["execute_queued"]

_INFO, _ERROR = 20, 40


def execute_queued(
    runtime: Runtime, job: Mapping[str, Any], loop: asyncio.Runner, kernel: HeadlessKernel | None = None
) -> int:
    """Execute the run that the job names, on the main thread; return the exit code of the process.

    ``job`` has ``queued`` (the run's id), ``attempt``, ``agent`` (who has claimed it), ``private``, and the ``folder``
    where flows of modules work. A run that is somebody else's by now is left alone. Whatever happens, the run has ended
    when this returns. ``kernel`` is one that was started in advance, as in `execute_notebook`.
    """
    store = runtime.store
    try:
        queued = store.queue.get(job["queued"])
        if queued is None:
            raise RunNotFound(job["queued"])
        before = store.get_run(queued.run_id)
        run = store.queue.take(queued.run_id, job["attempt"], job["agent"], runtime.process.id)
    except (RunFinished, RunNotFound, LeaseLost) as error:
        print(f"nothing to do: {error}", file=sys.stderr)
        return 0
    failpoint("take.after_commit")
    live = runtime.adopt(run)
    try:
        note_private(runtime.settings, run.id, run.attempt, Path(job["private"]))
        if queued.kind == "notebook":
            work = _Notebook(live, queued, job).prepare(before.source, kernel)
            if work is not None:
                # It ends the kernel, whether it uses it or not.
                kernel = None
                loop.run(work)
        else:
            if kernel is not None:
                # The folder is this process's own, too.
                loop.run(kernel.stop(politely=False, keep_folder=True))
                kernel = None
            # What it starts is in this process's own group.
            note_group(Path(job["private"]), os.getpgrp())
            os.environ[RUNNER_VARIABLE] = Path(job["private"]).name
            execute_flow(live, queued, folder=Path(job["folder"]))
    except BaseException as error:
        live.close(StateType.CRASHED, f"the runner failed: {type(error).__name__}: {error}", error)
        raise
    finally:
        if kernel is not None:
            loop.run(kernel.stop(politely=False))
    return 0


class _Notebook:
    """The run of a notebook, which this process owns."""

    def __init__(self, live: LiveRun, queued: QueuedRun, job: Mapping[str, Any]) -> None:
        self._live = live
        self._queued = queued
        self._job = job
        self._settings = live.runtime.settings
        self._lines: list[str] = []

    def prepare(self, source: Mapping[str, Any], kernel: HeadlessKernel | None) -> Coroutine[Any, Any, None] | None:
        """Lay the notebook out and return what executes it; None where the run has ended because it can't be.

        ``source`` is what the run's record says of where it comes from.
        """
        live, queued = self._live, self._queued
        try:
            notebook = self._find(source)
            if not notebook.path.parent.is_dir():
                raise TargetError(str(notebook.path.parent), "is gone: the notebook works in this folder")
            publish = self._publishing(notebook, source)
            laid = self._lay_out(notebook)
        except (ParameterError, InvalidRequest) as error:
            self._refuse(StateType.FAILED, str(error), error)
            return None
        except (TargetError, OSError) as error:
            self._refuse(StateType.CRASHED, f"the notebook can't be run: {error}", error)
            return None
        plan = Plan()
        if live.attempt > 1:
            run = live.runtime.store.get_run(live.id)
            plan, told = prepare_next(live.runtime.store, run, laid)
            self._lines.append(told)
        self._note(laid, notebook)
        job = {
            **self._job,
            "executed": str(laid.executed),
            "folder": str(notebook.path.parent),
            "notebook": str(source.get("notebook", notebook.path)),
            "lifeline": False,
            "plan": plan.to_json(),
        }
        return execute_notebook(
            live,
            job,
            kernel=kernel,
            timeout=queued.policies.timeout,
            publish=None if publish is None else partial(publish, laid.executed),
        )

    def _find(self, source: Mapping[str, Any]) -> NotebookSource:
        """Return the notebook as it is to be run."""
        queued, path = self._queued, Path(self._queued.target)
        if queued.policies.snapshot == "pinned" and queued.digest is not None:
            return read_snapshot(self._settings, queued.digest, path)
        before = source.get("digest")
        if self._live.attempt > 1 and isinstance(before, str) and not path.exists():
            self._lines.append(f"the notebook {path} is gone: the snapshot of the attempt before is used")
            return read_snapshot(self._settings, before, path)
        return read_notebook(path)

    def _lay_out(self, notebook: NotebookSource) -> Laid:
        folder = run_folder(self._settings, self._live.id, self._live.attempt)
        # The agent has made the folder: what the runner prints is there.
        return lay_out(
            self._settings, notebook, self._queued.parameters, folder, kernel=self._queued.kernel, is_made=True
        )

    def _note(self, laid: Laid, notebook: NotebookSource) -> None:
        """Write down what is known of the run now."""
        live = self._live
        folder = str(run_folder(self._settings, live.id, 1))
        live.patch(
            source={**laid.told(), "folder": folder},
            parameters=json.loads(to_json(laid.parameters)),
            expected=laid.expected,
        )
        live.runtime.journal.append(kept_arguments(self._settings, live.id, laid.given, time.time()))
        for line in self._lines:
            live.log(_INFO, f"attempt {live.attempt}: {line}")
        live.runtime.journal.flush()

    def _publishing(self, notebook: NotebookSource, source: Mapping[str, Any]) -> Callable[[Path], Any] | None:
        """Return what puts the executed notebook where it is wanted; None where nobody wants it elsewhere."""
        live, queued = self._live, self._queued
        template, formats = queued.policies.output, queued.policies.formats
        if template is None:
            return None
        flow = live.flow_name or notebook.path.stem
        address = str(source.get("deployment") or "")
        name = address.removeprefix(f"{flow}/")
        target = fill_output(
            template,
            name=name or notebook.path.stem,
            flow=flow,
            deployment=name,
            scheduled=self._scheduled(),
            run_id=live.id,
            attempt=live.attempt,
        )

        def publish(executed: Path) -> dict[str, Any]:
            written = export_notebook(executed, notebook.path, str(target), formats)
            return {"output": [str(path) for path in written]}

        return publish

    def _scheduled(self) -> datetime:
        """Return when the run was due, in the zone of its schedule, else of this machine."""
        queued = self._queued
        at = queued.due_at if queued.slot is None else queued.slot
        zone = None
        if queued.deployment_id is not None and queued.schedule_id is not None:
            try:
                deployment = self._live.runtime.store.deployments.get(queued.deployment_id)
            except DeploymentNotFound:
                deployment = None
            schedules = () if deployment is None else deployment.schedules
            spec = next((each.spec for each in schedules if each.id == queued.schedule_id), {})
            zone = spec.get("timezone")
        return datetime.fromtimestamp(at, ZoneInfo(zone)) if zone else datetime.fromtimestamp(at).astimezone()

    def _refuse(self, type_: StateType, message: str, error: Exception) -> None:
        self._live.log(_ERROR, message)
        self._live.close(type_, message, error)
