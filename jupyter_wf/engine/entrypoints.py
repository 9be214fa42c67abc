"""Where a function is, as a text by which another process finds it."""

from __future__ import annotations

import inspect
import os
import sys
from types import FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["attribute", "entrypoint_of"]


def entrypoint_of(fn: Any) -> str | None:
    """Return by what `sources.load_object` finds a function (or the flow or task that it was made) in another process.

    That is ``/abs/path.py:name`` or, of a package's module, ``package.module:name``. None for what no other process
    can import: functions of notebook cells, of ``python -c`` and the prompt, lambdas, functions inside functions,
    methods of an object.
    """
    function = _function(fn)
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if function is None or module is None:
        return None
    name = _name_in(module, fn, function)
    written = inspect.unwrap(function).__code__.co_filename
    if name is None or written.startswith("<"):
        return None
    spec = getattr(module, "__spec__", None)
    if spec is not None and ("." in spec.name or hasattr(module, "__path__")):
        # A part of a package imports its neighbours relatively, so it must be imported as one.
        return f"{spec.name}:{name}"
    file = getattr(module, "__file__", None)
    if file is not None and file.endswith(".py") and os.path.isfile(written):
        return f"{os.path.abspath(file)}:{name}"
    return f"{spec.name}:{name}" if spec is not None else None


def _function(fn: Any) -> FunctionType | None:
    """Return the plain function behind a flow, a task or a class's method; None for anything else."""
    if hasattr(type(fn), "options_table"):
        fn = fn.fn
    if isinstance(fn, MethodType):
        fn = fn.__func__ if isinstance(fn.__self__, type) else None
    return fn if isinstance(fn, FunctionType) else None


def _name_in(module: ModuleType, fn: Any, function: FunctionType) -> str | None:
    """Return the name (dotted for a method) under which the module has the function: rather the very thing asked for.

    It may be there as plain function, as ``flow(function)`` under another name, or as both.
    """
    usual = function.__qualname__
    found = attribute(module, usual)
    if found is fn:
        return usual
    same = next((name for name, value in vars(module).items() if value is fn), None)
    if same is not None:
        return same
    if _function(found) is function:
        return usual
    return next((name for name, value in vars(module).items() if _function(value) is function), None)


def attribute(module: ModuleType, name: str) -> Any:
    """Return what a dotted name names in a module, None where there is nothing."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found
