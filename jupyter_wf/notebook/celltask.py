"""A ``%%task`` cell as a task of the engine: where its body runs, what it leaves, what is stored of it."""

from __future__ import annotations

import ast
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from types import FunctionType
from typing import Any

from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.lifecycle import Life, failed, not_ready, skipped
from jupyter_wf.core.parameters import is_secret, to_json
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.core.states import State
from jupyter_wf.core.triggers import Ready, Verdict, decide
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.calls import Invocation
from jupyter_wf.engine.fingerprints import Unhashable, inputs_of
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.sources import blake2b
from jupyter_wf.notebook.cells import CellBody, Namespace, NamespaceGuard
from jupyter_wf.notebook.dataflow import TaskCell
from jupyter_wf.notebook.elsewhere import CellValue
from jupyter_wf.notebook.failures import remember_names
from jupyter_wf.notebook.keys import INPUTS_LIMIT, cell_key, inputs_key
from jupyter_wf.notebook.overlay import NO_DATA, Overlay
from jupyter_wf.notebook.redefining import defined_around
from jupyter_wf.notebook.shelf import Shelf

__all__ = ["CellCall", "PreparedCell", "code_of_task", "fingerprints"]


def code_of_task(task: TaskCell) -> str:
    """Return 16 hexadecimal characters for the meaning of a cell, whatever its layout.

    Of its line the expressions count: what it runs over, and when.
    """
    items = () if task.options.map is None else task.options.map
    return _code(task.body, *items, task.options.when or "")


@lru_cache(maxsize=1_000)
def _code(body: str, *expressions: str) -> str:
    told = "\0".join((ast.dump(ast.parse(body)), *filter(None, expressions)))
    return blake2b(told.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=100)
