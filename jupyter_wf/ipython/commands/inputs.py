"""What a run was given: from this kernel's memory, from what was stored of its failure, from the runs before it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.parameters import MASK, is_secret
from jupyter_wf.engine.fingerprints import Unhashable, inputs_of
from jupyter_wf.engine.handover import kept_arguments
from jupyter_wf.ipython.commands.stored import payload_of, stored_json
from jupyter_wf.notebook.keys import cell_key, inputs_key
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.store.blobs import Payload

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["Inputs", "arguments_of", "inputs_of_cell"]

_MOST_BEFORE = 1000


@dataclass(slots=True, kw_only=True)
class Inputs:
    """Values by name, and of the names that can't be had the reasons."""

    values: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, values: Mapping[str, Any]) -> None:
        """Take values for names that have none yet."""
        for name, value in values.items():
            self.values.setdefault(name, value)
            self.missing.pop(name, None)

    def lacking(self, names: Iterable[str]) -> list[str]:
        """Return those of ``names`` that have no value yet."""
        return [name for name in names if name not in self.values]


def inputs_of_cell(session: Session, run: Run, reads: Iterable[str]) -> Inputs:
    """Return what a cell read, for each of the names ``reads``."""
    names, found = list(reads), Inputs()
    failure = session.failures.of(run.id)
    if failure is not None and failure.attempt == run.attempt:
        found.add({name: value for name, value in failure.arguments.items() if name in names})
    _take_stored(session, run, found)
    if found.lacking(names):
        for other, writes in _before(session, run):
            wanted = [name for name in found.lacking(names) if name in writes]
            if wanted:
                _take_kept(session, other, wanted, found)
    _take_parameters(session, run, names, found)
    for name in found.lacking(names):
        found.missing.setdefault(name, "comes from a plain cell: run it")
    return found


def arguments_of(session: Session, run: Run) -> Inputs:
    """Return what a task or flow was called with, by parameter."""
    found = Inputs()
    failure = session.failures.of(run.id)
    if failure is not None and failure.attempt == run.attempt:
        found.add(failure.arguments)
    _take_stored(session, run, found)
    if run.kind == "flow":
        try:
            found.add(kept_arguments(session.runtime, run))
        except MissingResult as error:
            found.missing.update(dict.fromkeys(found.lacking(run.parameters), str(error)))
    told = _fingerprints(session, run)
    for name in found.lacking(run.parameters):
        value = run.parameters[name]
        if is_secret(name):
            found.missing[name] = "is a secret, so it was not stored"
        elif not _is_whole(value):
            found.missing.setdefault(name, "was not stored, only what it is")
        elif not isinstance(value, (list, dict)) or _is_of(name, value, told):
            found.add({name: value})
        else:
            found.missing.setdefault(name, f"was not stored exactly, only that it is like {value!r:.80}")
    return found


def _fingerprints(session: Session, run: Run) -> Mapping[str, Any]:
    """Return the fingerprints of what a run was called with, as far as they were stored."""
    kept = session.runtime.store.run_result(run.id)
    told = json.loads(kept.inputs) if kept is not None and kept.inputs else {}
    return told if isinstance(told, dict) else {}


def _is_of(name: str, value: Any, told: Mapping[str, Any]) -> bool:
    """Return whether a list or mapping is what the run got, not a tuple or a set that was recorded alike."""
    try:
        return bool(name in told and json.loads(inputs_of({name: value}))[name] == told[name])
    except Unhashable:
        return False


def _take_stored(session: Session, run: Run, found: Inputs) -> None:
    """Take what was stored of a run that failed; one that completed since has had other inputs, maybe."""
    payload = None if run.state.is_completed() else payload_of(session, inputs_key(run.id))
    if payload is not None:
        _take(session, payload, None, found)


def _take_kept(session: Session, run: Run, names: list[str], found: Inputs) -> None:
    """Take some names of what a run before has left."""
    kept = session.runtime.store.run_result(run.id)
    if kept is None:
        why = f"comes from {run.name!r}, whose outputs were not stored: run it"
        for name in names:
            found.missing.setdefault(name, why)
        return
    _take(session, Payload(kept.format, kept.data), names, found)


def _take(session: Session, payload: Payload, names: list[str] | None, found: Inputs) -> None:
    shelf = Shelf(session.runtime.blobs)
    try:
        known, missing = shelf.known(payload), shelf.missing(payload)
    except MissingResult:
        return
    for name in known:
        if (names is None or name in names) and name not in found.values:
            try:
                found.add(shelf.load(payload, [name]))
            except MissingResult as error:
                found.missing[name] = str(error)
    for name, why in missing.items():
        if (names is None or name in names) and name not in found.values:
            found.missing.setdefault(name, f"could not be stored: {why}")


def _before(session: Session, run: Run) -> Iterator[tuple[Run, frozenset[str]]]:
    """Yield the task cells that ran before a cell, the newest first, each with the names that it writes."""
    page = session.runtime.store.list_runs(_beside(run), limit=_MOST_BEFORE)
    for other in page.items:
        if other.created_at <= run.created_at and other.id != run.id and _same_notebook(other, run):
            cell = stored_json(session, cell_key(other.id))
            if isinstance(cell, dict):
                yield other, frozenset(cell.get("writes", ()))


def _beside(run: Run) -> RunFilter:
    if run.parent_id is not None:
        return RunFilter(kinds=("task",), parent_id=run.parent_id)
    return RunFilter(kinds=("task",), roots_only=True)


def _same_notebook(other: Run, run: Run) -> bool:
    return run.parent_id is not None or other.source.get("notebook") == run.source.get("notebook")


def _take_parameters(session: Session, run: Run, names: list[str], found: Inputs) -> None:
    """Take the parameters of the notebook that the cell is part of."""
    if run.root_id == run.id or not found.lacking(names):
        return
    root = session.runtime.store.get_runs([run.root_id]).get(run.root_id)
    if root is None:
        return
    for name in found.lacking(names):
        if name not in root.parameters:
            continue
        value = root.parameters[name]
        if is_secret(name):
            found.missing[name] = "is a secret parameter of the notebook, so it was not stored"
        elif _is_whole(value):
            found.add({name: value})
        else:
            found.missing[name] = "is a parameter of the notebook that was not stored whole"


def _is_whole(value: Any) -> bool:
    """Return whether a recorded value is the value itself, not what stands for one (see `core.parameters`)."""
    if isinstance(value, str):
        return value != MASK and not (value.startswith("<") and value.endswith(">")) and "… (" not in value[-40:]
    if isinstance(value, list):
        return all(map(_is_whole, value))
    if isinstance(value, dict):
        return "…" not in value and all(map(_is_whole, value.values()))
    return True
