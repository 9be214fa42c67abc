"""Room for work that calls itself: the engine's own frames are not to use up Python's recursion limit."""

from __future__ import annotations

import sys

__all__ = ["STEP", "make_room"]

#: At each so many levels of runs below runs room is made for the next ones; a power of two.
STEP = 16
#: Frames of the engine at each level, with some to spare.
_FRAMES = 14
#: Beyond so many levels no more room is made: recursion that never ends has to end before the C stack does.
_MOST = 300

_limit_before = 0


def make_room(depth: int) -> None:
    """Raise the recursion limit for runs that are nested ``depth`` levels deep, and `STEP` more."""
    global _limit_before
    _limit_before = _limit_before or sys.getrecursionlimit()
    wanted = _limit_before + _FRAMES * (min(depth, _MOST) + STEP)
    if wanted > sys.getrecursionlimit():
        sys.setrecursionlimit(wanted)