def _names_in(expression: str) -> frozenset[str]:
    """Return the names in an expression."""
    tree = ast.parse(expression, mode="eval")
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedCell:
    """A task cell that can be run in a namespace.

    ``line`` is the cell's first line without its magic; ``body`` is compiled, under ``filename`` and ``flags``.
    ``origin`` is where the cell is, for the run's record. ``persist`` tells that what it leaves is stored with its run;
    ``edges`` are the runs that it comes after, ``before`` the names and final states of tasks that decide whether it
    runs at all. ``heeding`` is put around a body that runs in the caller's thread. ``show`` takes the last value
    where nobody waits for the cell who would (None), ``flush`` shows what the body has drawn.
    ``begins`` hears of each run when all that it comes after has ended. ``is_item`` tells that it is one item's.
    """

    task: TaskCell
    line: str
    body: CellBody
    filename: str
    namespace: Namespace
    flags: int = 0
    interactivity: str = "last_expr"
    origin: Mapping[str, Any] = field(default_factory=dict)
    persist: bool = False
    edges: Sequence[str] = ()
    before: Sequence[tuple[str, State]] = ()
    heeding: Callable[[], AbstractContextManager[Any]] = nullcontext
    show: Callable[[Any], Any] | None = None
    flush: Callable[[], Any] = lambda: None
    begins: Callable[[LiveRun], Any] = lambda live: None
    is_item: bool = False

    @property
    def code(self) -> str:
        """16 hexadecimal characters that change with the body's meaning, not with its comments or its layout."""
        # An item is the same whatever other items there are.
        return _code(self.task.body) if self.is_item else code_of_task(self.task)

    def inputs(self, bound: Mapping[str, Any] | None = None, namespace: Namespace | None = None) -> dict[str, Any]:
        """Return what the cell reads in ``namespace`` (None: in the notebook's, now), with ``bound`` names on top."""
        names = self.namespace if namespace is None else namespace
        found = {name: names[name] for name in sorted(self.task.reads) if name in names}
        if bound is None:
            return found
        # One item of a mapped cell: the others are no input of it, unless its body asks for them too.
        for name in self._of_the_line() - bound.keys():
            value = found.pop(name, None)
            if any(type(other) is FunctionType and name in other.__code__.co_names for other in found.values()):
                found[name] = value
        return {**found, **bound}

    def _of_the_line(self) -> frozenset[str]:
        """Return the names that only the line's --map reads."""
        if self.task.options.map is None:
            return frozenset()
        body = self.body.names
        return _names_in(self.task.options.map[1]) - body.reads - body.builtin_reads - body.captured

    def verdict(self, names: Namespace | None = None) -> Verdict:
        """Say whether the cell is to run, given the runs before it, and its condition in ``names``.

        Raises what the condition raises.
        """
        options = self.task.options
        verdict = decide(options.run_if or "all_success", self.before)
        if verdict.ready is not Ready.CALL or options.when is None:
            return verdict
        holds = self.evaluate(options.when, self.namespace if names is None else names)
        return verdict if holds else Verdict(Ready.SKIP, f"--when {options.when} does not hold")

    def evaluate(self, expression: str, names: Namespace) -> Any:
        """Return the value of an expression of the cell's line, where tracebacks have it. Raises what it raises."""
        return eval(compile(expression, self.filename, "eval", self.flags, dont_inherit=True), names)

    # -- running ---------------------------------------------------------------------------------------------------

    def run_here(self) -> CellValue:
        """Run the body in the notebook's namespace: all of what it binds arrives there, or nothing."""
        guard = NamespaceGuard(self.namespace, self.body.names)
        try:
            with self.heeding(), _stopping():
                shown = self.body.bind(self.namespace)()
            self.flush()
            changed = guard.changed() if self.body.as_module else None
            guard.keep()
        except BaseException as error:
            remember_names(error, guard.take_back())
            raise
        return self.left(self.namespace, shown, changed)

    async def run_here_async(self) -> CellValue:
        """Do as `run_here` does for a body that awaits."""
        guard = NamespaceGuard(self.namespace, self.body.names)
        try:
            with _stopping():
                shown = await self.body.bind(self.namespace)()
            self.flush()
            changed = guard.changed() if self.body.as_module else None
            guard.keep()
        except BaseException as error:
            remember_names(error, guard.take_back())
            raise
        return self.left(self.namespace, shown, changed)

    def beside(self, start: Namespace | None, bound: Mapping[str, Any] | None, *, publish: bool) -> Callable[[], Any]:
        """Return a function (a coroutine function for a body that awaits) that runs the body beside other cells.

        It sees the notebook's names as they are in ``start``, or, where that is None, as they are when it begins. What
        it binds arrives in the notebook when it has ended, if ``publish``.
        """

        def run() -> CellValue:
            overlay = self._overlay(start, bound)
            with _stopping(), _remembering(overlay):
                shown = self.body.bind(overlay)()
            return self._take_out(overlay, shown, bound, publish)

        async def run_async() -> CellValue:
            overlay = self._overlay(start, bound)
            with _stopping(), _remembering(overlay):
                shown = await self.body.bind(overlay)()
            return self._take_out(overlay, shown, bound, publish)

        return run_async if self.body.is_async else run

    def _overlay(self, start: Namespace | None, bound: Mapping[str, Any] | None) -> Overlay:
        names = self.body.names
        return Overlay(
            self.namespace,
            dict(self.namespace) if start is None else start,
            bound,
            uses=names.reads | names.builtin_reads | names.captured,
            binds=names.writes,
        )

    def _take_out(self, overlay: Overlay, shown: Any, bound: Mapping[str, Any] | None, publish: bool) -> CellValue:
        names = self.body.names
        # What the syntax shows need not be looked for among all names of the notebook.
        changed = overlay.changed(None if self.body.as_module else names.writes) - (bound or {}).keys()
        if publish and not self.body.as_module:
            # A body that runs as a module may have private names that its functions look up.
            overlay.settle(changed & names.writes)
        value = self.left(overlay, shown if publish and self.show is None else None, changed)
        if publish:
            public = changed & names.writes if not self.body.as_module else {n for n in changed if n[:1] != "_"}
            for name in public:
                self.namespace[name] = overlay[name]
            for name in names.deletes - overlay.keys():
                self.namespace.pop(name, None)
            if self.show is not None:
                self.show(shown)
        overlay.release(names.private & names.captured)
        return value

    def left(self, namespace: Namespace, shown: Any, changed: Iterable[str] | None = None) -> CellValue:
        """Return the data that the body has left in ``namespace``; of ``changed`` names only, where they are given."""
        names = self.task.data
        if self.body.as_module and changed is not None:
            names = names | {n for n in changed if n[:1] != "_" and not isinstance(namespace.get(n), NO_DATA)}
        return CellValue({name: namespace[name] for name in sorted(names) if name in namespace}, shown)

    def defining(self) -> AbstractContextManager[None]:
        """Return a block in which outputs of the cell are read and bound: what it defines is made again around it."""
        names = self.task.names
        if not (names.imports or names.definitions):
            return nullcontext()
        return defined_around(self.task.body, self.namespace, filename=self.filename, flags=self.flags)

    def put_back(self, value: Mapping[str, Any]) -> None:
        """Bind the data of a run before in the notebook's namespace; what the cell deletes is deleted."""
        self.namespace.update(value)
        for name in self.body.names.deletes - self.task.writes - value.keys():
            self.namespace.pop(name, None)

    # -- what is stored --------------------------------------------------------------------------------------------

    def tell(self, live: LiveRun) -> None:
        """Store the text of the cell with a run that begins, so that it can be run by hand later."""
        task = self.task
        written = task.source.lstrip().partition("\n")[2]
        facts = {"kind": "task", "line": self.line, "body": written, "cell": task.cell, "cell_id": task.cell_id}
        facts |= {"reads": sorted(task.reads), "writes": sorted(task.writes)}
        text = json.dumps(facts).encode()
        live.runtime.journal.append(ResultStored(live.id, time.time(), cell_key(live.id), None, "json", text))

    def keep_inputs(
        self, live: LiveRun, bound: Mapping[str, Any] | None = None, names: Namespace | None = None
    ) -> None:
        """Store the data that a failed run has read in ``names``, as it is now; what is too large is left out."""
        values = {
            name: value
            for name, value in self.inputs(bound, names).items()
            if not isinstance(value, NO_DATA) and not is_secret(name)
        }
        shelved = Shelf(live.runtime.blobs).keep(values, largest=INPUTS_LIMIT)
        live.runtime.journal.append(
            ResultStored(live.id, time.time(), inputs_key(live.id), None, *shelved.payload, None, self.code)
        )


