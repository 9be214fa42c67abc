"""Task cells that run in the background, and the cells that wait for what they make."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.engine.calls import hand_out
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.ipython.interrupts import Deafness, noted_interrupts
from jupyter_wf.notebook.cells import Namespace
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebook.lookups import looked_up
from jupyter_wf.notebook.names import BUILTINS, analyse

__all__ = ["Background", "Pending", "WaitingTransformer"]

#: What IPython makes of cell magics of ours; these wait by themselves.
_OURS = ("task", "flow")
#: Calls in whose texts any name may be.
_OPAQUE = frozenset(("exec", "eval", "locals", "vars", "dir", "globals"))
_WORD = re.compile(r"\w+")
_RAISE = "__jupyter_wf_raise__"
#: Seconds between two looks at whether the stop button was pressed.
_LOOK = 0.05
#: The attribute of an error that says which names it has kept from being there.
_OUTPUTS = "_jupyter_wf_outputs"


class _Waits(Protocol):
    """Where it is shown that a cell waits."""

    def waiting(self, names: Sequence[str]) -> AbstractContextManager[Any]:
        """Return a context around the wait for tasks."""


@dataclass(slots=True, kw_only=True, eq=False)
class Pending:
    """A task cell in the background.

    ``ended`` is set when its end is written down, ``outputs`` are the names that cells wait for, ``seen`` says whether
    a cell has shown its error, ``origin`` where that was raised.
    """

    task: TaskCell
    future: RunFuture[Any]
    ended: threading.Event
    outputs: set[str]
    seen: bool = False
    origin: TracebackType | None = None


class Background:
    """The task cells of a kernel that run in the background, or have failed there.

    ``namespace`` returns the notebook's names; ``deafness`` begins when the stop button has ended a wait. `add` and
    `forget` may be called from any thread, what waits only from the one that runs the cells.
    """

    def __init__(
        self,
        board: _Waits,
        deafness: Deafness,
        namespace: Callable[[], Namespace],
        stops_run: Callable[[], bool] = lambda: False,
    ) -> None:
        """``stops_run`` says whether a task that stops early stops the run of the whole notebook."""
        self._stops_run = stops_run
        self._board = board
        self._deafness = deafness
        self._namespace = namespace
        self._pending: dict[str, Pending] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, task: TaskCell, future: RunFuture[Any], ended: threading.Event) -> None:
        """Take in a cell that has begun."""
        with self._lock:
            self._pending[task.name] = Pending(task=task, future=future, ended=ended, outputs=set(task.writes))
        if future.done():
            ended.wait()
            if future.state.is_completed():
                self.forget(task.name)

    def forget(self, name: str) -> None:
        """Forget a task that is run again, or has completed: there is nothing to wait for, and no error to be shown."""
        with self._lock:
            self._pending.pop(name, None)

    def _all(self) -> list[Pending]:
        with self._lock:
            return list(self._pending.values())

    def wait(
        self,
        *,
        reads: frozenset[str] = frozenset(),
        writes: frozenset[str] = frozenset(),
        tasks: Iterable[str] = (),
        itself: str | None = None,
    ) -> None:
        """Wait for the tasks ``tasks`` and for those that make what a cell reads or binds anew.

        What functions of the notebook look up that the cell may call counts as read. ``itself`` is the name of the
        task that is to run: it is waited for too, however it has ended. Raises the error of a task that has failed and
        whose output the cell reads, with its own traceback.
        """
        namespace, tasks = self._namespace(), set(tasks)
        reads |= looked_up(reads, namespace)
        unknown = any(name not in namespace and name not in BUILTINS for name in reads)
        due = []
        for pending in self._all():
            # An import that was made already binds the same module again.
            imported = frozenset(name for name in pending.task.names.imports if name in namespace)
            needed = pending.task.name in tasks or not pending.outputs.isdisjoint(reads - imported)
            # What such a body binds is not all to be seen in its text.
            perhaps = unknown and pending.task.names.dynamic
            mine = pending.task.name == itself
            if mine or needed or perhaps or not pending.outputs.isdisjoint(writes - imported):
                due.append((pending, not mine and (needed or (perhaps and not pending.seen))))
        self._wait_for([pending for pending, _ in due])
        for pending, counts in due:
            if pending.future.state.is_completed():
                self._complete(pending)
            elif counts:
                self._raise(pending)
            pending.outputs -= writes

    def wait_all(self, itself: str | None = None) -> None:
        """Wait for all tasks. Raises the error of the first one that has failed, if no cell has shown it before.

        ``itself`` is the name of the task that is to run, whose last error does not count.
        """
        due = self._all()
        self._wait_for(due)
        for pending in due:
            if pending.future.state.is_completed():
                self._complete(pending)
            elif not pending.seen and pending.task.name != itself:
                self._raise(pending)

    def _complete(self, pending: Pending) -> None:
        """Forget a task that has completed. Raises what ends the notebook's run with it, if it does."""
        self.forget(pending.task.name)
        stop = pending.future.run.last_error
        if isinstance(stop, StopFlow) and self._stops_run():
            raise stop

    def settle(self, tasks: Iterable[str], names: frozenset[str] = frozenset()) -> None:
        """Wait for tasks, and for those that make ``names``, however they end."""
        tasks = set(tasks)
        self._wait_for([p for p in self._all() if p.task.name in tasks or not p.outputs.isdisjoint(names)])

    def _wait_for(self, due: list[Pending]) -> None:
        __tracebackhide__ = True
        open_ = [pending for pending in due if not pending.ended.is_set()]
        if not open_:
            return
        with noted_interrupts(self._deafness) as stop, self._board.waiting([pending.task.name for pending in open_]):
            for pending in open_:
                while not stop.came and not pending.ended.wait(_LOOK):
                    pass
        if stop.came:
            raise KeyboardInterrupt

    def _raise(self, pending: Pending) -> None:
        __tracebackhide__ = True
        live = pending.future.run
        if live.last_error is not None and not pending.seen:
            pending.origin = live.last_error.__traceback__
        pending.seen = True
        try:
            hand_out(live)
            # Not COMPLETED, and nothing to be raised: it was not called.
            raise JupyterWfError(f"the task {pending.task.name!r} is {live.state.name}: {live.state.message or ''}")
        except BaseException as raised:
            error = raised
        note = f"raised by the task {pending.task.name!r} (cell {pending.task.cell + 1}), in the background"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        vars(error)[_OUTPUTS] = frozenset(pending.outputs)
        # Not what the readers before have added to it.
        raise error.with_traceback(pending.origin if error is live.last_error else None)


