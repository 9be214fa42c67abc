"""Runs a notebook from its first cell to its last in a kernel of its own, and records each cell as a run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, DeadKernelError

from jupyter_wf.core.errors import InvalidTransition
from jupyter_wf.core.models import RunError
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.client import CellClient
from jupyter_wf.notebook.kernels import GRACE, HeadlessKernel, KernelStartError, kernel_name_of
from jupyter_wf.notebook.source import read_notebook, write_atomically
from jupyter_wf.notebook.steps import Step, steps
from jupyter_wf.notebook.streams import CellText, LogLines, plain_text

__all__ = ["NotebookRunner", "Outcome"]

#: nbformat says nothing about its types.
_to_node: Callable[[dict[str, Any]], Any] = nbformat.from_dict
_to_text: Callable[[Any], str] = nbformat.v4.writes
_INFO, _ERROR = logging.INFO, logging.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a notebook run or one of its cells ended."""

    type: StateType
    message: str | None = None
    error: RunError | None = None


class NotebookRunner:
    """Executes the notebook at ``executed`` in place, on the main thread's event loop.

    ``live`` is its run, which this process owns; ``folder`` is where the kernel works; ``environ`` is the kernel's
    environment; ``private`` is a folder with a short path for its sockets. The notebook is saved after every cell.
    `run` brings the run to its end and never raises for what the notebook does.
    """

    def __init__(
        self, live: LiveRun, *, executed: Path, folder: Path, environ: Mapping[str, str], private: Path
    ) -> None:
        self._live = live
        self._executed = executed
        self._folder = folder
        self._environ = environ
        self._private = private
        self._loop = asyncio.get_running_loop()
        self._notebook: Any = None
        self._kernel: HeadlessKernel | None = None
        self._client: CellClient | None = None
        self._cell_run: LiveRun | None = None
        self._stopped: Outcome | None = None
        self._stopper: asyncio.Task[None] | None = None
        self._pressed = asyncio.Event()

    async def run(self) -> Outcome:
        """Execute the notebook; return how it ended, which the run's record says by then."""
        live = self._live
        forget = live.on_cancel(lambda: self.stop(Outcome(type=StateType.CANCELLED, message="cancelled on request")))
        try:
            _begin(live)
            outcome = await self._execute()
        except Exception as error:
            live.close(StateType.CRASHED, f"the runner failed: {type(error).__name__}: {error}", error)
            return Outcome(type=StateType.CRASHED, message=str(error))
        finally:
            forget()
            await self._end()
        if outcome.type is not StateType.COMPLETED:
            live.log(
                _ERROR if outcome.type is not StateType.CANCELLED else _INFO, outcome.message or outcome.type.value
            )
        live.set_state(outcome.type, None, outcome.message, error=outcome.error)
        return outcome

    def stop(self, why: Outcome, *, now: bool = False) -> None:
        """End the run as ``why`` says, from any thread: interrupt, TERM, KILL, some seconds apart.

        ``now`` leaves out the interrupt and the waiting. The first reason counts.
        """
        # The loop may have ended meanwhile, and the run with it.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._begin_stop, why, now)

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
        self._notebook.metadata["jupyter_wf"] = {"run_id": self._live.id}
        began = time.monotonic()
        kernel = HeadlessKernel(
            name=kernel_name_of(source.content["metadata"]),
            folder=self._folder,
            environ=self._environ,
            private=self._private,
        )
        self._kernel = kernel
        try:
            await kernel.start()
        except KernelStartError as error:
            return self._stopped or Outcome(type=StateType.CRASHED, message=str(error))
        self._live.log(_INFO, f"kernel {kernel.name!r} started in {time.monotonic() - began:.2f} s")
        self._notebook.metadata["language_info"] = kernel.language_info
        self._client = CellClient(self._notebook, kernel.manager, kernel.client)
        for step in todo:
            if self._stopped:
                return self._stopped
            outcome = await self._execute_step(step)
            self._save()
            if outcome.type is not StateType.COMPLETED:
                return outcome
        return self._stopped or Outcome(type=StateType.COMPLETED)

    async def _execute_step(self, step: Step) -> Outcome:
        live, client = self._live, self._client
        assert client is not None
        run: LiveRun | None = None
        if step.own_run:
            where = {"cell": step.index, "cell_id": step.cell_id}
            run = live.runtime.begin("cell", step.name, parent=live, source=where)
            _begin(run)
            # The cell's code may ask at once which run it is part of.
            await asyncio.to_thread(live.runtime.journal.flush)
        context = {
            "run_id": run.id if run else None,
            "flow_run_id": live.id,
            "root_run_id": live.root_id,
            "cell": step.index,
            "cell_id": step.cell_id,
        }
        replies: list[dict[str, Any]] = []
        # What a %%task cell prints is logged by the kernel, which knows the task.
        text = CellText(LogLines(_logger(run)) if run else None)
        try:
            await client.execute_in_run(step.index, context, text, on_reply=replies.append)
            outcome = Outcome(type=StateType.COMPLETED, message=_tolerated(replies))
        except CellExecutionError as error:
            outcome = self._stopped or _failure(step, error)
        except DeadKernelError:
            outcome = self._stopped or self._death()
        if run is not None:
            _close(run, outcome)
        return outcome

    def _death(self) -> Outcome:
        assert self._kernel is not None
        message = f"the kernel died: {self._kernel.exit_reason()}"
        return Outcome(type=StateType.CRASHED, message=message, error=RunError(type="DeadKernelError", message=message))

    def _save(self) -> None:
        write_atomically(self._executed, _to_text(self._notebook) + "\n")

    async def _end(self) -> None:
        """Stop the kernel and save what there is; then nothing that the kernel's process began is left open."""
        kernel, self._kernel = self._kernel, None
        if self._stopper is not None:
            self._stopper.cancel()
        if kernel is not None:
            await kernel.stop(politely=not self._pressed.is_set())
        if self._notebook is not None:
            self._save()
        self._live.runtime.journal.flush()
        self._live.runtime.store.reap(time.time())


def _begin(run: LiveRun) -> None:
    """Make a run RUNNING, unless a cancellation came first."""
    with contextlib.suppress(InvalidTransition):
        run.set_state(StateType.RUNNING)


def _logger(run: LiveRun) -> Callable[[str, str], None]:
    return lambda stream, line: run.log(_INFO, line, stream)


def _tolerated(replies: list[dict[str, Any]]) -> str | None:
    content = replies[-1]["content"] if replies else {}
    return f"raised {content.get('ename')}, which its tag allows" if content.get("status") == "error" else None


def _failure(step: Step, error: CellExecutionError) -> Outcome:
    record = RunError(type=error.ename, message=error.evalue, traceback=plain_text(error.traceback))
    return Outcome(
        type=StateType.FAILED, message=f"cell {step.index + 1}: {error.ename}: {error.evalue}"[:500], error=record
    )


def _close(run: LiveRun, outcome: Outcome) -> None:
    if not run.is_open:
        return
    message = outcome.message
    if outcome.error is not None and outcome.type is StateType.FAILED:
        message = f"{outcome.error.type}: {outcome.error.message}"[:500]
    run.set_state(outcome.type, None, message, error=outcome.error)
