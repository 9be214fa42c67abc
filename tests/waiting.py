"""Waiting for something without a sleep that is too short on a slow machine and too long on a fast one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["until"]

T = TypeVar("T")


def until(probe: Callable[[], T], what: str = "", seconds: float = 30.0) -> T:
    """Return what ``probe`` gives as soon as it is true; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or getattr(probe, '__name__', probe)}")
        pause.wait(0.01)
    return found
