"""Make a function of a cell's body, so that it can be run, tried again and taken back as one piece of work.

How a body runs, and why so. It becomes the body of a function whose globals *are* the notebook's namespace, with every
public name that it binds declared ``global`` and every private one (leading underscore) a local. So

- what the body assigns is seen at once by the functions that it calls, its own ones included: recursion, functions that
  call each other across cells, classes in ``__main__`` and their pickles are exactly those of an ordinary cell;
- private names never reach the namespace, and functions of the body that use them keep them as closures;
- `NamespaceGuard` remembers what the public names were, and puts it back when an attempt fails.

Its limits: while the body runs, other threads see what it has assigned so far; changes inside objects (``list.append``)
are not taken back; a name that a function of *another* cell binds by ``global`` is not either. A body whose names the
syntax does not show (star import, ``exec``, ``locals()``, line and cell magics) is run as a module instead: private
names are then removed at its end, but for those that its functions look up, and every change of the namespace is
taken back when it fails.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from jupyter_wf.notebook.names import CellNames, analyse

__all__ = ["CellBody", "Namespace", "NamespaceGuard", "compile_body", "compile_function", "function_text", "identifier"]

Namespace = dict[str, Any]

#: Names of the shell's history; they change with every display and are never taken back.
_HISTORY = re.compile(r"_+|_\d+|_i+|_i\d+|_[doi]h|In|Out|_exit_code|exit|quit|get_ipython")
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class CellBody:
    """A compiled body. ``names`` says what it reads and writes, ``is_async`` whether it must be awaited.

    ``codes`` are one function's code, or, for a body run as a module, its statements and its last expression.
    """

    names: CellNames
    is_async: bool
    codes: tuple[CodeType, ...]

    @property
    def as_module(self) -> bool:
        """Whether the body runs as a module because its names are not all known."""
        return self.names.dynamic

    def bind(self, namespace: Namespace) -> Callable[[], Any]:
        """Return a function without parameters that runs the body in ``namespace``.

        It returns the value of the last expression, None where the body does not end in one. It is a coroutine
        function for an async body.
        """
        if not self.as_module:
            return FunctionType(self.codes[0], namespace)
        codes = self.codes

        def run() -> Any:
            return [eval(code, namespace) for code in codes][-1]

        async def run_async() -> Any:
            value = None
            for code in codes:
                value = eval(code, namespace)
                if code.co_flags & inspect.CO_COROUTINE:
                    value = await value
            return value

        return run_async if self.is_async else run


class NamespaceGuard:
    """Makes what a body does to a namespace all or nothing.

    `take_back` after a failed attempt, `keep` after a good one; both may be called more than once. History names of
    the shell (``_``, ``Out``, ``_i3`` …) are left alone.
    """

    def __init__(self, namespace: Namespace, names: CellNames) -> None:
        self._namespace = namespace
        self._names = names
        self._before = dict(namespace)

    def changed(self) -> set[str]:
        """Return the names that are bound otherwise than before; history aside."""
        missing = object()
        return {
            name
            for name, value in self._namespace.items()
            if self._before.get(name, missing) is not value and not _HISTORY.fullmatch(name)
        }

    def take_back(self) -> Namespace:
        """Give every name that the body may have bound or deleted the value it had before; return what it was now."""
        names = self._names
        touched = set(names.writes | names.deletes | names.private | names.handlers | names.global_writes)
        if names.dynamic:
            touched |= self._namespace.keys() | self._before.keys()
        return self._restore(touched)

    def keep(self) -> None:
        """Leave the public names as they are now and remove the private ones.

        Private names that the body's functions look up in the namespace stay: the functions would break without.
        """
        names = self._names
        if names.dynamic:
            changed = {name for name in self._namespace.keys() | self._before.keys() if name.startswith("_")}
            self._restore((changed | names.private) - names.captured)
        else:
            self._restore(set(names.private - names.global_writes))

    def _restore(self, touched: set[str]) -> Namespace:
        missing = object()
        taken: Namespace = {}
        for name in touched:
            before, now = self._before.get(name, missing), self._namespace.get(name, missing)
            if now is before or _HISTORY.fullmatch(name):
                continue
            if now is not missing:
                taken[name] = now
            if before is missing:
                self._namespace.pop(name, None)
            else:
                self._namespace[name] = before
        return taken


def identifier(name: str) -> str:
    """Return ``name`` with what a Python identifier can't hold replaced by ``_``."""
    made = re.sub(r"\W", "_", name)
    return f"_{made}" if not made.isidentifier() or keyword.iskeyword(made) else made


