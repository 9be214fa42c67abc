"""What may be said of a deployment beside its policies: names, tags, texts, and values for its parameters."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any

from jupyter_wf.core.errors import InvalidRequest, ParameterError

__all__ = [
    "check_description",
    "check_name",
    "check_priority",
    "check_reason",
    "check_run_name",
    "check_tags",
    "json_values",
    "plain_values",
]

_LONGEST_NAME = 250
_LONGEST_DESCRIPTION = 10_000
_MOST_TAGS = 50
_HIGHEST = 1_000_000


def check_name(field: str, value: Any) -> str:
    """Return a name that can stand in an address. Raises `InvalidRequest` with the field."""
    name = _checked_text(field, value)
    if "/" in name:
        raise InvalidRequest(field, value, "it has a slash")
    return name


def check_run_name(value: Any) -> str | None:
    """Return the name of a run, None for one that is to be made up. Raises `InvalidRequest`."""
    return None if value is None else _checked_text("flow_run_name", value)


def check_reason(field: str, value: Any) -> str:
    """Return why something is paused, as one line. Raises `InvalidRequest` with the field."""
    return _checked_text(field, " ".join(value.split()) if isinstance(value, str) else value)


def _checked_text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_NAME or value != value.strip():
        raise InvalidRequest(field, value, f"give a text of 1 to {_LONGEST_NAME} characters, without spaces around it")
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in value):
        raise InvalidRequest(field, value, "it has a control character")
    return value


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in the form in which they are handed over: dates and paths are texts, tuples and sets lists.

    Raises `ParameterError` for what has no such form.
    """
    return {name: _plain(name, value) for name, value in values.items()}


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(name, item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(name, item) for key, item in value.items()}
    dump = getattr(value, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    raise ParameterError(
        name, f"a value of type {type(value).__name__} can't be given to a deployment: only what JSON has, and dates"
    )


def json_values(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters that can be stored. Raises `ParameterError` for one that is no JSON value."""
    for name, value in parameters.items():
        try:
            json.dumps(value, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise ParameterError(name, f"is no JSON value: {error}") from None
    return parameters


def check_tags(given: Any) -> tuple[str, ...]:
    """Return tags, each once. Raises `InvalidRequest`."""
    if isinstance(given, str) or not isinstance(given, Sequence | set | frozenset) or len(given) > _MOST_TAGS:
        raise InvalidRequest("tags", given, f"give a list of at most {_MOST_TAGS} texts")
    items = sorted(given, key=str) if isinstance(given, set | frozenset) else given
    return tuple(dict.fromkeys(check_name("tags", tag) for tag in items))


def check_description(given: Any) -> str:
    """Return a description. Raises `InvalidRequest`."""
    if not isinstance(given, str) or len(given) > _LONGEST_DESCRIPTION:
        raise InvalidRequest("description", given, f"give a text of at most {_LONGEST_DESCRIPTION:,} characters")
    return given


def check_priority(given: Any) -> int:
    """Return a priority; the higher goes first. Raises `InvalidRequest`."""
    if type(given) is not int or not -_HIGHEST <= given <= _HIGHEST:
        raise InvalidRequest("priority", given, f"give a whole number from {-_HIGHEST:,} to {_HIGHEST:,}")
    return given
