"""Limits: slots that all processes on the records share, given back when their holder dies; rates that decay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.shared import Limit
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from tests.contracts.processes import child, dead_process, foreign_process
from tests.waiting import until

Take = Callable[..., float | None]


class Clock:
    """Stands in for the clock of the module that has ``time``."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that only goes when it is told to."""
    clock = Clock()
    monkeypatch.setattr("jupyter_wf.store.sqlite.limits.time", clock)
    return clock


@pytest.fixture
def take(store: Store) -> Take:
    """Take slots for a process of the test's own."""
    process = this_process("python")
    store.register(process)

    def take_slots(
        lease: str, *names: str, occupy: int = 1, process_id: str = process.id, unlisted: int | None = None
    ) -> float | None:
        return store.limits.take(lease, names, occupy, process_id=process_id, unlisted=unlisted)

    return take_slots


def taken(store: Store, name: str) -> float:
    limit = store.limits.get(name)
    assert limit is not None
    return limit.taken


def test_a_limit_is_made_changed_listed_and_removed(store: Store) -> None:
    assert store.limits.list() == [] and store.limits.get("db") is None
    assert store.limits.set("db", 3) == Limit(name="db", slots=3)
    store.limits.set("api", 5, decay=0.5)
    assert store.limits.set("db", 4, active=False) == Limit(name="db", slots=4, active=False)
    assert store.limits.list() == [Limit(name="api", slots=5, decay=0.5), Limit(name="db", slots=4, active=False)]
    assert store.limits.get("api") == Limit(name="api", slots=5, decay=0.5)
    assert store.limits.remove("db") and not store.limits.remove("db")
    assert [limit.name for limit in store.limits.list()] == ["api"]


@pytest.mark.parametrize(
    ("name", "slots", "decay"),
    [
        *(("", 1, 0.0), ("x" * 1001, 1, 0.0), ("a\0b", 1, 0.0), ("\ud800", 1, 0.0), (7, 1, 0.0)),
        *(("a", -1, 0.0), ("a", True, 0.0), ("a", 1.5, 0.0), ("a", 1 << 40, 0.0)),
        *(("a", 1, -0.1), ("a", 1, float("nan")), ("a", 1, float("inf")), ("a", 1, "fast"), ("a", 1, True)),
    ],
)
def test_what_can_be_no_limit_is_refused(store: Store, name: Any, slots: Any, decay: Any) -> None:
    with pytest.raises(InvalidRequest):
        store.limits.set(name, slots, decay=decay)
    assert store.limits.list() == []


def test_slots_are_taken_and_given_back(store: Store, take: Take) -> None:
    store.limits.set("db", 3)
    assert take("one", "db", occupy=2) is None
    wait = take("two", "db", occupy=2)
    assert wait is not None and wait > 0
    assert taken(store, "db") == 2
    assert take("three", "db") is None
    assert taken(store, "db") == 3
    store.limits.release("one")
    assert take("two", "db", occupy=2) is None
    for lease in ("two", "three", "nobody"):
        store.limits.release(lease)
    assert taken(store, "db") == 0


def test_all_or_none_is_taken(store: Store, take: Take) -> None:
    store.limits.set("a", 1)
    store.limits.set("b", 1)
    store.limits.set("rate", 1, decay=0.001)
    assert take("one", "b") is None
    assert take("two", "a", "rate", "b") is not None
    assert (taken(store, "a"), taken(store, "rate")) == (0, 0)
    store.limits.release("one")
    assert take("two", "a", "rate", "b", "a") is None
    assert (taken(store, "a"), taken(store, "b")) == (1, 1)
    assert 0.9 < taken(store, "rate") <= 1
    store.limits.release("two")
    assert (taken(store, "a"), taken(store, "b")) == (0, 0)
    assert taken(store, "rate") > 0.9, "what a rate limit gave is used up"


def test_a_lease_is_taken_once(store: Store, take: Take) -> None:
    store.limits.set("db", 2)
    assert [take("one", "db"), take("one", "db"), take("one", "db", occupy=2)] == [None] * 3
    assert taken(store, "db") == 1
    assert take("two", "db") is None
    assert take("one", "db") is None, "also where nothing is left"


def test_names_without_a_limit_are_free(store: Store, take: Take) -> None:
    store.limits.set("off", 0, active=False)
    assert take("one", "off", "unknown") is None
    assert take("two") is None
    assert taken(store, "off") == 0
    store.limits.set("off", 1)
    assert take("three", "off") is None, "who came before it was switched on holds nothing"


def test_a_name_without_a_limit_can_be_a_lock(store: Store, take: Take) -> None:
    assert take("a", "key", unlisted=1) is None
    assert take("a", "key", unlisted=1) is None
    assert take("b", "key", unlisted=1) is not None
    assert store.limits.list() == []
    dead = dead_process()
    store.register(dead)
    assert take("c", "other", unlisted=1, process_id=dead.id) is None
    assert take("d", "other", unlisted=1) is None
    store.limits.release("a")
    assert take("b", "key", unlisted=1) is None
    store.limits.set("key", 2)
    assert take("e", "key", unlisted=1) is None


