"""What a notebook's run returns: a value that its code has named, stored beside the run until the run completes."""

from __future__ import annotations

import time
from typing import Any

from jupyter_wf.core.events import Kept, ResultStored
from jupyter_wf.core.models import StoredResult
from jupyter_wf.engine.host import Host
from jupyter_wf.store.base import Store

__all__ = ["returned", "returned_shown", "store_return"]

_KEY = "return/"
_SHOWN = "return-shown/"
_LONGEST = 1_000


def store_return(host: Host, flow_run_id: str, value: Any) -> None:
    """Make ``value`` the result of a notebook's run, which another process owns; a later call replaces it.

    It is committed when this returns. Beside it goes what people are shown of it (type and ``repr``), so that nobody
    needs to load it for that. Raises `MissingResult` where it can't be stored.
    """
    payload = host.blobs.keep(value)
    shown = host.blobs.keep({"type": _type_name(value), "repr": _repr(value)})
    now = time.time()
    host.journal.append(ResultStored(flow_run_id, now, _KEY + flow_run_id, None, *payload))
    host.journal.append(ResultStored(flow_run_id, now, _SHOWN + flow_run_id, None, *shown))
    host.journal.flush()


def returned(store: Store, flow_run_id: str) -> Kept | None:
    """Return what the run is to keep with its COMPLETED state, None where its code has returned nothing."""
    found = store.find_result(_KEY + flow_run_id, time.time())
    return None if found is None else Kept(found.format, found.data)


def returned_shown(store: Store, flow_run_id: str) -> StoredResult | None:
    """Return what is to be shown of the result: stored JSON with ``type`` and ``repr``; None where nobody said."""
    return store.find_result(_SHOWN + flow_run_id, time.time())


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _repr(value: Any) -> str:
    """Return the ``repr`` of a value, cut; the user's may raise."""
    try:
        text = repr(value)
    except Exception as error:
        return f"<its repr raised {type(error).__name__}>"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
