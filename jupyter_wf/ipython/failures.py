"""The failures of a kernel: the last ones as they happened, to be debugged, and all of them as text with their runs."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.parameters import is_secret
from jupyter_wf.engine.arguments import resolve
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.notebook.failures import frames_of, remembered_names, user_traceback
from jupyter_wf.notebook.keys import INPUTS_LIMIT, inputs_key, locals_key
from jupyter_wf.notebook.shelf import Shelf

__all__ = ["Failure", "Failures"]

#: How many failures are kept with their frames, and so with all that these refer to.
_KEPT = 10
#: Of how many failed runs below one root it is stored what their variables were.
_PER_ROOT = 50
_ROOTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failure of this process.

    ``traceback`` has the user's frames only. ``names`` are those that a cell had bound when it failed; ``arguments``
    what a task or flow was called with.
    """

    run_id: str
    name: str
    attempt: int
    error: BaseException
    traceback: TracebackType | None
    names: Mapping[str, Any]
    arguments: Mapping[str, Any]


class Failures:
    """Keeps the last failures of a process, and stores with each failed run what can be shown of it elsewhere.

    All methods may be called from any thread.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Failure] = OrderedDict()
        self._stored: OrderedDict[str, int] = OrderedDict()

    @property
    def newest(self) -> Failure | None:
        """The last failure; None where there was none."""
        with self._lock:
            return next(reversed(self._kept.values()), None)

    def of(self, run_id: str) -> Failure | None:
        """Return the failure of a run; None where it is none of the last ten of this process."""
        with self._lock:
            return self._kept.get(run_id)

    def forget(self) -> None:
        """Let go of all that is kept."""
        with self._lock:
            self._kept.clear()

    def remember(self, live: LiveRun) -> None:
        """Take in that a run has failed; a second call for the same failure does nothing."""
        error = live.last_error
        known = self.of(live.id)
        if error is None or (known is not None and known.error is error and known.attempt == live.attempt):
            return
        failure = Failure(
            run_id=live.id,
            name=live.name,
            attempt=live.attempt,
            error=error,
            traceback=user_traceback(error),
            names=remembered_names(error),
            arguments=_arguments(live),
        )
        with self._lock:
            self._kept[live.id] = failure
            self._kept.move_to_end(live.id)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        if self._may_be_stored(live.root_id):
            self.store(live.id, error)
            self._store_arguments(live, failure)

    def _may_be_stored(self, root_id: str) -> bool:
        """Return whether there is room: ten thousand tasks that fail alike need not all be told at length."""
        with self._lock:
            number = self._stored[root_id] = self._stored.get(root_id, 0) + 1
            self._stored.move_to_end(root_id)
            while len(self._stored) > _ROOTS:
                self._stored.popitem(last=False)
        return number <= _PER_ROOT

    def store(self, run_id: str, error: BaseException) -> None:
        """Store with a run the frames of its failure and what their variables were, as text."""
        frames = frames_of(error)
        if frames:
            text = json.dumps(frames).encode()
            self._runtime.journal.append(ResultStored(run_id, time.time(), locals_key(run_id), None, "json", text))

    def _store_arguments(self, live: LiveRun, failure: Failure) -> None:
        """Store what a task was called with, but for secrets; a cell has inputs of another kind, stored by itself."""
        callee = live.callee
        if live.kind != "task" or callee is None or callee.signature is None or not callee.signature.parameters:
            return
        values = {name: value for name, value in failure.arguments.items() if not is_secret(name)}
        shelved = Shelf(self._runtime.blobs).keep(values, largest=INPUTS_LIMIT)
        self._runtime.journal.append(ResultStored(live.id, time.time(), inputs_key(live.id), None, *shelved.payload))


def _arguments(live: LiveRun) -> dict[str, Any]:
    """Return what a run was called with, values in place of futures; without those that it never got."""
    found: dict[str, Any] = {}
    for name, value in live.parameters.items():
        try:
            found[name] = resolve(value)
        except JupyterWfError:
            continue
    return found
