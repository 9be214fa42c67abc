"""What the runs on one state file share: artifacts, variables, limits and messages. Parts of every `Store`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jupyter_wf.core.shared import Artifact, Limit, StoredInput, StoredVariable

__all__ = ["ArtifactStore", "InputStore", "LimitStore", "VariableStore"]


class ArtifactStore(Protocol):
    """Reads artifacts. They are written by the journal, with the run that makes them (`ArtifactWritten`).

    The methods raise `InvalidRequest` for a ``limit`` outside 1 to 1,000.
    """

    def get(self, artifact_id: str) -> Artifact | None:
        """Return the artifact with this id, None where there is none."""

    def of_run(self, run_id: str, *, tree: bool = False) -> list[Artifact]:
        """Return the artifacts of a run (``tree``: and of everything below it), oldest first."""

    def of_key(self, key: str, *, limit: int = 100) -> list[Artifact]:
        """Return the artifacts with this key, newest first."""

    def latest(self, *, limit: int = 100) -> list[Artifact]:
        """Return the newest artifacts, newest first."""


class VariableStore(Protocol):
    """Named JSON values. Each write is committed when the call returns.

    The methods raise `InvalidRequest` for a name that is not a text of 1 to 255 characters, for a value that is not
    JSON, and for tags that are not texts. A value comes back as JSON has it: a tuple as a list.
    """

    def get(self, name: str) -> StoredVariable | None:
        """Return the variable, None where there is none."""

    def set(self, name: str, value: Any, *, tags: Sequence[str] = (), overwrite: bool = True) -> StoredVariable | None:
        """Store a JSON value under ``name``.

        Returns None, and changes nothing, where the name is taken and ``overwrite`` is false.
        """

    def unset(self, name: str) -> bool:
        """Remove the variable; return whether there was one."""

    def list(self) -> list[StoredVariable]:
        """Return all variables by name."""


class LimitStore(Protocol):
    """Slots that all processes on the file share. Each call is one transaction."""

    def set(self, name: str, slots: int, *, decay: float = 0.0, active: bool = True) -> Limit:
        """Make or change a limit: ``slots`` from 0, ``decay`` in slots a second."""

    def remove(self, name: str) -> bool:
        """Remove the limit; return whether there was one."""

    def get(self, name: str) -> Limit | None:
        """Return the limit with what is taken now, None where there is none."""

    def list(self) -> list[Limit]:
        """Return all limits by name, with what is taken now."""

    def take(
        self,
        lease_id: str,
        names: Sequence[str],
        occupy: int,
        *,
        process_id: str,
        run_id: str | None = None,
        unlisted: int | None = None,
    ) -> float | None:
        """Take ``occupy`` slots of each of the limits, of all or of none.

        A name without a limit has ``unlisted`` slots: with 1, that is a lock. Returns None where the slots are taken
        (names with an inactive limit, and without one where ``unlisted`` is None, count as free), else the
        seconds after which it is worth while to ask again. Slots of processes that have died on this host are freed
        first. Raises `InvalidRequest` where ``occupy`` is more than a limit has in all. A second call with the same
        ``lease_id`` that holds its slots already changes nothing and returns None.
        """

    def release(self, lease_id: str) -> None:
        """Give back what was taken under ``lease_id``; nothing happens where nothing is held."""


class InputStore(Protocol):
    """Messages to runs. Each write is committed when the call returns.

    The methods raise `InvalidRequest` for a key or sender that is not a text of 1 to 1,000 characters, and for a value
    that is not JSON.
    """

    def send(self, run_id: str, key: str, value: Any, *, sender: str | None = None) -> StoredInput:
        """Leave a JSON value for a run. Raises `RunNotFound`."""

    def list(self, run_id: str, *, key_prefix: str = "", after: int = 0) -> list[StoredInput]:
        """Return the run's messages with ``id > after`` whose key begins with ``key_prefix``, oldest first."""

    def remove(self, input_id: int) -> bool:
        """Remove a message: whoever receives it removes it. Returns whether it was still there."""
