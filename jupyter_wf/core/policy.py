"""How often and how soon a run that failed is tried again, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import NamedTuple

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.triggers import make_trigger

__all__ = ["Delay", "Policy", "exponential_backoff", "make_policy"]

Delay = float | Sequence[float] | Callable[[int], Sequence[float]]

#: A delay or time-out beyond a year is a mistake in the unit.
_LONGEST = 366 * 86_400.0
_LONGEST_BACKOFF = 30 * 86_400.0
_MOST_JITTER = 100.0


class Policy(NamedTuple):
    """Retries and time-out of a run.

    ``retries`` is how many attempts may follow the first one. ``delays`` are the seconds before each of them; the last
    one serves for all that follow. ``jitter`` spreads each delay d evenly over d·(1 - jitter) to d·(1 + jitter).
    Only exceptions of the types ``retry_on`` are tried again, and, where ``asks``, only if the user's own condition
    agrees. ``timeout_seconds`` bounds each attempt; None is no bound. ``late_after`` is after how many seconds a run
    that still goes on is called late. ``durable`` has its end committed before the caller goes on. ``trigger`` is the
    rule of `core.triggers` about the runs before it.
    """

    retries: int = 0
    delays: tuple[float, ...] = (0.0,)
    jitter: float = 0.0
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    asks: bool = False
    timeout_seconds: float | None = None
    late_after: float | None = None
    durable: bool = False
    trigger: str = "all_success"

    def delay(self, attempt: int, random: Callable[[], float] | None = None) -> float:
        """Return the seconds to wait after ``attempt`` (from 1) has failed.

        ``random`` gives numbers from 0 to 1; without it there is no jitter.
        """
        seconds = self.delays[min(attempt, len(self.delays)) - 1]
        if not self.jitter or random is None:
            return seconds
        return max(0.0, seconds * (1 + self.jitter * (2 * random() - 1)))

    def retries_after(self, error: BaseException | None) -> bool:
        """Return whether ``error`` is of a type after which another attempt may follow."""
        return error is None or isinstance(error, self.retry_on)


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """Return a function for ``retry_delay_seconds``: the delays are ``backoff_factor`` times 1, 2, 4, 8 … seconds.

    Raises `ParameterError` for a factor that is not a number from 0. No delay is longer than 30 days.
    """
    factor = _seconds("backoff_factor", backoff_factor)

    def delays(retries: int) -> list[float]:
        return [min(factor * 2.0 ** min(number, 60), _LONGEST_BACKOFF) for number in range(retries)]

    return delays


def make_policy(
    *,
    retries: int | None = None,
    retry_delay_seconds: Delay | None = None,
    retry_jitter_factor: float | None = None,
    retry_on: object = None,
    asks: bool = False,
    timeout_seconds: float | None = None,
    late_after: object = None,
    durable: bool | None = None,
    trigger: str | None = None,
) -> Policy:
    """Return the policy for a decorator's options.

    ``retry_delay_seconds`` is a number, a list (one for each retry, as in Prefect), or a function that is given
    ``retries`` and returns such a list. ``retry_on`` is an exception class or a tuple of them. Raises `ParameterError`
    for what is negative, not a number, not finite or of another type.
    """
    count = 0 if retries is None else retries
    if type(count) is not int or not 0 <= count <= 10_000:
        raise ParameterError("retries", f"{retries!r} is not a whole number from 0 to 10000")
    raw = retry_delay_seconds(count) if callable(retry_delay_seconds) else retry_delay_seconds
    many = raw if isinstance(raw, (list, tuple)) else [0.0 if raw is None else raw]
    timeout = None if timeout_seconds is None else _seconds("timeout_seconds", timeout_seconds)
    if timeout == 0:
        raise ParameterError("timeout_seconds", "0 leaves no time at all; use None for no time-out")
    return Policy(
        retries=count,
        delays=tuple(_seconds("retry_delay_seconds", value) for value in many or [0.0]),
        jitter=_jitter(retry_jitter_factor),
        retry_on=_error_types(retry_on),
        asks=asks,
        timeout_seconds=timeout,
        late_after=None if late_after is None else _seconds("late_after", late_after),
        durable=bool(durable),
        trigger=make_trigger(trigger),
    )


def _seconds(name: str, value: object) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LONGEST:
        raise ParameterError(name, f"{value!r} is not a number of seconds from 0 to {_LONGEST:.0f}")
    return float(value)


def _jitter(value: object) -> float:
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_JITTER:
        raise ParameterError("retry_jitter_factor", f"{value!r} is not a number from 0 to {_MOST_JITTER:.0f}")
    return float(value)


def _error_types(value: object) -> tuple[type[BaseException], ...]:
    if value is None:
        return (BaseException,)
    many = value if isinstance(value, (tuple, list)) else (value,)
    for each in many:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ParameterError("retry_on", f"{each!r:.100} is not an exception class; give one, or a tuple of them")
    return tuple(many)
