"""What a completed run leaves: its value, in the commit of its closing state, for later attempts and readers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.events import Entry, Kept, ResultStored
from jupyter_wf.core.states import LazyValue
from jupyter_wf.engine.context import TRANSACTION
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.sources import code_of
from jupyter_wf.store.blobs import Payload

__all__ = ["READY", "Keeping", "look_up", "write"]

#: By run id: values that were just stored under a cache key, and need not be pickled again.
READY: dict[str, Payload] = {}


class Keeping:
    """How the values of a task or flow are kept.

    ``serializer`` names the format (None: what fits). ``storage_key`` is a template of the key under which the value
    can be looked up as well; ``in_memory`` is false where a value is read again each time it is asked for; ``asked``
    tells that persistence was asked for, so that it is worth a warning when a value can't be stored.
    """

    __slots__ = ("_code", "asked", "fn", "in_memory", "serializer", "storage_key")

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        serializer: str | None = None,
        storage_key: str | None = None,
        in_memory: bool = True,
        asked: bool = False,
    ) -> None:
        self.fn = fn
        self.serializer = serializer
        self.storage_key = storage_key
        self.in_memory = in_memory
        self.asked = asked
        self._code: str | None = None

    @property
    def code(self) -> str:
        """The fingerprint of the function's source."""
        if self._code is None:
            self._code = code_of(self.fn)
        return self._code

    def inputs(self, live: LiveRun, arguments: Mapping[str, Any]) -> str | None:
        """Return the fingerprints of a call's arguments; None, and a line in the log, where one has none."""
        # Not needed where numbers and short texts are all that there is.
        from jupyter_wf.engine.fingerprints import Unhashable, inputs_of

        try:
            return inputs_of(arguments)
        except Unhashable as error:
            live.log(logging.DEBUG, f"a later attempt of the flow will call this again: {error}")
            return None

    def kept(self, live: LiveRun, value: Any) -> Kept | None:
        """Return what is stored of a run's value; None, and a line in the run's log, where it can't be stored."""
        try:
            payload = READY.pop(live.id, None) if READY else None
            if payload is None:
                payload = live.runtime.blobs.keep(value, self.serializer)
        except MissingResult as error:
            live.log(logging.WARNING if self.asked else logging.DEBUG, f"result not stored: {error}")
            return None
        if self.storage_key is not None:
            self._file(live, payload)
        return Kept(payload.format, payload.data, self.code, live.inputs)

    def _file(self, live: LiveRun, payload: Payload) -> None:
        try:
            key = str(self.storage_key).format(
                parameters=live.parameters, task_run=live, flow_run=live.flow_run, **live.parameters
            )
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            live.log(logging.WARNING, f"result_storage_key {self.storage_key!r} can't be filled in: {error!r}")
            return
        # Without the task's name: its cache is another thing.
        write(live, ResultStored(live.id, live.state.at, key, None, *payload, None, self.code))

    def data(self, live: LiveRun, value: Any, kept: Kept | None) -> Any:
        """Return what the run's final state holds: the value, or what reads it where it is not kept in memory."""
        if self.in_memory or kept is None:
            return value
        payload = Payload(kept.format, kept.data)
        return LazyValue(lambda: live.runtime.blobs.load(payload))


def look_up(live: LiveRun, kept: tuple[str, bytes]) -> Any:
    """Return a stored value. Raises `MissingResult` where it can't be read."""
    return live.runtime.blobs.load(Payload(*kept))


def write(live: LiveRun, entry: Entry) -> None:
    """Write a record about a run: when the transaction around commits, if there is one."""
    transaction = TRANSACTION.get()
    if transaction is None or not transaction.hold(live.runtime, entry):
        live.runtime.journal.append(entry)
