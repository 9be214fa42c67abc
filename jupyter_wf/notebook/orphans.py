"""What a run has started and nobody has ended: known by its process group, or by its runner's mark.

The mark is the name of the runner's private folder, in the environment of all that a run starts. Out of reach is what
has left the group, and was started with an environment that does not have it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

__all__ = ["RUNNER_VARIABLE", "end_escaped", "end_left_orphans", "end_orphans", "note_group", "sessions"]

#: The name of the runner's private folder.
RUNNER_VARIABLE = "JUPYTER_WF_RUNNER"

_FILE = "group"


def note_group(private: Path, group: int) -> None:
    """Write down the process group of a kernel in its private folder, which is taken away when the group was ended."""
    (private / _FILE).write_text(str(group))


def end_orphans(private: Path) -> None:
    """Kill what a runner whose private folder is still there, so that it could not do so itself, has left running.

    To be called at once when the runner has ended: as long as one process of the kernel's group lives, its number is
    nobody else's.
    """
    if not private.is_dir():
        return
    with contextlib.suppress(OSError, ValueError):
        group = int((private / _FILE).read_text())
        if group > 1:
            os.killpg(group, signal.SIGKILL)
    end_escaped(private.name)


def sessions() -> frozenset[int]:
    """Return the numbers of the sessions that there are; none where the system does not list its processes."""
    return frozenset(session for pid in _processes() if (session := _session(pid)) is not None)


def end_escaped(mark: str, *, but: Collection[int] = ()) -> bool:
    """Kill the processes that were started with a runner's mark in their environment; return whether any were.

    That is what has left the process group, by ``setsid`` for one. Left alone are this process and those whose session
    is one of ``but``: looking at environments costs most. Only on Linux.
    """
    found = [
        pid for pid in _processes() if pid != os.getpid() and _session(pid) not in but and _has(pid, mark.encode())
    ]
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return bool(found)


def end_left_orphans(private: Path) -> bool:
    """Kill what a runner has left running that has been dead for some time; return whether anything was.

    The number may be another group's by now: it is killed only where one of its processes was started with the runner's
    mark in its environment, which only Linux tells. The private folder is taken away.
    """
    mark = private.name.encode()
    ended = False
    with contextlib.suppress(OSError, ValueError):
        group = int((private / _FILE).read_text())
        if group > 1 and any(_has(pid, mark) for pid in _members(group)):
            os.killpg(group, signal.SIGKILL)
            ended = True
    ended |= end_escaped(private.name)
    shutil.rmtree(private, ignore_errors=True)
    return ended


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _members(group: int) -> Iterator[int]:
    for pid in _processes():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == group:
                yield pid


def _has(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return b"%s=%s\0" % (RUNNER_VARIABLE.encode(), mark) in file.read()
    except OSError:
        return False
