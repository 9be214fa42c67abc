"""The kinds of values and what each consists of. What a library defines is in `jupyter_wf.engine.frames`."""

from __future__ import annotations

import copyreg
import io
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MappingProxyType,
    MethodType,
    ModuleType,
    TracebackType,
)
from typing import Any

from jupyter_wf.engine.classes import class_parts
from jupyter_wf.engine.frames import library_parts
from jupyter_wf.engine.parts import Pairs, Parts, Unhashable, Unordered, name_of
from jupyter_wf.engine.sources import digest_of_code

__all__ = ["parts_of"]

_MISSING = "(missing)"
_ONCE = "it can be read only once: pass a list of what it gives"
_HANDLE = "it belongs to this process: pass a path or address instead"
#: Kinds that can't have a fingerprint, and what to say.
_NEVER: dict[type, str] = {
    GeneratorType: _ONCE,
    AsyncGeneratorType: _ONCE,
    CoroutineType: "it was not awaited: pass what it returns",
    FrameType: _HANDLE,
    TracebackType: _HANDLE,
}


def parts_of(value: Any) -> Parts:
    """Return a word for the kind of a value and what it consists of. Raises `Unhashable`, and what the value raises."""
    kind = type(value)
    take = _EXACT.get(kind)
    if take is not None:
        return take(value)
    if isinstance(value, type):
        return class_parts(value)
    if kind in _NEVER:
        raise Unhashable(value, _NEVER[kind])
    found = library_parts(value)
    if found is not None:
        return found
    if isinstance(value, Enum):
        return "enum", (kind, value.name, value.value)
    names = _field_names(value, kind)
    if names is not None:
        return "record", (kind, *_attributes(value, names))
    if isinstance(value, io.IOBase) and not isinstance(value, io.BytesIO | io.StringIO):
        raise Unhashable(value, _HANDLE)
    socket = sys.modules.get("socket")
    if socket is not None and isinstance(value, socket.socket):
        raise Unhashable(value, _HANDLE)
    if _is_work(kind) and isinstance(getattr(value, "fn", None), FunctionType):
        return "work", (value.name, value.fn)
    return _reduced(value, kind)


def _is_work(kind: type) -> bool:
    """Whether a class is one of this package's own; a task or flow is known by its function."""
    return kind.__module__.partition(".")[0] == __name__.partition(".")[0]


def _field_names(value: Any, kind: type) -> list[str] | None:
    if is_dataclass(kind):
        return [field.name for field in fields(value)]
    names = getattr(kind, "__pydantic_fields__", None) or getattr(kind, "__attrs_attrs__", None)
    if isinstance(names, dict):
        return [*names, "__pydantic_extra__", "__pydantic_private__"]
    return [field.name for field in names] if isinstance(names, tuple) else None


def _attributes(value: Any, names: list[str]) -> Iterator[Any]:
    for name in names:
        yield name
        yield getattr(value, name, _MISSING)


def _function(value: FunctionType) -> Parts:
    cells = [cell.cell_contents if _is_full(cell) else _MISSING for cell in value.__closure__ or ()]
    parts = (name_of(value), digest_of_code(value.__code__), value.__defaults__, value.__kwdefaults__, *cells)
    return "function", parts


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not _MISSING
    except ValueError:
        return False


def _builtin(value: Any) -> Parts:
    owner = getattr(value, "__self__", None)
    return "built-in", (name_of(value), _MISSING if isinstance(owner, ModuleType) else owner)


def _module(value: ModuleType) -> Parts:
    # Looked up where nothing of the module's runs: some warn when they are asked for their version.
    package = sys.modules.get(value.__name__.partition(".")[0], value)
    version = vars(value).get("__version__", vars(package).get("__version__"))
    return "module", (value.__name__, version if isinstance(version, str) else None)


def _view(value: memoryview) -> Parts:
    return "memoryview", (value.format, list(value.shape or ()), value.tobytes())


#: What of an exact type is known at once.
_EXACT: dict[type, Callable[[Any], Parts]] = {
    list: lambda value: ("list", value),
    tuple: lambda value: ("tuple", value),
    dict: lambda value: ("dict", (Pairs(value.items()),)),
    OrderedDict: lambda value: ("OrderedDict", [part for item in value.items() for part in item]),
    set: lambda value: ("set", (Unordered(value),)),
    frozenset: lambda value: ("frozenset", (Unordered(value),)),
    type({}.keys()): lambda value: ("keys", value),
    type({}.values()): lambda value: ("values", value),
    type({}.items()): lambda value: ("items", value),
    MappingProxyType: lambda value: ("mappingproxy", (Pairs(value.items()),)),
    bytearray: lambda value: ("bytearray", (memoryview(value),)),
    memoryview: _view,
    FunctionType: _function,
    MethodType: lambda value: ("method", (value.__func__, value.__self__)),
    BuiltinFunctionType: _builtin,
    CodeType: lambda value: ("code", (digest_of_code(value),)),
    ModuleType: _module,
    property: lambda value: ("property", (value.fget, value.fset, value.fdel)),
    staticmethod: lambda value: ("staticmethod", (value.__func__,)),
    classmethod: lambda value: ("classmethod", (value.__func__,)),
}


def _reduced(value: Any, kind: type) -> Parts:
    """Take any other object apart the way it is taken apart for a pickle or a copy."""
    reduce = copyreg.dispatch_table.get(kind)
    try:
        found = value.__reduce_ex__(4) if reduce is None else reduce(value)
    except TypeError as error:
        return "pickle", (_twice_pickled(value, error),)
    if isinstance(found, str):
        return "global", (kind, found)
    function, arguments, state, items, pairs = (*found, None, None, None)[:5]
    # Where its own pickle begins from matters by name: its code changes with Python's version.
    by_name = function if function.__module__ == "__main__" else name_of(function)
    # An exception has no dictionary until somebody asks for it.
    parts = [by_name, *arguments, None if type(state) is dict and not state else state]
    if issubclass(kind, set | frozenset):
        parts = [kind, Unordered(value), getattr(value, "__dict__", None)]
    if items is not None:
        parts.append(list(items))
    if pairs is not None:
        parts.append(Pairs(list(pairs)))
    return "object", parts


def _twice_pickled(value: Any, error: Exception) -> bytes:
    """Return the pickle of a value, if it is the same each time."""
    # Only inputs of an unknown kind need it.
    import cloudpickle

    try:
        data: bytes = cloudpickle.dumps(value, protocol=5)
    except Exception:
        raise Unhashable(value, f"{type(error).__name__}: {error}") from error
    # A pickle of an unpickled copy shows whether the bytes depend on more than the content.
    for _ in range(2):
        again = cloudpickle.dumps(cloudpickle.loads(data), protocol=5)
        if again == data:
            return data
        data = again
    raise Unhashable(value, "its pickle changes from time to time")
