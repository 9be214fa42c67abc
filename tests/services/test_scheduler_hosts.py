"""Several processes host services of one state file, and are killed at the worst of moments."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.scheduler import LEASE, SERVICE
from tests.services.hosts import HostProcess, host_process
from tests.services.scheduling import Table
from tests.waiting import until

_MINUTE = {"interval": 60.0, "timezone": "UTC"}


@pytest.fixture
def table(wf_home: Path) -> Iterator[Table]:
    made = Table(Settings(home=wf_home), "2026-06-01 05:30")
    made.clock.now = time.time()
    yield made
    made.store.close()


def past(table: Table, name: str, slots: int, **fields: str) -> Deployment:
    """Save a deployment that has so many undecided slots, all of which are to be made up for."""
    now = time.time()
    # From the middle of a minute on, so that no slot is added while the test goes on, nor lies at the border.
    table.clock.now = now - slots * 60.0 - 30.0
    first = (table.clock.now // 60 + 1) * 60
    schedule = {**_MINUTE, "anchor_date": "2026-01-01T00:00", "max_runs": slots, "start_at": first}
    return table.deploy(name, schedule, missed="all", missed_limit=1000, overlap="allow", **fields)


def check(table: Table, deployments: list[Deployment], slots: int) -> None:
    """Each slot has one run, and the books agree."""
    runs = table.runs()
    keys = [(run.source["schedule_id"], run.source["slot"]) for run in runs]
    assert len(set(keys)) == len(keys) == slots * len(deployments)
    assert {run.state.name for run in runs} <= {"Scheduled", "Late"}
    for deployment in deployments:
        (schedule,) = table.store.deployments.get(deployment.id).schedules
        assert (schedule.made, schedule.next_slot) == (slots, None)


def counted(table: Table, number: int) -> bool:
    return len(table.store.queue.waiting(limit=1000)) >= number


@pytest.mark.parametrize("greedy", [False, True], ids=["with a lease", "with none"])
def test_three_hosts_on_one_file_make_one_run_for_each_of_500_slots(table: Table, greedy: bool) -> None:
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(host_process(table.settings.home, greedy=greedy)) for _ in range(3)]
        deployments = [past(table, f"d{index}", 10) for index in range(50)]
        until(lambda: counted(table, 500))
        roles = ["active"] * 3 if greedy else ["active", "reader", "reader"]
        until(lambda: sorted(host.status()["scheduler"] for host in hosts) == roles)
        assert [host.end() for host in hosts] == [0, 0, 0]
    check(table, deployments, 10)
    assert table.store.services.holder(SERVICE) is None


def test_hosts_that_begin_with_a_backlog_make_it_up_once(table: Table) -> None:
    deployments = [past(table, f"d{index}", 10) for index in range(50)]
    with contextlib.ExitStack() as stack:
        hosts = [HostProcess(table.settings.home, failpoint="none") for _ in range(3)]
        for host in hosts:
            stack.callback(host.close)
        until(lambda: counted(table, 500))
    check(table, deployments, 10)


@pytest.mark.parametrize(("failpoint", "runs"), [("slot.before_commit", 0), ("slot.after_commit", 30)])
def test_a_host_killed_around_the_commit_leaves_all_or_nothing(table: Table, failpoint: str, runs: int) -> None:
    deployments = [past(table, f"d{index}", 10) for index in range(3)]
    with host_process(table.settings.home, failpoint=f"{failpoint}:exit") as host:
        assert host.process.wait(60) == 70
    assert len(table.runs()) == runs
    for deployment in deployments:
        (schedule,) = table.store.deployments.get(deployment.id).schedules
        assert schedule.made == runs / 3
    with host_process(table.settings.home):
        until(lambda: counted(table, 30))
    check(table, deployments, 10)


@pytest.mark.parametrize(("failpoint", "runs"), [("slot.before_commit", 0), ("slot.after_commit", 30)])
def test_a_host_whose_commits_fail_lives_and_decides_nothing_twice(table: Table, failpoint: str, runs: int) -> None:
    deployments = [past(table, f"d{index}", 10) for index in range(3)]
    log = table.settings.home.parent / "log"
    with host_process(table.settings.home, failpoint=f"{failpoint}:raise", log=log) as host:
        until(lambda: f"FailpointReached: {failpoint}" in log.read_text())
        until(lambda: counted(table, runs))
        # It is still there to say so.
        host.read()
        assert host.status()["scheduler"] in ("active", "reader")
        assert host.end() == 0
    assert len(table.runs()) == runs
    with host_process(table.settings.home):
        until(lambda: counted(table, 30))
    check(table, deployments, 10)


def test_a_standby_takes_over_when_the_holder_is_killed(table: Table) -> None:
    with host_process(table.settings.home) as first:
        until(lambda: first.status()["scheduler"] == "active")
        with host_process(table.settings.home) as second:
            until(lambda: second.status()["next_wake"])
            assert second.status()["scheduler"] == "reader"
            first.kill()
            deployments = [past(table, "after", 10)]
            until(lambda: counted(table, 10))
            assert second.status()["scheduler"] == "active"
            assert table.store.services.holder(SERVICE) == second.id
    check(table, deployments, 10)


def test_a_holder_that_is_stopped_is_relieved_and_stands_by_when_it_goes_on(table: Table) -> None:
    with host_process(table.settings.home) as first:
        until(lambda: first.status()["scheduler"] == "active")
        first.signal(signal.SIGSTOP)
        table.clock.now = time.time()
        scheduler = table.scheduler()
        scheduler.step()
        assert not scheduler.active
        table.clock.go_on(LEASE + 1)
        scheduler.step()
        assert scheduler.active
        deployments = [past(table, "meanwhile", 10)]
        table.clock.now = time.time() + LEASE + 2
        scheduler.step()
        first.signal(signal.SIGCONT)
        until(lambda: first.status()["scheduler"] == "reader")
    check(table, deployments, 10)
