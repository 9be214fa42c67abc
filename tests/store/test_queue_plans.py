"""What schedulers and agents ask goes by indexes, however much waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jupyter_wf.core.models import RunFilter
from jupyter_wf.store.backfills import Keep
from jupyter_wf.store.sqlite import SqliteStore
from tests.contracts.scheduling import T, a_deployment, a_schedule, claim, registered, slot_runs, submit
from tests.store.test_plans import plans_of

ASKED: dict[str, Callable[[SqliteStore, str], Any]] = {
    "due": lambda store, deployment: store.slots.due(T + 999),
    "next slot": lambda store, deployment: store.slots.next_slot(),
    "late": lambda store, deployment: store.slots.mark_late(T, 999),
    "next due": lambda store, deployment: store.queue.next_due(["default", "big"]),
    "claim": lambda store, deployment: store.queue.claim(["big"], "nobody", now=T, lease=1),
    "place in the queue": lambda store, deployment: store.queue.get("x"),
    "runs of a deployment": lambda store, deployment: store.queue.runs_of(deployment, limit=5),
    "runs of a backfill": lambda store, deployment: store.queue.runs_of(deployment, limit=5, group_id="g"),
    "page of a deployment": lambda store, deployment: store.list_runs(RunFilter(deployment=deployment), limit=5),
    "unsettled": lambda store, deployment: store.queue.unsettled(),
    "outdated": lambda store, deployment: store.retention.outdated(Keep(last=3), T, deployment_id=deployment),
    "vacant": lambda store, deployment: store.backfills.vacant([("x", T)], "all"),
    "backfills": lambda store, deployment: store.backfills.list(deployment_id=deployment, limit=5),
    "deployment": lambda store, deployment: store.deployments.get(deployment),
}
_OURS = ("queue", "q", "runs", "r", "schedules", "s", "deployments", "d", "slots", "backfills", "newer", "its")


@pytest.fixture
def deployment(store: SqliteStore) -> str:
    """A deployment some of whose runs wait, are executed and have ended."""
    store.limits.set("tag:db", 1)
    found = store.deployments.save(a_deployment(tags=("db",), overlap="skip", schedules=[a_schedule()]))
    store.slots.decide([slot_runs(found.schedules[0], 1, 2, 3, 4)], T + 240)
    submit(store, priority=9)
    claim(store, registered(store), now=T + 240, limit=9)
    store.request(store.queue.runs_of(found.id)[0], "cancel")
    return found.id


@pytest.mark.parametrize("name", sorted(ASKED))
def test_by_an_index(store: SqliteStore, deployment: str, name: str) -> None:
    for query, plan in plans_of(store, lambda: ASKED[name](store, deployment)).items():
        scans = [step for step in plan if step.split()[0] == "SCAN" and step.split()[1] in _OURS]
        assert not [step for step in scans if "INDEX" not in step], (query, plan)


def test_what_can_not_begin_costs_no_look_at_its_row(store: SqliteStore, deployment: str) -> None:
    """Ten thousand runs that wait for the place of one deployment are passed by in the index."""
    plans = plans_of(store, lambda: store.queue.claim(["default"], "nobody", now=T, lease=1))
    (plan,) = [plan for query, plan in plans.items() if "ORDER BY due_at, n LIMIT 1" in query]
    assert plan[0].startswith("SEARCH queue USING COVERING INDEX queue_waiting (pool=? AND priority=? AND due_at<?)")
    assert not any("TEMP B-TREE" in step for step in plan), "the first of the index is the first in turn"
