"""How often and how soon a run that failed is tried again, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jupyter_wf.core.errors import ParameterError

__all__ = ["Delay", "Policy", "make_policy"]

Delay = float | Sequence[float] | Callable[[int], Sequence[float]]

#: A delay or time-out beyond a year is a mistake in the unit.
_LONGEST = 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Retries and time-out of a run.

    ``retries`` is how many attempts may follow the first one. ``delays`` are the seconds before each of them; the last
    one serves for all that follow. ``timeout_seconds`` bounds each attempt; None is no bound.
    """

    retries: int = 0
    delays: tuple[float, ...] = (0.0,)
    timeout_seconds: float | None = None

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after ``attempt`` (from 1) has failed."""
        return self.delays[min(attempt, len(self.delays)) - 1]


def make_policy(
    *, retries: int | None = None, retry_delay_seconds: Delay | None = None, timeout_seconds: float | None = None
) -> Policy:
    """Return the policy for a decorator's options.

    ``retry_delay_seconds`` is a number, a list (one for each retry, as in Prefect), or a function that is given
    ``retries`` and returns such a list. Raises `ParameterError` for what is negative, not a number or not finite.
    """
    count = 0 if retries is None else retries
    if type(count) is not int or not 0 <= count <= 10_000:
        raise ParameterError("retries", f"{retries!r} is not a whole number from 0 to 10000")
    raw = retry_delay_seconds(count) if callable(retry_delay_seconds) else retry_delay_seconds
    many = raw if isinstance(raw, (list, tuple)) else [0.0 if raw is None else raw]
    delays = tuple(_seconds("retry_delay_seconds", value) for value in many or [0.0])
    timeout = None if timeout_seconds is None else _seconds("timeout_seconds", timeout_seconds)
    if timeout == 0:
        raise ParameterError("timeout_seconds", "0 leaves no time at all; use None for no time-out")
    return Policy(retries=count, delays=delays, timeout_seconds=timeout)


def _seconds(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LONGEST:
        raise ParameterError(name, f"{value!r} is not a number of seconds from 0 to {_LONGEST:.0f}")
    return float(value)
