"""The records that all runs on one state file share; apart, because most programs use none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Artifact", "Limit", "StoredInput", "StoredVariable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """Something made to be looked at.

    ``type`` is markdown, table, link, image, progress, or a MIME type for what was displayed. ``data`` is a JSON value.
    """

    id: str
    run_id: str | None
    key: str | None
    type: str
    description: str | None
    data: Any
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVariable:
    """A named JSON value that all runs share."""

    name: str
    value: Any
    tags: tuple[str, ...]
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many slots of a name may be taken at the same time, by all processes on the file together.

    ``decay`` above 0 makes it a rate limit: so many slots come back each second, whoever took them. ``taken`` is how
    many are taken now. A limit that is not ``active`` lets everybody through.
    """

    name: str
    slots: int
    decay: float = 0.0
    active: bool = True
    taken: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInput:
    """A message to a run: ``value`` is a JSON value, ``key`` says what it is, ``sender`` who sent it."""

    id: int
    run_id: str
    key: str
    value: Any
    sender: str | None
    created_at: float
