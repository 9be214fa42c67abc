"""What the store has of runs, as the commands of ``%wf`` read it: runs by their address, values, frames of failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.ipython.commands.tables import RunCard
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.notebook.failures import FrameJSON
from jupyter_wf.notebook.keys import locals_key
from jupyter_wf.store.blobs import Payload

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["card", "find", "frames_stored", "payload_of", "stored_json", "value_of"]

_MOST_BELOW = 50


def find(session: Session, address: str, *, failed: bool = False) -> Run:
    """Return the run that an address names, with all that this kernel has written. Raises `TargetError`."""
    session.runtime.journal.flush()
    return find_address(session.runtime.store, address, failed=failed)


def payload_of(session: Session, key: str) -> Payload | None:
    """Return what is stored under a key, None where there is nothing."""
    stored = session.runtime.store.find_result(key, time.time())
    return None if stored is None else Payload(stored.format, stored.data)


def stored_json(session: Session, key: str) -> Any:
    """Return the JSON value that is stored under a key; None where there is none, or it can't be read."""
    payload = payload_of(session, key)
    try:
        return None if payload is None else session.runtime.blobs.load(payload)
    except MissingResult:
        return None


def frames_stored(session: Session, run: Run) -> list[FrameJSON]:
    """Return the frames that were stored of a run's failure."""
    return stored_json(session, locals_key(run.id)) or []


def value_of(session: Session, run: Run) -> Any:
    """Return the value of a run. Raises `MissingResult` where it has none, or none was stored."""
    live = session.runtime.find(run.id)
    if live is not None and live.state.is_completed() and live.state.data is not None:
        return live.state.data
    kept = session.runtime.store.run_result(run.id)
    if kept is None:
        why = "it was not stored" if run.state.is_completed() else f"the run is {run.state.name}"
        raise MissingResult(f"run {run.id} has no value to read: {why}")
    return session.runtime.blobs.load(Payload(kept.format, kept.data))


def card(session: Session, run: Run) -> RunCard:
    """Return what is shown of one run."""
    page = session.runtime.store.list_runs(RunFilter(parent_id=run.id, oldest_first=True), limit=_MOST_BELOW)
    return RunCard(
        run,
        page.items,
        more=page.next_cursor is not None,
        frames=frames_stored(session, run),
        load=lambda: value_of(session, run),
    )
