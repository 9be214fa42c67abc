"""One kernel's session: what ``%load_ext jupyter_wf`` sets up, and what goes on around each cell."""

from __future__ import annotations

import ast
import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.core.errors import CellLineError, JupyterWfError, ParameterError
from jupyter_wf.core.events import Entry
from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.tree_entries import stored_entries
from jupyter_wf.engine.context import set_ambient_parent
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime
from jupyter_wf.flows import Flow
from jupyter_wf.ipython.cells import Cell, TaskCells
from jupyter_wf.ipython.displays import keep_displays, keep_results
from jupyter_wf.ipython.failures import Failures
from jupyter_wf.ipython.interrupts import Deafness
from jupyter_wf.ipython.parents import place_displays
from jupyter_wf.ipython.rerun import Rerunner
from jupyter_wf.ipython.screens import KernelScreen, TerminalScreen
from jupyter_wf.ipython.sources import CellSource, CellTransformer
from jupyter_wf.ipython.tracebacks import leave_out_our_frames, show_user_frames
from jupyter_wf.ipython.views import Board
from jupyter_wf.ipython.work import Options, define, make_flow
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebooks import wf_return

__all__ = ["Session"]

#: Where a runner says, in the metadata of each execute request, which run the cell belongs to.
_METADATA = "jupyter_wf"


