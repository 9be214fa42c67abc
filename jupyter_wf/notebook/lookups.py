"""Which names of the notebook a function looks up when it is called, found in the function itself.

The dataflow knows the helper functions that cells define; a plain cell that is about to run, or a body that
no notebook has, may call any function that is there: what counts is what it is now.
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType
from typing import Any

from jupyter_wf.flows import Flow
from jupyter_wf.tasks import Task

__all__ = ["globals_of", "looked_up"]

#: How many functions and classes are looked into for one cell.
_MOST = 2_000


@lru_cache(maxsize=1_000)
def globals_of(code: CodeType) -> frozenset[str]:
    """Return the global names that a function's code uses or binds, functions inside it included."""
    found = {i.argval for i in dis.get_instructions(code) if "GLOBAL" in i.opname or i.opname == "LOAD_NAME"}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= globals_of(constant)
    return frozenset(found)


def looked_up(names: Iterable[str], namespace: Mapping[str, Any]) -> frozenset[str]:
    """Return the names that functions and classes among ``names`` look up, and those that they lead to.

    Only what was made in the notebook counts (``__main__``): functions, tasks and flows, methods, classes, and what is
    an instance of such a class.
    """
    found: set[str] = set()
    seen: set[int] = set()
    left: list[Any] = [namespace[name] for name in names if name in namespace]
    while left and len(seen) < _MOST:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, FunctionType):
            if value.__module__ == "__main__":
                new = globals_of(value.__code__) - found
                found |= new
                left += [namespace[name] for name in new if name in namespace]
                left += [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
            continue
        left += _inside(value)
    return frozenset(found)


def _inside(value: Any) -> list[Any]:
    """Return the functions that stand behind a value that can be called."""
    if isinstance(value, Task | Flow):
        return [value.callee.fn]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, partial):
        return [value.func]
    if isinstance(value, property):
        return [value.fget, value.fset, value.fdel]
    if isinstance(value, staticmethod | classmethod):
        return [value.__func__]
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ == "__main__":
        return [*vars(kind).values(), *kind.__bases__]
    # `functools.wraps`, caches and the like.
    wrapped = getattr(value, "__wrapped__", None) if kind.__module__ == "functools" else None
    return [] if wrapped is None else [wrapped]


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
