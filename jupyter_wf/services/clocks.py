"""Whether the wall clock was put forward or back, and whether this process was stopped or its machine asleep."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["ClockWatch", "Look", "steady"]

#: Clocks that are disciplined move by less than this (seconds) between two looks.
_TOLERANCE = 2.0


def steady() -> float:
    """Return seconds that pass also while the machine sleeps, whatever the wall clock says."""
    # Python's monotonic clock stands still in a sleep, where the wall clock goes on: that would look like a jump.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Look(NamedTuple):
    """What the clocks said.

    ``now`` is in epoch seconds. ``jump`` is by how much the wall clock was put forward since the last look, 0 for
    nothing worth a word; ``overslept`` by how much longer than expected it took until this look.
    """

    now: float
    jump: float
    overslept: float


class ClockWatch:
    """Compares the wall clock with one that nobody can set. For one thread."""

    def __init__(self, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._last: tuple[float, float] | None = None
        self._expected = 0.0

    def expect(self, seconds: float) -> None:
        """Note that the next look will be in ``seconds``, or earlier."""
        if self._last is not None:
            self._expected = self._monotonic() - self._last[1] + seconds

    def look(self) -> Look:
        """Look at both clocks."""
        now, ticks = self._clock(), self._monotonic()
        jump = overslept = 0.0
        if self._last is not None:
            passed = ticks - self._last[1]
            jump = now - self._last[0] - passed
            overslept = max(0.0, passed - self._expected)
        self._last, self._expected = (now, ticks), 0.0
        return Look(now, jump if abs(jump) > _TOLERANCE else 0.0, overslept)
