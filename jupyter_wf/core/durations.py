"""Lengths of time, as people read and write them; the front end's `formatDuration` says them alike."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

__all__ = ["duration", "seconds_of", "span"]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_WHOLE = (("d", 86400.0), ("h", 3600.0), ("m", 60.0))
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|min|[smhdw])\s*")


def duration(seconds: float) -> str:
    """Return a length of time for people: ``12 ms``, ``3.4 s``, ``2 min 05 s``, ``1 h 03 min``; a negative one is 0."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def span(seconds: float) -> str:
    """Return a length of time as `seconds_of` reads it, in the largest unit in which it is whole: ``366d``, ``1ms``."""
    fits = (f"{round(seconds / size)}{unit}" for unit, size in _WHOLE if seconds >= size and not seconds % size)
    return next(fits, f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms")


def seconds_of(value: Any) -> float:
    """Return a length of time in seconds: a number, a `timedelta`, or a text such as ``90``, ``15m`` or ``1h 30min``.

    Units are ms, s, m (or min), h, d and w. Raises `ValueError` for anything else, with the reason.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if math.isfinite(value):
            return float(value)
    elif isinstance(value, str):
        text, total, at = value.strip().lower(), 0.0, 0
        try:
            if math.isfinite(seconds := float(text)):
                return seconds
        except ValueError:
            while found := _PART.match(text, at):
                total += float(found[1]) * _UNITS[found[2]]
                at = found.end()
            if text and at == len(text):
                return total
    raise ValueError("give a length of time: seconds, or a text such as 30s, 15m, 1h30m or 2d")
