"""What the policies of a deployment may be. Each is checked at the door, by the same rules wherever it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, get_args

from jupyter_wf.core.deployments import MissedPolicy, OverlapPolicy, Policies
from jupyter_wf.core.durations import seconds_of, span
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.output_paths import check_output

__all__ = ["FORMATS", "POLICY_NAMES", "check_policies", "policy_text"]

FORMATS = ("ipynb", "html")
POLICY_NAMES = tuple(field.name for field in fields(Policies))
_YEAR = 366 * 86400.0

_Check = Callable[[str, Any], Any]


def check_policies(given: Any, base: Policies | None = None) -> Policies:
    """Return ``base`` (the defaults where it is None) with the policies in ``given``, by name.

    Lengths of time are seconds, or texts such as ``15m`` and ``1h30m``. Raises `InvalidRequest`, with the policy's
    name, for one that there is not and for a value that makes no sense.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest("policies", given, "give an object: policies by name")
    for name in given:
        if name not in _CHECKS:
            near = get_close_matches(str(name), POLICY_NAMES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(POLICY_NAMES)}"
            raise InvalidRequest("policies", name, f"there is no such policy; {hint}")
    base = base or Policies()
    policies = replace(base, **{name: _CHECKS[name](name, value) for name, value in given.items()})
    if "output" in given and "formats" not in given and base.formats == _formats_of(base.output):
        # The template's ending says what is wanted, until somebody says it otherwise.
        policies = replace(policies, formats=_formats_of(policies.output))
    if policies.output is None and policies.formats != Policies().formats:
        why = "nothing says where to save them: give output too, such as 'reports/{name}-{scheduled:%Y-%m-%d}.ipynb'"
        raise InvalidRequest("formats", list(policies.formats), why)
    return policies


def _formats_of(output: str | None) -> tuple[str, ...]:
    return ("html",) if output is not None and output.endswith(".html") else ("ipynb",)


def _choice(*choices: str) -> _Check:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise InvalidRequest(name, value, f"give one of {', '.join(choices)}")
        return str(value)

    return check


def _whole(low: int, high: int) -> _Check:
    def check(name: str, value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise InvalidRequest(name, value, f"give a whole number from {low} to {high:,}")
        return value

    return check


def _number(low: float, high: float, what: str) -> _Check:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidRequest(name, value, f"give a number: {what}")
        if not low <= value <= high:
            raise InvalidRequest(name, value, f"give {what}, from {low:g} to {high:g}")
        return float(value)

    return check


def _seconds(low: float, high: float) -> _Check:
    def check(name: str, value: Any) -> float:
        try:
            seconds = seconds_of(value)
        except ValueError as error:
            raise InvalidRequest(name, value, str(error)) from None
        if not low <= seconds <= high:
            raise InvalidRequest(name, value, f"give a length of time from {span(low)} to {span(high)}")
        return seconds

    return check


def _or_none(check: _Check) -> _Check:
    return lambda name, value: None if value is None else check(name, value)


def _output(name: str, value: Any) -> str:
    return check_output(value)


def _formats(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not all(each in FORMATS for each in value):
        raise InvalidRequest(name, value, f"give a list of {' and '.join(FORMATS)}")
    return tuple(dict.fromkeys(value))


def policy_text(name: str, value: Any) -> str:
    """Return a policy's value as people write it: a length of time as ``10m``, a list with commas, None as ``none``."""
    if isinstance(value, int | float) and name in _LENGTHS:
        return span(value)
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


#: The policies that are lengths of time, in seconds.
_LENGTHS = ("grace", "retry_delay", "timeout", "deadline")
_CHECKS: Mapping[str, _Check] = {
    "missed": _choice(*get_args(MissedPolicy)),
    "missed_limit": _whole(1, 10_000),
    "grace": _seconds(0, _YEAR),
    "overlap": _choice(*get_args(OverlapPolicy)),
    "concurrency_limit": _or_none(_whole(1, 10_000)),
    "retries": _whole(0, 1_000),
    "retry_delay": _seconds(0, _YEAR),
    "timeout": _or_none(_seconds(0.001, _YEAR)),
    "on_crash": _choice("fail", "resume"),
    "keep_last": _or_none(_whole(1, 10_000_000)),
    "keep_days": _or_none(_number(0.001, 36_600, "days")),
    "max_consecutive_failures": _or_none(_whole(1, 10_000)),
    "deadline": _or_none(_seconds(0.001, _YEAR)),
    "deadline_factor": _or_none(_number(1, 1_000, "how many times the average duration")),
    "snapshot": _choice("current", "pinned"),
    "output": _or_none(_output),
    "formats": _formats,
}
