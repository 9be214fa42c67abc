"""The cancellation of runs that nobody owns, and of what is below them."""

from __future__ import annotations

from jupyter_wf.core.processes import Request
from jupyter_wf.store.sqlite.closing import StoredRun, ask, close, crash, open_below
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.owners import Owners

__all__ = ["cancel", "cancel_now"]

_DONE = "carried out"


def cancel(connection: sqlite.Connection, owners: Owners, run: StoredRun, now: float, why: str) -> None:
    """Have an open run cancelled: at once where nobody owns it, else by a request to its owner."""
    dead = owners.judge(connection, run.process_id)
    if dead is not None:
        # It is shown as CRASHED; the reaper writes that down.
        return
    if run.process_id is None:
        cancel_now(connection, owners, run, now, why)
    else:
        ask(connection, run, "cancel", now)


def cancel_now(
    connection: sqlite.Connection, owners: Owners, run: StoredRun, now: float, why: str | None = None
) -> Request:
    """Close a run that nobody owns, and what is below it; owners of what runs below are asked."""
    for child in open_below(connection, [run.id]):
        dead = owners.judge(connection, child.process_id)
        if child.process_id is None:
            close(connection, child, "CANCELLED", "Cancelled", "its parent was cancelled", now)
        elif dead is not None:
            crash(connection, child, {dead.id: dead}, now)
        else:
            ask(connection, child, "cancel", now)
    request = ask(connection, run, "cancel", now)
    when = "while it was suspended" if run.is_suspended else "before it began"
    close(connection, run, "CANCELLED", "Cancelled", why or f"cancelled {when}", now)
    connection.execute("UPDATE requests SET outcome = ? WHERE id = ?", (_DONE, request.id))
    return Request(id=request.id, run_id=run.id, kind="cancel", created_at=request.created_at, outcome=_DONE)
