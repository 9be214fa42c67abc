"""Backfills and what is kept of ended runs. Parts of every `Store`; ``tests/contracts`` holds them to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from jupyter_wf.core.backfills import Backfill, Reprocess

__all__ = ["BackfillStore", "Deleted", "Files", "Keep", "RetentionStore"]


class BackfillStore(Protocol):
    """The backfills."""

    def vacant(self, slots: Sequence[tuple[str, float]], reprocess: Reprocess) -> list[tuple[str, float]]:
        """Return those of the slots (schedule and time), in their order, that are to get a run.

        One that never was executed always is; a slot whose run is open never. What was deleted counts as executed.
        """

    def create(
        self, backfill: Backfill, slots: Sequence[tuple[str, float]], *, parameters: Mapping[str, Any], priority: int
    ) -> Backfill:
        """Store a backfill with a waiting run for each `vacant` slot, in the order given; return it as it is stored.

        ``parameters`` go over those of deployment and schedule. From then on a slot's run is the new one. Raises
        `DeploymentNotFound`, and `InvalidRequest` for a schedule that is not the deployment's.
        """

    def get(self, backfill_id: str) -> Backfill:
        """Return the backfill with this id, or the one whose id begins so. Raises `BackfillNotFound`."""

    def list(self, *, deployment_id: str | None = None, limit: int = 100) -> list[Backfill]:
        """Return backfills, newest first."""

    def cancel(self, backfill_id: str, now: float) -> int:
        """Cancel what waits of it, and ask for the end of what runs; return how many runs those are.

        Raises `BackfillNotFound`.
        """


class Keep(NamedTuple):
    """What is kept of ended runs: the newest ``last``, and those of the last ``days``; None does not bound."""

    last: int | None = None
    days: float | None = None


class Deleted(NamedTuple):
    """What a deletion has done: the root runs that are gone, how many runs in all, and why others are still there.

    ``ids`` are all that went, those below the roots included: of each there may be a folder.
    """

    roots: list[str]
    ids: list[str]
    refused: dict[str, str]


class RetentionStore(Protocol):
    """Deletion of ended runs. Slots stay decided: no slot fires again because its run is gone."""

    def delete(self, run_ids: Iterable[str]) -> Deleted:
        """Remove root runs that have ended, with everything below them: records, events, values, messages, artifacts.

        It is done in many short transactions; what an interrupt leaves is gone on with by the next call. Refused are
        what is no root, and what is open, or has something open below it.
        """

    def outdated(self, keep: Keep, now: float, *, deployment_id: str | None = None, limit: int = 500) -> list[str]:
        """Return ended root runs that are to go, oldest first.

        With a deployment: of its runs. Without: of all that belong to no deployment with rules of its own, where
        ``keep.last`` is for each flow, and each task, that was called by nobody. What follows from the end of a
        queued run must have been done. Missed and skipped slots do not count among the newest.
        """

    def rule(self) -> Keep:
        """Return what is kept where a deployment says nothing; nothing is bounded at first."""

    def set_rule(self, keep: Keep) -> None:
        """Set it. Raises `InvalidRequest` for numbers below 1, or 0 days."""

    def files(self) -> Files:
        """Return the names of files that something stored refers to."""


class Files(NamedTuple):
    """Which files are needed: content of results, notebooks' snapshots, lists of packages (all digests), runs' ids."""

    results: set[str]
    snapshots: set[str]
    environments: set[str]
    runs: set[str]
