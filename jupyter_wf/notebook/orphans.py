"""What a kernel has started and its runner did not come to end: known by a number in the kernel's private folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

__all__ = ["RUN_VARIABLE", "end_left_orphans", "end_orphans", "note_group"]

#: In a runner that executes a flow: the id of its run, for what the flow starts.
RUN_VARIABLE = "JUPYTER_WF_QUEUED_RUN"

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


def end_left_orphans(private: Path, run_id: str) -> bool:
    """Kill what a run has left running although its runner has been dead for some time; return whether anything was.

    The number may be another group's by now: it is killed only where one of its processes was started with the id of
    the run in its environment, which only Linux tells. The private folder is taken away.
    """
    ended = False
    with contextlib.suppress(OSError, ValueError):
        group = int((private / _FILE).read_text())
        if group > 1 and any(run_id.encode() in _environment(pid) for pid in _members(group)):
            os.killpg(group, signal.SIGKILL)
            ended = True
    shutil.rmtree(private, ignore_errors=True)
    return ended


def _members(group: int) -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                if os.getpgid(int(name)) == group:
                    yield int(name)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
