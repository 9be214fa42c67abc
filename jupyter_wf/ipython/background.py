"""Task cells that run in the background, and the cells that wait for what they make."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.engine.calls import hand_out
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebook.names import analyse

__all__ = ["Background", "Pending", "WaitingTransformer"]

#: What IPython makes of cell magics of ours; these wait by themselves.
_OURS = ("task", "flow")
#: Calls in whose texts any name may be.
_OPAQUE = frozenset(("exec", "eval", "locals", "vars", "dir", "globals"))
_WORD = re.compile(r"\w+")
_RAISE = "__jupyter_wf_raise__"


class _Waits(Protocol):
    """Where it is shown that a cell waits."""

    def waiting(self, names: Sequence[str]) -> AbstractContextManager[Any]:
        """Return a context around the wait for tasks."""


@dataclass(slots=True, kw_only=True, eq=False)
class Pending:
    """A task cell in the background.

    ``ended`` is set when its end is written down, ``outputs`` are the names that cells wait for, ``seen`` says whether
    a cell has shown its error.
    """

    task: TaskCell
    future: RunFuture[Any]
    ended: threading.Event
    outputs: set[str]
    seen: bool = False


class Background:
    """The task cells of a kernel that run in the background, or have failed there."""

    def __init__(self, board: _Waits) -> None:
        self._board = board
        self._pending: dict[str, Pending] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._pending)

    def add(self, task: TaskCell, future: RunFuture[Any], ended: threading.Event) -> None:
        """Take in a cell that has begun."""
        with self._lock:
            self._pending[task.name] = Pending(task=task, future=future, ended=ended, outputs=set(task.writes))

    def forget(self, name: str) -> None:
        """Forget a task whose cell is run again."""
        with self._lock:
            self._pending.pop(name, None)

    def running(self, name: str) -> bool:
        """Return whether a task's cell runs in the background now."""
        found = self._pending.get(name)
        return found is not None and not found.ended.is_set()

    def wait(
        self, *, reads: frozenset[str] = frozenset(), writes: frozenset[str] = frozenset(), tasks: Iterable[str] = ()
    ) -> None:
        """Wait for the tasks ``tasks`` and for those that make what a cell reads or binds anew.

        Raises the error of one that has failed and whose output the cell reads, with its own traceback.
        """
        tasks = set(tasks)
        due = [p for p in self._pending.values() if p.task.name in tasks or not p.outputs.isdisjoint(reads | writes)]
        self._wait_for(due)
        for pending in due:
            if pending.future.state.is_completed():
                self.forget(pending.task.name)
            elif pending.task.name in tasks or not pending.outputs.isdisjoint(reads):
                self._raise(pending)
            pending.outputs -= writes

    def wait_all(self) -> None:
        """Wait for all tasks. Raises the error of the first one that has failed, if no cell has shown it before."""
        due = list(self._pending.values())
        self._wait_for(due)
        for pending in due:
            if pending.future.state.is_completed():
                self.forget(pending.task.name)
            elif not pending.seen:
                self._raise(pending)

    def settle(self, tasks: Iterable[str]) -> None:
        """Wait for tasks, however they end."""
        self._wait_for([self._pending[name] for name in tasks if name in self._pending])

    def _wait_for(self, due: list[Pending]) -> None:
        open_ = [pending for pending in due if not pending.ended.is_set()]
        if open_:
            with self._board.waiting([pending.task.name for pending in open_]):
                for pending in open_:
                    pending.ended.wait()

    def _raise(self, pending: Pending) -> None:
        __tracebackhide__ = True
        pending.seen = True
        live = pending.future.run
        try:
            hand_out(live)
        except BaseException as error:
            note = f"raised by the task {pending.task.name!r} (cell {pending.task.cell + 1}), in the background"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
            raise
        # Not COMPLETED, and nothing to be raised: it was not called.
        raise JupyterWfError(f"the task {pending.task.name!r} is {live.state.name}: {live.state.message or ''}")


class WaitingTransformer(ast.NodeTransformer):
    """Makes a plain cell wait, before it runs, for background tasks whose outputs it reads or binds anew.

    A syntax tree's transformer, because that is the last thing that IPython calls before a cell runs. Where what the
    cell would wait for has failed, the cell raises that error instead of running.
    """

    def __init__(self, background: Background, namespace: Callable[[], dict[str, Any]]) -> None:
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
        try:
            self._wait(node)
        except Exception as error:
            return self._raising(node, error)
        return node

    def _wait(self, tree: ast.Module) -> None:
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

    def _raising(self, tree: ast.Module, error: Exception) -> ast.Module:
        namespace = self._namespace()

        def raise_it() -> None:
            __tracebackhide__ = True
            namespace.pop(_RAISE, None)
            raise error

        namespace[_RAISE] = raise_it
        call = ast.Expr(ast.Call(ast.Name(_RAISE, ast.Load()), [], []))
        if tree.body:
            ast.copy_location(call, tree.body[0])
        made = ast.Module([call], [])
        return ast.fix_missing_locations(made)


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
