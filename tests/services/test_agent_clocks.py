"""Agents whose machine sleeps, or whose clock is set: what lives is not declared dead, nothing is begun twice."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.services.agent import Agent
from jupyter_wf.services.agent_options import AgentOptions
from jupyter_wf.services.agent_runs import RunnerLike, Runners
from jupyter_wf.services.local_agent import LOCAL_AGENT, ensure_agent, find_agent
from jupyter_wf.store.bell import ring
from jupyter_wf.store.processes import this_process
from tests.services.agents import Yard
from tests.services.scheduling import Clock
from tests.waiting import until

_HOUR = 3600.0


class _Runner:
    """A runner that does nothing until it is let go; its number is no process group's."""

    pid = 2**22 + 1

    def __init__(self) -> None:
        self.go = threading.Event()

    def wait(self) -> int:
        self.go.wait(30)
        return 0


class _Runners:
    def __init__(self) -> None:
        self.made: list[_Runner] = []

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> _Runner:
        self.made.append(_Runner())
        return self.made[-1]

    def close(self) -> None:
        for each in self.made:
            each.go.set()


@contextmanager
def _agent(yard: Yard, clock: Callable[[], float], runners: Runners, **options: Any) -> Iterator[Agent]:
    """Have an agent on a thread for a while, whose lease is 30 s."""
    options = {"name": "here", "limit": 2, "lease": 30.0, **options}
    log = logging.getLogger("agent")
    agent = Agent(
        yard.store, yard.settings, this_process("agent"), runners, AgentOptions(**options), log=log, clock=clock
    )
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        runners.close()
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("jump", [8 * _HOUR, 30 * 24 * _HOUR, -_HOUR])
def test_a_clock_that_jumps_takes_no_run_from_an_agent_that_lives(yard: Yard, jump: float) -> None:
    run_id = yard.submit("tell")
    clock, runners = Clock(time.time() + 1.0), _Runners()
    with _agent(yard, clock, runners):
        until(lambda: runners.made)
        clock.put(jump)

        def renewed() -> bool:
            ring(yard.settings)
            queued = yard.store.queue.get(run_id)
            assert queued is not None and queued.lease_until is not None
            return jump < 0 or queued.lease_until > clock()

        until(renewed)
        # Another agent finds nothing to take.
        other = this_process("agent")
        yard.store.register(other)
        assert yard.store.queue.claim(["default"], other.id, now=clock(), lease=30.0, limit=5) == []
        second = yard.submit("tell", due_at=clock() - 1.0)
        until(lambda: len(runners.made) == 2)
        assert [yard.story(each).count("Pending") for each in (run_id, second)] == [1, 1]
    assert len(runners.made) == 2


def test_a_local_agent_that_has_slept_is_not_replaced(yard: Yard) -> None:
    clock = Clock(time.time() - 8 * _HOUR)
    with _agent(yard, clock, _Runners(), name=LOCAL_AGENT, service=LOCAL_AGENT):
        until(lambda: yard.store.agents.list(clock()))
        # Its lease ended hours ago, as far as others can tell.
        assert find_agent(yard.store) is None
        clock.put(8 * _HOUR)
        assert ensure_agent(yard.store, yard.settings) == this_process("agent").pid
        assert len(yard.store.agents.list(clock())) == 1


class _Deaf:
    """Starts runners that never take their run."""

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> RunnerLike:
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    def close(self) -> None: ...


def test_a_runner_that_does_not_take_its_run_is_not_waited_for_without_end(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_wf.services.agent._LOOK", 0.02)
    run_id = yard.submit("tell")
    with _agent(yard, time.time, _Deaf()):
        run = yard.ended(run_id)
    assert run.state.name == "Crashed" and "before it took the run (signal 9)" in (run.state.message or "")
