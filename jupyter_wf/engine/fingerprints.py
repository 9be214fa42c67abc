"""Fingerprints of values: equal inputs of a task get the same one, in every process."""

from __future__ import annotations

import hashlib
import inspect
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

__all__ = ["Unhashable", "fingerprint", "source_of"]


class Unhashable(Exception):
    """A value has no stable fingerprint."""

    def __init__(self, value: object, reason: str) -> None:
        super().__init__(f"a {type(value).__qualname__} has no stable fingerprint ({reason})")


def fingerprint(value: Any) -> str:
    """Return 64 hexadecimal characters that depend on the content of ``value`` alone.

    Numbers, texts, containers, enums, dataclasses, functions (by source) and numpy arrays are known by content;
    anything else is hashed by its pickle, if that is the same each time.
    Raises `Unhashable`.
    """
    digest = hashlib.sha256()
    _feed(digest.update, value, 0)
    return digest.hexdigest()


def _feed(update: Callable[[bytes], None], value: Any, depth: int) -> None:
    kind = type(value)
    if depth > 200:
        raise Unhashable(value, "nested more than 200 deep")
    if value is None or kind in (bool, int, float, complex, str, bytes):
        # The type is part of it: 1, 1.0 and True are different inputs.
        data = value if kind is bytes else repr(value).encode("utf-8", "surrogatepass")
        update(f"{kind.__name__}:{len(data)}:".encode())
        update(data)
    elif kind in (list, tuple):
        update(f"{kind.__name__}:{len(value)}:".encode())
        for item in value:
            _feed(update, item, depth + 1)
    elif kind in (set, frozenset):
        _feed(update, sorted(fingerprint(item) for item in value), depth + 1)
    elif kind is dict:
        update(f"dict:{len(value)}:".encode())
        items = {fingerprint(key): item for key, item in value.items()}
        for key in sorted(items):
            update(key.encode())
            _feed(update, items[key], depth + 1)
    elif isinstance(value, Enum):
        _feed(update, [_name(kind), value.name], depth + 1)
    elif is_dataclass(value) and not isinstance(value, type):
        _feed(update, [_name(kind), [(f.name, getattr(value, f.name)) for f in fields(value)]], depth + 1)
    elif inspect.isroutine(value) or isinstance(value, type):
        _feed(update, [_name(value), source_of(value)], depth + 1)
    else:
        _feed_object(update, value)


def _feed_object(update: Callable[[bytes], None], value: Any) -> None:
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype") and hasattr(value, "tobytes") and not _holds_objects(value):
        update(f"{_name(type(value))}:{value.dtype}:{shape}:".encode())
        update(value.tobytes())
        return
    # Only inputs of an unknown kind need it.
    import cloudpickle

    try:
        data = cloudpickle.dumps(value, protocol=5)
    except Exception as error:
        raise Unhashable(value, f"{type(error).__name__}: {error}") from error
    # A second pickle of an unpickled copy shows whether the bytes depend on more than the content.
    try:
        again = cloudpickle.dumps(pickle.loads(data), protocol=5)
    except Exception as error:
        raise Unhashable(value, f"{type(error).__name__}: {error}") from error
    if again != data:
        data = again
        if cloudpickle.dumps(pickle.loads(data), protocol=5) != data:
            raise Unhashable(value, "its pickle changes from time to time")
    update(f"{_name(type(value))}:{len(data)}:".encode())
    update(data)


def _holds_objects(array: Any) -> bool:
    return bool(getattr(array.dtype, "hasobject", True))


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"


def source_of(function: Any) -> str:
    """Return what stands for a function's or class's code: its source text, else its bytecode and constants.

    Raises `Unhashable` where it has neither (a built-in is named by its name).
    """
    target = inspect.unwrap(function) if callable(function) else function
    try:
        return inspect.getsource(target)
    except (OSError, TypeError):
        code = getattr(target, "__code__", None)
        if code is not None:
            return f"{code.co_code.hex()}:{code.co_names}:{[c for c in code.co_consts if not inspect.iscode(c)]!r}"
    name = _name(target)
    if inspect.isbuiltin(target) or isinstance(target, type):
        return name
    raise Unhashable(function, "it has no source")
