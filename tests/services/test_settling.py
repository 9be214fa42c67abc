"""What follows from the end of a queued run, without any process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_wf.core.deployments import Deployment, Policies, QueuedRun
from jupyter_wf.core.events import StateChanged
from jupyter_wf.core.models import Run
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.settling import MOST_CRASHES, settle_ended, settle_run
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store


class Mill:
    """Runs that end as they are told to."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.me = this_process("agent")
        store.register(self.me)

    def deployment(self, policies: Policies) -> Deployment:
        return self.store.deployments.save(
            Deployment(id="", name="d", flow_name="f", kind="flow", target="m:f", parameters={}, policies=policies)
        )

    def submit(self, policies: Policies, deployment_id: str | None = None) -> str:
        queued = QueuedRun(
            run_id="", kind="flow", target="m:f", parameters={}, policies=policies, deployment_id=deployment_id
        )
        return self.store.queue.submit(queued, flow_name="f", now=time.time(), source={})

    def end(self, run_id: str, state: str, *, settle: bool = True) -> Run:
        """Have the run that waits executed, and end; return it when what follows was done."""
        (claimed,) = self.store.queue.claim(("default",), self.me.id, now=time.time() + 3600, lease=60.0)
        assert claimed.queued.run_id == run_id
        self.store.queue.take(run_id, claimed.attempt, self.me.id, self.me.id)
        journal = self.store.journal()
        for each in ("RUNNING", state):
            journal.append(StateChanged(run_id, time.time(), claimed.attempt, each, each.title()))
        journal.flush()
        if settle:
            assert settle_ended(self.store, self.settings, time.time()) == 1
        return self.store.get_run(run_id)

    def is_settled(self, run_id: str) -> bool:
        queued = self.store.queue.get(run_id)
        return queued is not None and queued.settled


@pytest.fixture
def mill(wf_home: Path) -> Iterator[Mill]:
    settings = Settings(home=wf_home)
    with closing(open_store(settings)) as store:
        yield Mill(store, settings)


def test_a_run_that_kills_its_process_each_time_comes_to_an_end(mill: Mill) -> None:
    run_id = mill.submit(Policies(on_crash="resume", retries=5))
    for attempt in range(1, MOST_CRASHES + 1):
        run = mill.end(run_id, "CRASHED")
        assert (run.state.name, run.attempt) == ("AwaitingRetry", attempt + 1)
    run = mill.end(run_id, "CRASHED")
    assert (run.state.name, run.attempt) == ("Crashed", MOST_CRASHES + 1)
    assert mill.is_settled(run_id)


@pytest.mark.parametrize("state", ["FAILED", "CRASHED"])
def test_retries_follow_failures_and_crashes(mill: Mill, state: str) -> None:
    run_id = mill.submit(Policies(retries=1, retry_delay=60.0))
    before = time.time()
    run = mill.end(run_id, state)
    queued = mill.store.queue.get(run_id)
    assert run.state.name == "AwaitingRetry" and queued is not None
    assert before + 60 <= queued.due_at <= time.time() + 60
    assert mill.end(run_id, state).state.name == state.title()
    assert mill.is_settled(run_id)


@pytest.mark.parametrize("state", ["COMPLETED", "CANCELLED"])
def test_nothing_is_tried_again_that_has_completed_or_was_cancelled(mill: Mill, state: str) -> None:
    run_id = mill.submit(Policies(retries=3, on_crash="resume"))
    assert mill.end(run_id, state).state.name == state.title()
    assert mill.is_settled(run_id)


def test_an_end_is_settled_once_whoever_does_it(mill: Mill) -> None:
    deployment = mill.deployment(Policies(max_consecutive_failures=2, concurrency_limit=None))
    run_id = mill.submit(deployment.policies, deployment.id)
    mill.end(run_id, "FAILED", settle=False)
    queued = mill.store.queue.get(run_id)
    assert queued is not None
    # Two have seen the same.
    assert [settle_run(mill.store, mill.settings, queued, time.time()) for _ in range(2)] == [True, False]
    assert settle_ended(mill.store, mill.settings, time.time()) == 0
    found = mill.store.deployments.get(deployment.id)
    assert (found.failures, found.paused) == (1, False)


def test_failures_count_until_a_run_completes(mill: Mill) -> None:
    deployment = mill.deployment(Policies(max_consecutive_failures=2, concurrency_limit=None))

    def ended(state: str) -> tuple[int, bool]:
        mill.end(mill.submit(deployment.policies, deployment.id), state)
        found = mill.store.deployments.get(deployment.id)
        return found.failures, found.paused

    told = [ended(state) for state in ("FAILED", "COMPLETED", "CRASHED", "CANCELLED", "FAILED")]
    assert told == [(1, False), (0, False), (1, False), (1, False), (2, True)]
