"""The one validator of what comes in: query parameters and bodies. Whatever it lets through has the type it says."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Never

from tornado.web import HTTPError

from jupyter_wf.core.errors import InvalidRequest

__all__ = [
    "MAX_BODY",
    "MAX_SEQ",
    "Parser",
    "flag",
    "integer",
    "no_control_characters",
    "read_choice",
    "read_json",
    "read_query",
    "read_rerun",
    "read_resume",
    "read_start",
    "text",
    "words",
]

#: The largest body, in bytes.
MAX_BODY = 1_000_000
#: The largest number that an event can have.
MAX_SEQ = 2**63 - 1
_MAX_DEPTH = 32
_MAX_PARAMETERS = 1_000
_LONGEST_NAME = 200

#: Takes a parameter's name and its text, returns its value or raises `InvalidRequest`.
Parser = Callable[[str, str], Any]

#: Jupyter's own parameters: how the request is authenticated and counted. They are not for the handlers.
_OF_JUPYTER = frozenset(("token", "_xsrf", "no_track_activity"))
#: JupyterLab adds the time in milliseconds, without a value, to the address of each request that must not be cached.
_CACHE_BUSTER = re.compile(r"[0-9]{1,16}")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def integer(low: int, high: int) -> Parser:
    """Return a parser of whole numbers from ``low`` to ``high``, both included."""

    def parse(name: str, value: str) -> int:
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            raise InvalidRequest(name, value, f"give a whole number from {low} to {high}")
        return int(value)

    return parse


def flag(name: str, value: str) -> bool:
    """Return whether ``value`` says yes: ``1`` or ``true``, as against ``0`` or ``false``."""
    if value not in ("0", "1", "false", "true"):
        raise InvalidRequest(name, value, "give 1 or 0")
    return value in ("1", "true")


def text(max_length: int) -> Parser:
    """Return a parser of texts of 1 to ``max_length`` characters, none of them a control character."""

    def parse(name: str, value: str) -> str:
        if not 1 <= len(value) <= max_length:
            raise InvalidRequest(name, value, f"give 1 to {max_length} characters")
        return no_control_characters(name, value)

    return parse


def words(pattern: str, hint: str, *, most: int = 20) -> Parser:
    """Return a parser of one to ``most`` words parted by commas, each fitting ``pattern``; it gives a tuple."""
    form = re.compile(pattern)

    def parse(name: str, value: str) -> tuple[str, ...]:
        found = tuple(value.split(","))
        if len(found) > most or not all(form.fullmatch(word) for word in found):
            raise InvalidRequest(name, value, hint)
        return found

    return parse


def no_control_characters(name: str, value: str) -> str:
    """Return ``value``, or raise `InvalidRequest` when it has a control character or half of a surrogate pair."""
    if _UNSAFE.search(value):
        raise InvalidRequest(name, value, "it has a control character")
    return value


def read_query(arguments: Mapping[str, Sequence[bytes]], parsers: Mapping[str, Parser]) -> dict[str, Any]:
    """Return the values of the query parameters that were given, by name.

    ``arguments`` is what tornado made of the query. Raises `InvalidRequest` for a parameter that ``parsers`` does not
    have, one that comes twice, and one whose value does not fit.
    """
    found: dict[str, Any] = {}
    for name, values in arguments.items():
        if name in _OF_JUPYTER or (_CACHE_BUSTER.fullmatch(name) and not any(values)):
            continue
        if name not in parsers:
            raise InvalidRequest("query", name, f"there is no such parameter; {_offer(parsers)}")
        if len(values) > 1:
            raise InvalidRequest(name, len(values), "give it once")
        try:
            value = values[0].decode()
        except UnicodeDecodeError:
            raise InvalidRequest(name, values[0], "it is not UTF-8") from None
        found[name] = parsers[name](name, value)
    return found


def _offer(names: Iterable[str]) -> str:
    known = ", ".join(sorted(names))
    return f"there are {known}" if known else "this address takes none"


def read_json(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the object that a request's body holds; ``{}`` for an empty body.

    Raises tornado's `HTTPError` 415 where the body is not declared as JSON, `InvalidRequest` for what is not one JSON
    object: broken, not UTF-8, with a key twice, with NaN or an endless number, deeper than 32 levels.
    """
    if not body:
        return {}
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPError(415, "send the body as application/json")
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_not_a_number, parse_float=_finite_number
        )
    except InvalidRequest:
        raise
    except RecursionError:
        raise InvalidRequest("body", len(body), f"it is deeper than {_MAX_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidRequest("body", body[:40], f"it is not JSON: {error}") from None
    _check_values(value)
    if not isinstance(value, dict):
        raise InvalidRequest("body", type(value).__name__, "send one JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("body", [name for name, _ in pairs][:20], "a key comes twice")
    return found


def _not_a_number(word: str) -> Never:
    raise InvalidRequest("body", word, "it is not JSON: numbers are finite")


def _finite_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidRequest("body", digits, "the number is too large")
    return number


def _check_values(value: Any) -> None:
    """Refuse what is too deep, and texts that are not Unicode, level by level: no recursion on foreign data."""
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH + 1):
        below: list[Any] = []
        for item in level:
            if isinstance(item, str) and _SURROGATE.search(item):
                raise InvalidRequest("body", item, "a text in it has half of a surrogate pair")
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return
        level = below
    raise InvalidRequest("body", type(value).__name__, f"it is deeper than {_MAX_DEPTH} levels")


def read_start(body: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the notebook's path and the parameters from the body of ``POST runs``.

    Whether the path is a notebook below the server's root, and whether it has such parameters, is judged elsewhere.
    """
    _known_keys(body, "notebook", "parameters")
    notebook = body.get("notebook")
    if not isinstance(notebook, str):
        raise InvalidRequest("notebook", notebook, "give the notebook's path below the server's root, as a text")
    return notebook, _parameters(body)


def read_resume(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed parameters from the body of ``POST runs/{id}/resume`` or ``…/repair``."""
    _known_keys(body, "parameters")
    return _parameters(body)


def read_rerun(body: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """Return the task to begin from (None for the whole) and the changed parameters of ``POST runs/{id}/rerun``."""
    _known_keys(body, "from", "parameters")
    task = body.get("from")
    if task is not None and (not isinstance(task, str) or not 1 <= len(task) <= _LONGEST_NAME):
        raise InvalidRequest("from", task, f"give a task's name, a text of 1 to {_LONGEST_NAME} characters")
    return None if task is None else no_control_characters("from", task), _parameters(body)


def read_choice(body: Mapping[str, Any], key: str, choices: Sequence[str]) -> str:
    """Return the one of ``choices`` that a body names under its only key; the first where it says nothing."""
    _known_keys(body, key)
    chosen = body.get(key, choices[0])
    if chosen not in choices:
        raise InvalidRequest(key, chosen, f"give {' or '.join(choices)}")
    return str(chosen)


def _known_keys(body: Mapping[str, Any], *known: str) -> None:
    if unknown := sorted(body.keys() - set(known)):
        raise InvalidRequest("body", unknown[0], f"there is no such key; there are {', '.join(known)}")


def _parameters(body: Mapping[str, Any]) -> dict[str, Any]:
    parameters = body.get("parameters", {})
    if not isinstance(parameters, dict) or len(parameters) > _MAX_PARAMETERS:
        raise InvalidRequest("parameters", parameters, f"give an object with at most {_MAX_PARAMETERS} keys")
    for name in parameters:
        if not 1 <= len(name) <= _LONGEST_NAME:
            raise InvalidRequest("parameters", name, f"a name has 1 to {_LONGEST_NAME} characters")
        no_control_characters("parameters", name)
    return parameters
