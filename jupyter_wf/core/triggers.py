"""When a task is called, given how the runs before it ended: Airflow's trigger rules (Prefect 1 had most of them).

===========  =======================================================================================
rule         the task is called
===========  =======================================================================================
all_success  if all runs before it completed; where one was skipped it is skipped, else ``NotReady``
all_done     once all have ended, however they did
one_success  if at least one completed
one_failed   if at least one did not complete; else it is skipped
none_failed  if all completed or were skipped
all_failed   if none completed; else it is skipped
always       whatever happened, also if the runs before it were never called
===========  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.states import State

__all__ = ["TRIGGERS", "Ready", "Verdict", "decide", "make_trigger"]


class Ready(StrEnum):
    """What a rule says: call the task, skip it, or leave it uncalled because something failed."""

    CALL = "call"
    SKIP = "skip"
    NOT_READY = "not ready"


class Verdict(NamedTuple):
    """What a rule says, and why."""

    ready: Ready
    reason: str = ""


class _Tally(NamedTuple):
    many: int
    good: int
    skipped: int
    bad: int


def _all_success(tally: _Tally) -> Ready:
    if tally.bad:
        return Ready.NOT_READY
    return Ready.SKIP if tally.skipped else Ready.CALL


def _one_success(tally: _Tally) -> Ready:
    if tally.good:
        return Ready.CALL
    return Ready.NOT_READY if tally.bad else Ready.SKIP


_RULES: dict[str, Callable[[_Tally], Ready]] = {
    "all_success": _all_success,
    "all_done": lambda tally: Ready.CALL,
    "one_success": _one_success,
    "one_failed": lambda tally: Ready.CALL if tally.bad else Ready.SKIP,
    "none_failed": lambda tally: Ready.NOT_READY if tally.bad else Ready.CALL,
    "all_failed": lambda tally: Ready.CALL if tally.bad == tally.many else Ready.SKIP,
    "always": lambda tally: Ready.CALL,
}
TRIGGERS = tuple(_RULES)
_UPSTREAM = "upstream task run"


def make_trigger(rule: object) -> str:
    """Return the rule's name, ``all_success`` for None. Raises `ParameterError` for one that there is not."""
    if rule is None:
        return "all_success"
    if not isinstance(rule, str) or rule not in _RULES:
        raise ParameterError("trigger", f"{rule!r:.80} is none of {', '.join(_RULES)}")
    return str(rule)


def _reason(name: str, state: State) -> str:
    """Return why a run can't be called: what failed or was skipped first, however far up that is."""
    told = (state.message or "").partition("\n")[0]
    if told.startswith(_UPSTREAM):
        return told
    return f"{_UPSTREAM} {name!r} is {state.name}{': ' if told else ''}{told}"


def decide(rule: str, upstream: Sequence[tuple[str, State]]) -> Verdict:
    """Return what ``rule`` says of the (name, final state) of each run before the task. Without any it is called."""
    if not upstream:
        return Verdict(Ready.CALL)
    skipped = sum(state.name == "Skipped" for _, state in upstream)
    good = sum(state.is_completed() for _, state in upstream) - skipped
    ready = _RULES[rule](_Tally(len(upstream), good, skipped, len(upstream) - good - skipped))
    if ready is Ready.CALL:
        return Verdict(ready)
    for name, state in upstream:
        is_cause = not state.is_completed() if ready is Ready.NOT_READY else state.name == "Skipped"
        if is_cause:
            return Verdict(ready, _reason(name, state))
    return Verdict(ready, f"the trigger {rule!r} does not hold: no run before it did not complete")
