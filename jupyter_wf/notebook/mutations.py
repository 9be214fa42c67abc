"""Where a cell changes the values of names in place, as far as the syntax shows it.

Seen are assignments to parts (``d[k] = …``, ``obj.attr += …``, ``del d[k]``), methods of Python's containers and of
arrays and data frames that change them, ``inplace=True``, and functions such as ``random.shuffle`` that change what
they are given. A method whose name says nothing without the type counts only where its value is dropped:
``rows.sort()`` changes a list, ``frame = frame.sort("day")`` does not change a data frame.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Set

from jupyter_wf.notebook.scopes import Function, class_scope, comprehension_scope, function_scope, signature_parts

__all__ = ["mutated"]

#: Methods that change what they belong to, whoever wants their value.
_CHANGING = frozenset(("pop", "popitem", "popleft", "setdefault"))
#: Methods that do if nobody wants their value: then they have no other use.
_DROPPED = frozenset(
    (
        *("add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft"),
        *("fill", "insert", "intersection_update", "itemset", "move_to_end", "put", "remove", "resize", "reverse"),
        *("rotate", "setflags", "sort", "subtract", "symmetric_difference_update", "update"),
    )
)
#: Functions that change their first argument; and those that do if nobody wants their value.
_CHANGING_FIRST = frozenset(("heappop", "heappushpop", "heapreplace"))
_DROPPED_FIRST = frozenset(
    (
        *("copyto", "delattr", "fill_diagonal", "heapify", "heappush", "insort", "insort_left", "insort_right"),
        *("place", "put", "putmask", "setattr", "shuffle"),
    )
)
_LONGEST = 60


def mutated(body: Iterable[ast.AST], names: Set[str]) -> dict[str, tuple[int, str]]:
    """Return which of ``names`` have their values changed in place by the code, each with the first place.

    A place is the number of its line and the code, shortened. Functions and classes inside are looked into; there a
    name of their own does not count.
    """
    finder = _Finder(names)
    for node in body:
        finder.visit(node)
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self, names: Set[str]) -> None:
        self._names = names
        self.found: dict[str, tuple[int, str]] = {}

    def _note(self, changed: ast.expr, where: ast.expr | ast.stmt) -> None:
        name = _root(changed)
        if name is None or name not in self._names or name in self.found:
            return
        text = " ".join(ast.unparse(where).split())
        self.found[name] = (where.lineno, text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")

    # -- parts that are bound or deleted ---------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        self._targets(node.targets, node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._targets((node.target,), node)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._targets((node.target,), node)
            self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._targets(node.targets, node)
        self.generic_visit(node)

    def _targets(self, targets: Iterable[ast.expr], where: ast.stmt) -> None:
        for target in targets:
            if isinstance(target, ast.Tuple | ast.List):
                self._targets(target.elts, where)
            elif isinstance(target, ast.Starred):
                self._targets((target.value,), where)
            elif isinstance(target, ast.Subscript | ast.Attribute):
                self._note(target.value, where)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        # Where no statement above has noted it: the target of ``for`` and ``with``.
        if not isinstance(node.ctx, ast.Load):
            self._note(node.value, node)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._note(node.value, node)
        self.generic_visit(node)

    # -- calls -----------------------------------------------------------------------------------------------------

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        if isinstance(call, ast.Call):
            function = call.func
            if isinstance(function, ast.Attribute) and function.attr in _DROPPED and not _sorts_by_column(call):
                self._note(function.value, call)
            if _last_name(function) in _DROPPED_FIRST and call.args:
                self._note(call.args[0], call)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and (function.attr in _CHANGING or _is_in_place(node)):
            self._note(function.value, node)
        if _last_name(function) in _CHANGING_FIRST and node.args:
            self._note(node.args[0], node)
        self.generic_visit(node)

    # -- scopes ----------------------------------------------------------------------------------------------------

    def _inside(self, names: Iterable[str], body: Iterable[ast.AST]) -> None:
        around = self._names
        self._names = around & set(names)
        for node in body:
            self.visit(node)
        self._names = around

    def _visit_function(self, node: Function) -> None:
        for part in signature_parts(node):
            self.visit(part)
        self._inside(function_scope(node).free, (node.body,) if isinstance(node, ast.Lambda) else node.body)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in (*node.decorator_list, *node.bases):
            self.visit(part)
        scope = class_scope(node)
        self._inside((*scope.free, *scope.later), node.body)

    def _visit_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        parts: list[ast.AST] = [condition for generator in node.generators for condition in generator.ifs]
        parts += [generator.iter for generator in node.generators[1:]]
        parts += [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside(comprehension_scope(node).free, parts)

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_comprehension


def _root(node: ast.expr) -> str | None:
    """Return the name at the beginning of ``name.attribute[item]…``; None where there is a call in between."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_in_place(call: ast.Call) -> bool:
    return any(
        keyword.arg == "inplace" and isinstance(keyword.value, ast.Constant) and keyword.value.value is True
        for keyword in call.keywords
    )


def _last_name(function: ast.expr) -> str | None:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else None


def _sorts_by_column(call: ast.Call) -> bool:
    """Return whether this is a data frame's ``sort("day")``, which gives a new one; a list's takes only keywords."""
    return _last_name(call.func) == "sort" and any(not _is_number(argument) for argument in call.args)


def _is_number(node: ast.expr) -> bool:
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant) and isinstance(node.value, int)
