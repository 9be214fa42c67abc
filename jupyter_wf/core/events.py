"""What the owner of a run appends to its journal: the only ways in which a stored run changes.

They are named tuples because a task makes about five of them: they cost a fifth of a frozen dataclass.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ArtifactWritten",
    "Entry",
    "Kept",
    "LogWritten",
    "ResultStored",
    "RunCreated",
    "RunKept",
    "RunPatched",
    "StateChanged",
]


class RunCreated(NamedTuple):
    """A run exists. ``parameters``, ``tags``, ``upstream`` and ``source`` are JSON texts; ``at`` is in epoch seconds.

    It has no state yet: a `StateChanged` follows in the same batch. ``call_number`` counts the calls of the same task
    (or of the same flow) below the same parent, from 0; None where nobody counts.
    """

    run_id: str
    at: float
    kind: str
    name: str
    flow_name: str | None
    task_name: str | None
    parent_id: str | None
    root_id: str
    process_id: str | None
    parameters: str = "{}"
    tags: str = "[]"
    upstream: str = "[]"
    source: str = "{}"
    expected: int | None = None
    max_attempts: int = 1
    call_number: int | None = None


class Kept(NamedTuple):
    """What a completed run leaves for later attempts of the run that called it.

    ``format`` and ``data`` are its value (see ``store.blobs``). ``code`` is the fingerprint of the function's source.
    ``inputs`` is a JSON object from parameter name to the value or its fingerprint, None where an input has none.
    """

    format: str
    data: bytes
    code: str | None = None
    inputs: str | None = None


class StateChanged(NamedTuple):
    """A run entered a state. ``error`` is the JSON text of a `RunError`, or None; ``kept`` goes with COMPLETED.

    A run that enters PAUSED as ``Suspended`` has no owner from then on, and only a new attempt leaves that state. What
    was kept is forgotten when a new attempt begins.
    """

    run_id: str
    at: float
    attempt: int
    type: str
    name: str
    message: str | None = None
    error: str | None = None
    kept: Kept | None = None


class RunKept(NamedTuple):
    """What a run has left is good from now on: the transaction that it completed in has committed.

    It counts only while the run is COMPLETED in that attempt. It makes no event.
    """

    run_id: str
    at: float
    attempt: int
    kept: Kept


class LogWritten(NamedTuple):
    """A run wrote a log line."""

    run_id: str
    at: float
    level: int
    logger: str
    message: str


class RunPatched(NamedTuple):
    """Facts about a run that were not known when it was created.

    ``patch`` is the JSON text of an object with any of ``name`` (str), ``expected`` (int), ``source`` (object, merged
    over the stored one), ``parameters`` (object, replaced), ``tags`` (list of str, replaced),
    ``process_id`` (str: who owns the run from now on).
    """

    run_id: str
    at: float
    patch: str


class ResultStored(NamedTuple):
    """A run's value is kept under a key; a newer one replaces it. It makes no event.

    ``expires_at`` is in epoch seconds, None for never; ``format`` says how ``data`` is read (see ``store.blobs``).
    ``task``, ``code`` and ``inputs`` (as in `Kept`) tell later calls why the key is another one.
    """

    run_id: str
    at: float
    key: str
    expires_at: float | None
    format: str
    data: bytes
    task: str | None = None
    code: str | None = None
    inputs: str | None = None


class ArtifactWritten(NamedTuple):
    """A run made something to be looked at, or changed it: an artifact with a known id replaces what it was.

    ``data`` is a JSON text, ``description`` Markdown. ``run_id`` is None for one that was made outside any run: that
    makes no event. Whoever changes an artifact, it stays with the run that made it, and the event is that run's.
    """

    run_id: str | None
    at: float
    artifact_id: str
    key: str | None
    type: str
    description: str | None
    data: str


Entry = RunCreated | StateChanged | RunKept | LogWritten | RunPatched | ResultStored | ArtifactWritten
