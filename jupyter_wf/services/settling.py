"""What follows from the end of a queued run: its next attempt, or what is counted, told and cleaned up."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from jupyter_wf.core.deployments import QueuedRun
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.failpoints import failpoint
from jupyter_wf.core.models import Run
from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.services.agent_runs import end_left
from jupyter_wf.services.automations import on_settled
from jupyter_wf.services.retention import apply
from jupyter_wf.store.base import Store

__all__ = ["MOST_CRASHES", "NextAttempt", "next_attempt_of", "settle_ended", "settle_run", "settle_safely"]

#: How often a run whose process dies is resumed: what kills its process each time must come to an end.
MOST_CRASHES = 3
#: Seconds that a resumed attempt waits after each crash but the first: what has killed it may pass.
_PAUSE = 5.0
_MOST = 100
#: With each end so many runs go that are not kept any more: usually one.
_MOST_DELETED = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAttempt:
    """That a run is to be tried again, in ``delay`` seconds, and why."""

    delay: float
    message: str


def settle_run(store: Store, settings: Settings, queued: QueuedRun, now: float) -> bool:
    """Do what follows from the end of a queued run, unless it was done; return whether it has been done here.

    Nothing is done for one that has not ended. What is done twice, because a process died in between, has no effect
    the second time, but for a count.
    """
    run = store.get_runs([queued.run_id]).get(queued.run_id)
    if run is None or queued.settled or not run.state.is_closed():
        return False
    if run.state.is_crashed():
        end_left(settings, run.id, run.attempt)
    after = next_attempt_of(store, queued, run)
    if after is not None:
        again = store.queue.retry(run.id, run.attempt, due_at=now + after.delay, message=after.message)
        failpoint("retry.after_commit")
        if again:
            _log.info("run %s: %s", run.id, after.message)
        # Else it is in another attempt by now, whose end is settled in its turn.
        return again
    # First, because what is put in twice is done once, and what was settled is not looked at again.
    on_settled(store, run, queued, now)
    failpoint("settle.before_commit")
    if not store.queue.settle(run.id, run.attempt):
        return False
    failpoint("settle.after_commit")
    _count(store, queued, run, now)
    if queued.deployment_id is not None:
        apply(store, settings, queued.deployment_id, now=now, most=_MOST_DELETED)
    return True


def settle_ended(store: Store, settings: Settings, now: float) -> int:
    """Do what follows from the ends of all queued runs for which nobody has; return for how many.

    Raises `StoreError`.
    """
    return sum(settle_safely(store, settings, queued, now) for queued in store.queue.unsettled(limit=_MOST))


def settle_safely(store: Store, settings: Settings, queued: QueuedRun, now: float) -> bool:
    """Do as `settle_run` does, but tell the log of what goes wrong: the ends of other runs must be settled too.

    Raises only `StoreError`.
    """
    try:
        return settle_run(store, settings, queued, now)
    except StoreError:
        raise
    except Exception:
        _log.exception("what follows from the end of run %s could not be done", queued.run_id)
        return False


def next_attempt_of(store: Store, queued: QueuedRun, run: Run) -> NextAttempt | None:
    """Return whether a run that has ended is to be tried again, by its policies."""
    policies, crashed = queued.policies, run.state.is_crashed()
    if not crashed and not run.state.is_failed():
        return None
    crashes = _ends(store, run.id, StateType.CRASHED)
    if crashed and policies.on_crash == "resume":
        if crashes > MOST_CRASHES:
            return None
        told = f"attempt {run.attempt} crashed, and is resumed ({crashes} of at most {MOST_CRASHES} times)"
        return NextAttempt(delay=_PAUSE if crashes > 1 else 0.0, message=told)
    failures = _ends(store, run.id, StateType.FAILED) + (0 if policies.on_crash == "resume" else crashes)
    if failures > policies.retries:
        return None
    told = f"attempt {run.attempt} {'crashed' if crashed else 'failed'}, and is followed by another"
    return NextAttempt(delay=policies.retry_delay, message=f"{told} ({failures} of at most {policies.retries})")


def _ends(store: Store, run_id: str, type_: StateType) -> int:
    """Return how many attempts of a run have ended so."""
    return sum(event.payload.get("type") == type_.value for event in store.states(run_id))


def _count(store: Store, queued: QueuedRun, run: Run, now: float) -> None:
    """Count the end for its deployment, and pause that after too many failures in a row."""
    if queued.deployment_id is None or run.state.is_cancelled():
        return
    failed = not run.state.is_completed()
    failures = store.deployments.count_end(queued.deployment_id, failed=failed)
    most = queued.policies.max_consecutive_failures
    if not failed or most is None or failures < most:
        return
    reason = f"{failures} runs have failed in a row, the last one is {run.id}"
    try:
        if not store.deployments.get(queued.deployment_id).paused:
            store.deployments.pause(queued.deployment_id, reason, now)
            _log.warning("deployment %s is paused: %s", queued.deployment_id, reason)
    except DeploymentNotFound:
        return
