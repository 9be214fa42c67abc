"""Rows of the queue, and how new runs are put there together with their records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import QueuedRun
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.store.sqlite.batch import Batches
from jupyter_wf.store.sqlite.batched import last_number
from jupyter_wf.store.sqlite.deployment_rows import policies_from
from jupyter_wf.store.sqlite.driver import sqlite

__all__ = ["QUEUE_COLUMNS", "NewRun", "place", "put", "queued_from", "source_of"]

QUEUE_COLUMNS = (
    "run_id, kind, target, parameters, policies, pool, priority, due_at, slot, schedule_id, deployment_id, group_id, "
    "kernel, digest, tags, agent_id, lease_until, stage"
)
_PUT = (
    f"INSERT INTO queue (n, {QUEUE_COLUMNS}, bound, late, attempt, settled) "
    f"VALUES (?, {', '.join('?' * 18)}, ?, 0, 1, 0)"
)


class NewRun(NamedTuple):
    """A run that is to be made: the first entries of its record, and its row of the queue without its number."""

    created: RunCreated
    begun: StateChanged
    row: tuple[object, ...]


def queued_from(row: Sequence[Any]) -> QueuedRun:
    """Return the queued run of a row of `QUEUE_COLUMNS`."""
    return QueuedRun(
        run_id=row[0],
        kind=row[1],
        target=row[2],
        parameters=json.loads(row[3]),
        policies=policies_from(row[4]),
        pool=row[5],
        priority=row[6],
        due_at=row[7],
        slot=row[8],
        schedule_id=row[9],
        deployment_id=row[10],
        group_id=row[11],
        kernel=row[12],
        digest=row[13],
        tags=tuple(json.loads(row[14])),
        agent_id=row[15],
        lease_until=row[16],
        settled=row[17] == "settled",
    )


def place(run: QueuedRun, *, parameters: str, policies: str, tags: str, stage: str = "waiting") -> tuple[object, ...]:
    """Return the row of a run that is put into the queue; the three texts are JSON."""
    return (
        *(run.run_id, run.kind, run.target, parameters, policies, run.pool, run.priority, run.due_at, run.slot),
        *(run.schedule_id, run.deployment_id, run.group_id, run.kernel, run.digest, tags, None, None, stage),
        run.group_id or run.deployment_id,
    )


def put(connection: sqlite.Connection, runs: Sequence[NewRun]) -> None:
    """Write the records of new runs, their events, and their places in the queue."""
    if not runs:
        return
    # `Batches` numbers runs in their order, from the highest number on.
    last = last_number(connection)
    entries = [entry for run in runs for entry in (run.created, run.begun)]
    Batches().apply(connection, entries)
    connection.executemany(_PUT, [(last + 1 + i, *run.row) for i, run in enumerate(runs)])


def source_of(run: QueuedRun, address: str | None, source: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the record of a queued run says about where it comes from; ``source`` goes over it."""
    found: dict[str, Any] = {"queued": True}
    if run.kind == "notebook":
        found |= {"notebook": run.target, "path": run.target}
    else:
        found["entrypoint"] = run.target
    if run.deployment_id is not None:
        found |= {"deployment": address, "deployment_id": run.deployment_id}
    if run.schedule_id is not None:
        found["schedule_id"] = run.schedule_id
    if run.slot is not None:
        found["slot"] = iso(run.slot)
    if run.group_id is not None:
        found["group_id"] = run.group_id
    return {**found, **source}
