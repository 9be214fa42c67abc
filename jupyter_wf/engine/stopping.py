"""What a run knows about being stopped: why, whom to tell, and how its waiting is cut short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_wf.core.effects import Outcome
from jupyter_wf.core.signals import StopFlow

__all__ = ["Stopping"]


class Stopping:
    """Why a run is to stop, and what stops it.

    ``requested``: it is to be cancelled. ``timed_out``: its time is up. ``early``: it has nothing left to do, and ends
    COMPLETED. ``callbacks`` stop the work; ``wake`` ends the wait before the next attempt. ``give_up`` lets another
    thread go on with the run where its own can't be stopped, given the outcome; ``call`` counts those that did.
    """

    __slots__ = ("call", "callbacks", "early", "give_up", "requested", "timed_out", "wake")

    def __init__(self) -> None:
        self.requested = False
        self.timed_out = False
        self.early: StopFlow | None = None
        self.wake: Callable[[], Any] | None = None
        self.callbacks: list[Callable[[], Any]] = []
        self.give_up: Callable[[Outcome], Any] | None = None
        self.call = 0

    @property
    def wanted(self) -> bool:
        """Whether the work is to stop, for whatever reason."""
        return self.requested or self.timed_out or self.early is not None

    def tell(self) -> None:
        """Wake the run if it waits, and call what stops its work."""
        if self.wake is not None:
            self.wake()
        for callback in list(self.callbacks):
            callback()

    def forget(self) -> None:
        """Forget what stopped the last attempt."""
        self.requested = self.timed_out = False
        self.early = None
