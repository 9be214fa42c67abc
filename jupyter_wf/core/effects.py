"""What the life of a run asks its driver to do, and what the driver answers.

Named tuples and constants: a run yields about three of them.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from jupyter_wf.core.states import StateType

__all__ = ["INVOKE", "Ask", "Effect", "End", "Enter", "Find", "Invoke", "Keep", "Outcome", "Wait"]


class Enter(NamedTuple):
    """Enter a state. The answer is None.

    ``outcome`` is what led to it: its value or exception goes with a closing state. ``new_attempt`` counts one up.
    """

    type: StateType
    name: str
    message: str | None = None
    outcome: Outcome | None = None
    new_attempt: bool = False


class Invoke(NamedTuple):
    """Make the call, within the policy's time-out. The answer is its `Outcome`."""


class Ask(NamedTuple):
    """Ask the user's own condition whether a failed attempt may be followed by another one.

    The answer is None for yes, else an `Outcome`.
    """

    outcome: Outcome


class Wait(NamedTuple):
    """Wait before the next attempt. The answer is None, or a cancelled `Outcome`; a request to retry cuts it short."""

    seconds: float


class Find(NamedTuple):
    """Look for the result stored under a key. The answer is its `Outcome`, or None.

    ``inputs`` are the call's, as in `ResultStored`: for saying why there is none.
    """

    key: str
    inputs: str | None = None


class Keep(NamedTuple):
    """Store the run's value under a key. The answer is None."""

    key: str
    value: Any
    expiration: float | None
    inputs: str | None = None


class End(Enum):
    """How a call ended."""

    RETURNED = "returned"
    RAISED = "raised"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    SKIPPED = "skipped"
    STOPPED = "stopped early"
    SUSPENDED = "suspended"


class Outcome(NamedTuple):
    """A call's end: the value where it returned, the exception where it did not."""

    end: End
    value: Any = None
    error: BaseException | None = None


Effect = Enter | Invoke | Ask | Wait | Find | Keep
INVOKE = Invoke()
