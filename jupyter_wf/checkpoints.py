"""What the attempts of one task run hand on: ``checkpoint.set("epoch", 7)``, ``checkpoint.get("epoch")``.

A value that was set is there for the next attempt, whether the one before failed, timed out, or was killed with its
process, and also when the flow run is resumed in another process.
"""

from __future__ import annotations

import time
from typing import Any

from jupyter_wf.core.errors import MissingContextError, ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.store.blobs import Payload

__all__ = ["Checkpoint", "checkpoint"]

_LONGEST_NAME = 300


class Checkpoint:
    """The values that the current run has set, by name. Each run has its own; runs do not see one another's."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was last set under ``name``, in this attempt or an earlier one; ``default`` where nothing was.

        Raises `MissingContextError` outside any run, `MissingResult` where the stored value can't be read.
        """
        runtime = current_runtime()
        found = runtime.store.find_result(_key(name), time.time())
        return default if found is None else runtime.blobs.load(Payload(found.format, found.data))

    def set(self, name: str, value: Any) -> None:
        """Keep ``value`` under ``name``; it is committed within milliseconds.

        Raises `MissingContextError` outside any run, `MissingResult` for a value that can't be stored.
        """
        runtime, key = current_runtime(), _key(name)
        run = CURRENT.get()
        assert run is not None
        payload = runtime.blobs.keep(value)
        runtime.journal.append(ResultStored(run.id, time.time(), key, None, payload.format, payload.data))


def _key(name: object) -> str:
    run = CURRENT.get()
    if run is None:
        raise MissingContextError("a checkpoint belongs to a run: use it inside a task or flow")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise ParameterError("name", f"{name!r:.80} is not a text of 1 to {_LONGEST_NAME} characters")
    return f"checkpoint/{run.id}/{name}"


checkpoint = Checkpoint()
