"""The texts of runs that schedules make are put together: they must say what encoding them would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies, SlotDecision
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.base import Store
from jupyter_wf.store.scheduling import Slots
from jupyter_wf.store.sqlite import open_store
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.queue_rows import source_of

T = 1_790_000_000.0


@pytest.fixture
def store(wf_home: Path) -> Iterator[Store]:
    made = open_store(Settings(home=wf_home))
    yield made
    made.close()


def decided(store: Store, decision: SlotDecision, **facts: Any) -> str:
    """Save a deployment and have one of its slots decided; return the id of the run."""
    more = facts.pop("more", {})
    schedule = DeploymentSchedule(
        id="", deployment_id="", spec={"cron": "0 6 * * *"}, parameters=more, watermark=T - 60, next_slot=T
    )
    given: dict[str, Any] = {
        "id": "",
        "name": "daily",
        "flow_name": "report",
        "kind": "notebook",
        "target": "/n/report.ipynb",
        "parameters": {},
        "policies": Policies(retries=2),
        "schedules": (schedule,),
        **facts,
    }
    (saved,) = store.deployments.save(Deployment(**given)).schedules
    (run_id,) = store.slots.decide([Slots(saved.id, saved.watermark, (decision,), decision.slot, None)], T + 1)
    return run_id


def a_run(**changes: Any) -> SlotDecision:
    return SlotDecision(**{"slot": T, "outcome": "run", "due_at": T, **changes})


@pytest.mark.parametrize("kind", ["notebook", "flow"])
@pytest.mark.parametrize("target", ["/n/report.ipynb", '/n/Ærlig "talt"\\år \U0001f989.ipynb', "a.b:c"])
def test_the_source_is_the_one_of_queued_runs(store: Store, kind: str, target: str) -> None:
    run_id = decided(store, a_run(), kind=kind, target=target, flow_name="månedlig", name="i dag")
    queued = store.queue.get(run_id)
    assert queued is not None
    assert (queued.slot, queued.target, queued.kind) == (T, target, kind)
    assert dict(store.get_run(run_id).source) == source_of(queued, "månedlig/i dag", {})


def test_parameters_go_over_each_other_and_secrets_are_masked_in_the_record(store: Store) -> None:
    parameters = {"day": 1, "api_token": "s3cret", "text": "å\x00\ud800"}
    run_id = decided(store, a_run(), parameters=parameters, more={"day": 2, "null": None})
    queued = store.queue.get(run_id)
    assert queued is not None
    assert queued.parameters == {**parameters, "day": 2, "null": None}
    shown = store.get_run(run_id).parameters
    assert shown["day"] == 2 and shown["null"] is None
    assert "s3cret" not in json.dumps(dict(shown))


@pytest.mark.parametrize(
    ("decision", "state"),
    [
        (a_run(), ("SCHEDULED", "Scheduled", "due 2026-09-21T14:13:20.000000Z")),
        (a_run(due_at=T + 1.5), ("SCHEDULED", "Scheduled", "due 2026-09-21T14:13:21.500000Z")),
        (a_run(message='made up for: "down"'), ("SCHEDULED", "Scheduled", 'made up for: "down"')),
        (a_run(outcome="missed", message="nobody\x00there"), ("CANCELLED", "Missed", "nobody\\x00there")),
        (a_run(outcome="skipped"), ("CANCELLED", "Skipped", None)),
    ],
)
def test_the_record_says_what_became_of_the_slot(
    store: Store, wf_home: Path, decision: SlotDecision, state: tuple[str, str, str | None]
) -> None:
    run_id = decided(store, decision)
    run = store.get_run(run_id)
    assert (run.state.type, run.state.name, run.state.message) == state
    assert (run.id, run.root_id, run.parent_id, run.flow_name) == (run_id, run_id, None, "report")
    assert (run.attempt, run.max_attempts, run.created_at, run.state.at) == (1, 3, T + 1, T + 1)
    assert run.ended_at == (None if decision.outcome == "run" else T + 1)
    with sqlite.connect(Settings(home=wf_home).database) as connection:
        events = connection.execute(
            "SELECT at, kind, payload FROM events WHERE run = (SELECT n FROM runs WHERE id = ?) ORDER BY seq", (run_id,)
        ).fetchall()
    made, entered = [(at, kind, json.loads(payload)) for at, kind, payload in events]
    assert made == (T + 1, "run", {"kind": "flow", "name": run.name, "parent_id": None, "root_id": run_id})
    told = dict(zip(("type", "name", "message"), state, strict=True))
    assert entered == (T + 1, "state", {**told, "attempt": 1})


def test_many_at_once_are_numbered_one_by_one(store: Store) -> None:
    (saved,) = store.deployments.save(
        Deployment(
            id="",
            name="every",
            flow_name="second",
            kind="flow",
            target="a:b",
            parameters={},
            policies=Policies(),
            schedules=(
                DeploymentSchedule(
                    id="", deployment_id="", spec={"interval": 1.0}, parameters={}, watermark=T, next_slot=T + 1
                ),
            ),
        )
    ).schedules
    # 64 + 16 + 4 + 3: each size of statement is used.
    decisions = tuple(a_run(slot=T + n, due_at=T + n) for n in range(1, 88))
    made = store.slots.decide([Slots(saved.id, T, decisions, T + 87, None)], T + 87)
    assert len(set(made)) == 87
    waiting = store.queue.waiting()
    assert [each.run_id for each in waiting] == made
    assert [each.slot for each in waiting] == [T + n for n in range(1, 88)]
    found = {run.id: run.source["slot"] for run in store.list_runs(limit=100).items}
    assert sorted(found, key=lambda run_id: str(found[run_id])) == made
