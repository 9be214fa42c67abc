"""What a run needs of the runtime that it lives in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.interrupts import Deadlines
from jupyter_wf.store.base import Journal, Store
from jupyter_wf.store.blobs import Blobs

if TYPE_CHECKING:
    from jupyter_wf.core.processes import ProcessInfo
    from jupyter_wf.engine.bus import Listeners
    from jupyter_wf.engine.runs import LiveRun
    from jupyter_wf.executors.base import Executor

__all__ = ["Host"]


class Host(Protocol):
    """What a live run needs of the runtime that it lives in (`engine.runtime.Runtime`, which is built on this)."""

    settings: Settings
    store: Store
    process: ProcessInfo
    deadlines: Deadlines
    loose: dict[str, Any]
    closed: bool
    rerun: Callable[[LiveRun], Any]
    #: They hear of each run that failed, in the thread that ran it; `LiveRun.last_error` is why.
    failures: Listeners

    @property
    def journal(self) -> Journal:
        """The journal of this process."""

    @property
    def executor(self) -> Executor:
        """The pool that submitted tasks share."""

    @property
    def portal(self) -> Any:
        """The event loop thread of async hooks."""

    @property
    def loops(self) -> Any:
        """The event loops of submitted async tasks."""

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which a pool's thread gives its place to others."""

    @property
    def blobs(self) -> Blobs:
        """Where values are kept."""

    @property
    def begin(self) -> Callable[..., LiveRun]:
        """What creates a run: `Runtime.begin`."""

    def announce(self, live: LiveRun) -> None:
        """Tell listeners that a run begins which has no parent in this process."""