def compile_body(
    source: str,
    *,
    filename: str,
    name: str,
    flags: int = 0,
    show: str = "last_expr",
    transform: Callable[[ast.Module], ast.Module] | None = None,
) -> CellBody:
    """Compile a cell's Python text (magics translated, the line of the cell magic a comment) to a `CellBody`.

    ``filename`` and ``name`` are what tracebacks show. ``flags`` are compiler flags of ``__future__`` imports made
    earlier. ``show`` is IPython's ``ast_node_interactivity``: which last statement gives the value. ``transform`` may
    rewrite the syntax tree after the analysis.
    Raises `SyntaxError` with the lines of ``source``.
    """
    tree = ast.parse(source, filename)
    # The checks of a module ('return' outside function, …) come first: a function's are laxer.
    flags |= _future_flags(tree)
    module = compile(source, filename, "exec", flags | _AWAIT, dont_inherit=True)
    is_async = bool(module.co_flags & inspect.CO_COROUTINE)
    names = analyse(tree)
    tree = transform(tree) if transform else tree
    if show == "last_expr_or_assign":
        _show_assigned(tree)
    elif show == "none":
        tree.body.append(ast.Pass(lineno=1, col_offset=0))
    if names.dynamic:
        codes = _module_codes(tree, filename, flags)
    else:
        codes = (_function_code(tree, names, is_async, name, filename, flags),)
    return CellBody(names=names, is_async=is_async, codes=codes)


def function_text(head: str, body: str, *, returns: str | None = None, is_async: bool = False) -> str:
    """Return the text of a function whose first line is ``head`` and whose body is ``body``, lines kept in place.

    ``head`` is like ``clean(frame, limit=3)``. Lines inside string literals are not indented. Raises `SyntaxError`.
    """
    tree = ast.parse(body)
    inside: set[int] = set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        )
        if text and isinstance(node, ast.expr):
            inside.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
    lines = [
        line if not line.strip() or number in inside else f"    {line}"
        for number, line in enumerate(body.split("\n"), start=1)
    ]
    if returns:
        lines.append(f"    return {returns}")
    elif not tree.body:
        lines.append("    pass")
    return "\n".join((f"{'async ' if is_async else ''}def {head}:", *lines, ""))


def compile_function(source: str, *, filename: str, flags: int = 0) -> Callable[[Namespace], FunctionType]:
    """Compile text that `function_text` made; return what defines the function in a namespace.

    The value of the function's last statement, where it is an expression, becomes what it returns. The function is not
    bound to its name. Raises `SyntaxError`; the returned function raises what the defaults raise.
    """
    tree = ast.parse(source, filename)
    (definition,) = tree.body
    assert isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef)
    _return_last(definition.body)
    code = compile(tree, filename, "exec", flags, dont_inherit=True)

    def define(namespace: Namespace) -> FunctionType:
        made: Namespace = {}
        exec(code, namespace, made)
        function: FunctionType = made[definition.name]
        return function

    return define


def _future_flags(tree: ast.Module) -> int:
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(getattr(__future__, alias.name, None), "compiler_flag", 0)
    return flags


def _show_assigned(tree: ast.Module) -> None:
    last = tree.body[-1] if tree.body else None
    target: ast.expr | None = None
    if isinstance(last, ast.Assign):
        target = last.targets[0]
    elif isinstance(last, ast.AugAssign | ast.AnnAssign):
        target = last.target
    if last and isinstance(target, ast.Name):
        shown = ast.Expr(ast.Name(target.id, ast.Load()))
        tree.body.append(ast.fix_missing_locations(ast.copy_location(shown, last)))


def _return_last(body: list[ast.stmt]) -> None:
    if body and isinstance(body[-1], ast.Expr):
        body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])


def _module_codes(tree: ast.Module, filename: str, flags: int) -> tuple[CodeType, ...]:
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    codes = [compile(tree, filename, "exec", flags | _AWAIT, dont_inherit=True)]
    if isinstance(last, ast.Expr):
        codes.append(compile(ast.Expression(last.value), filename, "eval", flags | _AWAIT, dont_inherit=True))
    return tuple(codes)


def _function_code(
    tree: ast.Module, names: CellNames, is_async: bool, name: str, filename: str, flags: int
) -> CodeType:
    # Private names that are read before they are bound come from the namespace: the guard removes them afterwards.
    shared = names.writes | names.deletes | (names.private & (names.reads | names.global_writes))
    shared |= names.handlers & (names.reads | names.captured)
    rewritten = _ToFunction(shared).visit(tree)
    _return_last(rewritten.body)
    declared = [ast.Global(sorted(shared))] if shared else []
    # Parsed, not put together: which fields a function's node has differs between versions of Python.
    module = ast.parse(f"{'async ' if is_async else ''}def {identifier(name)}(): pass")
    wrapper = module.body[0]
    assert isinstance(wrapper, ast.FunctionDef | ast.AsyncFunctionDef)
    wrapper.body = [*declared, *rewritten.body] or wrapper.body
    ast.fix_missing_locations(module)
    code = compile(module, filename, "exec", flags, dont_inherit=True)
    made = next(constant for constant in code.co_consts if isinstance(constant, CodeType))
    # Tools that show tracebacks look for the `def` line of a function; this one has none, as a module has none.
    return made.replace(co_name="<module>", co_qualname="<module>")


class _ToFunction(ast.NodeTransformer):
    """Rewrites the few statements of a module that a function with ``global`` names can't hold."""

    def __init__(self, shared: frozenset[str]) -> None:
        self._shared = shared

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave

    def visit_Global(self, node: ast.Global) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.copy_location(ast.Pass(), node) if node.module == "__future__" else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if not isinstance(node.target, ast.Name) or node.target.id not in self._shared:
            return node
        if node.value is None:
            return ast.copy_location(ast.Expr(node.annotation), node)
        return ast.copy_location(ast.Assign([node.target], node.value), node)
