"""The ``%%task`` cells of a kernel: each runs in its turn, with what it needs; what they leave goes out of date."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.core.errors import CellLineError, JupyterWfError, MissingResult
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.asynchronous import execute_async
from jupyter_wf.engine.asynchronous import run_again as run_again_async
from jupyter_wf.engine.calls import end_of_root, execute, hand_out, run_again
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.returned import store_return
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.engine.submit import start
from jupyter_wf.executors.base import Executor
from jupyter_wf.ipython.background import Background, WaitingTransformer
from jupyter_wf.ipython.displays import flush_figures, show_nothing, show_value
from jupyter_wf.ipython.interrupts import Deafness, HeededInterrupts, raised_interrupts
from jupyter_wf.ipython.stale import StaleMarks
from jupyter_wf.notebook.cells import compile_body
from jupyter_wf.notebook.celltask import CellCall, PreparedCell
from jupyter_wf.notebook.cellwork import call_beside, call_here, call_mapped
from jupyter_wf.notebook.dataflow import CellInput, TaskCell, is_error, notebook_cells, read_dataflow
from jupyter_wf.notebook.elsewhere import CellValue
from jupyter_wf.notebook.ledger import Ledger
from jupyter_wf.notebook.restoring import EarlierTasks
from jupyter_wf.notebook.source import read_notebook

if TYPE_CHECKING:
    from jupyter_wf.ipython.views import Board

__all__ = ["Cell", "TaskCells"]

_HEARD: AbstractContextManager[None] = nullcontext()
_NEVER = State(type=StateType.PENDING, name="NotReady", message="it has not run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A ``%%task`` cell that is to be run: ``source`` is the whole of it, ``filename`` its name in tracebacks.

    ``silent`` means that its last value is not displayed.
    """

    name: str
    line: str
    source: str
    filename: str
    origin: Mapping[str, Any]
    cell_id: str | None = None
    silent: bool = False


