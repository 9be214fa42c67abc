"""What of a call's arguments is written down: JSON values, secrets masked, anything else named by its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

__all__ = ["MASK", "exact_json", "is_secret", "masked", "recordable", "to_json", "unmasked"]

#: What is shown instead of a secret.
MASK = "***"

_SECRET_WORDS = ("password", "passwd", "token", "secret", "api_key", "apikey", "private_key", "credential")
_LONGEST_TEXT = 2_000
_MOST_ITEMS = 100
_DEEPEST = 6

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def is_secret(name: str) -> bool:
    """Return whether a parameter of this name is masked wherever it is shown or stored."""
    low = name.lower()
    return low == "key" or low.endswith("_key") or any(word in low for word in _SECRET_WORDS)


def recordable(value: Any, depth: int = 0) -> Any:
    """Return ``value`` as JSON values.

    Long texts and containers are cut, secrets in mappings masked, what JSON does not know becomes ``<type name>``
    (never its ``repr``, which may be slow, huge or raise).
    """
    if value is None or value is True or value is False or type(value) is int:
        return value if not isinstance(value, int) or abs(value) < 2**63 else f"<int of {value.bit_length()} bits>"
    if type(value) is float:
        return value if isfinite(value) else str(value)
    if type(value) is str:
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    if depth < _DEEPEST and type(value) in (list, tuple, set, frozenset):
        items = [recordable(item, depth + 1) for _, item in zip(range(_MOST_ITEMS), value, strict=False)]
        return [*items, f"… ({len(value)} items)"] if len(value) > _MOST_ITEMS else items
    if depth < _DEEPEST and type(value) is dict:
        return _mapping(value, depth)
    if _hides(type(value)):
        return MASK
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def masked(value: Any) -> Any:
    """Return a JSON value, uncut, with the secrets in its mappings masked."""
    if isinstance(value, Mapping):
        return {name: MASK if is_secret(name) and item is not None else masked(item) for name, item in value.items()}
    return [masked(item) for item in value] if isinstance(value, list) else value


def unmasked(value: Any, before: Any) -> Any:
    """Return what was given as `masked` showed it, with each secret that is still masked as it is in ``before``."""
    if isinstance(value, Mapping) and isinstance(before, Mapping):
        return {
            name: before[name]
            if item == MASK and is_secret(name) and name in before
            else unmasked(item, before.get(name))
            for name, item in value.items()
        }
    if isinstance(value, list) and isinstance(before, list):
        rest = [None] * (len(value) - len(before))
        return [unmasked(item, old) for item, old in zip(value, [*before[: len(value)], *rest], strict=True)]
    return value


def _hides(kind: type) -> bool:
    """Return whether values of a type are secrets: our own (`jupyter_wf.secrets`), and pydantic's kinds."""
    return hasattr(kind, "__jupyter_wf_secret__") or hasattr(kind, "get_secret_value")


def _mapping(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for _, (key, item) in zip(range(_MOST_ITEMS), value.items(), strict=False):
        name = key if isinstance(key, str) else str(recordable(key))
        out[name[:_LONGEST_TEXT]] = MASK if is_secret(name) else recordable(item, depth + 1)
    if len(value) > _MOST_ITEMS:
        out["…"] = f"({len(value)} items)"
    return out


def to_json(parameters: Mapping[str, Any]) -> str:
    """Return a call's arguments, by parameter name, as the JSON text that is stored with the run."""
    if not parameters:
        return "{}"
    return _encode({n: MASK if is_secret(n) else recordable(v, 1) for n, v in parameters.items()})


_SECRETS: dict[str, bool] = {}


def _secret(name: str) -> bool:
    known = _SECRETS.get(name)
    if known is None:
        if len(_SECRETS) > 10_000:
            _SECRETS.clear()
        known = _SECRETS[name] = is_secret(name)
    return known


def exact_json(parameters: Mapping[str, Any]) -> str | None:
    """Return what `to_json` returns where that tells the arguments from all others; None where it may not.

    That is so for plain numbers and short texts that are no secrets.
    """
    for name, value in parameters.items():
        kind = type(value)
        if kind is str:
            if len(value) > _LONGEST_TEXT:
                return None
        elif kind is int:
            if not -(2**63) < value < 2**63:
                return None
        elif kind is float:
            if not isfinite(value):
                return None
        elif value is not None and kind is not bool:
            return None
        if _secret(name):
            return None
    return _encode(parameters) if parameters else "{}"