class WaitingTransformer(ast.NodeTransformer):
    """Makes a plain cell wait, before it runs, for background tasks whose outputs it reads or binds anew.

    A syntax tree's transformer, because that is the last thing that IPython calls before a cell runs. Where what the
    cell would wait for has failed, or the stop button ends the wait, the cell raises that instead of running.
    """

    def __init__(self, background: Background, namespace: Callable[[], Namespace]) -> None:
        self._background = background
        self._namespace = namespace
        self._rests = False

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Have the block's trees left alone: who compiles them has waited."""
        self._rests = True
        try:
            yield
        finally:
            self._rests = False

    def visit(self, node: ast.AST) -> Any:
        """Wait; return the tree as it is, or one that raises."""
        if self._rests or not self._background or not isinstance(node, ast.Module) or _is_ours(node):
            return node
        if current_run() is not None:
            # A magic in the body of a task or flow, perhaps in the background itself: that has waited as a whole.
            return node
        try:
            self.wait(node)
        except BaseException as error:
            # Outside the cell IPython takes care of few exceptions, and of a broken transformer for good.
            return self._raising(node, error)
        return node

    def wait(self, tree: ast.Module) -> None:
        """Wait for what a cell reads or binds anew. Raises the error of what has failed, and `KeyboardInterrupt`."""
        names = analyse(tree)
        calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
        if any(isinstance(function, ast.Name) and function.id in _OPAQUE for function in calls):
            self._background.wait_all()
            return
        reads = names.reads | names.captured | names.builtin_reads
        if names.dynamic:
            # A magic: what it uses is somewhere in its text.
            texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            reads |= {word for text in texts for word in _WORD.findall(text)}
        self._background.wait(reads=reads, writes=names.writes | names.deletes)

    def _raising(self, tree: ast.Module, error: BaseException) -> ast.Module:
        namespace = self._namespace()

        def raise_it() -> None:
            __tracebackhide__ = True
            namespace.pop(_RAISE, None)
            raise error

        namespace[_RAISE] = raise_it
        call = ast.Expr(ast.Call(ast.Name(_RAISE, ast.Load()), [], []))
        if tree.body:
            ast.copy_location(call, _reader(tree, error))
        made = ast.Module([call], [])
        return ast.fix_missing_locations(made)


def _reader(tree: ast.Module, error: BaseException) -> ast.AST:
    """Return the statement of a cell that reads what a task has not made; its first one where that is not known."""
    outputs: frozenset[str] = getattr(error, _OUTPUTS, frozenset())
    for statement in tree.body:
        if any(isinstance(node, ast.Name) and node.id in outputs for node in ast.walk(statement)):
            return statement
    return tree.body[0]


def _is_ours(tree: ast.Module) -> bool:
    """Return whether the cell is a call of one of our cell magics, perhaps awaited."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return False
    call = tree.body[0].value
    if isinstance(call, ast.Await):
        call = call.value
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "run_cell_magic"
        and bool(call.args)
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value in _OURS
    )
