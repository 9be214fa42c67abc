"""What a run returned, and what its kernel had installed, as JSON. Nothing is unpickled here: a server may ask."""

from __future__ import annotations

import json
import re
from typing import Any

from jupyter_wf.core.codec import EnvironmentJSON, ResultJSON
from jupyter_wf.core.errors import MissingResult, TargetError
from jupyter_wf.core.models import Run, StoredResult
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.returned import returned_shown
from jupyter_wf.store.base import Store
from jupyter_wf.store.blobs import Blobs, Payload

__all__ = ["environment_of_run", "plain_json", "plain_result", "result_of_run"]

#: Larger values (bytes) are not shown.
_LARGEST = 5_000_000
_JSON = ("json", "file:json")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_PACKAGES = 10_000_000


def plain_json(blobs: Blobs, stored: StoredResult | None) -> Any:
    """Return a stored value that is JSON; None where there is none, and for any other, which would be unpickled.

    Raises `MissingResult` for a damaged file.
    """
    return None if stored is None or stored.format not in _JSON else blobs.load(Payload(stored.format, stored.data))


def result_of_run(store: Store, settings: Settings, run: Run) -> ResultJSON | None:
    """Return what a COMPLETED run kept, None where it kept nothing. Raises `MissingResult` for a damaged file."""
    stored = store.run_result(run.id)
    if stored is None:
        return None
    blobs = Blobs(settings.results)
    payload = Payload(stored.format, stored.data)
    size = blobs.size(payload)
    if stored.format in _JSON and size <= _LARGEST:
        return {"is_json": True, "value": blobs.load(payload), "type": None, "repr": None, "size": size}
    said = _said(plain_json(blobs, returned_shown(store, run.id)))
    kind = said.get("type") or f"a value stored as {stored.format.removeprefix('file:')}"
    return {"is_json": False, "value": None, "type": kind, "repr": said.get("repr"), "size": size}


def _said(found: Any) -> dict[str, str]:
    return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}


def plain_result(store: Store, settings: Settings, run: Run) -> Any:
    """Return a run's result for people: the JSON value, else ``{"type", "repr"}``; None where there is none."""
    try:
        result = result_of_run(store, settings, run)
    except MissingResult as error:
        return {"type": None, "repr": str(error)}
    if result is None or result["is_json"]:
        return result and result["value"]
    return {"type": result["type"], "repr": result["repr"]}


def environment_of_run(settings: Settings, run: Run) -> EnvironmentJSON:
    """Return what a run's kernel had installed. Raises `TargetError` where that was not written down, or is gone."""
    told = run.source.get("environment")
    digest = told.get("digest") if isinstance(told, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise TargetError(run.id, "what its kernel had installed was not written down")
    path = settings.environments / f"{digest}.json"
    try:
        if path.stat().st_size > _MOST_PACKAGES:
            raise ValueError("it is too large")
        found: EnvironmentJSON = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise TargetError(run.id, f"the list of what its kernel had installed can't be read: {error}") from None
    return found
