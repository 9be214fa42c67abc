"""What a kernel has started and its runner did not come to end: known by a number in the kernel's private folder."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

__all__ = ["end_orphans", "note_group"]

_FILE = "group"


def note_group(private: Path, group: int) -> None:
    """Write down the process group of a kernel in its private folder, which is taken away when the group was ended."""
    (private / _FILE).write_text(str(group))


def end_orphans(private: Path) -> None:
    """Kill what is left of the process group of a kernel whose private folder is still there.

    To be called at once when the runner that had the kernel has ended: as long as one process of the group lives, its
    number is nobody else's.
    """
    with contextlib.suppress(OSError, ValueError):
        group = int((private / _FILE).read_text())
        if group > 1:
            os.killpg(group, signal.SIGKILL)
