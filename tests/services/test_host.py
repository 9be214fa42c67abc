"""A host starts and stops its services, and keeps one agent alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.services.host import HostStatus, ServiceHost
from jupyter_wf.services.scheduler import SERVICE
from jupyter_wf.services.upkeep import Upkeep
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store
from tests.waiting import until

_log = logging.getLogger("host")


@pytest.fixture
def store(wf_home: Path) -> Iterator[Store]:
    made = open_store(Settings(home=wf_home))
    yield made
    made.close()


class Part:
    """Notes that it was started and stopped."""

    def __init__(self, story: list[str], name: str, error: Exception | None = None) -> None:
        self.story = story
        self.name = name
        self.error = error

    def start(self) -> None:
        self.story.append(f"{self.name} started")

    def stop(self) -> None:
        self.story.append(f"{self.name} stopped")
        if self.error:
            raise self.error


def hosted(store: Store, home: Path, **options: Any) -> ServiceHost:
    options = {"process": this_process("server"), "log": _log, "start_agent": False, **options}
    return ServiceHost(store, Settings(home=home), **options)


def test_a_host_says_what_it_does(store: Store, wf_home: Path) -> None:
    host, other = hosted(store, wf_home), hosted(store, wf_home)
    assert host.status() == HostStatus("off", "off", None, 0, None)
    host.start()
    until(lambda: host.status().scheduler == "active")
    other.start()
    until(lambda: other.status().next_wake)
    assert (other.status().scheduler, other.status().reaper) == ("reader", "active")
    host.stop()
    host.stop()
    assert (host.status().scheduler, host.status().reaper) == ("off", "off")
    # The other one takes over as soon as it hears of it.
    other.stop()
    assert store.services.holder(SERVICE) is None


def test_services_are_stopped_in_the_other_order_and_all_of_them(store: Store, wf_home: Path) -> None:
    story: list[str] = []
    parts = [Part(story, "triggers"), Part(story, "outbox", RuntimeError("no"))]
    host = hosted(store, wf_home, services=parts)
    host.start()
    host.stop()
    assert story == ["triggers started", "outbox started", "outbox stopped", "triggers stopped"]


def test_the_local_agent_is_seen_to_again_and_again(store: Store, wf_home: Path) -> None:
    pids = iter([4711, 4711, 4712])
    seen: list[int] = []

    def ensure(store: Store, settings: Settings) -> int:
        seen.append(next(pids, 4712))
        return seen[-1]

    host = hosted(store, wf_home, start_agent=True, ensure_agent=ensure)
    host.start()
    until(lambda: host.status().agent == 4711)

    def third() -> bool:
        host.nudge()
        return len(seen) >= 3

    until(third)
    until(lambda: host.status().agent == 4712)
    host.stop()


def test_no_agent_where_none_is_wanted(store: Store, wf_home: Path) -> None:
    def ensure(store: Store, settings: Settings) -> int:
        raise AssertionError("nobody asked for an agent")

    done = threading.Event()
    host = hosted(store, wf_home, ensure_agent=ensure, chores={"it failed": done.set})
    host.start()
    assert done.wait(30)
    host.stop()
    assert host.status().agent is None


def test_a_chore_that_fails_keeps_no_other_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("not today")

    upkeep = Upkeep({"the first thing failed": fail, "the second thing failed": lambda: done.append("second")})
    upkeep.step()
    upkeep.step()
    assert done == ["second", "second"]
    assert caplog.text.count("the first thing failed: not today") == 1


def test_chores_are_done_after_a_look_at_runs(store: Store, wf_home: Path) -> None:
    done = threading.Semaphore(0)
    looks: list[int] = []
    host = hosted(store, wf_home, chores={"it failed": done.release}, on_look=looks.append)
    host.start()
    assert done.acquire(timeout=30)
    assert done.acquire(timeout=30)
    assert looks[0] == 0
    host.stop()
