"""The trigger rules' truth table: how the runs before a task ended, and what that means for it."""

from __future__ import annotations

import pytest

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.states import State, StateType
from jupyter_wf.core.triggers import TRIGGERS, decide, make_trigger

STATES = {
    "G": State(type=StateType.COMPLETED, name="Completed"),
    "S": State(type=StateType.COMPLETED, name="Skipped"),
    "F": State(type=StateType.FAILED, name="Failed"),
    "C": State(type=StateType.CANCELLED, name="Cancelled"),
    "X": State(type=StateType.CRASHED, name="Crashed"),
    "N": State(type=StateType.PENDING, name="NotReady"),
}
#: rule: what it says (c: call, s: skip, n: not ready) of each of the combinations above it.
COMBINATIONS = ("", "G", "S", "F", "N", "GG", "GS", "GF", "SF", "FF", "SS", "CX", "GSF")
TABLE = {
    "all_success": "c c s n n c s n n n s n n",
    "all_done": "c c c c c c c c c c c c c",
    "one_success": "c c s n n c c c n n s n c",
    "one_failed": "c s s c c s s c c c s c c",
    "none_failed": "c c c n n c c n n n c n n",
    "all_failed": "c s s c c s s s s c s c s",
    "always": "c c c c c c c c c c c c c",
}


def test_every_rule_is_in_the_table() -> None:
    assert set(TABLE) == set(TRIGGERS)
    assert all(len(row.split()) == len(COMBINATIONS) for row in TABLE.values())


@pytest.mark.parametrize("rule", TRIGGERS)
@pytest.mark.parametrize("number", range(len(COMBINATIONS)), ids=lambda n: COMBINATIONS[n] or "none")
def test_what_a_rule_says(rule: str, number: int) -> None:
    upstream = [(f"run {letter}", STATES[letter]) for letter in COMBINATIONS[number]]
    for order in (upstream, upstream[::-1]):
        verdict = decide(rule, order)
        assert verdict.ready.value[0] == TABLE[rule].split()[number]
        assert bool(verdict.reason) == (verdict.ready != "call")


def test_the_reason_names_the_run() -> None:
    upstream = [("a", STATES["G"]), ("b", STATES["S"]), ("c", STATES["X"])]
    assert decide("all_success", upstream).reason == "upstream task run 'c' is Crashed"
    assert decide("all_success", upstream[:2]).reason == "upstream task run 'b' is Skipped"
    assert "one_failed" in decide("one_failed", upstream[:1]).reason


def test_rules_are_checked() -> None:
    assert make_trigger(None) == "all_success"
    assert all(make_trigger(rule) == rule for rule in TRIGGERS)
    for wrong in ("sometimes", "", 3, ["all_done"]):
        with pytest.raises(ParameterError, match="all_success, all_done"):
            make_trigger(wrong)
