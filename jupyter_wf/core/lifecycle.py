"""The life of a run, written once: a generator of effects that a driver carries out (DESIGN: one life, two drivers)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

from jupyter_wf.core.effects import INVOKE, Ask, Effect, End, Enter, Find, Keep, Outcome, Wait
from jupyter_wf.core.errors import CrashedRun
from jupyter_wf.core.policy import Policy
from jupyter_wf.core.states import State, StateType

__all__ = ["Cache", "Life", "conclude", "describe", "failed", "life", "not_ready", "skipped"]

Life = Generator[Effect, Outcome | None, None]


class Cache(NamedTuple):
    """Where a run's value is stored: the key, how long (seconds) it is good, whether to ignore what is there.

    ``inputs`` are those of the call, as in `ResultStored`.
    """

    key: str
    expiration: float | None = None
    refresh: bool = False
    inputs: str | None = None


_RUN = Enter(StateType.RUNNING, "Running")
_RETRY = Enter(StateType.RUNNING, "Retrying", new_attempt=True)
_CLOSINGS = {
    End.TIMED_OUT: (StateType.FAILED, "TimedOut"),
    End.CANCELLED: (StateType.CANCELLED, "Cancelled"),
    End.CRASHED: (StateType.CRASHED, "Crashed"),
    End.RAISED: (StateType.FAILED, "Failed"),
}
_SIGNALS = {
    End.SKIPPED: (StateType.COMPLETED, "Skipped"),
    End.STOPPED: (StateType.COMPLETED, "Completed"),
    End.SUSPENDED: (StateType.PAUSED, "Suspended"),
}


def describe(error: BaseException | None, limit: int = 500) -> str:
    """Return ``TypeName: text`` of an exception in at most ``limit`` characters, also when its ``str()`` raises."""
    if error is None:
        return ""
    try:
        text = str(error)
    except Exception as broken:
        text = f"<its text raised {type(broken).__name__}>"
    name = type(error).__name__
    return f"{name}: {text}"[:limit] if text else name


def life(
    policy: Policy,
    *,
    attempt: int = 1,
    begun: bool = False,
    cache: Cache | None = None,
    random: Callable[[], float] | None = None,
) -> Life:
    """Yield the effects of a run from its first call to its closing state.

    ``attempt`` is the number of the attempt to begin with: above 1 when an ended run is tried again; ``begun`` tells
    that the run is in that attempt already. With ``cache`` a stored result stands for the call, and the call's value is
    stored. ``random`` (numbers from 0 to 1) spreads the delays where the policy has jitter.
    """
    first = attempt
    if cache is not None and not cache.refresh and (attempt == 1 or begun):
        found = yield Find(cache.key, cache.inputs)
        if found is not None:
            yield Enter(StateType.COMPLETED, "Cached", None, found)
            return
    yield _RUN if attempt == 1 or begun else _RETRY
    while True:
        outcome = yield INVOKE
        assert outcome is not None
        if outcome.end is End.RETURNED:
            closing = _closing(outcome)
            if cache is not None and closing.type is StateType.COMPLETED and closing.outcome is not None:
                # The value of a returned state, not the state.
                yield Keep(cache.key, closing.outcome.value, cache.expiration, cache.inputs)
            yield closing
            return
        if not _may_be_retried(outcome) or policy.retries <= attempt - first:
            yield _closing(outcome)
            return
        refused = not policy.retries_after(outcome.error)
        if policy.asks and not refused:
            refused = (yield Ask(outcome)) is not None
        if refused:
            yield _closing(outcome)
            return
        seconds = policy.delay(attempt - first + 1, random)
        when = f" in {seconds:.3g} s" if seconds else ""
        message = f"attempt {attempt} failed, next one{when}: {describe(outcome.error)}"
        yield Enter(StateType.SCHEDULED, "AwaitingRetry", message, outcome)
        if seconds:
            stopped = yield Wait(seconds)
            if stopped is not None:
                yield _closing(stopped)
                return
        attempt += 1
        yield _RETRY


def _may_be_retried(outcome: Outcome) -> bool:
    """Whether the call failed, or what executed it elsewhere died; not where this process is to end."""
    died = outcome.end is End.CRASHED and isinstance(outcome.error, CrashedRun)
    return died or outcome.end in (End.RAISED, End.TIMED_OUT)


def not_ready(reason: str) -> Life:
    """Yield the one effect of a run that is never called because something upstream did not complete.

    ``NotReady`` of type PENDING is Prefect's name for it; it counts as closed.
    """
    yield Enter(StateType.PENDING, "NotReady", reason)


def skipped(reason: str) -> Life:
    """Yield the one effect of a run that is not called because there is nothing to do: COMPLETED, ``Skipped``."""
    yield Enter(StateType.COMPLETED, "Skipped", reason, Outcome(End.RETURNED))


def failed(error: Exception) -> Life:
    """Yield the one effect of a run that can't be called, because of what it was given."""
    yield _closing(Outcome(End.RAISED, None, error))


def _closing(outcome: Outcome) -> Enter:
    end = outcome.end
    if end is End.RETURNED:
        state = conclude(outcome.value)
        if state is None:
            return Enter(StateType.COMPLETED, "Completed", None, outcome)
        end = End.RETURNED if state.is_completed() else End.RAISED
        error = state.data if isinstance(state.data, BaseException) else None
        value = state.data if state.has_data else None
        return Enter(state.type, state.name, state.message, Outcome(end, value, error))
    if end in _SIGNALS:
        type_, name = _SIGNALS[end]
        reason = getattr(outcome.error, "reason", None)
        told = f"stopped: {reason or 'nothing is left to be done'}" if end is End.STOPPED else reason
        return Enter(type_, name, told, Outcome(End.RETURNED, outcome.value, outcome.error))
    type_, name = _CLOSINGS[end]
    return Enter(type_, name, describe(outcome.error) or None, outcome)


def conclude(value: Any) -> State | None:
    """Return the state that a returned value stands for, or None where it is just a value.

    Prefect 3's final-state rules: a returned state is the run's state; of several, any that is not COMPLETED makes it
    FAILED. Futures are turned into states before.
    """
    if isinstance(value, State):
        return value if value.is_final() else _failed([value], [value])
    if not isinstance(value, (list, tuple, set, frozenset)) or not value:
        return None
    states = [item for item in value if isinstance(item, State)]
    if len(states) != len(value):
        return None
    bad = [state for state in states if not state.is_completed()]
    return _failed(bad, states) if bad else State(type=StateType.COMPLETED, name="Completed", data=value)


def _failed(bad: Iterable[State], states: list[State]) -> State:
    bad = list(bad)
    first = next((state.data for state in bad if isinstance(state.data, BaseException)), None)
    word = "states" if len(states) > 1 else "state"
    message = f"{len(bad)}/{len(states)} {word} not completed: {', '.join(sorted({s.name for s in bad}))}"
    state = State(type=StateType.FAILED, name="Failed", message=message)
    return state if first is None else State(type=StateType.FAILED, name="Failed", message=message, data=first)
