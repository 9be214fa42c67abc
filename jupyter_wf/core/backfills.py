"""Backfills: runs for the slots of a time that has passed, as one group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Backfill", "Reprocess"]

#: Slots that were executed before: none again, those whose run failed, crashed or was cancelled, all but open ones.
Reprocess = Literal["none", "failed", "all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A group of runs of a deployment, one for each slot from ``begin_at`` to ``end_at`` (both included; UTC seconds).

    ``id`` is the ``group_id`` of its runs, at most ``parallel`` of which are executed at the same time: the limit of
    the deployment is not for them. ``counts`` maps a state's name to how many runs are in it.
    """

    id: str
    deployment_id: str
    begin_at: float
    end_at: float
    reprocess: Reprocess = "none"
    parallel: int = 1
    newest_first: bool = False
    created_at: float = 0.0
    cancelled_at: float | None = None
    runs: int = 0
    open: int = 0
    counts: Mapping[str, int]

    @property
    def done(self) -> bool:
        """Whether all its runs have ended."""
        return self.open == 0
