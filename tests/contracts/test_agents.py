"""Agents and their signs of life; leases on services that one process should do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jupyter_wf.core.deployments import Agent
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from tests.contracts.processes import dead_process, foreign_process
from tests.contracts.scheduling import T, claim, registered, submit


def an_agent(agent_id: str, **fields: Any) -> Agent:
    values: dict[str, Any] = {
        "id": agent_id, "name": "a", "pools": ("default",), "limit": 2, "pid": 7, "host": "here", "started_at": T,
        "seen_at": 0.0,
    }  # fmt: skip
    return Agent(**(values | fields))


def test_agents_are_listed_with_what_they_do(store: Store, opened: Callable[[], Store]) -> None:
    first, second = registered(store), registered(store)
    store.agents.beat(an_agent(first, pools=("default", "big")), T + 1)
    store.agents.beat(an_agent(second, started_at=T + 5, status="draining"), T + 6)
    submit(store), submit(store)
    claim(store, first, limit=2)
    younger, older = opened().agents.list(T + 7)
    assert older == an_agent(first, pools=("default", "big"), seen_at=T + 1, running=2)
    assert younger == an_agent(second, started_at=T + 5, seen_at=T + 6, status="draining")
    store.agents.beat(replace(older, limit=5), T + 8)
    assert [(each.limit, each.seen_at) for each in store.agents.list(T + 9)] == [(2, T + 6), (5, T + 8)]


def test_who_is_gone_is_not_alive(store: Store) -> None:
    left, killed, silent, alive = (
        registered(store),
        registered(store, dead_process()),
        registered(store, foreign_process()),
        registered(store, this_process("agent")),
    )
    for agent in (left, killed, silent):
        store.agents.beat(an_agent(agent), T)
    store.agents.beat(an_agent(alive), T + 100)
    store.agents.leave(left)
    store.agents.leave("nobody")
    shown = {each.id: (each.alive, each.status) for each in store.agents.list(T + 100)}
    offline = (False, "offline")
    assert shown == {left: offline, killed: offline, silent: offline, alive: (True, "online")}
    assert [each.id for each in store.agents.list(T + 86_401)] == [alive]


def test_an_agent_is_a_known_process(store: Store) -> None:
    with pytest.raises(InvalidRequest):
        store.agents.beat(an_agent("nobody"), T)
    assert store.agents.list(T) == []


def test_one_process_has_the_lease_of_a_service(store: Store, opened: Callable[[], Store]) -> None:
    one, two, other = registered(store), registered(store), opened()
    now = time.time()
    assert store.services.hold("scheduler", one, now=now, lease=100)
    assert not other.services.hold("scheduler", two, now=now, lease=100)
    assert store.services.hold("scheduler", one, now=now + 50, lease=100), "it may prolong it"
    assert not other.services.hold("scheduler", two, now=now + 149, lease=100)
    assert other.services.holder("scheduler") == one and other.services.holder("reaper") is None
    assert other.services.hold("reaper", two, now=now, lease=100), "each has a lease of its own"
    # Silence ends it.
    assert other.services.hold("scheduler", two, now=now + 151, lease=100)
    assert not store.services.hold("scheduler", one, now=now + 152, lease=100)
    store.services.release("scheduler", one)
    assert store.services.holder("scheduler") == two
    other.services.release("scheduler", two)
    assert store.services.holder("scheduler") is None
    assert store.services.hold("scheduler", one, now=now, lease=100)


def test_a_dead_holder_has_no_lease(store: Store) -> None:
    dead, one = registered(store, dead_process()), registered(store)
    far = registered(store, foreign_process())
    now = time.time()
    assert store.services.hold("a", dead, now=now, lease=100) and store.services.hold("b", far, now=now, lease=100)
    assert store.services.holder("a") is None and store.services.holder("b") == far
    assert store.services.hold("a", one, now=now, lease=100)
    assert not store.services.hold("b", one, now=now, lease=100), "nobody here can tell whether it lives"
    assert store.services.hold("c", one, now=now - 100, lease=50) and store.services.holder("c") is None
