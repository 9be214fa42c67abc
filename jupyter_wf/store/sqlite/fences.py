"""Queued runs belong to whom the queue has given them: what others do to them is refused."""

from __future__ import annotations

from jupyter_wf.core.errors import InvalidRequest, RunFinished
from jupyter_wf.core.scheduling_errors import LeaseLost
from jupyter_wf.store.sqlite.checks import checked_id
from jupyter_wf.store.sqlite.closing import StoredRun, answer_all, close_below, write_event
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Owners
from jupyter_wf.store.sqlite.texts import state_payload

__all__ = ["leave_queue", "refuse_queued", "refuse_stranger", "take"]

_PLACE = "SELECT stage, agent_id, attempt FROM queue WHERE n = ?"
_OUTSIDE = "UPDATE queue SET stage='claimed', agent_id=NULL, lease_until=NULL, attempt=? WHERE n=?"
_RESUMING = (
    "UPDATE runs SET state_type='SCHEDULED', state_name='Resuming', state_message=NULL, state_at=?, process_id=? "
    "WHERE n=?"
)


def refuse_stranger(connection: sqlite.Connection, process_id: str) -> None:
    """Raise `InvalidRequest` unless the process is registered."""
    known = checked_id(process_id) is not None
    if not known or not connection.execute("SELECT 1 FROM processes WHERE id = ?", (process_id,)).fetchall():
        raise InvalidRequest("process_id", process_id, "register the process before it owns a run")


def refuse_queued(connection: sqlite.Connection, run: StoredRun) -> None:
    """Raise `LeaseLost` for a run without an owner that is in the queue."""
    if run.process_id is None and connection.execute(_PLACE, (run.n,)).fetchone() is not None:
        raise LeaseLost(run.id, "it waits in the queue: only an agent may begin it")


def leave_queue(connection: sqlite.Connection, run: StoredRun) -> None:
    """Note that a run is taken over outside of the queue. Raises `LeaseLost` for one that waits there."""
    if run.type in ("SCHEDULED", "PENDING"):
        refuse_queued(connection, run)
    connection.execute(_OUTSIDE, (run.attempt + 1, run.n))


def take(
    connection: sqlite.Connection,
    owners: Owners,
    run: StoredRun,
    attempt: int,
    agent_id: str,
    process_id: str,
    now: float,
) -> None:
    """Make a runner the owner of a run that its agent has claimed."""
    refuse_stranger(connection, process_id)
    row = connection.execute(_PLACE, (run.n,)).fetchone()
    if row is None:
        raise LeaseLost(run.id, "it is in no queue")
    if run.attempt != attempt:
        raise LeaseLost(run.id, f"attempt {run.attempt} is to be made, not {attempt}")
    if run.is_closed:
        raise RunFinished(run.id, run.name, "taken")
    if row != ("claimed", agent_id, attempt):
        where = "it waits again" if row[0] == "waiting" else "another has it"
        raise LeaseLost(run.id, f"the agent {agent_id} has lost it: {where}")
    if run.type not in ("SCHEDULED", "PENDING") or run.process_id not in (None, process_id):
        raise RunFinished(run.id, run.name, "taken: another runner has it")
    if attempt == 1:
        connection.execute("UPDATE runs SET process_id = ? WHERE n = ?", (process_id, run.n))
        return
    # As `take_over` does it, but the attempt has got its number when it was put into the queue.
    closed = close_below(connection, owners, [run.id], now)
    answer_all(connection, [each.id for each in closed], "the process is gone")
    connection.execute(_RESUMING, (now, process_id, run.n))
    write_event(connection, run.n, now, "state", state_payload("SCHEDULED", "Resuming", None, attempt))
