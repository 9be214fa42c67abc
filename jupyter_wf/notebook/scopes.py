"""What a nested scope (function, lambda, class body, comprehension) takes from the names around it.

Python's own `symtable` knows this too, but from source text only and without the order of things inside a cell, which
decides whether a cell reads a name or has made it itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = [
    "Comprehension",
    "Function",
    "Scope",
    "class_scope",
    "comprehension_scope",
    "function_scope",
    "has_await",
    "import_names",
    "signature_parts",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(slots=True, kw_only=True)
class Scope:
    """The outcome of looking at one nested scope.

    ``free`` are names that it takes from outside when it runs, in the order found (for a class: when its body runs);
    ``later`` those that functions inside it take when they are called; ``global_writes`` the names it binds after a
    ``global`` declaration; ``walrus`` the names that assignment expressions in a comprehension bind around it.
    """

    free: dict[str, None] = field(default_factory=dict)
    later: dict[str, None] = field(default_factory=dict)
    global_writes: set[str] = field(default_factory=set)
    walrus: dict[str, None] = field(default_factory=dict)


def function_scope(node: Function) -> Scope:
    """Return what a function or lambda takes from outside when it is called; its defaults are not looked at."""
    collector = _Collector(ordered=False)
    for arg in _arguments(node.args):
        collector.bind(arg.arg)
    collector.bind_type_parameters(node)
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    for part in body:
        collector.visit(part)
    return collector.function_result()


def class_scope(node: ast.ClassDef) -> Scope:
    """Return what a class body takes from outside at once, and what its methods take later."""
    collector = _Collector(ordered=True)
    collector.bind_type_parameters(node)
    for part in node.body:
        collector.visit(part)
    return collector.class_result()


def comprehension_scope(node: Comprehension) -> Scope:
    """Return what a comprehension takes from outside, but for its first iterable, which the scope around evaluates."""
    collector = _Collector(ordered=False, comprehension=True)
    for index, generator in enumerate(node.generators):
        if index:
            collector.visit(generator.iter)
        collector.visit(generator.target)
        for condition in generator.ifs:
            collector.visit(condition)
    elements = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
    for element in elements:
        if element is not None:
            collector.visit(element)
    return collector.function_result()


def import_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the names that an import binds; ``*`` stands for itself."""
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [alias.asname or alias.name.partition(".")[0] for alias in node.names]


def _arguments(args: ast.arguments) -> Iterator[ast.arg]:
    yield from args.posonlyargs
    yield from args.args
    yield from args.kwonlyargs
    if args.vararg:
        yield args.vararg
    if args.kwarg:
        yield args.kwarg


def signature_parts(node: Function) -> Iterator[ast.expr]:
    """Yield the expressions of a signature that run when the ``def`` runs: decorators, defaults, annotations."""
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
        yield from (arg.annotation for arg in _arguments(node.args) if arg.annotation)
        if node.returns:
            yield node.returns
    yield from node.args.defaults
    yield from (default for default in node.args.kw_defaults if default)


class _Collector(ast.NodeVisitor):
    """Gathers names of one scope. In an ordered one (a class body) a name counts as its own only once it is bound."""

    def __init__(self, *, ordered: bool, comprehension: bool = False) -> None:
        self._ordered = ordered
        self._comprehension = comprehension
        self._bound: set[str] = set()
        self._loads: dict[str, None] = {}
        self._inner: dict[str, None] = {}
        self._globals: set[str] = set()
        self._nonlocals: set[str] = set()
        self._result = Scope()

    def function_result(self) -> Scope:
        own = self._bound - self._globals - self._nonlocals
        free = [name for name in (*self._loads, *self._inner) if name not in own]
        self._result.free = dict.fromkeys(free)
        self._result.global_writes |= self._bound & self._globals
        return self._result

    def class_result(self) -> Scope:
        self._result.free = dict(self._loads)
        self._result.later = dict(self._inner)
        self._result.global_writes |= self._bound & self._globals
        return self._result

    def bind(self, name: str) -> None:
        self._bound.add(name)

    def bind_type_parameters(self, node: ast.AST) -> None:
        for parameter in getattr(node, "type_params", ()):
            self.bind(parameter.name)
            self._visit_all(ast.iter_child_nodes(parameter))

    def _load(self, name: str) -> None:
        if not self._ordered or name not in self._bound or name in self._globals:
            self._loads[name] = None

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _absorb(self, scope: Scope) -> None:
        """Take in what a function or lambda inside this scope needs when it is called."""
        self._inner.update(scope.free)
        self._inner.update(scope.later)
        self._result.global_writes |= scope.global_writes

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Store):
            self._load(node.id)
        if not isinstance(node.ctx, ast.Load):
            self.bind(node.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id)
        self.visit(node.value)
        self.visit(node.target)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        self._visit_all(node.targets)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value:
            self.visit(node.value)
        self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        if self._comprehension:
            # PEP 572: it binds in the scope around the comprehension.
            self._result.walrus[node.target.id] = None
        self.bind(node.target.id)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self._visit_all((node.iter, node.target, *node.body, *node.orelse))

    visit_AsyncFor = visit_For

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(signature_parts(node))
        self._absorb(function_scope(node))
        self.bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_all(signature_parts(node))
        self._absorb(function_scope(node))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all((*node.decorator_list, *node.bases, *node.keywords))
        scope = class_scope(node)
        for name in scope.free:
            self._load(name)
        self._inner.update(scope.later)
        self._result.global_writes |= scope.global_writes
        self.bind(node.name)

    def _visit_comprehension(self, node: Comprehension) -> None:
        self.visit(node.generators[0].iter)
        scope = comprehension_scope(node)
        for name in scope.free:
            # In a class body a comprehension does not see the class's own names.
            self._loads[name] = None
        for name in scope.walrus:
            if self._comprehension:
                self._result.walrus[name] = None
            self.bind(name)
        self._result.global_writes |= scope.global_writes

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for name in import_names(node):
            self.bind(name)

    visit_ImportFrom = visit_Import

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type:
            self.visit(node.type)
        if node.name:
            self.bind(node.name)
        self._visit_all(node.body)

    def _visit_capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        self.generic_visit(node)
        if node.name:
            self.bind(node.name)

    visit_MatchAs = visit_MatchStar = _visit_capture

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self.bind(node.rest)

    def visit_Global(self, node: ast.Global) -> None:
        self._globals.update(node.names)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self._nonlocals.update(node.names)


def has_await(node: ast.AST) -> bool:
    """Return whether an expression awaits in itself, functions inside it left out."""
    waiting: list[ast.AST] = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, ast.Await):
            return True
        if not isinstance(current, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(current))
    return False
