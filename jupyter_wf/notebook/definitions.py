"""What the functions and classes that a cell defines will look up, and change, when another cell uses them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jupyter_wf.notebook.mutations import mutated
from jupyter_wf.notebook.names import BUILTINS
from jupyter_wf.notebook.scopes import class_scope, function_scope

__all__ = ["Definition", "find_definitions"]

#: Calls that give back what they are given, as something to be called.
_WRAPPERS = frozenset(
    ("cache", "flow", "lru_cache", "partial", "singledispatch", "staticmethod", "task", "update_wrapper")
)
_MORE_WRAPPERS = frozenset(("with_options",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a name leads to that a cell defines.

    ``captured`` are the names that are looked up when it is used; ``refers`` those that count only where they are
    functions or classes themselves, because the name only stands for them; ``made_of`` is a class if its call made the
    value. ``changes`` are captured names whose values are changed in place. ``nodes`` are the definitions' own code,
    none for what is only assigned.
    """

    captured: frozenset[str] = frozenset()
    refers: frozenset[str] = frozenset()
    made_of: str | None = None
    changes: frozenset[str] = frozenset()
    nodes: tuple[ast.stmt, ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether it is a class, or may be one."""
        return any(isinstance(node, ast.ClassDef) for node in self.nodes)

    @property
    def code(self) -> str:
        """The definition as Python writes it, empty for what is only assigned."""
        return "\n".join(map(ast.unparse, self.nodes))


def find_definitions(body: Iterable[ast.stmt]) -> dict[str, Definition]:
    """Return what the top level of a cell defines, by name; of several definitions of one name the union."""
    found: dict[str, Definition] = {}
    for name, definition in _definitions(body):
        found[name] = _united(found[name], definition) if name in found else definition
    return found


def _united(one: Definition, other: Definition) -> Definition:
    return Definition(
        captured=one.captured | other.captured,
        refers=one.refers | other.refers,
        made_of=other.made_of or one.made_of,
        changes=one.changes | other.changes,
        nodes=one.nodes + other.nodes,
    )


def _definitions(body: Iterable[ast.stmt]) -> Iterator[tuple[str, Definition]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, _function(node)
        elif isinstance(node, ast.ClassDef):
            yield node.name, _class(node)
        elif isinstance(node, ast.Assign):
            value = _value(node.value)
            if value is not None:
                yield from ((target.id, value) for target in node.targets if isinstance(target, ast.Name))
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _definitions(getattr(node, field, ()))
            for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                yield from _definitions(part.body)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Definition:
    free = frozenset(function_scope(node).free)
    return Definition(
        captured=free | _names(node.decorator_list),
        changes=_changes(node.body, free),
        nodes=(node,),
    )


def _class(node: ast.ClassDef) -> Definition:
    # A base's methods are those of the class.
    captured = frozenset(class_scope(node).later) | _names((*node.bases, *node.decorator_list))
    return Definition(
        captured=captured,
        changes=_changes((node,), captured),
        nodes=(node,),
    )


def _value(node: ast.expr) -> Definition | None:
    """Return what an assigned expression stands for; None where it is data, as most are."""
    match node:
        case ast.Lambda():
            free = frozenset(function_scope(node).free)
            return Definition(captured=free, changes=_changes((node.body,), free))
        case ast.Name(id=name):
            return Definition(refers=frozenset((name,)))
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts) | ast.Dict(values=parts):
            refers = frozenset(part.id for part in parts if isinstance(part, ast.Name))
            return Definition(refers=refers) if refers else None
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=args) if name in _WRAPPERS:
            refers = frozenset(part.id for part in args if isinstance(part, ast.Name))
            return Definition(refers=refers) if refers else None
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in _MORE_WRAPPERS:
            return Definition(refers=frozenset((name,)))
        case ast.Call(func=ast.Name(id=name)):
            return Definition(made_of=name)
    return None


def _changes(body: Iterable[ast.AST], names: frozenset[str]) -> frozenset[str]:
    # Most functions look up nothing but what Python brings.
    return frozenset(mutated(body, names)) if names - BUILTINS else frozenset()


def _names(nodes: Iterable[ast.AST]) -> frozenset[str]:
    return frozenset(part.id for node in nodes for part in ast.walk(node) if isinstance(part, ast.Name))
