"""What the attempts of one task run hand on: ``checkpoint.set("epoch", 7)``, ``checkpoint.get("epoch")``.

A value that was set is there for the next attempt, whether the one before failed, timed out, or was killed with its
process, and also when the flow run is resumed in another process.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

from jupyter_wf.core.errors import MissingContextError, MissingResult, ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.store.blobs import Payload

__all__ = ["Checkpoint", "checkpoint"]

_LONGEST_NAME = 300


class Checkpoint:
    """The values that the current run has set, by name. Each run has its own; runs do not see one another's."""

    def __init__(self) -> None:
        # What was set here is there at once, and not only when it is committed.
        self._set_here: WeakKeyDictionary[LiveRun, dict[str, Payload]] = WeakKeyDictionary()

    def get(self, name: str, default: Any = None) -> Any:
        """Return what was last set under ``name``, in this attempt or an earlier one; ``default`` where nothing was.

        The value is a copy: changing it changes nothing until it is set again. Raises `MissingContextError` outside
        any run, `ParameterError` for a name that is none, `MissingResult` where the stored value can't be read.
        """
        run, key = _place(name)
        runtime = run.runtime
        payload = self._set_here.get(run, {}).get(key)
        if payload is None:
            # An attempt before may have been one of this process.
            runtime.journal.flush()
            found = runtime.store.find_result(key, time.time())
            if found is None:
                return default
            payload = Payload(found.format, found.data)
        return runtime.blobs.load(payload)

    def set(self, name: str, value: Any) -> None:
        """Keep ``value`` under ``name``, in place of what was there; it is committed within milliseconds.

        Raises `MissingContextError` outside any run, `ParameterError` for a name that is not a text of 1 to 300
        characters, `MissingResult` for a value that can't be stored; what was set before is then still there.
        """
        run, key = _place(name)
        try:
            payload = run.runtime.blobs.keep(value)
        except MissingResult as error:
            raise MissingResult(f"checkpoint {name!r}: {error}") from error
        run.runtime.journal.append(ResultStored(run.id, time.time(), key, None, payload.format, payload.data))
        self._set_here.setdefault(run, {})[key] = payload


def _place(name: object) -> tuple[LiveRun, str]:
    """Return the current run and the key of its value ``name``."""
    run = CURRENT.get()
    if run is None:
        raise MissingContextError("a checkpoint belongs to a run: use it inside a task or flow")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
        raise ParameterError("name", f"{name!r:.80} is not a text of 1 to {_LONGEST_NAME} characters")
    if "\0" in name or any("\ud800" <= character <= "\udfff" for character in name):
        raise ParameterError("name", f"{name!r:.80} holds NUL or half a character, which can't be stored")
    return run, f"checkpoint/{run.id}/{name}"


checkpoint = Checkpoint()
