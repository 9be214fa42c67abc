"""Which state may follow which: one table for everyone, the owner of a run, the store and the server.

==========  ==============================================================================================
from        to
==========  ==============================================================================================
(nothing)   SCHEDULED, PENDING
SCHEDULED   waits for a time (a slot, or the next attempt after a failure): may begin, be cancelled, be closed
PENDING     accepted, waits for its inputs or a free place; ``NotReady`` is the name of the one that stays here for good
RUNNING     may end, fail, be paused, be cancelled, or go back to SCHEDULED as AwaitingRetry
PAUSED      may go on, be cancelled or be closed by its time-out; a ``Suspended`` one goes on with its next attempt
CANCELLING  may only be closed: what completes before the cancellation reaches it is COMPLETED
terminal    only a new attempt leaves it, by SCHEDULED, PENDING or RUNNING
==========  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_wf.core.errors import InvalidTransition
from jupyter_wf.core.states import TERMINAL_TYPES, State, StateType

__all__ = ["ALLOWED", "check_transition", "is_allowed"]

_S = StateType

#: type → the types that may follow it within one attempt.
ALLOWED: dict[StateType | None, frozenset[StateType]] = {
    None: frozenset((_S.SCHEDULED, _S.PENDING)),
    _S.SCHEDULED: frozenset(_S) - {_S.PAUSED},
    _S.PENDING: frozenset(_S),
    _S.RUNNING: frozenset(_S) - {_S.PENDING},
    _S.PAUSED: frozenset(_S) - {_S.PENDING, _S.COMPLETED},
    _S.CANCELLING: TERMINAL_TYPES,
    **{t: frozenset() for t in TERMINAL_TYPES},
}

_NEW_ATTEMPT = frozenset((_S.SCHEDULED, _S.PENDING, _S.RUNNING))


def is_allowed(old: State | None, new: State, *, new_attempt: bool = False) -> bool:
    """Return whether a run in ``old`` may enter ``new``; ``new_attempt`` is true when the attempt number grows."""
    if old is not None and (old.is_closed() or (new_attempt and old.name == "Suspended")):
        return new_attempt and new.type in _NEW_ATTEMPT
    return new.type in ALLOWED[old.type if old else None]


def check_transition(
    run: str, old: State | None, new: State, *, new_attempt: bool = False, story: Sequence[str] = ()
) -> None:
    """Raise `InvalidTransition` with the run's ``story`` (names of its states so far) unless the table allows it."""
    if not is_allowed(old, new, new_attempt=new_attempt):
        raise InvalidTransition(run, old.name if old else "nothing", new.name, story)
