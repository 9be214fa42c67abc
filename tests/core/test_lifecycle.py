"""The life of a run as a generator: any order of outcomes gives a legal history."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.effects import End, Enter, Invoke, Outcome, Wait
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.lifecycle import conclude, describe, life, not_ready
from jupyter_wf.core.policy import Policy, make_policy
from jupyter_wf.core.rules import is_allowed
from jupyter_wf.core.states import State, StateType

BAD = Outcome(End.RAISED, None, ValueError("no"))
GOOD = Outcome(End.RETURNED, 7)


def play(policy: Policy, outcomes: list[Outcome], stop_wait: bool = False, attempt: int = 1) -> list[object]:
    """Answer a life's effects with `outcomes` in turn; return what it asked for."""
    steps = life(policy, attempt=attempt)
    asked: list[object] = []
    answer = None
    left = iter(outcomes)
    try:
        while True:
            effect = steps.send(answer)
            asked.append(effect)
            answer = None
            if isinstance(effect, Invoke):
                answer = next(left)
            elif isinstance(effect, Wait) and stop_wait:
                answer = Outcome(End.CANCELLED)
    except StopIteration:
        return asked


def names(asked: list[object]) -> list[str]:
    return [effect.name for effect in asked if isinstance(effect, Enter)]


def test_success() -> None:
    assert names(play(Policy(), [GOOD])) == ["Running", "Completed"]


def test_retries_wait_their_delays_and_count_attempts() -> None:
    asked = play(make_policy(retries=3, retry_delay_seconds=[1, 5]), [BAD, BAD, BAD, GOOD])
    assert names(asked) == ["Running", *["AwaitingRetry", "Retrying"] * 3, "Completed"]
    assert [effect.seconds for effect in asked if isinstance(effect, Wait)] == [1, 5, 5]
    assert [e.new_attempt for e in asked if isinstance(e, Enter) and e.type is StateType.RUNNING] == [
        False,
        True,
        True,
        True,
    ]


def test_the_last_failure_is_the_run_s() -> None:
    asked = play(make_policy(retries=1), [BAD, Outcome(End.TIMED_OUT, None, TimeoutError("late"))])
    assert names(asked)[-1] == "TimedOut"
    assert isinstance(asked[-1], Enter) and asked[-1].type is StateType.FAILED


@pytest.mark.parametrize("end", [End.CANCELLED, End.CRASHED])
def test_a_stop_is_not_retried(end: End) -> None:
    asked = play(make_policy(retries=5), [Outcome(end)])
    assert names(asked) == ["Running", end.name.capitalize()]


def test_a_cancellation_while_waiting_ends_the_run() -> None:
    asked = play(make_policy(retries=5, retry_delay_seconds=9), [BAD], stop_wait=True)
    assert names(asked) == ["Running", "AwaitingRetry", "Cancelled"]


def test_an_ended_run_tried_again_has_its_retries_anew() -> None:
    asked = play(make_policy(retries=1), [BAD, BAD], attempt=3)
    assert names(asked) == ["Retrying", "AwaitingRetry", "Retrying", "Failed"]


@given(
    st.integers(0, 4),
    st.lists(
        st.sampled_from([GOOD, BAD, Outcome(End.TIMED_OUT), Outcome(End.CANCELLED), Outcome(End.CRASHED)]),
        min_size=5,
        max_size=5,
    ),
    st.booleans(),
)
def test_every_history_is_legal_and_ends(retries: int, outcomes: list[Outcome], stop_wait: bool) -> None:
    state = State(type=StateType.PENDING, name="Pending")
    for effect in play(make_policy(retries=retries, retry_delay_seconds=1), outcomes, stop_wait):
        if isinstance(effect, Enter):
            new = State(type=effect.type, name=effect.name)
            assert is_allowed(state, new, new_attempt=effect.new_attempt)
            state = new
    assert state.is_final()


def test_not_ready_is_one_state() -> None:
    (effect,) = list(not_ready("upstream failed"))
    assert isinstance(effect, Enter)
    assert (effect.type, effect.name, effect.message) == (StateType.PENDING, "NotReady", "upstream failed")


FAILED = State(type=StateType.FAILED, name="Failed", data=KeyError("k"))
DONE = State(type=StateType.COMPLETED, name="Completed", data=1)


def test_prefect_s_final_state_rules() -> None:
    assert conclude(5) is None
    assert conclude([]) is None
    assert conclude([DONE, 3]) is None
    assert conclude(FAILED) is FAILED
    both = conclude([DONE, FAILED])
    assert both is not None and both.is_failed() and "1/2" in str(both.message)
    assert isinstance(both.data, KeyError)
    one = conclude((DONE, DONE))
    assert one is not None and one.is_completed()
    still = conclude(State(type=StateType.RUNNING, name="Running"))
    assert still is not None and still.is_failed()


def test_an_exception_whose_text_raises_is_described() -> None:
    class Evil(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Evil()) == "Evil: <its text raised RuntimeError>"
    assert len(describe(ValueError("x" * 9999))) == 500
    assert describe(None) == ""


@pytest.mark.parametrize(
    "options",
    [
        {"retries": -1},
        {"retries": True},
        {"retries": "3"},
        {"retry_delay_seconds": -1},
        {"retry_delay_seconds": float("nan")},
        {"retry_delay_seconds": ["1"]},
        {"timeout_seconds": 0},
        {"timeout_seconds": float("inf")},
    ],
)
def test_options_that_make_no_sense_are_refused_with_their_value(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ParameterError, match=name):
        make_policy(**options)  # type: ignore[arg-type]
