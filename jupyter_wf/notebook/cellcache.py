"""``%%task --cache``: what a cell left, found again by its source and its inputs."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.effects import Find, Keep, Outcome
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.lifecycle import Cache
from jupyter_wf.engine.cache import CachePolicy, Sees
from jupyter_wf.engine.results import StoredResults
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.cells import Namespace
from jupyter_wf.notebook.celltask import PreparedCell, fingerprints
from jupyter_wf.notebook.redefining import why_not_again
from jupyter_wf.notebook.shelf import Shelf

__all__ = ["CellResults", "cell_results"]


@dataclass(frozen=True, slots=True)
class _ByCell(CachePolicy):
    """The same cell, and, if ``with_inputs``, the same inputs."""

    with_inputs: bool

    def sees(self) -> Sees:
        """Return what the keys depend on."""
        return Sees(source=True, inputs=self.with_inputs)


def cell_results(
    prepared: PreparedCell, bound: Mapping[str, Any] | None = None, names: Namespace | None = None
) -> CellResults | None:
    """Return the stored results of a cell whose line asks for them, None of one whose does not.

    ``bound`` are names that only this call has: the item of a mapped cell. ``names`` is the namespace that the call
    begins with; None is the notebook's at that time.
    """
    options = prepared.task.options
    if options.cache in (None, "none"):
        return None
    return CellResults(
        policy=_ByCell(options.cache == "inputs"),
        expiration=options.cache_expires,
        refresh=options.refresh or None,
        prepared=prepared,
        bound=bound,
        names=names,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResults(StoredResults):
    """The stored outputs of a cell; one that is found is put back into the notebook's namespace."""

    prepared: PreparedCell
    bound: Mapping[str, Any] | None = None
    names: Namespace | None = None

    @property
    def serial(self) -> bool:
        """Calls do not wait for each other."""
        return False

    def cache(self, live: LiveRun, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Cache | None:
        """Return where the cell's outputs are stored.

        None, and the log says why, where an input has no fingerprint, or a definition can't be made again.
        """
        prepared = self.prepared
        if why := why_not_again(prepared.task.body):
            live.log(logging.WARNING, f"not cached: {why}")
            return None
        inputs = None
        parts = [prepared.task.name, prepared.code]
        if self.policy.sees().inputs:
            inputs = fingerprints(live, prepared.inputs(self.bound, self.names))
            if inputs is None:
                live.log(logging.WARNING, "not cached: an input has no fingerprint")
                return None
            parts.append(inputs)
        if self.refreshes:
            live.log(logging.INFO, "run, whatever is stored: --refresh")
        digest = hashlib.sha256(chr(0).join(parts).encode()).hexdigest()
        return Cache(f"outputs/{digest}", self.expiration, self.refreshes, inputs)

    def find(self, live: LiveRun, effect: Find) -> Outcome | None:
        """Return the outputs stored under a key, put back; None where there are none that are good and readable."""
        # Not super(): a dataclass with slots is another class than the one that its methods were written in.
        if self.bound is not None or live.runtime.store.find_result(effect.key, time.time()) is None:
            return StoredResults.find(self, live, effect)
        with self.prepared.defining():
            found = StoredResults.find(self, live, effect)
            if found is not None:
                self.prepared.put_back(found.value)
        return found

    def keep(self, live: LiveRun, effect: Keep) -> None:
        """Store the outputs under their key: all of them, or, where one can't be stored, none."""
        shelved = Shelf(live.runtime.blobs).keep(effect.value)
        if shelved.missing:
            name, why = next(iter(shelved.missing.items()))
            live.log(logging.WARNING, f"not cached: {name!r} can't be stored: {why}")
            return
        now = time.time()
        expires_at = None if effect.expiration is None else now + effect.expiration
        prepared = self.prepared
        live.runtime.journal.append(
            ResultStored(
                live.id, now, effect.key, expires_at, *shelved.payload, prepared.task.name, prepared.code, effect.inputs
            )
        )