def test_more_than_there_is_is_refused(store: Store, take: Take) -> None:
    store.limits.set("none", 0)
    store.limits.set("few", 2)
    store.limits.set("rate", 2, decay=1)
    for name, occupy in (("none", 1), ("few", 3), ("rate", 3)):
        with pytest.raises(InvalidRequest, match=f"{name}.*for ever"):
            take("one", name, occupy=occupy)
    for occupy in (0, -1, 1.5, True):
        with pytest.raises(InvalidRequest, match="whole number"):
            take("one", "few", occupy=occupy)


def test_a_smaller_limit_waits_until_enough_came_back(store: Store, take: Take) -> None:
    store.limits.set("db", 3)
    for lease in ("one", "two", "three"):
        assert take(lease, "db") is None
    assert store.limits.set("db", 1).taken == 3
    store.limits.release("one")
    store.limits.release("two")
    assert take("four", "db") is not None
    store.limits.release("three")
    assert take("four", "db") is None


def test_a_removed_limit_leaves_nothing_behind(store: Store, take: Take) -> None:
    store.limits.set("db", 1)
    assert take("one", "db") is None
    store.limits.remove("db")
    store.limits.release("one")
    store.limits.set("db", 1)
    assert taken(store, "db") == 0


def test_a_rate_limit_decays(store: Store, take: Take, clock: Clock) -> None:
    store.limits.set("api", 4, decay=2)
    assert [take(str(index), "api") for index in range(4)] == [None] * 4
    assert take("more", "api") == pytest.approx(0.5)
    clock.now += 0.25
    assert taken(store, "api") == pytest.approx(3.5)
    assert take("more", "api", occupy=3) == pytest.approx(1.25)
    clock.now += 0.25
    assert take("more", "api") is None
    store.limits.release("more")
    assert taken(store, "api") == 4
    clock.now += 1_000
    assert taken(store, "api") == 0
    assert [take(f"{index} again", "api") for index in range(5)] == [None] * 4 + [pytest.approx(0.5)]


def test_a_changed_rate_counts_from_now(store: Store, take: Take, clock: Clock) -> None:
    store.limits.set("api", 10, decay=1)
    assert take("one", "api", occupy=10) is None
    clock.now += 4
    assert store.limits.set("api", 10, decay=3).taken == pytest.approx(6)
    clock.now += 1
    assert taken(store, "api") == pytest.approx(3)


def test_a_clock_that_was_set_back_stops_no_rate(store: Store, take: Take, clock: Clock) -> None:
    store.limits.set("api", 1, decay=1)
    assert take("one", "api") is None
    clock.now -= 3_600
    assert take("two", "api") == pytest.approx(1)
    clock.now += 1
    assert take("two", "api") is None


def test_the_dead_hold_nothing(store: Store, take: Take) -> None:
    dead, foreign = dead_process(), foreign_process()
    stranger = dead._replace(id=new_id())
    store.register(dead)
    store.register(foreign)
    store.limits.set("db", 2)
    assert take("dead's", "db", occupy=2, process_id=dead.id) is None
    assert taken(store, "db") == 0, "reading shows it free"
    assert take("mine", "db", occupy=2) is None
    store.limits.release("mine")
    # Who can't be judged from here, or is not known, counts as alive.
    assert take("foreign's", "db", process_id=foreign.id) is None
    assert take("stranger's", "db", process_id=stranger.id) is None
    assert take("mine", "db") is not None


def test_processes_share_slots_and_a_killed_one_gives_them_back(
    kind: str, wf_home: Path, store: Store, take: Take
) -> None:
    store.limits.set("db", 2)
    with child(kind, wf_home) as other:
        assert other.ask("take", "other's", "db") is None
        assert take("mine", "db") is None
        assert other.ask("take", "another", "db") is not None
        before = store.data_version()
        store.limits.release("mine")
        assert store.data_version() != before, "who waits sees that something came back"
        assert other.ask("take", "another", "db") is None
        assert take("mine", "db") is not None
        other.kill()
        until(lambda: take("mine", "db", occupy=2) is None, "the slots of the killed process")
    assert taken(store, "db") == 2


def test_many_who_take_at_once_get_no_more_than_there_is(kind: str, wf_home: Path, store: Store, take: Take) -> None:
    store.limits.set("db", 10)
    with child(kind, wf_home) as first, child(kind, wf_home) as second:
        for other in (first, second):
            other.tell("take_many", "db", 50)
        mine = sum(take(f"mine {index}", "db") is None for index in range(50))
        assert mine + first.read() + second.read() == 10
    assert mine <= taken(store, "db") <= 10
