"""Agents and schedulers under everything that can go wrong: failures at every commit, stopped writers, killed hosts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies, Pool
from jupyter_wf.core.schedules import parse_schedule
from jupyter_wf.core.states import StateType
from jupyter_wf.services.local_agent import find_agent
from tests.services.agents import ROOT, Yard, agent_process
from tests.services.servers import service_process
from tests.waiting import until

#: Takes the write lock of a state file, with the gate in front of it, and says so.
_WRITER = """
import sys
from pathlib import Path
from jupyter_wf.store.sqlite.database import Database
with Database(Path(sys.argv[1])).write() as connection:
    connection.execute("UPDATE pools SET name = name")
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _writer(yard: Yard) -> Iterator[psutil.Popen]:
    """Have a process that is stopped in the middle of a write."""
    with psutil.Popen(
        [sys.executable, "-c", _WRITER, str(yard.store.location())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == b"locked\n"
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


def _deploy(
    yard: Yard,
    name: str,
    target: str,
    every: float | None = None,
    schedule: dict[str, float] | None = None,
    **policies: Any,
) -> Deployment:
    """Save a deployment of a flow of the file, with a schedule where it is to run ``every`` so many seconds."""
    schedules: list[DeploymentSchedule] = []
    if every is not None and schedule is not None:
        spec = {"interval": every, "timezone": "UTC", "anchor_date": "2026-01-01T00:00"}
        upcoming = parse_schedule(spec).next_slot(schedule["watermark"])
        schedules.append(
            DeploymentSchedule(id="", deployment_id="", spec=spec, parameters={}, next_slot=upcoming, **schedule)
        )
    return yard.store.deployments.save(
        Deployment(
            id="",
            name=name,
            flow_name=target.replace("_", "-"),
            kind="flow",
            target=f"{yard.folder / 'flows.py'}:{target}",
            parameters={"name": name} if target == "wait_for" else {},
            policies=Policies(**policies),
            schedules=tuple(schedules),
        )
    )


@pytest.mark.parametrize("how", ["exit", "raise"])
@pytest.mark.parametrize("where", ["claim.after_commit", "settle.before_commit", "settle.after_commit"])
def test_an_agent_that_fails_between_two_commits_loses_no_run(yard: Yard, where: str, how: str) -> None:
    deployment = _deploy(yard, "d", "tell")
    runs = [yard.submit("tell", {"word": word}, deployment_id=deployment.id) for word in ("a", "b")]
    with agent_process(yard.home, "--limit", "2", lease=1.0, failpoint=f"{where}:{how}") as agent:
        if how == "exit" or where.startswith("claim"):
            assert agent.wait() == (70 if how == "exit" else 1)
        else:
            # What goes wrong after a run is told, and ends nothing but the agent's patience with that run.
            until(lambda: agent.log.read_text().count("FailpointReached") >= 2)
            assert agent.process.poll() is None
    with agent_process(yard.home, "--limit", "2"):
        assert [(run.state.name, run.attempt) for run in map(yard.ended, runs)] == [("Completed", 1)] * 2
    assert sorted(yard.notes()) == ["a", "b"]


@pytest.mark.parametrize("how", ["exit", "raise"])
def test_a_runner_that_fails_when_it_has_just_taken_its_run_is_followed_by_another(yard: Yard, how: str) -> None:
    run_id = yard.submit("tell", policies=Policies(retries=1, retry_delay=2.0, concurrency_limit=None))
    with agent_process(yard.home, failpoint=f"take.after_commit:{how}"):
        until(lambda: yard.run(run_id).state.name == "AwaitingRetry")
    with agent_process(yard.home):
        run = yard.ended(run_id)
    assert (run.state.name, run.attempt, yard.notes()) == ("Completed", 2, ["hi"])


@pytest.mark.parametrize("how", ["exit", "raise"])
def test_a_next_attempt_is_made_once_whoever_fails_after_it_was_asked_for(yard: Yard, how: str) -> None:
    run_id = yard.submit("fail", policies=Policies(retries=2, concurrency_limit=None))
    with agent_process(yard.home, failpoint=f"retry.after_commit:{how}") as agent:
        if how == "exit":
            assert agent.wait() == 70
    with agent_process(yard.home):
        run = yard.ended(run_id)
    assert (run.state.name, run.attempt) == ("Failed", 3)
    assert yard.story(run_id).count("Running") == 3


def test_agents_go_on_when_a_writer_was_stopped_in_the_middle(yard: Yard) -> None:
    with agent_process(yard.home, "--limit", "2", lease=1.0):
        running = yard.submit("wait_for", {"name": "go"})
        yard.noted("begun go")
        with _writer(yard) as writer:
            yard.touch("go")
            yard.noted("ended go")
            # Reading goes on; nobody is declared dead because he can't write.
            until(lambda: time.time() > writer.create_time() + 3.0)
            assert yard.run(running).state.type is StateType.RUNNING
        run = yard.ended(running)
        assert (run.state.name, run.attempt) == ("Completed", 1)
        assert yard.ended(yard.submit("tell")).state.name == "Completed"


def test_what_kills_its_agent_each_time_comes_to_an_end(yard: Yard) -> None:
    run_id = yard.submit("kill_agent", policies=Policies(retries=1, concurrency_limit=None))
    with service_process(yard.home, yard.folder):
        run = yard.ended(run_id)
        assert (run.state.name, run.attempt, yard.notes()) == ("Crashed", 2, ["it kills"] * 2)
        until(lambda: find_agent(yard.store) is not None)
        assert yard.ended(yard.submit("tell")).state.name == "Completed"


@pytest.mark.parametrize("what", ["deployment", "pool", "tag"])
def test_no_more_at_the_same_time_than_a_limit_allows(yard: Yard, what: str) -> None:
    deployment = _deploy(yard, "d", "work", concurrency_limit=2 if what == "deployment" else None)
    if what == "pool":
        yard.store.queue.set_pool(Pool(name="default", limit=2))
    if what == "tag":
        yard.store.limits.set("tag:db", 2)
    tags = ("db",) if what == "tag" else ()
    more = {"deployment_id": deployment.id, "policies": deployment.policies, "tags": tags}
    runs = [yard.submit("work", {"name": f"n{number}"}, **more) for number in range(5)]
    with agent_process(yard.home, "--limit", "4"):
        assert [yard.ended(each).state.name for each in runs] == ["Completed"] * 5
    assert set(yard.notes()) <= {"beside 1", "beside 2"} and len(yard.notes()) == 5
    begun = [str(yard.run(each).started_at) for each in runs]
    assert begun[2:] > begun[:2]


def test_a_paused_pool_keeps_its_runs_until_it_goes_on(yard: Yard) -> None:
    yard.store.queue.set_pool(Pool(name="slow", paused=True))
    waits, goes = yard.submit("tell", {"word": "slow"}, pool="slow"), yard.submit("tell", {"word": "fast"})
    with agent_process(yard.home, "--pool", "slow", "--pool", "default"):
        assert yard.ended(goes).state.name == "Completed"
        assert yard.run(waits).state.type is StateType.SCHEDULED
        yard.store.queue.set_pool(Pool(name="slow"))
        assert yard.ended(waits).state.name == "Completed"


def _story(yard: Yard, deployment: Deployment) -> list[str]:
    """The names of the states of a deployment's runs, in the order of their slots."""
    return [yard.run(run_id).state.name for run_id in reversed(yard.store.queue.runs_of(deployment.id))]


def test_after_all_was_killed_schedules_go_on_by_their_missed_policies(yard: Yard) -> None:
    with service_process(yard.home, yard.folder):
        until(lambda: find_agent(yard.store) is not None)
        for process in yard.alive():
            process.kill()
        until(lambda: not yard.alive())
    first = (time.time() // 60 - 3) * 60
    schedule = {"start_at": first, "end_at": first + 150.0, "watermark": first - 1.0}
    told = {
        "skip": ["Missed", "Missed", "Missed"],
        "latest": ["Missed", "Missed", "Completed"],
        "all": ["Completed", "Completed", "Completed"],
    }
    made = {policy: _deploy(yard, policy, "tell", 60.0, schedule, missed=policy, grace=0.0) for policy in told}
    with service_process(yard.home, yard.folder):
        until(lambda: {policy: _story(yard, made[policy]) for policy in told} == told)
    assert yard.notes() == ["hi"] * 4


def test_overlap_policies_with_runs_that_last(yard: Yard) -> None:
    told = {
        "allow": ["Running", "Running", "Running"],
        "queue": ["Running", "Scheduled", "Scheduled"],
        "skip": ["Running", "Skipped", "Skipped"],
        "cancel_running": ["Cancelled", "Cancelled", "Running"],
    }
    limits = {"allow": {"concurrency_limit": None}, "cancel_running": {"concurrency_limit": None}}
    with service_process(yard.home, yard.folder, limit=8):
        until(lambda: find_agent(yard.store) is not None)
        # Whole seconds, the first of them soon.
        first = time.time() // 1 + 2
        schedule = {"start_at": first, "end_at": first + 2.5, "watermark": first - 0.5}
        made = {
            overlap: _deploy(yard, overlap, "wait_for", 1.0, schedule, overlap=overlap, **limits.get(overlap, {}))
            for overlap in told
        }
        until(lambda: {overlap: _story(yard, made[overlap]) for overlap in told} == told)
        for overlap in told:
            yard.touch(overlap)
        ended = {
            overlap: [name.replace("Running", "Completed").replace("Scheduled", "Completed") for name in names]
            for overlap, names in told.items()
        }
        until(lambda: {overlap: _story(yard, made[overlap]) for overlap in told} == ended)
    beside, most = 0, 0
    for line in (line for line in yard.notes() if line.endswith(" queue")):
        beside += 1 if line.startswith("begun") else -1
        most = max(most, beside)
    assert most == 1
