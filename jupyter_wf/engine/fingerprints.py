"""Fingerprints: whether a task's inputs and code are what they were, in any process, kernel or session."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from jupyter_wf.core.parameters import is_secret
from jupyter_wf.engine.content import digest_of
from jupyter_wf.engine.parts import Unhashable
from jupyter_wf.engine.sources import code_of, source_of

__all__ = ["Unhashable", "changed_inputs", "code_of", "explain", "fingerprint", "inputs_of", "source_of"]

#: Longer texts (characters) are told from each other by their fingerprint.
_LONGEST = 200
_MOST_NAMES = 10_000

_quote = json.encoder.encode_basestring
#: Whether a name is a secret's; names are few and asked for at every call.
_secrets: dict[str, bool] = {}


def fingerprint(value: Any) -> str:
    """Return 64 hexadecimal characters that depend on the content of ``value`` alone.

    Known by content: plain values and containers, arrays and frames (numpy, pandas, polars, arrow), dataclasses, models
    (pydantic, attrs), enums, paths, times, functions and classes (by their code), instances (by class and attributes),
    and what else pickles the same each time. A mapping's order does not count. Raises `Unhashable`.
    """
    return digest_of(value).hex()


def inputs_of(arguments: Mapping[str, Any]) -> str:
    """Return a call's arguments, by parameter name, as a JSON text that is equal for equal arguments.

    Short numbers and texts stand there as they are, anything else (and every secret) as ``{"#": fingerprint}``, 16
    hexadecimal characters. Raises `Unhashable`, which names the parameter.
    """
    if not arguments:
        return "{}"
    names = arguments if len(arguments) == 1 else sorted(arguments)
    return "{" + ",".join([f"{_quote(name)}:{_input(name, arguments[name])}" for name in names]) + "}"


def _input(name: str, value: Any) -> str:
    secret = _secrets.get(name)
    if secret is None:
        if len(_secrets) >= _MOST_NAMES:
            _secrets.clear()
        secret = _secrets[name] = is_secret(name)
    short = _SHORT.get(type(value))
    if short is not None and not secret:
        text = short(value)
        if text is not None:
            return text
    try:
        return f'{{"#":"{digest_of(value).hex()[:16]}"}}'
    except Unhashable as error:
        raise error.as_input(name) from error.__cause__


def _text(value: str) -> str | None:
    if len(value) > _LONGEST:
        return None
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
    return _quote(value)


_SHORT: dict[type, Callable[[Any], str | None]] = {
    type(None): lambda value: "null",
    bool: lambda value: "true" if value else "false",
    int: lambda value: str(value) if -(2**63) <= value < 2**63 else None,
    float: lambda value: repr(value) if isfinite(value) else None,
    str: _text,
}


def explain(code_before: str | None, inputs_before: str | None, code: str | None, inputs: str | None) -> str:
    """Say what of a task's code and inputs is not what it was, such as ``input 'df' changed``.

    They are given as `code_of` and `inputs_of` return them; None stands for what is not known. Returns
    ``nothing changed`` where all that is known is equal.
    """
    said = []
    if code_before is not None and code is not None and code_before != code:
        said.append("source changed")
    if inputs_before is not None and inputs is not None and inputs_before != inputs:
        before, now = _parsed(inputs_before), _parsed(inputs)
        changed = changed_inputs(inputs_before, inputs)
        said += [
            f"{_listed(names)} {verb}"
            for names, verb in (
                (changed, "changed"),
                ([name for name in now if name not in before], "new"),
                ([name for name in before if name not in now], "gone"),
            )
            if names
        ] or ["inputs changed"]
    return ", ".join(said) or "nothing changed"


def changed_inputs(inputs_before: str, inputs: str) -> list[str]:
    """Return the names that stand in both of two texts of `inputs_of`, with different values."""
    before, now = _parsed(inputs_before), _parsed(inputs)
    return [name for name in now if name in before and before[name] != now[name]]


def _parsed(inputs: str) -> dict[str, str]:
    try:
        found = json.loads(inputs)
    except ValueError:
        return {}
    # As texts: 1, 1.0 and True are equal, but not the same input.
    return {name: json.dumps(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _listed(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return f"input {quoted[0]}" if len(quoted) == 1 else f"inputs {', '.join(quoted[:-1])} and {quoted[-1]}"
