"""The arguments of a notebook or flow as a JSON Schema, from which a form is made."""

from __future__ import annotations

import ast
from typing import Any

from jupyter_wf.core.arguments import Argument, Arguments, ValueType, read_value
from jupyter_wf.core.parameters import is_secret

__all__ = ["argument_defaults", "argument_schema"]

_SIMPLE: dict[str, dict[str, Any]] = {
    "any": {},
    "none": {"type": "null"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "path": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}


def argument_schema(arguments: Arguments) -> dict[str, Any]:
    """Return the JSON Schema of an object with the arguments, in their order; secrets are ``writeOnly``."""
    return {
        "type": "object",
        "properties": {item.name: _property(item) for item in arguments.items},
        "required": [item.name for item in arguments.items if item.required],
        "additionalProperties": arguments.open_ended,
    }


def argument_defaults(arguments: Arguments) -> dict[str, Any]:
    """Return the JSON values of those defaults that are plain values of their type, without secrets."""
    found: dict[str, Any] = {}
    for item in arguments.items:
        if item.default is not None and not is_secret(item.name):
            try:
                value = ast.literal_eval(item.default)
                if isinstance(value, set | frozenset):
                    value = sorted(value, key=str)
                found[item.name] = read_value(item.type, value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                # A call, a name, or a text that is too long to be shown: the notebook's own is meant.
                continue
    return found


def _property(item: Argument) -> dict[str, Any]:
    schema = {"title": item.name, **_schema(item.type)}
    if is_secret(item.name):
        # Whatever takes a text is typed as a password is.
        schema |= {"writeOnly": True, **({"format": "password"} if item.type.kind in ("str", "any", "union") else {})}
    return schema


def _schema(kind: ValueType) -> dict[str, Any]:
    if kind.kind in _SIMPLE:
        return dict(_SIMPLE[kind.kind])
    if kind.kind == "literal":
        return {"enum": list(kind.args)}
    if kind.kind == "union":
        return {"anyOf": [_schema(member) for member in kind.args]}
    if kind.kind == "dict":
        return {"type": "object", **({"additionalProperties": _schema(kind.args[1])} if len(kind.args) == 2 else {})}
    if kind.kind == "tuple" and kind.args:
        items = [_schema(each) for each in kind.args]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    unique = {"uniqueItems": True} if kind.kind == "set" else {}
    return {"type": "array", **({"items": _schema(kind.args[0])} if kind.args else {}), **unique}