class TaskCells:
    """Runs the task cells of a shell.

    ``headless`` tells that a runner executes a copy of the notebook; ``original`` is then where that is saved.
    """

    def __init__(self, shell: InteractiveShell, runtime: Runtime, board: Board, deafness: Deafness) -> None:
        self.shell = shell
        self.runtime = runtime
        self.board = board
        self.ledger = Ledger(shell.user_ns)
        self._marks = StaleMarks(self.ledger, board)
        self.background = Background(board, deafness, lambda: shell.user_ns, lambda: self.headless)
        self.transformer = WaitingTransformer(self.background, lambda: shell.user_ns)
        self.headless = False
        self.original: Path | None = None
        self._earlier: EarlierTasks | None = None
        self._path: Path | None = None
        self._read_at: tuple[int, int] | None = None
        self._warned: set[str] = set()
        #: The run whose last value the shell is about to show.
        self.shown: LiveRun | None = None

    # -- what is known of the notebook -----------------------------------------------------------------------------

    def follow(self, flow_run_id: str, plan: Mapping[str, Any]) -> None:
        """Take in that a runner executes the notebook, as ``plan`` says; once for each run."""
        self.headless = True
        self._earlier = EarlierTasks(self.runtime, flow_run_id, plan)
        with suppress(JupyterWfError, TypeError):
            source = self.runtime.store.get_run(flow_run_id).source
            self.open(Path(str(source["executed"])))
            self.original = Path(str(source["path"])) if "path" in source else None

    def open(self, path: Path | None) -> None:
        """Say where the notebook is saved; None where nobody knows."""
        if path != self._path:
            self._path, self._read_at = path, None

    def look(self) -> None:
        """Read the notebook again where it was saved since the last look."""
        if self._path is None or (self.headless and self._read_at is not None):
            # The runner saves after each cell: what it executes stays as it is.
            return
        try:
            status = self._path.stat()
            at = (status.st_mtime_ns, status.st_size)
            if at != self._read_at:
                self.ledger.read(notebook_cells(read_notebook(self._path)))
                self._read_at = at
        except (OSError, JupyterWfError):
            # It may be half written, or gone: what was executed is known anyway.
            return

    def task_of(self, cell: Cell) -> TaskCell:
        """Return what is known of a cell that is about to run. Raises `CellLineError` for what is wrong with it."""
        self.look()
        dataflow = self.ledger.dataflow
        found = [task for task in dataflow.tasks if task.name == cell.name]
        task = next((task for task in found if task.source == cell.source), None)
        if task is None:
            # Executed by code, not as a cell.
            alone = read_dataflow([CellInput(index=0, cell_id=None, source=cell.source)])
            task = alone.task(cell.name)
            wrong = [problem.message for problem in alone.problems if is_error(problem.kind)]
        else:
            here = [problem for problem in dataflow.problems if problem.cell == task.cell]
            wrong = [problem.message for problem in here if is_error(problem.kind)]
            self._warn(problem.message for problem in here if not is_error(problem.kind))
        if wrong or task is None:
            raise CellLineError(wrong[0] if wrong else f"%%task {cell.name}: the cell can't be read")
        return task

    def _warn(self, messages: Iterable[str]) -> None:
        for message in messages:
            if message not in self._warned:
                self._warned.add(message)
                print(f"Warning: {message}", file=sys.stderr)

    # -- running one -----------------------------------------------------------------------------------------------

    def run(self, cell: Cell) -> Any:
        """Run a cell in its turn; return its last value, to be displayed, or, where its body awaits, what gives it.

        Raises what the body raises, and `CellLineError` for what is wrong with the cell.
        """
        task = self.task_of(cell)
        options = task.options
        self._wait(task)
        self.background.forget(task.name)
        prepared = self.prepare(task, cell)
        live, restored = (None, False) if self._earlier is None else self._earlier.take_up(prepared)
        if restored and live is not None:
            self._note_restored(task, live)
            return None
        call = self.make_call(prepared, beside=options.background)
        if live is not None:
            call.take(live)
            self.runtime.announce(live)
        elif self._earlier is not None:
            call.why = self._earlier.why
        if options.background:
            self.start(call)
            return None
        if prepared.body.is_async and options.map is None and self._executor(task) is None:
            return self._run_async(call, cell.silent)
        return self._run(call, cell.silent)

    def _wait(self, task: TaskCell) -> None:
        """Wait for what runs in the background and makes what the task needs, or binds what it binds."""
        if not self.background:
            return
        writes = task.writes | task.names.deletes
        if task.options.run_if not in (None, "all_success"):
            # How they have ended is what decides.
            self.background.settle([task.name, *self._judges(task)], task.reads | writes)
            return
        if task.names.dynamic:
            self.background.wait_all(task.name)
        before = self.ledger.dataflow.upstream(task.name)
        self.background.wait(reads=task.reads, writes=writes, tasks=before, itself=task.name)

    def prepare(self, task: TaskCell, cell: Cell, running: Container[str] = ()) -> PreparedCell:
        """Return the cell, compiled for this kernel; of tasks that are ``running`` its call hears by itself.

        Raises `SyntaxError`.
        """
        shell = self.shell
        with self.transformer.resting():
            body = compile_body(
                task.body,
                filename=cell.filename,
                name=task.name,
                flags=shell.compile.flags,
                show=shell.ast_node_interactivity,
                transform=shell.transform_ast if shell.ast_transformers[1:] else None,
            )
        return PreparedCell(
            task=task,
            line=cell.line,
            body=body,
            filename=cell.filename,
            namespace=shell.user_ns,
            flags=shell.compile.flags,
            interactivity=shell.ast_node_interactivity,
            origin=cell.origin,
            persist=self.headless,
            edges=self._edges(task, running),
            before=self._before(task, running),
            begins=lambda live: self.ledger.begin(task, live.id),
            heeding=HeededInterrupts,
            show=show_nothing if cell.silent else None,
            flush=flush_figures,
        )

    def _judges(self, task: TaskCell) -> list[str]:
        """Return the names of the tasks that decide whether this one runs."""
        before = self.ledger.before(task)
        if before or task.options.run_if is None:
            return before
        # A cell that needs nobody, but has a rule, is about all that is above it.
        names = [other.name for other in self.ledger.dataflow.tasks]
        return names[: names.index(task.name)] if task.name in names else []

    def _edges(self, task: TaskCell, running: Container[str]) -> list[str]:
        """Return the ids of the runs that this task comes after, but for those of tasks that are ``running``."""
        records = (self.ledger.record(name) for name in self.ledger.before(task) if name not in running)
        return [record.run_id for record in records if record is not None]

    def _before(self, task: TaskCell, running: Container[str]) -> list[tuple[str, State]]:
        judged: list[tuple[str, State]] = []
        for name in self._judges(task):
            if name in running:
                continue
            record = self.ledger.record(name)
            if record is None:
                if self.headless:
                    judged.append((name, _NEVER))
            elif record.state is not None and (task.options.run_if or record.state.name == "Skipped"):
                # By hand a cell is run that asks for nothing, whatever is left of the tasks before it.
                judged.append((name, record.state))
        return judged

    def make_call(
        self, prepared: PreparedCell, *, beside: bool = False, later: bool = False, wait_for: Sequence[Any] = ()
    ) -> CellCall:
        """Return the call of a cell.

        ``beside`` tells that other cells run meanwhile: it begins with the names that there are now; ``later`` that it
        begins with those that there are when what it waits for has ended.
        """
        executor = self._executor(prepared.task)
        if (beside or later) and prepared.show is None:
            # Nobody waits for the value here.
            prepared = replace(prepared, show=show_value)
        namespace = dict(self.shell.user_ns) if beside else None
        if prepared.task.options.map is not None:
            return call_mapped(prepared, executor, namespace=namespace, wait_for=wait_for)
        if beside or later or executor is not None:
            return call_beside(prepared, executor, namespace=namespace, wait_for=wait_for)
        return call_here(prepared)

    def _executor(self, task: TaskCell) -> Executor | None:
        name = task.options.executor
        return None if name is None else self.runtime.pools.named(name)

    def start(self, call: CellCall) -> None:
        """Begin a call in the background."""
        future = start(call)
        self.background.add(call.prepared.task, future, self.hear(call, future))

    def hear(self, call: CellCall, future: RunFuture[Any]) -> threading.Event:
        """Have it written down how a call that was submitted ends; return what is set when it is."""
        task, written = call.prepared.task, threading.Event()

        def end(ended: RunFuture[Any]) -> None:
            try:
                if ended.run.parent is None:
                    end_of_root(ended.run, lambda: self._again_now(call))
                self._ended(task, ended.run)
            finally:
                written.set()

        future.add_done_callback(end)
        return written

    def _run(self, call: CellCall, silent: bool) -> Any:
        __tracebackhide__ = True
        task = call.prepared.task
        try:
            # A cell that awaits, but on other threads, keeps the event loop waiting here.
            waits = HeededInterrupts() if call.submitted else _HEARD
            with raised_interrupts() if call.prepared.body.is_async else waits:
                execute(call)
        except BaseException as error:
            if call.begun:
                settle(call.live, error)
            raise
        finally:
            if call.begun:
                self._ended(task, call.live)
        return self._shown(call.live, hand_out(call.live), silent)

    async def _run_async(self, call: CellCall, silent: bool) -> Any:
        __tracebackhide__ = True
        task = call.prepared.task
        try:
            await execute_async(call)
        except BaseException as error:
            if call.begun:
                settle(call.live, error)
            raise
        finally:
            if call.begun:
                self._ended(task, call.live)
        return self._shown(call.live, hand_out(call.live, asyncio.CancelledError), silent)

    def _shown(self, live: LiveRun, value: Any, silent: bool) -> Any:
        __tracebackhide__ = True
        if self.headless and isinstance(live.last_error, StopFlow):
            # It stops the notebook's run.
            raise live.last_error
        if silent or not isinstance(value, CellValue):
            return None
        self.shown = live
        return value.shown

    def _return(self, task: TaskCell, live: LiveRun) -> None:
        """Make the output that the cell's line names the result of the notebook's run."""
        name, value = task.options.result, live.state.data
        if name is None or not self.headless or not live.state.is_completed() or not isinstance(value, Mapping):
            return
        if name not in value:
            live.log(logging.WARNING, f"--return {name}: the cell has left no such name")
            return
        try:
            store_return(self.runtime, str(live.parent_id), value[name])
        except MissingResult as error:
            live.log(logging.WARNING, f"--return {name}: {error}")

    # -- what has run ----------------------------------------------------------------------------------------------

    def _ended(self, task: TaskCell, live: LiveRun) -> None:
        """Write down how a run has ended; called on the thread that ends it."""
        self._return(task, live)
        self._note_end(task, live)
        again = live.rerun
        if again is not None:
            live.rerun = lambda: self._again(again, task, live)
        self.mark_stale()

    def _again(self, again: Callable[[], Any], task: TaskCell, live: LiveRun) -> Any:
        """Make the next attempt of a run that failed."""
        work = None
        try:
            work = again()
        finally:
            if not asyncio.iscoroutine(work):
                self._ended(task, live)
        return self._again_async(work, task, live) if asyncio.iscoroutine(work) else work

    def _again_now(self, call: CellCall) -> Any:
        """Make the next attempt of a background run that failed: here, with the names that there are now."""
        fresh = self.make_call(call.prepared, later=True)
        fresh.take(call.live)
        return run_again_async(fresh) if fresh.callee.is_async else run_again(fresh)

    async def _again_async(self, work: Any, task: TaskCell, live: LiveRun) -> None:
        try:
            await work
        finally:
            self._ended(task, live)

    def _note_restored(self, task: TaskCell, live: LiveRun) -> None:
        self.ledger.begin(task, live.id)
        self._note_end(task, live)
        self._return(task, live)
        told = f"{task.name}: {live.state.message}"
        self.shell.display_pub.publish({"text/plain": told}, metadata={"jupyter_wf": {"restored": True}})

    def _note_end(self, task: TaskCell, live: LiveRun) -> None:
        state = live.state
        if state.is_completed() and not isinstance(live.last_error, StopFlow):
            # Also of a run that was made in another way than the one that has failed in the background.
            self.background.forget(task.name)
        # Without what the run has left: whoever deletes the names gets the memory back.
        told = State(type=state.type, name=state.name, message=state.message, at=state.at)
        self.ledger.end(task.name, live.id, told)

    def mark_stale(self) -> None:
        """Say of the last runs whose outputs are out of date why, and take it back of those that are not any more."""
        if not self.headless:
            self._marks.update()
