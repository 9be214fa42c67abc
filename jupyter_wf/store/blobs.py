"""Values as bytes: JSON where that gives the very same value back, a cloudpickle otherwise.

Reading a pickle runs code: only processes that execute the user's own runs call `decode`, the server never does.
"""

from __future__ import annotations

import json
import pickle
from math import isfinite
from typing import Any, NamedTuple

from jupyter_wf.core.errors import MissingResult

__all__ = ["INLINE_LIMIT", "Payload", "decode", "encode"]

#: Results up to this size (bytes) are stored with the run; larger ones are not kept.
INLINE_LIMIT = 16 * 1024 * 1024


class Payload(NamedTuple):
    """A stored value: ``format`` is ``json`` or ``pickle``."""

    format: str
    data: bytes


def _is_json(value: Any, depth: int = 0) -> bool:
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return True
    if kind is float:
        return isfinite(value)
    if depth > 50:
        return False
    if kind is list:
        return all(_is_json(item, depth + 1) for item in value)
    return kind is dict and all(type(key) is str and _is_json(item, depth + 1) for key, item in value.items())


def encode(value: Any) -> Payload:
    """Return ``value`` as bytes. Raises `MissingResult` where it can't be stored or is larger than `INLINE_LIMIT`."""
    try:
        if _is_json(value):
            payload = Payload("json", json.dumps(value).encode())
        else:
            # Only values that are not JSON need it.
            import cloudpickle

            payload = Payload("pickle", cloudpickle.dumps(value, protocol=5))
    except Exception as error:
        raise MissingResult(f"a {type(value).__qualname__} can't be stored: {type(error).__name__}: {error}") from error
    if len(payload.data) > INLINE_LIMIT:
        raise MissingResult(f"a {type(value).__qualname__} of {len(payload.data)} bytes is too large to be stored")
    return payload


def decode(payload: Payload) -> Any:
    """Return the value of stored bytes. Raises `MissingResult` where they can't be read."""
    try:
        if payload.format == "json":
            return json.loads(payload.data)
        if payload.format == "pickle":
            return pickle.loads(payload.data)
    except Exception as error:
        raise MissingResult(f"a stored result can't be read: {type(error).__name__}: {error}") from error
    raise MissingResult(f"a stored result has the unknown format {payload.format!r}")
