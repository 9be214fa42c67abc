"""The walk through a cell's top level, statement by statement, that finds what it reads, binds and deletes."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import Any

from jupyter_wf.notebook.scopes import (
    Comprehension,
    Function,
    Scope,
    class_scope,
    comprehension_scope,
    function_scope,
    has_await,
    import_names,
    signature_parts,
)

__all__ = ["CellWalk"]

#: Calls that read or bind names which the syntax does not show.
_OPAQUE = frozenset(("exec", "eval", "locals", "vars", "dir", "globals"))
_OPAQUE_METHODS = frozenset(("run_line_magic", "run_cell_magic", "run_cell", "ex", "ev", "push", "magic"))
_SHELL_METHODS = frozenset(("system", "getoutput"))
_DOLLAR = re.compile(r"(?<!\$)\$\{?([A-Za-z_]\w*)")
_BRACES = re.compile(r"\{([^{}]+)\}")

#: The names that are certainly bound, or None where the code cannot be reached.
_State = set[str] | None


def _merge(*states: _State) -> _State:
    """Return what is certainly bound where several ways meet."""
    reached = [state for state in states if state is not None]
    return set.intersection(*reached) if reached else None


class CellWalk(ast.NodeVisitor):
    """Walks a cell in the order in which it runs. After `run` the public attributes hold the outcome."""

    def __init__(self, helper: Callable[[str], Iterable[str]]) -> None:
        self._helper = helper
        self.reads: dict[str, None] = {}
        self.bound: set[str] = set()
        self.deleted: set[str] = set()
        self.imports: set[str] = set()
        self.definitions: set[str] = set()
        self.handlers: set[str] = set()
        self.captured: set[str] = set()
        self.global_writes: set[str] = set()
        self.awaits = False
        self.dynamic = False
        self._certain: _State = set()
        #: What a function defined so far will look up, until the cell first mentions it.
        self._deferred: dict[str, list[str]] = {}
        #: For each loop around: what is bound where it is left by break, and where it goes on by continue.
        self._loops: list[tuple[list[_State], list[_State]]] = []

    def run(self, body: Iterable[ast.stmt]) -> None:
        """Walk the statements of a cell."""
        self._block(body)
        self.certain_reads = set(self.reads)
        if self._certain is None:
            self._certain = set(self.bound)
        while self._deferred:
            self._use_deferred(next(iter(self._deferred)))

    # -- names ---------------------------------------------------------------------------------------------------

    def _load(self, name: str) -> None:
        if self._certain is None:
            return
        if name not in self._certain and name not in self.reads:
            self.reads[name] = None
            for needed in self._helper(name):
                self._load(needed)
        self._use_deferred(name)

    def _use_deferred(self, name: str) -> None:
        for needed in self._deferred.pop(name, ()):
            self._load(needed)

    def _store(self, name: str) -> None:
        self.bound.add(name)
        self._deferred.pop(name, None)
        self.imports.discard(name)
        self.definitions.discard(name)
        if self._certain is not None:
            self._certain.add(name)

    def _define(self, name: str, later: Iterable[str]) -> None:
        self._store(name)
        self._deferred[name] = list(later)

    def _absorb(self, scope: Scope) -> None:
        self.captured.update(scope.later)
        self.global_writes |= scope.global_writes
        for name in scope.walrus:
            self._store(name)

    def _block(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _branch(self, nodes: Iterable[ast.AST], start: _State) -> _State:
        """Walk statements from ``start``; return what is certain after them."""
        self._certain = None if start is None else set(start)
        self._block(nodes)
        return self._certain

    # -- expressions ---------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._load(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._store(node.id)
        else:
            self._load(node.id)
            self.deleted.add(node.id)
            if self._certain is not None:
                self._certain.discard(node.id)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._block(signature_parts(node))
        scope = function_scope(node)
        self.captured.update(scope.free)
        self._absorb(scope)
        for name in scope.free:
            self._load(name)

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        scope = comprehension_scope(node)
        self.awaits = self.awaits or (
            not isinstance(node, ast.GeneratorExp) and (any(g.is_async for g in node.generators) or has_await(node))
        )
        for name in scope.free:
            self._load(name)
        self._absorb(scope)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        start = self._certain
        self._certain = _merge(self._branch((node.body,), start), self._branch((node.orelse,), start))

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        start = self._certain
        self._branch(node.values[1:], start)
        self._certain = start

    def visit_Await(self, node: ast.Await) -> None:
        self.awaits = True
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name) and function.id in _OPAQUE:
            self.dynamic = True
        elif isinstance(function, ast.Attribute) and _is_shell(function.value):
            if function.attr in _OPAQUE_METHODS:
                self.dynamic = True
            elif function.attr in _SHELL_METHODS:
                self._load_from_command(node)
        self.generic_visit(node)

    def _load_from_command(self, node: ast.Call) -> None:
        """A shell command names variables as ``$name`` and ``{expression}``; unknown ones stay as they are."""
        for argument in node.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                for name in _DOLLAR.findall(argument.value):
                    self._load(name)
                for text in _BRACES.findall(argument.value):
                    self._load_text(text)

    def _load_text(self, text: str) -> None:
        for candidate in (text, text.partition("!")[0].partition(":")[0]):
            try:
                tree = ast.parse(candidate.strip(), mode="eval")
            except SyntaxError:
                continue
            self.visit(tree.body)
            return

    # -- simple statements ---------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        if isinstance(node.value, ast.Lambda) and all(isinstance(target, ast.Name) for target in node.targets):
            self._block(signature_parts(node.value))
            scope = function_scope(node.value)
            self.captured.update(scope.free)
            self._absorb(scope)
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._define(target.id, scope.free)
            return
        self.visit(node.value)
        self._block(node.targets)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
            self.visit(node.target)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in import_names(node):
            if name == "*":
                self.dynamic = True
                continue
            self._store(name)
            self.imports.add(name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module != "__future__":
            self.visit_Import(node)

    def visit_Return(self, node: ast.Return) -> None:
        self.generic_visit(node)
        self._certain = None

    def visit_Raise(self, node: ast.Raise) -> None:
        self.generic_visit(node)
        self._certain = None

    def visit_Break(self, node: ast.Break) -> None:
        if self._loops:
            self._loops[-1][0].append(self._certain)
        self._certain = None

    def visit_Continue(self, node: ast.Continue) -> None:
        if self._loops:
            self._loops[-1][1].append(self._certain)
        self._certain = None

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        """At the top level the statement says nothing."""

    visit_Nonlocal = visit_Global

    def visit_TypeAlias(self, node: Any) -> None:
        # The value is evaluated lazily, in a scope with the alias's own type parameters.
        own = {parameter.name for parameter in node.type_params}
        later = [n.id for n in ast.walk(node.value) if isinstance(n, ast.Name) and n.id not in own]
        self.captured.update(later)
        self._define(node.name.id, later)
        self.definitions.add(node.name.id)

    # -- definitions ---------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        own = {parameter.name for parameter in getattr(node, "type_params", ())}
        self._signature(node, own)
        scope = function_scope(node)
        self.captured.update(scope.free)
        self._absorb(scope)
        self._define(node.name, scope.free)
        self.definitions.add(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def _signature(self, node: Function, own: set[str]) -> None:
        """Read what a signature names, but for the function's own type parameters."""
        for part in signature_parts(node):
            if own and any(isinstance(n, ast.Name) and n.id in own for n in ast.walk(part)):
                for name in (n.id for n in ast.walk(part) if isinstance(n, ast.Name)):
                    if name not in own:
                        self._load(name)
            else:
                self.visit(part)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._block((*node.decorator_list, *node.bases, *node.keywords))
        scope = class_scope(node)
        for name in scope.free:
            if name != node.name:
                self._load(name)
        self._absorb(scope)
        self._define(node.name, scope.later)
        self.definitions.add(node.name)

    # -- statements with blocks ----------------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        start = self._certain
        self._certain = _merge(self._branch(node.body, start), self._branch(node.orelse, start))

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.awaits = self.awaits or isinstance(node, ast.AsyncFor)
        self.visit(node.iter)
        start = self._certain
        self._loop((node.target, *node.body), node.orelse, start)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._loop(node.body, node.orelse, self._certain)

    def _loop(self, body: Iterable[ast.AST], orelse: list[ast.stmt], start: _State) -> None:
        breaks: list[_State] = []
        continues: list[_State] = []
        self._loops.append((breaks, continues))
        end = _merge(self._branch(body, start), *continues)
        self._loops.pop()
        if end is None and not breaks:
            end = start
        after = _merge(self._branch(orelse, end), *breaks)
        # A loop whose body always leaves the cell may still have run no time at all.
        self._certain = start if after is None else after

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        self.awaits = self.awaits or isinstance(node, ast.AsyncWith)
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars:
                self.visit(item.optional_vars)
        start = self._certain
        self._block(node.body)
        if self._certain is None:
            # The context manager may have swallowed what left the block.
            self._certain = start

    visit_AsyncWith = visit_With

    def visit_Try(self, node: Any) -> None:
        start = self._certain
        tried = self._branch(node.body, start)
        ends = [self._branch(node.orelse, tried)]
        for handler in node.handlers:
            ends.append(self._branch((handler,), start))
        self._certain = _merge(*ends)
        if node.finalbody:
            left = self._certain is None
            self._branch(node.finalbody, start if left else self._certain)
            if left:
                self._certain = None

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type:
            self.visit(node.type)
        if node.name:
            self.handlers.add(node.name)
            if self._certain is not None:
                self._certain.add(node.name)
        self._block(node.body)
        if node.name and self._certain is not None:
            self._certain.discard(node.name)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        start = self._certain
        ends: list[_State] = []
        catches_all = False
        for case in node.cases:
            guard = (case.guard,) if case.guard else ()
            ends.append(self._branch((case.pattern, *guard, *case.body), start))
            catches_all = catches_all or (not case.guard and _irrefutable(case.pattern))
        self._certain = _merge(*ends) if catches_all else _merge(start, *ends)

    def _visit_capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.generic_visit(node)
        if node.name:
            self._store(node.name)

    visit_MatchAs = visit_MatchStar = _visit_capture

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self._store(node.rest)


def _irrefutable(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and (pattern.pattern is None or _irrefutable(pattern.pattern))


def _is_shell(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "get_ipython"
