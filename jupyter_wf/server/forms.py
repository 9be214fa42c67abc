"""What is wrong with a form that was sent, field by field, so that each can be shown where it was typed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from jupyter_wf.core.deployments import DeploymentSchedule
from jupyter_wf.core.errors import InvalidRequest, JupyterWfError, ParameterError
from jupyter_wf.core.policies import POLICY_NAMES
from jupyter_wf.core.scheduling_errors import FormRefused, ScheduleError
from jupyter_wf.services.given_schedules import read_schedule

__all__ = ["FIELD_ERRORS", "all_or_refuse", "check_keys", "field_of", "judged_schedule", "sentence"]

T = TypeVar("T")

#: The errors that tell of one field.
FIELD_ERRORS = (InvalidRequest, ParameterError, ScheduleError)
#: What may be left out of a schedule to find out what else is wrong with it.
_OPTIONAL = ("timezone", "anchor_date", "day_or")
#: What has to be given, and what stands for it while the rest is judged.
_STAND_INS = {"name": "name"}
_MOST = 20
#: Names of fields in the package, where a request calls them otherwise.
_NAMES = {"notebook": "path", "flow": "path"}


def sentence(text: str) -> str:
    """Return a reason as it stands by itself: with a capital letter."""
    return text[:1].upper() + text[1:]


def field_of(error: JupyterWfError) -> tuple[str, str]:
    """Return which field an error is about, named as in the request, and what is wrong with it."""
    if isinstance(error, ScheduleError):
        return error.field, sentence(error.why)
    if isinstance(error, ParameterError):
        return f"parameters.{error.name}", sentence(error.reason)
    if isinstance(error, InvalidRequest):
        name = _NAMES.get(error.name, error.name)
        return f"policies.{name}" if name in POLICY_NAMES else name, sentence(error.reason)
    return "", sentence(str(error))


def all_or_refuse(
    given: Mapping[str, Any], make: Callable[[Mapping[str, Any]], T], *, known: Sequence[tuple[str, str]] = ()
) -> T:
    """Return what ``make`` makes of what was given.

    Where it refuses a field, it is tried again without that field, to find out what else is wrong. Raises `FormRefused`
    with all that was found, ``known`` first.
    """
    errors = list(known)
    while True:
        try:
            made = make(given)
        except FIELD_ERRORS as error:
            found = field_of(error)
            if found not in errors:
                errors.append(found)
            rest = _without(given, found[0])
            if rest is None or len(errors) >= _MOST:
                raise FormRefused(errors) from error
            given = rest
        else:
            if errors:
                raise FormRefused(errors)
            return made


def judged_schedule(
    given: Any, before: Sequence[DeploymentSchedule], now: float
) -> DeploymentSchedule | list[tuple[str, str]]:
    """Return the schedule that was given, or all that is wrong with it: it is judged again without what was refused.

    ``before`` are the schedules that there are; ``now`` is in epoch seconds.
    """
    errors: list[tuple[str, str]] = []
    while True:
        try:
            schedule = read_schedule(given, before, now=now)
        except ScheduleError as error:
            errors.append((error.field, sentence(error.why)))
            given = _without_part(given, error.field) if isinstance(given, Mapping) else None
            if given is None:
                return errors
        else:
            return errors or schedule


def _without_part(given: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    spec = given.get("spec")
    if field in _OPTIONAL and isinstance(spec, Mapping) and field in spec:
        return {**given, "spec": {name: value for name, value in spec.items() if name != field}}
    if field != "spec" and field in given:
        return {name: value for name, value in given.items() if name != field}
    return None


def _without(given: Mapping[str, Any], field: str) -> dict[str, Any] | None:
    """Return what was given without one field; None where it was not given, so that nothing can be left out."""
    head, _, tail = field.partition(".")
    inner = given.get(head)
    if tail and isinstance(inner, Mapping) and tail in inner:
        return {**given, head: {name: value for name, value in inner.items() if name != tail}}
    if head in _STAND_INS:
        return None if given.get(head) == _STAND_INS[head] else {**given, **_STAND_INS}
    if head not in given:
        # Fields of schedules have no number of theirs.
        head = "schedules" if head != "parameters" and "schedules" in given else ""
    return {name: value for name, value in given.items() if name != head} if head in given else None


def check_keys(body: Mapping[str, Any], *known: str) -> None:
    """Refuse a body with another key. Raises `FormRefused`."""
    unknown = sorted(body.keys() - set(known))
    if unknown:
        offer = f"there are {', '.join(known)}" if known else "this address takes none"
        raise FormRefused([(name, sentence(f"there is no such key; {offer}")) for name in unknown[:_MOST]])
