"""Each slot is decided exactly once, whenever somebody looks; and what is decided is what the policies say."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.deployments import DeploymentSchedule, Policies, SlotDecision
from jupyter_wf.core.slot_messages import shown_at
from jupyter_wf.core.slots import COUNTED, MOST, SHOWN, Plan, Timetable, jitter_of, plan

#: 2026-11-22 06:00 UTC.
SIX = 1_795_327_200.0
HOUR = 3600.0


class Every:
    """A slot every ``period`` seconds, for ever; counts how often it is asked."""

    def __init__(self, period: float, first: float = 0.0) -> None:
        self.period = period
        self.first = first
        self.asked = 0

    def next_slot(self, after: float) -> float | None:
        self.asked += 1
        if after < self.first:
            return self.first
        return self.first + ((after - self.first) // self.period + 1) * self.period


class At:
    """Slots at given times."""

    def __init__(self, *slots: float) -> None:
        self.slots = sorted(slots)

    def next_slot(self, after: float) -> float | None:
        index = bisect_right(self.slots, after)
        return self.slots[index] if index < len(self.slots) else None


def scheduled(**changes: Any) -> DeploymentSchedule:
    values = {"id": "s", "deployment_id": "d", "spec": {"timezone": "Europe/Oslo"}, "parameters": {}, **changes}
    return DeploymentSchedule(**values)


def outcomes(found: Plan) -> list[tuple[float, str]]:
    return [(decision.slot, decision.outcome) for decision in found.decisions]


def runs(found: Plan) -> list[float]:
    return [decision.slot for decision in found.decisions if decision.outcome == "run"]


def number_of(decision: SlotDecision) -> int:
    """How many slots a decision stands for."""
    many = re.match(r"missed: ([\d,]+) slots from", decision.message or "")
    return int(many[1].replace(",", "")) if many else 1


def after(schedule: DeploymentSchedule, found: Plan) -> DeploymentSchedule:
    made = schedule.made + len(runs(found))
    return replace(schedule, watermark=found.watermark, next_slot=found.next_slot, made=made)


def three_hours(policies: Policies, **options: Any) -> Plan:
    """The plan at 09:30 of an hourly schedule that was last looked at at 06:00."""
    return plan(scheduled(watermark=SIX), policies, Every(HOUR), SIX + 3.5 * HOUR, **options)


def test_a_slot_on_time_gets_its_run() -> None:
    found = plan(scheduled(watermark=SIX - HOUR), Policies(), Every(HOUR), SIX + 0.02)
    assert found == Plan((SlotDecision(slot=SIX, outcome="run", due_at=SIX),), SIX, SIX + HOUR)


def test_nothing_is_decided_before_its_time() -> None:
    assert plan(scheduled(watermark=SIX), Policies(), Every(HOUR), SIX + HOUR - 0.01) == Plan((), SIX, SIX + HOUR)


def test_missed_slots_are_skipped_and_each_leaves_a_record() -> None:
    found = three_hours(Policies(missed="skip"))
    assert outcomes(found) == [(SIX + hours * HOUR, "missed") for hours in (1, 2, 3)]
    assert (found.watermark, found.next_slot) == (SIX + 3 * HOUR, SIX + 4 * HOUR)
    assert {decision.message for decision in found.decisions} == {
        "missed: no scheduler was running from 2026-11-22 08:00 CET to 2026-11-22 10:30 CET"
    }


def test_the_latest_of_the_missed_slots_gets_a_run() -> None:
    found = three_hours(Policies(missed="latest"))
    assert [outcome for _, outcome in outcomes(found)] == ["missed", "missed", "run"]
    why = "no scheduler was running from 2026-11-22 08:00 CET to 2026-11-22 10:30 CET"
    assert found.decisions[0].message == f"missed: {why}; a later slot is run in its place"
    assert (found.decisions[2].message or "").startswith("made 30 min 00 s late: no scheduler was running from")


def test_a_slot_on_time_stands_for_those_that_were_missed() -> None:
    found = plan(scheduled(watermark=SIX), Policies(missed="latest"), Every(HOUR), SIX + 3 * HOUR + 1)
    assert [outcome for _, outcome in outcomes(found)] == ["missed", "missed", "run"]
    assert found.decisions[2].message is None


def test_all_missed_slots_get_runs_up_to_the_limit() -> None:
    assert runs(three_hours(Policies(missed="all"))) == [SIX + hours * HOUR for hours in (1, 2, 3)]
    limited = three_hours(Policies(missed="all", missed_limit=2))
    assert [outcome for _, outcome in outcomes(limited)] == ["missed", "run", "run"]
    assert not runs(three_hours(Policies(missed="all", missed_limit=0)))


@pytest.mark.parametrize(
    ("reason", "words"),
    [("asleep", "the machine was asleep"), ("jump", "the clock was put forward to"), ("late", "could be decided only")],
)
def test_the_record_says_why(reason: Any, words: str) -> None:
    assert words in str(three_hours(Policies(), reason=reason).decisions[0].message)


def test_the_grace_time_says_what_is_on_time() -> None:
    assert runs(three_hours(Policies(missed="skip", grace=2.5 * HOUR))) == [SIX + hours * HOUR for hours in (1, 2, 3)]
    assert runs(three_hours(Policies(missed="skip", grace=2.4 * HOUR))) == [SIX + hours * HOUR for hours in (2, 3)]


def test_years_of_downtime_are_one_record_and_little_work() -> None:
    table, years = Every(60.0), 5 * 365 * 86400.0
    found = plan(scheduled(watermark=SIX), Policies(missed="latest"), table, SIX + years + 90)
    assert [decision.outcome for decision in found.decisions] == ["missed"] * (1 + SHOWN) + ["run"]
    message = str(found.decisions[0].message)
    assert message.startswith(f"missed: more than {COUNTED:,} slots from 2026-11-22 07:01 CET to 2031-11-21 06:")
    assert number_of(found.decisions[1]) == 1
    assert (found.watermark, found.next_slot) == (SIX + years + 60, SIX + years + 120)
    assert table.asked < COUNTED + 1000


def test_what_is_past_the_maximum_is_counted() -> None:
    found = plan(scheduled(watermark=SIX), Policies(missed="all", missed_limit=10), Every(60.0), SIX + 86400 + 30)
    assert [decision.outcome for decision in found.decisions] == ["missed"] + ["run"] * 11
    assert number_of(found.decisions[0]) == 1440 - 11


def test_a_burst_long_ago_is_found() -> None:
    slots = [SIX + minutes * 60 for minutes in range(3 * COUNTED)]
    found = plan(scheduled(watermark=SIX - 1), Policies(missed="latest"), At(*slots), SIX + 300 * 86400)
    assert runs(found) == [slots[-1]]
    assert (found.watermark, found.next_slot) == (slots[-1], None)


def test_more_than_can_be_decided_at_once_is_decided_by_the_next_calls() -> None:
    schedule, policies = scheduled(watermark=SIX), Policies(grace=10 * 86400.0)
    decided: list[float] = []
    now = SIX + (2 * MOST + 3) * 60.0
    for _ in range(4):
        found = plan(schedule, policies, Every(60.0), now)
        decided += runs(found)
        schedule = after(schedule, found)
    assert decided == [SIX + 60.0 * minutes for minutes in range(1, 2 * MOST + 4)]


def test_start_is_included_and_end_is_not() -> None:
    schedule = scheduled(watermark=SIX - 10 * HOUR, start_at=SIX, end_at=SIX + 2 * HOUR)
    found = plan(schedule, Policies(missed="all"), Every(HOUR), SIX + 5 * HOUR)
    assert (runs(found), found.next_slot) == ([SIX, SIX + HOUR], None)
    assert plan(schedule, Policies(), Every(HOUR), SIX - 1).next_slot == SIX


def test_so_many_runs_are_made_and_no_more() -> None:
    schedule = scheduled(watermark=SIX, max_runs=5, made=3)
    found = plan(schedule, Policies(missed="all"), Every(HOUR), SIX + 9 * HOUR)
    assert (runs(found), found.next_slot) == ([SIX + HOUR, SIX + 2 * HOUR], None)
    assert plan(after(schedule, found), Policies(missed="all"), Every(HOUR), SIX + 99 * HOUR).decisions == ()


def test_missed_slots_do_not_count_as_runs() -> None:
    found = plan(scheduled(watermark=SIX, max_runs=1), Policies(missed="latest"), Every(HOUR), SIX + 3.5 * HOUR)
    assert [outcome for _, outcome in outcomes(found)] == ["missed", "missed", "run"]
    assert found.next_slot is None


def test_a_schedule_of_one_date_runs_once() -> None:
    schedule = scheduled(watermark=SIX - 1)
    found = plan(schedule, Policies(), At(SIX), SIX)
    assert (runs(found), found.next_slot) == ([SIX], None)
    assert plan(after(schedule, found), Policies(), At(SIX), SIX + 99) == Plan((), SIX, None)
    assert runs(plan(schedule, Policies(), At(SIX), SIX + 86400)) == [SIX]


def test_the_jitter_is_the_same_everywhere_and_spreads() -> None:
    spread = [jitter_of("s", SIX + minute * 60, 30.0) for minute in range(1000)]
    assert spread == [jitter_of("s", SIX + minute * 60, 30.0) for minute in range(1000)]
    assert 0 <= min(spread) < 1 and 29 < max(spread) < 30 and 14 < sum(spread) / 1000 < 16
    assert jitter_of("s", SIX, 30.0) != jitter_of("t", SIX, 30.0)
    found = plan(scheduled(watermark=SIX - 1, jitter=30.0), Policies(), At(SIX), SIX)
    assert found.decisions[0].due_at == SIX + jitter_of("s", SIX, 30.0)
    assert jitter_of("s", SIX, 0.0) == 0.0


@pytest.mark.parametrize("overlap", ["allow", "queue"])
def test_runs_may_be_made_while_another_is_open(overlap: Any) -> None:
    found = three_hours(Policies(missed="all", overlap=overlap), open_runs=["3f2a9c"])
    assert len(runs(found)) == 3
    assert not any(decision.cancels for decision in found.decisions)


def test_a_slot_is_skipped_while_a_run_is_open() -> None:
    found = plan(scheduled(watermark=SIX - 1), Policies(overlap="skip"), At(SIX), SIX, open_runs=["0123456789"])
    assert outcomes(found) == [(SIX, "skipped")]
    assert found.decisions[0].message == "skipped: run 01234567 of the deployment had not ended"
    made_up = three_hours(Policies(overlap="skip", missed="all"))
    assert [outcome for _, outcome in outcomes(made_up)] == ["run", "skipped", "skipped"]
    assert "the slot before it" in str(made_up.decisions[1].message)


def test_the_run_before_is_cancelled() -> None:
    policies = Policies(overlap="cancel_running", missed="all")
    found = plan(scheduled(watermark=SIX - 1), policies, At(SIX), SIX, open_runs=["0123456789"])
    assert [(each.outcome, each.cancels) for each in found.decisions] == [("run", True)]
    several = three_hours(policies)
    assert [(each.outcome, each.cancels) for each in several.decisions] == [
        ("skipped", False),
        ("skipped", False),
        ("run", True),
    ]


def test_a_schedule_that_was_changed_does_not_look_back() -> None:
    # Daily at 6 became daily at 5, at noon; the next slot was worked out then.
    schedule = scheduled(watermark=SIX, next_slot=SIX + 23 * HOUR)
    found = plan(schedule, Policies(), Every(24 * HOUR, SIX - HOUR), SIX + 23 * HOUR)
    assert outcomes(found) == [(SIX + 23 * HOUR, "run")]


def test_a_slot_that_a_zone_has_moved_is_not_lost() -> None:
    # 06:00 UTC tomorrow was expected; the zone's rules say 05:00 now.
    schedule = scheduled(watermark=SIX, next_slot=SIX + 24 * HOUR)
    found = plan(schedule, Policies(), Every(24 * HOUR, SIX - HOUR), SIX + 24 * HOUR)
    assert outcomes(found) == [(SIX + 23 * HOUR, "run")]


def test_times_are_shown_in_their_zone() -> None:
    assert shown_at(SIX, "Asia/Kolkata") == "2026-11-22 11:30 IST"
    assert shown_at(SIX + 5, "Nowhere/Land") == "2026-11-22 06:00:05 UTC"
    assert "1970" in shown_at(1e18, "UTC")


POLICIES = st.builds(
    Policies,
    missed=st.sampled_from(["skip", "latest", "all"]),
    missed_limit=st.integers(0, 5),
    grace=st.sampled_from([0.0, 1.0, 10.0, 100.0]),
    overlap=st.sampled_from(["allow", "skip", "queue", "cancel_running"]),
)
SLOTS = st.lists(st.integers(1, 600), unique=True, max_size=120).map(sorted)


def check(slots: Sequence[int], decided: Sequence[SlotDecision], watermark: float, latest: float) -> None:
    """Each slot until the latest look was decided once, in order, and counted."""
    at = [decision.slot for decision in decided]
    assert at == sorted(set(at))
    assert set(at) <= set(slots)
    past = [slot for slot in slots if slot <= latest]
    assert sum(map(number_of, decided)) == len(past)
    assert watermark == (past[-1] if past else 0.0)


@given(SLOTS, POLICIES, st.lists(st.floats(0, 700), min_size=1), st.booleans())
def test_each_slot_is_decided_once_however_the_clock_goes(
    slots: list[int], policies: Policies, looks: list[float], steady: bool
) -> None:
    table: Timetable = At(*slots)
    schedule = scheduled()
    decided: list[SlotDecision] = []
    for now in sorted(looks) if steady else looks:
        found = plan(schedule, policies, table, now)
        assert found == plan(schedule, policies, table, now)
        # Who knows only the watermark, decides alike: a restart changes nothing.
        assert found == plan(replace(schedule, next_slot=None), policies, table, now)
        assert all(decision.slot <= now for decision in found.decisions)
        decided += found.decisions
        schedule = after(schedule, found)
    check(slots, decided, schedule.watermark, max(looks))


@given(SLOTS, st.lists(st.floats(0, 700), min_size=1), st.integers(1, 20))
def test_a_look_within_the_grace_time_gives_each_slot_its_run(slots: list[int], looks: list[float], most: int) -> None:
    schedule = scheduled(max_runs=most)
    made: list[float] = []
    for now in sorted(looks):
        found = plan(schedule, Policies(missed="skip", grace=1000), At(*slots), now)
        made += runs(found)
        schedule = after(schedule, found)
    assert made == [slot for slot in slots if slot <= max(looks)][:most]
    assert (schedule.next_slot is None) == (len(made) == most or not [slot for slot in slots if slot > max(looks)])
