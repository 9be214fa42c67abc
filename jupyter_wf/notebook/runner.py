"""Runs a notebook from its first cell to its last in a kernel of its own, and records each cell as a run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from jupyter_wf.core.errors import InvalidTransition
from jupyter_wf.core.models import Run, RunError, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.resuming import next_attempt
from jupyter_wf.engine.returned import returned
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.client import CellClient
from jupyter_wf.notebook.earlier import EarlierCells, EarlierOutputs
from jupyter_wf.notebook.endings import (
    STOPPED,
    Outcome,
    close_cell,
    dead_kernel,
    failure,
    failure_of_task,
    show_stop,
    stop_told,
    tolerated,
)
from jupyter_wf.notebook.kernels import GRACE, HeadlessKernel, KernelStartError, kernel_name_of
from jupyter_wf.notebook.plan import Plan
from jupyter_wf.notebook.provenance import provenance
from jupyter_wf.notebook.saving import Saver
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.notebook.steps import Step, steps
from jupyter_wf.notebook.streams import CellText, LogLines
from jupyter_wf.notebook.usage import Meter

__all__ = ["NotebookRunner", "Outcome"]

#: nbformat says nothing about its types.
_to_node: Callable[[dict[str, Any]], Any] = nbformat.from_dict
_INFO, _ERROR = logging.INFO, logging.ERROR
#: Waits for what the cells have left running, where the kernel knows of such things: it may be without our extension,
#: or have an older one than this process. Before that: a kernel that shuts down now and then waits for its own texts
#: to be sent by a thread which has ended, 10 s if nobody says otherwise.
_WAIT = """
[setattr(s, 'flush_timeout', 0.2) for s in map(vars(__import__('sys')).get, ('stdout', 'stderr'))
 if hasattr(s, 'flush_timeout')]
if 'wait' in getattr(__import__('sys').modules.get('jupyter_wf.ipython.commands.registry'), 'COMMANDS', ()):
    get_ipython().find_line_magic('wf') and get_ipython().run_line_magic('wf', 'wait')
