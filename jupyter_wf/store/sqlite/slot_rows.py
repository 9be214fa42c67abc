"""The rows of runs that schedules make. There may be thousands at once: their texts are put together, not encoded."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import NamedTuple

from jupyter_wf.core.codec import iso
from jupyter_wf.core.deployments import DeploymentKind, SlotDecision, address_of
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.parameters import to_json
from jupyter_wf.store.sqlite.batched import last_number, write_events, write_rows, write_runs
from jupyter_wf.store.sqlite.deployment_rows import policies_from
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.queue_rows import QUEUE_COLUMNS
from jupyter_wf.store.sqlite.texts import clean, clean_json, quote, state_payload

__all__ = ["LIVE_COLUMNS", "Live", "Shared", "SlotRows", "shared_by"]

LIVE_COLUMNS = (
    "s.id, s.watermark, s.parameters, d.id, d.flow_name, d.name, d.kind, d.target, d.parameters, d.pool, d.tags, "
    "d.priority, d.kernel, d.digest, d.policies"
)
_ENDS = {"missed": "Missed", "skipped": "Skipped"}
_INSERT_QUEUE = f"INSERT INTO queue (n, {QUEUE_COLUMNS}, bound, late, attempt, settled) VALUES "
_QUEUE_SIZES = (16, 4, 1)
_QUEUE_WIDTH = 23
_INSERT_SLOTS = "INSERT INTO slots (schedule_id, slot, run_id) VALUES "
_SLOT_SIZES = (64, 16, 4, 1)
_SLOT_WIDTH = 3


class Live(NamedTuple):
    """What is needed of a schedule and its deployment, as it is stored: most of it is only copied."""

    schedule_id: str
    watermark: float
    more: str
    deployment_id: str
    flow_name: str
    name: str
    kind: DeploymentKind
    target: str
    parameters: str
    pool: str
    tags: str
    priority: int
    kernel: str | None
    digest: str | None
    policies: str


class Shared(NamedTuple):
    """What the runs of a schedule share.

    ``parameters`` and, with secrets masked, ``shown`` are JSON; ``source`` is a JSON object without its end.
    """

    parameters: str
    shown: str
    tags: str
    source: str
    flow_name: str
    max_attempts: int


class SlotRows:
    """Gathers the rows of new runs, from the first free number on, and writes them. For one transaction."""

    def __init__(self, connection: sqlite.Connection, now: float) -> None:
        self._connection = connection
        self._now = now
        self._n = last_number(connection)
        self._runs: list[object] = []
        self._events: list[object] = []
        self._queue: list[object] = []
        self._slots: list[object] = []
        #: The ids of the runs.
        self.run_ids: list[str] = []

    def add(self, live: Live, shared: Shared, decision: SlotDecision) -> None:
        """Make the run of one slot."""
        now, slot, due_at, message = self._now, decision.slot, decision.due_at, decision.message
        run_id, name = new_id(), run_name()
        self._n = n = self._n + 1
        text = iso(slot)
        if decision.outcome == "run":
            message = clean(message) if message else f"due {text if due_at == slot else iso(due_at)}"
            type_, state, stage, ended = "SCHEDULED", "Scheduled", "waiting", None
        else:
            message = None if message is None else clean(message)
            type_, state, stage, ended = "CANCELLED", _ENDS[decision.outcome], "ended", now
        source = f'{shared.source}, "slot": "{text}"}}'
        self._runs += (
            *(n, run_id, "flow", name, shared.flow_name, None, None, run_id, None, shared.shown, shared.tags, "[]"),
            *(source, None, shared.max_attempts, now, None, 1, type_, state, message, now, None, None, ended),
            *(None, None, None, None),
        )
        created = f'{{"kind": "flow", "name": "{name}", "parent_id": null, "root_id": "{run_id}"}}'
        self._events += (now, n, "run", created, None)
        self._events += (now, n, "state", state_payload(type_, state, message, 1), None)
        schedule_id, deployment_id = live.schedule_id, live.deployment_id
        self._queue += (
            *(n, run_id, live.kind, live.target, shared.parameters, live.policies, live.pool, live.priority, due_at),
            *(slot, schedule_id, deployment_id, None, live.kernel, live.digest, live.tags, None, None, stage),
            *(deployment_id, 0, 1, 0),
        )
        self._slots += (schedule_id, slot, run_id)
        self.run_ids.append(run_id)

    def write(self) -> None:
        """Write what was gathered."""
        connection = self._connection
        write_runs(connection, self._runs)
        write_events(connection, self._events)
        write_rows(connection, _INSERT_QUEUE, _QUEUE_SIZES, self._queue, _QUEUE_WIDTH)
        write_rows(connection, _INSERT_SLOTS, _SLOT_SIZES, self._slots, _SLOT_WIDTH)


def shared_by(live: Live) -> Shared:
    """Return what the runs of a schedule share."""
    parameters = live.parameters
    if live.more != "{}":
        parameters = json.dumps({**json.loads(parameters), **json.loads(live.more)})
    target = quote(live.target)
    where = f'"notebook": {target}, "path": {target}' if live.kind == "notebook" else f'"entrypoint": {target}'
    source = (
        f'{{"queued": true, {where}, "deployment": {quote(address_of(live.flow_name, live.name))}, '
        f'"deployment_id": "{live.deployment_id}", "schedule_id": "{live.schedule_id}"'
    )
    retries = policies_from(live.policies).retries
    tags = "[]" if live.tags == "[]" else clean_json(live.tags)
    return Shared(parameters, _shown(parameters), tags, clean_json(source), clean(live.flow_name), retries + 1)


@lru_cache(maxsize=2_000)
def _shown(parameters: str) -> str:
    return "{}" if parameters == "{}" else clean_json(to_json(json.loads(parameters)))
