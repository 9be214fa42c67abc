"""Looking up what runs have left: by the run's id, or by the key under which a value was stored.

Values are read in this process, which may import and run what a pickle names: only read state files that you trust.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.models import StoredResult
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.store.blobs import Payload

__all__ = ["ResultRecord", "find_result", "get_result", "read_result", "record_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRecord:
    """A value that was stored under a key.

    ``result`` is the value; ``run_id`` the run that stored it, None for a transaction outside any run. Times are aware,
    in UTC: ``expiration`` is None for never, ``stored_at`` None where it is not known.
    """

    key: str
    result: Any
    run_id: str | None
    expiration: datetime | None = None
    stored_at: datetime | None = None


def get_result(run_id: str) -> Any:
    """Return the value that a COMPLETED run kept; ``run_id`` may be the beginning of its id.

    Raises `RunNotFound`, `AmbiguousRunId`, and `MissingResult` where the run kept none or it can't be read.
    """
    host = current_runtime()
    run = host.store.find_run(run_id)
    kept = host.store.run_result(run.id)
    if kept is None:
        why = f"the run is {run.state.name}" if not run.state.is_completed() else "it was not stored"
        raise MissingResult(f"run {run.id} has no result to read: {why}")
    return host.blobs.load(Payload(kept.format, kept.data))


def read_result(key: str) -> Any:
    """Return the value stored under ``key``: a ``result_storage_key``, a cache key or a transaction's.

    Raises `MissingResult` where there is none, where it has expired, or can't be read.
    """
    found = find_result(key)
    if found is None:
        raise MissingResult(f"no result is stored under the key {key!r:.200}, or it has expired")
    return found.result


def find_result(key: str) -> ResultRecord | None:
    """Return what is stored under ``key``, None where there is nothing, or it has expired.

    Raises `MissingResult` where its value can't be read.
    """
    host = current_runtime()
    found = host.store.find_result(key, time.time())
    return None if found is None else record_of(host, key, found)


def record_of(host: Host, key: str, stored: StoredResult) -> ResultRecord:
    """Return a stored result with its value. Raises `MissingResult` where that can't be read."""
    return ResultRecord(
        key=key,
        result=host.blobs.load(Payload(stored.format, stored.data)),
        run_id=stored.run_id or None,
        expiration=_moment(stored.expires_at),
        stored_at=_moment(stored.at),
    )


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
