"""Whole lines from several threads: a flow's prints and the progress share one stdout."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import BinaryIO, TextIO

__all__ = ["WholeLines", "whole_lines"]


class WholeLines(io.TextIOBase):
    """Hands on to ``out`` what a thread writes when its line is whole, or when the thread flushes.

    ``print`` writes each of its values by itself: without this another thread's line may come in between.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._begun: dict[int, str] = {}

    def write(self, text: str) -> int:
        """Take ``text``; return its length."""
        me = threading.get_ident()
        with self._lock:
            held = self._begun.pop(me, "") + text
            end = held.rfind("\n") + 1
            if end:
                self._out.write(held[:end])
            if held[end:]:
                self._begun[me] = held[end:]
        return len(text)

    def flush(self) -> None:
        """Hand on what the calling thread has begun, and flush."""
        with self._lock:
            self._out.write(self._begun.pop(threading.get_ident(), ""))
            self._out.flush()

    def writable(self) -> bool:
        """Return true."""
        return True

    def isatty(self) -> bool:
        """Return whether ``out`` is a terminal."""
        return self._out.isatty()

    def fileno(self) -> int:
        """Return the number of the file behind ``out``."""
        return self._out.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of ``out``."""
        return self._out.encoding

    @property
    def buffer(self) -> BinaryIO:
        """The bytes behind ``out``."""
        return self._out.buffer


@contextmanager
def whole_lines() -> Iterator[None]:
    """Make stdout one that keeps lines whole, unless it is a terminal, where the progress has its own place."""
    out = sys.stdout
    if out.isatty():
        yield
        return
    lines = WholeLines(out)
    with redirect_stdout(lines):
        try:
            yield
        finally:
            lines.flush()