class Session:
    """Connects a shell with the runtime of its process. `open` and `close` may each be called once."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.runtime = _kernel_runtime()
        self.transformer = CellTransformer(shell)
        self._screen = KernelScreen(shell, self.ask) if hasattr(shell, "kernel") else TerminalScreen()
        self.board = Board(self._screen, self._left_by)
        self._rerunner = Rerunner(shell, self.board) if hasattr(shell, "kernel") else None
        self._deafness = Deafness()
        self.failures = Failures(self.runtime)
        self.cells = TaskCells(shell, self.runtime, self.board, self._deafness)
        self._raw_cell = ""
        self._cell_id: str | None = None
        #: The notebook run that a runner executes here.
        self._followed: str | None = None
        self._undo: list[Callable[[], Any]] = []

    # -- lifetime --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Listen to the shell and to the runtime. The cell that calls this counts as one of the session's."""
        events, posts = self.shell.events, self.shell.input_transformers_post
        events.register("pre_run_cell", self._before_cell)
        events.register("post_run_cell", self._after_cell)
        posts.append(self.transformer)
        self.shell.ast_transformers.append(self.cells.transformer)
        self._undo = [
            lambda: events.unregister("pre_run_cell", self._before_cell),
            lambda: events.unregister("post_run_cell", self._after_cell),
            lambda: posts.remove(self.transformer),
            lambda: self.shell.ast_transformers.remove(self.cells.transformer),
            leave_out_our_frames(self.shell),
            place_displays(self.shell),
            keep_displays(self.shell),
            keep_results(self.shell, lambda: self.cells.shown),
            self.runtime.on_root(self._on_root),
            self.runtime.failures.subscribe(self.failures.remember),
            self.runtime.journal.subscribe(self.board.on_commit),
        ]
        if self._rerunner is not None:
            self._undo.append(partial(setattr, self.runtime, "rerun", self.runtime.rerun))
            self.runtime.rerun = self._rerunner.request
        # Hidden: `%who` lists what is the user's.
        self.shell.push({"wf_return": self.shell.user_ns.get("wf_return", wf_return)}, interactive=False)  # type: ignore[no-untyped-call]
        self._adopt_parent()
        self._note_first_cell()

    def _note_first_cell(self) -> None:
        """Take in the cell that loads the extension: it began before anybody listened."""
        request = self._request()
        history = self.shell.history_manager
        code = request.get("content", {}).get("code")
        if code is None and history is not None and len(history.input_hist_raw) > 1:
            code = history.input_hist_raw[-1]
        if isinstance(code, str) and code.strip():
            self.cells.ledger.execute(code, request.get("metadata", {}).get("cellId"))

    def close(self) -> None:
        """Take back everything that `open` did; views keep their last form."""
        self.board.close()
        while self._undo:
            self._undo.pop()()

    @property
    def headless(self) -> bool:
        """Whether the notebook is executed by a runner: nobody looks, and nobody can type."""
        return isinstance(self._screen, KernelScreen) and self._screen.headless

    # -- around each cell ------------------------------------------------------------------------------------------

    def _before_cell(self, info: Any) -> None:
        self._deafness.end()
        self._raw_cell = info.raw_cell or ""
        self._cell_id = getattr(info, "cell_id", None)
        self.cells.shown = None
        self.board.new_cell()
        self._adopt_parent()
        if self._raw_cell.strip():
            deleted = self._request().get("metadata", {}).get("deletedCells") or ()
            self.cells.ledger.execute(self._raw_cell, self._cell_id, deleted)
        if self._rerunner is not None:
            self._rerunner.cell_begins()

    def _after_cell(self, result: Any) -> None:
        self._keep_failure(getattr(result, "error_in_exec", None))
        # The cell may have bound a name that tasks have read.
        self.cells.mark_stale()
        self.board.settle()
        rest = self.board.rest()
        if rest is not None:
            self.shell.display_pub.publish({"text/plain": rest})
        if self._rerunner is not None:
            self._rerunner.cell_ended()
        if not isinstance(self._screen, KernelScreen):
            # A kernel has yet to send its answer, and then takes care of interrupts by itself.
            self._deafness.end()

    def _keep_failure(self, error: object) -> None:
        """Store what the variables were where a plain cell has failed that a runner made a run of."""
        said = self._request().get("metadata", {}).get(_METADATA)
        run_id = said.get("run_id") if isinstance(said, dict) else None
        if run_id and isinstance(error, Exception):
            self.failures.store(run_id, error)
            # The runner may end this process at once.
            self.runtime.journal.flush()

    def _request(self) -> dict[str, Any]:
        """Return the message that the kernel is carrying out; an empty one in a terminal."""
        get_parent = getattr(self.shell, "get_parent", None)
        return (get_parent() or {}) if get_parent is not None else {}

    def _adopt_parent(self) -> None:
        """Make the runs of this cell children of the one that a runner names, if one does."""
        screen = self._screen
        if not isinstance(screen, KernelScreen):
            return
        said = self._request().get("metadata", {}).get(_METADATA)
        if isinstance(said, dict):
            flow_run_id = said.get("flow_run_id")
            screen.headless = True
            set_ambient_parent(said.get("run_id") or flow_run_id, said.get("root_run_id") or flow_run_id)
            if flow_run_id and flow_run_id != self._followed:
                self._followed = flow_run_id
                self.cells.follow(flow_run_id, said.get("plan") or {})
        elif screen.headless:
            # Somebody else has connected to the runner's kernel: what is run by hand is no part of the run.
            screen.headless = self.cells.headless = False
            set_ambient_parent(None)

    # -- cells that are runs ---------------------------------------------------------------------------------------

    def run_cell(self, kind: str, line: str, body: str, options: Options, *, silent: bool) -> Any:
        """Run a cell as a task or flow and return what is to be displayed, or define a callable one.

        ``silent`` means that nothing is to be displayed.
        Returns a coroutine for a cell whose body awaits: the transformer has put ``await`` before it. Raises what the
        body raises, shown with its own frames only, and `ParameterError` for options that make no sense.
        """
        source = self.transformer.read(kind, line, body)
        filename = self._filename(kind, line, body, source.text)
        options = {**options, "name": source.head.name, "source": self._origin()}
        if kind == "task" and source.head.parameters is None:
            return self._run_task(source, line, body, filename, silent)
        if self.cells.background:
            with self.showing_user_frames():
                self.cells.transformer.wait(ast.parse(source.text))
        if source.head.parameters is not None:
            define(self.shell, kind, source, filename, options)
            return None
        with self.cells.transformer.resting():
            work = make_flow(self.shell, source, filename, options)
        if work.callee.is_async:
            return self._call_async(work, silent)
        return self._call(work, silent)

    def _run_task(self, source: CellSource, line: str, body: str, filename: str, silent: bool) -> Any:
        """Run a task cell; where its body awaits what is returned does too."""
        text, cell_id = self._raw_cell, self._cell_id
        if not text.lstrip().startswith("%%task"):
            text, cell_id = f"%%task {line}\n{body}", None
        self.look_at_notebook()
        cell = Cell(
            name=source.head.name,
            line=line,
            source=text,
            filename=filename,
            origin=self._origin(),
            cell_id=cell_id,
            silent=silent,
        )
        if source.is_async:
            return self._awaiting(cell)
        with self.showing_user_frames():
            return self.cells.run(cell)

    async def _awaiting(self, cell: Cell) -> Any:
        try:
            with self.showing_user_frames(), _awake():
                value = self.cells.run(cell)
                return await value if asyncio.iscoroutine(value) else value
        except (CellLineError, ParameterError) as error:
            # What the magic does for a cell that does not await.
            raise UsageError(str(error)) from None

    @contextmanager
    def showing_user_frames(self) -> Iterator[None]:
        """Show what the block raises with the user's own frames only."""
        __tracebackhide__ = True
        try:
            yield
        except asyncio.CancelledError as cancelled:
            # The stop button cancels a cell that awaits; people know it as this.
            self._deafness.begin()
            interrupt = KeyboardInterrupt().with_traceback(cancelled.__traceback__)
            show_user_frames(self.shell, interrupt)
            raise interrupt from None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self._deafness.begin()
            show_user_frames(self.shell, error)
            raise

    def _call(self, work: Flow[[], Any], silent: bool) -> Any:
        with self.showing_user_frames():
            value = work()
            return None if silent else value

    async def _call_async(self, work: Flow[[], Any], silent: bool) -> Any:
        with self.showing_user_frames(), _awake():
            value = await work()
            return None if silent else value

    def _filename(self, kind: str, line: str, body: str, text: str) -> str:
        """Let tracebacks, the debugger and `inspect` find the cell's text; return the name they know it by."""
        result = getattr(self.shell.displayhook, "exec_result", None)
        number = getattr(result, "execution_count", None) or self.shell.execution_count
        raw = self._raw_cell if body.strip() in self._raw_cell else f"%%{kind} {line}\n{body}"
        name: str = self.shell.compile.cache(text, number, raw_code=raw)
        return name

    def _origin(self) -> dict[str, Any]:
        """Return the ``source`` of this cell's run, as far as the front end or the runner has told."""
        metadata = self._request().get("metadata", {})
        said = metadata.get(_METADATA)
        origin = {
            "notebook": os.environ.get("JPY_SESSION_NAME"),
            "cell_id": metadata.get("cellId"),
            "cell": said.get("cell") if isinstance(said, dict) else None,
        }
        return {name: value for name, value in origin.items() if value is not None}

    @property
    def notebook_path(self) -> Path | None:
        """Where the notebook of this kernel is saved, as far as somebody has told; of a copy the one it was made of."""
        if self.cells.original is not None:
            return self.cells.original
        name = os.environ.get("JPY_SESSION_NAME")
        path = Path(name) if name else None
        return path if path is not None and path.suffix == ".ipynb" and path.is_absolute() else None

    @property
    def notebook_name(self) -> str:
        """What to call the notebook of this kernel."""
        # A runner says how it was named, which need not be an absolute path.
        path = Path(os.environ.get("JPY_SESSION_NAME") or "")
        return path.stem if path.suffix == ".ipynb" else "notebook"

    def look_at_notebook(self) -> None:
        """Take in what was saved of the notebook since the last look."""
        if not self.cells.headless:
            self.cells.open(self.notebook_path)
        self.cells.look()

    def cell_of(self, task: TaskCell) -> Cell:
        """Return a task's cell, to be run though nobody has executed it."""
        first, _, body = task.source.lstrip().partition("\n")
        line = first.removeprefix("%%task").strip()
        return Cell(
            name=task.name,
            line=line,
            source=task.source,
            filename=self.shell.compile.cache(task.body, self.shell.execution_count, raw_code=task.source),
            origin={**self._origin(), "cell": task.cell, **({"cell_id": task.cell_id} if task.cell_id else {})},
            cell_id=task.cell_id,
            silent=DisplayHook.semicolon_at_end_of_expression(body),  # type: ignore[no-untyped-call]
        )

    # -- runs that start -------------------------------------------------------------------------------------------

    def _on_root(self, live: LiveRun) -> None:
        again = live.attempt > 1 and self.board.enabled
        self.board.on_root(live, self._request(), self._left_by(live) if again else ())

    def _left_by(self, live: LiveRun) -> list[Entry]:
        """Return what the store has of the runs below one that is resumed, as entries."""
        found: list[Entry] = []
        cursor: str | None = None
        where = RunFilter(root_id=live.root_id, oldest_first=True)
        while True:
            page = self.runtime.store.list_runs(where, limit=1_000, cursor=cursor)
            for run in page.items:
                if run.id != live.id:
                    found += stored_entries(run)
            cursor = page.next_cursor
            if cursor is None:
                return found

    def ask(self, kind: str, run_id: str) -> None:
        """Write down that somebody wants ``kind`` ("cancel" or "retry") of a run.

        Called by a widget, beside the main thread or on it; what is asked for too late is ignored.
        """
        try:
            self.runtime.store.request(run_id, "cancel" if kind == "cancel" else "retry")
        except JupyterWfError:
            return


@contextmanager
def _awake() -> Iterator[None]:
    """Wake the running loop ten times a second.

    ipykernel 7 turns the stop button into a callback of a loop that may sleep until its next event, whenever that is.
    """
    waker = asyncio.get_running_loop().create_task(_tick())
    try:
        yield
    finally:
        waker.cancel()


async def _tick() -> None:
    while True:
        await asyncio.sleep(0.1)


def _kernel_runtime() -> Runtime:
    """Return the process's runtime; one that is made here knows that it is a kernel's."""
    runtime = set_runtime(None)
    if runtime is None or runtime.closed:
        runtime = Runtime.open(load_settings(), role="kernel")
    set_runtime(runtime)
    return runtime
