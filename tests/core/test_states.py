"""States: their questions, their results, and the table of transitions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.errors import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    InvalidTransition,
    MissingResult,
    UnfinishedRun,
    UpstreamFailed,
)
from jupyter_wf.core.rules import ALLOWED, check_transition, is_allowed
from jupyter_wf.core.states import OPEN_TYPES, TERMINAL_TYPES, State, StateType


def state(type_: StateType, name: str | None = None, **more: object) -> State:
    return State(type=type_, name=name or type_.value.capitalize(), **more)  # type: ignore[arg-type]


def test_the_types_are_either_open_or_terminal() -> None:
    assert frozenset(StateType) == OPEN_TYPES | TERMINAL_TYPES
    assert not OPEN_TYPES & TERMINAL_TYPES
    assert set(ALLOWED) == {None, *StateType}


@pytest.mark.parametrize("type_", list(StateType))
def test_exactly_one_question_is_answered_yes(type_: StateType) -> None:
    one = state(type_)
    questions = [q for q in dir(one) if q.startswith("is_") and q not in ("is_final", "is_closed")]
    assert [q for q in questions if getattr(one, q)()] == [f"is_{type_.value.lower()}"]
    assert one.is_final() == (type_ in TERMINAL_TYPES)


def test_a_completed_state_gives_its_value_even_if_that_is_none_or_an_exception() -> None:
    assert state(StateType.COMPLETED, data=None).result() is None
    value = ValueError("a value like any other")
    assert state(StateType.COMPLETED, data=value).result() is value


@pytest.mark.parametrize(
    ("type_", "error"),
    [
        (StateType.FAILED, FailedRun),
        (StateType.CRASHED, CrashedRun),
        (StateType.CANCELLED, CancelledRun),
        (StateType.COMPLETED, MissingResult),
    ],
)
def test_without_data_a_stand_in_is_raised(type_: StateType, error: type[Exception]) -> None:
    with pytest.raises(error):
        state(type_).result()


def test_a_failed_state_raises_its_own_exception_or_returns_it() -> None:
    error = KeyError("x")
    failed = state(StateType.FAILED, data=error)
    with pytest.raises(KeyError):
        failed.result()
    assert failed.result(raise_on_failure=False) is error


def test_an_open_run_has_no_result_and_one_that_was_never_called_says_so() -> None:
    with pytest.raises(UnfinishedRun):
        state(StateType.RUNNING).result()
    with pytest.raises(UpstreamFailed, match="because"):
        state(StateType.PENDING, "NotReady", message="because").result()


def test_data_is_not_part_of_a_state_s_identity() -> None:
    assert state(StateType.COMPLETED, data=1) == state(StateType.COMPLETED, data=2)
    assert "1" not in repr(state(StateType.COMPLETED, data=1))


@given(st.sampled_from(sorted(TERMINAL_TYPES)), st.sampled_from(list(StateType)))
def test_a_terminal_state_is_left_only_by_a_new_attempt(old: StateType, new: StateType) -> None:
    assert not is_allowed(state(old), state(new))
    begins = new in (StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING)
    assert is_allowed(state(old), state(new), new_attempt=True) == begins


def test_a_run_that_was_not_ready_is_closed() -> None:
    assert not is_allowed(state(StateType.PENDING, "NotReady"), state(StateType.RUNNING))


def test_an_impossible_transition_tells_the_story() -> None:
    with pytest.raises(InvalidTransition, match="Pending → Running → Completed") as caught:
        check_transition(
            "abc", state(StateType.COMPLETED), state(StateType.RUNNING), story=["Pending", "Running", "Completed"]
        )
    assert caught.value.old == "Completed"
    check_transition("abc", None, state(StateType.PENDING))
