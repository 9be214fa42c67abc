"""Which run the calling code belongs to."""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from jupyter_wf.core.settings import PARENT_VARIABLE
from jupyter_wf.engine.runs import LiveRun

if TYPE_CHECKING:
    from jupyter_wf.engine.staging import Staging

__all__ = [
    "CURRENT",
    "ROOT_VARIABLE",
    "TAGS",
    "TRANSACTION",
    "Ambient",
    "ambient_parent",
    "current_run",
    "set_ambient_parent",
]

#: In a runner's kernel: the id of the root of the run in `PARENT_VARIABLE`, where it is another one.
ROOT_VARIABLE = "JUPYTER_WF_ROOT_RUN"

CURRENT: ContextVar[LiveRun | None] = ContextVar("jupyter_wf_run", default=None)

#: What every run that begins here is tagged with, beside its own tags (see `jupyter_wf.context.tags`).
TAGS: ContextVar[frozenset[str]] = ContextVar("jupyter_wf_tags", default=frozenset())

#: The transaction that the calling code is in.
TRANSACTION: ContextVar[Staging | None] = ContextVar("jupyter_wf_transaction", default=None)


class Ambient(NamedTuple):
    """A run of another process (a runner's notebook run) that this process's runs are children of."""

    run_id: str
    root_id: str


class _Place:
    """Holds the process-wide ambient parent; ``unset`` until somebody says otherwise, then the environment's counts."""

    def __init__(self) -> None:
        self.said = False
        self.value: Ambient | None = None


_place = _Place()


def current_run() -> LiveRun | None:
    """Return the run that the calling code is part of, or None outside any."""
    return CURRENT.get()


def set_ambient_parent(run_id: str | None, root_id: str | None = None) -> None:
    """Make runs that start outside any run children of ``run_id``, which another process owns; None takes it back.

    ``root_id`` is the root of that run's tree, ``run_id`` itself when None.
    """
    _place.said = True
    _place.value = Ambient(run_id, root_id or run_id) if run_id else None


def ambient_parent() -> Ambient | None:
    """Return the ambient parent: what `set_ambient_parent` said last, else what the environment says."""
    if _place.said:
        return _place.value
    run_id = os.environ.get(PARENT_VARIABLE)
    return Ambient(run_id, os.environ.get(ROOT_VARIABLE) or run_id) if run_id else None


def _in_child_of_fork() -> None:
    """What the parent process executes is not ours, but what begins here is below it."""
    live = CURRENT.get()
    if live is not None:
        CURRENT.set(None)
        set_ambient_parent(live.id, live.root_id)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child_of_fork)