@contextmanager
def _remembering(overlay: Overlay) -> Iterator[None]:
    """Keep with the error what the body had bound."""
    __tracebackhide__ = True
    try:
        yield
    except BaseException as error:
        remember_names(error, {name: overlay[name] for name in overlay.changed()})
        raise


@contextmanager
def _stopping() -> Iterator[None]:
    """Take ``sys.exit()`` and ``sys.exit(0)`` for what they mean in a notebook: nothing is left to be done."""
    __tracebackhide__ = True
    try:
        yield
    except SystemExit as stop:
        if stop.code not in (None, 0):
            raise
        raise StopFlow("sys.exit()") from None


class CellCall(Invocation):
    """The call of a cell: its inputs are recorded as the run's parameters, its edges as its upstream."""

    __slots__ = ("bound", "edges", "names", "noted", "prepared", "why")

    def __init__(
        self,
        prepared: PreparedCell,
        callee: Callee,
        *,
        bound: Mapping[str, Any] | None = None,
        names: Namespace | None = None,
        wait_for: Iterable[Any] = (),
        submitted: bool = False,
    ) -> None:
        super().__init__(callee, (), {}, wait_for, submitted=submitted)
        self.prepared = prepared
        self.bound = bound
        self.names = names
        self.edges = prepared.edges
        self.noted = False
        #: Why the cell runs, though an attempt before has left something of it.
        self.why: str | None = None
        self._parameters = self._data()

    def _data(self) -> dict[str, Any]:
        """Return the cell's inputs that are data, as they are now."""
        found = self.prepared.inputs(self.bound, self.names)
        return {name: value for name, value in found.items() if not isinstance(value, NO_DATA)}

    def _record(self, parameters: Mapping[str, Any]) -> None:
        """Write down the inputs of a run that was made before they were known, or with others."""
        self.live.parameters = parameters
        self.live.patch(parameters=json.loads(to_json(parameters)))

    def begin(self) -> LiveRun:
        """Make the run, where there is none yet, and return it; its text is stored with it."""
        is_new = not self.begun
        live = super().begin()
        if is_new:
            self.prepared.tell(live)
            if self.why is not None:
                live.log(logging.INFO, f"not restored: {self.why}")
            if self.bound is None and not self.upstream:
                self.prepared.begins(live)
                self.noted = True
        return live

    def take(self, live: LiveRun) -> None:
        """Make the run of an attempt before, which another process has begun, the run of this call."""
        parameters = self._parameters or {}
        super().take(live)
        self._record(parameters)
        self.prepared.tell(live)

    def steps(self, attempt: int = 1) -> Life:
        """Return the life that the run is to lead, now that what it comes after has ended: maybe it is skipped."""
        live, prepared = self.live, self.prepared
        if self.bound is None:
            if not self.noted:
                prepared.begins(live)
            # The next attempt begins anew.
            self.noted = False
            try:
                ready, reason = prepared.verdict(self.names)
            except Exception as error:
                return failed(error)
            if ready is not Ready.CALL:
                return skipped(reason) if ready is Ready.SKIP else not_ready(reason)
            if self.upstream or attempt > 1:
                self._record(self._data())
        if prepared.persist:
            live.inputs = fingerprints(live, prepared.inputs(self.bound, self.names))
        return super().steps(attempt)


def fingerprints(live: LiveRun, inputs: Mapping[str, Any]) -> str | None:
    """Return the fingerprints of a cell's inputs; None, and a line in the log, where one has none."""
    try:
        return inputs_of(inputs)
    except Unhashable as error:
        live.log(logging.DEBUG, f"a resumed run will run this cell again: {error}")
        return None
