"""What callers hand in, checked before it reaches SQLite: ids, numbers, names and JSON values."""

from __future__ import annotations

import json
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.sqlite.texts import clean

__all__ = ["HIGHEST", "checked_id", "checked_integer", "checked_json", "checked_name", "encoded_json"]

#: The largest integer that SQLite holds.
HIGHEST = (1 << 63) - 1
_LONGEST_ID = 1_000


def checked_id(run_id: object) -> str | None:
    """Return ``run_id``, or None for what no stored record can have as its id."""
    if not isinstance(run_id, str) or len(run_id) > _LONGEST_ID or clean(run_id) != run_id:
        return None
    return run_id


def checked_integer(name: str, value: object, low: int, high: int) -> int:
    """Return ``value``. Raises `InvalidRequest` unless it is an int from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        shown = value if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge number"
        raise InvalidRequest(name, shown, f"must be a whole number from {low} to {high}")
    return value


def checked_name(name: str, value: object, longest: int, *, shortest: int = 1) -> str:
    """Return ``value``. Raises `InvalidRequest` unless it is a text of that length that can be stored as it is."""
    if not isinstance(value, str) or not shortest <= len(value) <= longest:
        raise InvalidRequest(name, value, f"must be a text of {shortest} to {longest} characters")
    if clean(value) != value:
        raise InvalidRequest(name, value, "must not hold NUL or lone surrogates")
    return value


def encoded_json(name: str, value: Any) -> str:
    """Return a JSON value as a text that gives the very same back. Raises `InvalidRequest` for what is not JSON.

    The text is ASCII, so that it can hold what SQLite can't.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        kind = type(value).__qualname__
        raise InvalidRequest(name, f"a {kind}", f"must be a JSON value: {error}") from error


def checked_json(name: str, text: object) -> str:
    """Return a JSON text that can be stored. Raises `InvalidRequest` for what is not JSON."""
    try:
        if not isinstance(text, str):
            raise TypeError(f"a {type(text).__qualname__} is not a text")
        json.loads(text, parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(name, text, f"must be a JSON text: {error}") from error
    # A lone surrogate can only be inside of a string, where its escape is the same.
    return clean(text)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
