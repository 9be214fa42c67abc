"""Whether a JSON value can be what a JSON schema of a form asks for: the plain faults, told by the field's name.

Not a validator: who asked judges the value in the end. This is for those who can't wait for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["VALUE_MARK", "as_form", "faults"]

#: Set in the schema of a form that stands for one plain value, its field ``value``.
VALUE_MARK = "x-plain-value"

_TRUTHS = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0")


def as_form(schema: Mapping[str, Any], value: Any) -> Any:
    """Return ``value`` as the object that the schema describes: None is an empty form, a plain value its one field."""
    if schema.get(VALUE_MARK) and not (isinstance(value, dict) and set(value) == {"value"}):
        return {} if value is None else {"value": value}
    return {} if value is None else value


def faults(schema: Mapping[str, Any], value: Any) -> list[str]:
    """Return a line for each field of the form ``value`` (see `as_form`) that can't be right."""
    if not isinstance(value, dict):
        return [f"an object with the fields {', '.join(schema.get('properties', ()))} is wanted"]
    fields = schema.get("properties", {})
    wrong = [f"{name!r} is missing" for name in schema.get("required", ()) if name not in value]
    if schema.get("additionalProperties") is False:
        wrong += [f"there is no field {name!r}" for name in value if name not in fields]
    for name, item in value.items():
        kind = fields.get(name, {}).get("type")
        if isinstance(kind, str) and not _can_be(kind, item):
            wrong.append(f"{name!r} is to be of the type {kind}")
    return wrong


def _can_be(kind: str, value: Any) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, (int, float)) or (isinstance(value, str) and _is_number(value))
    if kind == "boolean":
        return value in (True, False, 0, 1) or (isinstance(value, str) and value.lower() in _TRUTHS)
    if kind in ("array", "object"):
        return isinstance(value, list if kind == "array" else dict)
    return not isinstance(value, (list, dict)) and (value is None) == (kind == "null")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