"""
#: Seconds that finding out the commit and the packages may take once the last cell has ended.
_PATIENCE = 5.0


class NotebookRunner:
    """Executes the notebook at ``executed`` in place, on the main thread's event loop.

    ``live`` is its run, which this process owns; ``folder`` is where the kernel works; ``environ`` is the kernel's
    environment; ``private`` is a folder with a short path for its sockets; ``plan`` says what may be restored.
    ``timeout`` is how long (seconds) the whole may take, kernel included; None for as long as it likes. The notebook is
    saved after every cell, and about once a second while one prints. ``publish`` is called in a thread once it is
    saved for the last time: what it returns goes into the run's ``source``, and a run whose ``publish`` raises has
    FAILED. ``spare`` is a kernel that was started in advance, used where it is of the notebook's kind, and ended in any
    case. `run` brings the run to its end and never raises for what the notebook does.
    """

    def __init__(
        self,
        live: LiveRun,
        *,
        executed: Path,
        folder: Path,
        environ: Mapping[str, str],
        private: Path,
        plan: Plan | None = None,
        timeout: float | None = None,
        publish: Callable[[], Mapping[str, Any]] | None = None,
        spare: HeadlessKernel | None = None,
    ) -> None:
        self._live = live
        self._executed = executed
        self._folder = folder
        self._environ = environ
        self._private = private
        self._plan = plan or Plan()
        self._timeout = timeout
        self._publish = publish
        self._spare = spare
        self._loop = asyncio.get_running_loop()
        self._notebook: Any = None
        self._saver: Saver | None = None
        self._meter: Meter | None = None
        self._step: dict[str, Any] = {}
        self._kernel: HeadlessKernel | None = None
        self._client: CellClient | None = None
        self._earlier = EarlierCells(live, ())
        self._surroundings: asyncio.Task[None] | None = None
        self._stopped: Outcome | None = None
        self._stopper: asyncio.Task[None] | None = None
        self._pressed = asyncio.Event()

    async def run(self) -> Outcome:
        """Execute the notebook; return how it ended, which the run's record says by then."""
        live = self._live
        forget = live.on_cancel(lambda: self.stop(Outcome(type=StateType.CANCELLED, message="cancelled on request")))
        limit = None if self._timeout is None else self._loop.call_later(self._timeout, self._time_out)
        try:
            _begin(live)
            outcome = await self._execute()
        except Exception as error:
            live.close(StateType.CRASHED, f"the runner failed: {type(error).__name__}: {error}", error)
            return Outcome(type=StateType.CRASHED, message=str(error))
        finally:
            forget()
            if limit is not None:
                limit.cancel()
            await self._end()
        outcome = await self._published(outcome)
        if outcome.type is not StateType.COMPLETED:
            live.log(
                _ERROR if outcome.type is not StateType.CANCELLED else _INFO, outcome.message or outcome.type.value
            )
        kept = returned(live.runtime.store, live.id) if outcome.type is StateType.COMPLETED else None
        live.set_state(outcome.type, outcome.name, outcome.message, error=outcome.error, kept=kept)
        return outcome

    def stop(self, why: Outcome, *, now: bool = False) -> None:
        """End the run as ``why`` says, from any thread: interrupt, TERM, KILL, some seconds apart.

        ``now`` leaves out the interrupt and the waiting. The first reason counts.
        """
        # The loop may have ended meanwhile, and the run with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_stop, why, now)

    def _time_out(self) -> None:
        told = f"it took longer than {self._timeout:g} s"
        error = RunError(type="RunTimeout", message=told)
        self._begin_stop(Outcome(type=StateType.FAILED, name="TimedOut", message=told, error=error), now=False)

    def _begin_stop(self, why: Outcome, now: bool) -> None:
        self._stopped = self._stopped or why
        if now:
            self._pressed.set()
        if self._stopper is None:
            self._stopper = self._loop.create_task(self._escalate())

    async def _escalate(self) -> None:
        kernel, client = self._kernel, self._client
        if kernel is None:
            return
        if client is not None and not self._pressed.is_set():
            # An interrupt that comes before the kernel has begun with the cell would be lost.
            if await self._within(GRACE, client.started.wait()):
                await kernel.interrupt()
            if not await self._within(GRACE, asyncio.Event().wait()):
                self._live.log(_INFO, f"the cell did not stop within {GRACE:g} s of the interrupt: the kernel is ended")
        kernel.signal_group(signal.SIGTERM)
        if not self._pressed.is_set():
            await kernel.wait(GRACE)
        kernel.signal_group(signal.SIGKILL)

    async def _within(self, seconds: float, awaited: Any) -> bool:
        """Wait for ``awaited``; return False after ``seconds``, or when somebody is in a hurry."""
        work = asyncio.ensure_future(awaited)
        hurry = asyncio.ensure_future(self._pressed.wait())
        try:
            await asyncio.wait((work, hurry), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return bool(work.done())
        finally:
            work.cancel()
            hurry.cancel()

    async def _execute(self) -> Outcome:
        if self._stopped:
            return self._stopped
        source = read_notebook(self._executed)
        todo = steps(source.cells)
        self._notebook = _to_node(source.content)
        for step in todo:
            self._notebook.cells[step.index].update(outputs=[], execution_count=None)
        self._notebook.metadata["jupyter_wf"] = {"run_id": self._live.id, "attempt": self._live.attempt}
        self._saver = Saver(self._notebook, self._executed, on_line=lambda line: self._tell_step(line=line))
        self._earlier = EarlierCells(self._live, todo)
        began = time.monotonic()
        try:
            kernel = await self._start_kernel(kernel_name_of(source.content["metadata"]))
        except KernelStartError as error:
            return self._stopped or Outcome(type=StateType.CRASHED, message=str(error))
        self._live.log(_INFO, f"kernel {kernel.name!r} started in {time.monotonic() - began:.2f} s")
        self._surroundings = self._loop.create_task(self._note_surroundings(kernel))
        self._notebook.metadata["language_info"] = kernel.language_info
        restore = EarlierOutputs(source.cells, self._plan.executed)
        self._client = CellClient(self._notebook, kernel.manager, kernel.client, restore=restore)
        self._saver.client = self._client
        self._meter = Meter(kernel.pid)
        self._meter.start()
        return await self._execute_steps(todo)

    async def _start_kernel(self, name: str) -> HeadlessKernel:
        """Return a kernel of this name that answers, which may be the spare one. Raises `KernelStartError`."""
        spare, self._spare = self._spare, None
        if spare is not None and spare.name == name and spare.alive:
            self._kernel = spare
            await spare.take_over(folder=self._folder, environ=self._environ)
            return spare
        if spare is not None:
            await spare.stop(politely=False, keep_folder=True)
        self._kernel = kernel = HeadlessKernel(
            name=name, folder=self._folder, environ=self._environ, private=self._private
        )
        await kernel.start()
        return kernel

    async def _note_surroundings(self, kernel: HeadlessKernel) -> None:
        """Write down what the run is made with."""
        facts = await provenance(
            self._live.runtime.settings,
            folder=self._folder,
            kernel=kernel.name,
            display_name=kernel.spec.display_name,
            language=kernel.spec.language,
            command=kernel.command,
        )
        self._live.patch(source=facts)

    async def _execute_steps(self, todo: list[Step]) -> Outcome:
        """Execute cell after cell; after a failure only those that are meant for it."""
        failed: Outcome | None = None
        for number, step in enumerate(todo, 1):
            if self._stopped:
                return self._stopped
            if failed is not None and not step.after_failure:
                continue
            self._step = {"number": number, "of": len(todo), "cell": step.index}
            self._tell_step()
            with self._saving():
                outcome = await self._execute_step(step)
            if outcome.type is StateType.FAILED:
                failed = failed or outcome
            elif outcome.type is not StateType.COMPLETED or outcome.stops:
                return outcome if failed is None or outcome.type is StateType.CANCELLED else failed
        if self._stopped:
            return self._stopped
        with self._saving():
            rest = await self._wait_for_rest(failed)
        return self._stopped or failed or rest or Outcome(type=StateType.COMPLETED)

    async def _execute_step(self, step: Step) -> Outcome:
        client, kernel = self._client, self._kernel
        assert client is not None and kernel is not None
        run = await self._begin_cell(step) if step.own_run else None
        meter = Meter(kernel.pid) if run is not None else None
        if meter is not None:
            meter.start()
        replies: list[dict[str, Any]] = []
        # What a %%task cell prints is logged by the kernel, which knows the task.
        text = CellText(LogLines(_logger(run)) if run else None)
        try:
            await client.execute_in_run(step.index, self._context(step, run), text, on_reply=replies.append)
            outcome = Outcome(type=StateType.COMPLETED)
        except CellExecutionError as error:
            outcome = self._stopped or failure(step, error)
        except DeadKernelError:
            outcome = self._stopped or dead_kernel(kernel.exit_reason())
        if replies and not self._stopped:
            outcome = self._judged(step, outcome, replies[-1]["content"])
        if run is not None and meter is not None:
            run.patch(source={"usage": meter.stop().as_json()})
            close_cell(run, outcome)
        return outcome

    def _judged(self, step: Step, outcome: Outcome, reply: dict[str, Any]) -> Outcome:
        """Return how a cell ended, where it may have stopped the run early, or raised what it may raise."""
        reason = stop_told(reply)
        if reason is not None:
            show_stop(self._notebook.cells[step.index].outputs, reason)
            return Outcome(type=StateType.COMPLETED, name=STOPPED, message=reason)
        if outcome.type is StateType.COMPLETED:
            return Outcome(type=StateType.COMPLETED, message=tolerated(reply))
        return outcome

    async def _begin_cell(self, step: Step) -> LiveRun:
        """Make the run of a plain cell, or begin the next attempt of the one that it had."""
        live = self._live
        where = {"cell": step.index, "cell_id": step.cell_id}
        before = self._earlier.take(step)
        if before is None:
            run = live.runtime.begin("cell", step.name, parent=live, source=where)
        else:
            run = next_attempt(live, before, name=step.name, source=where)
        _begin(run)
        # The cell's code may ask at once which run it is part of.
        await asyncio.to_thread(live.runtime.journal.flush)
        return run

    def _context(self, step: Step | None, run: LiveRun | None) -> dict[str, Any]:
        """Return what the kernel is told with a request."""
        return {
            "run_id": run.id if run else None,
            "flow_run_id": self._live.id,
            "root_run_id": self._live.root_id,
            "cell": step.index if step else None,
            "cell_id": step.cell_id if step else None,
            "plan": self._plan.told(self._live.attempt),
        }

    async def _wait_for_rest(self, failed: Outcome | None) -> Outcome | None:
        """Wait for what the cells have left running; return the failure of something that nobody has heard of."""
        client, kernel = self._client, self._kernel
        assert client is not None and kernel is not None
        if kernel.language_info.get("name") != "python":
            return None
        try:
            reply = await client.execute_silently(_WAIT, self._context(None, None))
        except DeadKernelError:
            return dead_kernel(kernel.exit_reason())
        if reply.get("status") != "error":
            return None
        reason = stop_told(reply)
        if reason is not None:
            return Outcome(type=StateType.COMPLETED, name=STOPPED, message=reason)
        outcome = failure_of_task(reply, await asyncio.to_thread(self._cell_of, str(reply.get("ename"))))
        if failed is not None and not self._stopped:
            self._live.log(_ERROR, outcome.message or "")
        return outcome

    def _cell_of(self, error_type: str) -> int | None:
        """Return the index of the cell whose task failed with an error of this type, None where that is not clear."""
        self._live.runtime.journal.flush()
        where = RunFilter(kinds=("task",), parent_id=self._live.id, states=(StateType.FAILED.value,))
        failed: tuple[Run, ...] = self._live.runtime.store.list_runs(where).items
        cells = [run.source.get("cell") for run in failed if run.error is not None and run.error.type == error_type]
        return cells[0] if cells and isinstance(cells[0], int) else None

    def _tell_step(self, **more: Any) -> None:
        """Write down how far the run is."""
        self._live.patch(source={"step": {**self._step, **more}})

    def _saving(self) -> AbstractContextManager[None]:
        assert self._saver is not None
        return self._saver.saving()

    async def _published(self, outcome: Outcome) -> Outcome:
        """Have the saved notebook put where it is wanted; return how the run ends then."""
        if self._publish is None or not self._executed.exists():
            return outcome
        try:
            self._live.patch(source=dict(await asyncio.to_thread(self._publish)))
        except Exception as error:
            told = f"the executed notebook can't be put where it is wanted: {error}"
            self._live.log(_ERROR, told)
            if outcome.type is StateType.COMPLETED:
                return Outcome(
                    type=StateType.FAILED, message=told, error=RunError(type=type(error).__name__, message=str(error))
                )
        return outcome

    async def _end(self) -> None:
        """Stop the kernel and save what there is; then nothing that the kernel's process began is left open."""
        kernel, self._kernel = self._kernel or self._spare, None
        if self._stopper is not None:
            self._stopper.cancel()
        if self._meter is not None:
            self._live.patch(source={"usage": self._meter.stop().as_json()})
        if kernel is not None:
            await kernel.stop(politely=not self._pressed.is_set())
        if self._saver is not None:
            self._saver.save(last=True)
        if self._surroundings is not None:
            await asyncio.wait((self._surroundings,), timeout=0 if self._pressed.is_set() else _PATIENCE)
            self._surroundings.cancel()
            if self._surroundings.done() and not self._surroundings.cancelled() and self._surroundings.exception():
                self._live.log(_INFO, f"what the run was made with is not known: {self._surroundings.exception()}")
        self._live.runtime.journal.flush()
        self._live.runtime.store.reap(time.time())


def _begin(run: LiveRun) -> None:
    """Make a run RUNNING, unless a cancellation came first."""
    with contextlib.suppress(InvalidTransition):
        run.set_state(StateType.RUNNING)


def _logger(run: LiveRun) -> Callable[[str, str], None]:
    return lambda stream, line: run.log(_INFO, line, stream)
