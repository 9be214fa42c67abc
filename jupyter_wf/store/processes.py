"""Who executes runs, and whether that very process still lives: pid, start time, boot and pid namespace."""

from __future__ import annotations

import os
import time
from pathlib import Path

from jupyter_wf.core.ids import new_id
from jupyter_wf.core.processes import ProcessInfo

__all__ = ["Liveness", "is_dead", "this_process"]

#: How long (seconds) an answer "it lives" is believed. "It is dead" stays true for ever.
_BELIEVED = 0.5
_GONE = frozenset("ZXx")


def this_process(role: str) -> ProcessInfo:
    """Return a new description of the calling process; ``role`` is python, kernel, cli, runner or server.

    Each call makes a new ``id``: keep what it returns for as long as the process lives, and make another after a fork.
    """
    pid = os.getpid()
    return ProcessInfo(
        id=new_id(),
        pid=pid,
        started=_stat(pid)[1],
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        host=os.uname().nodename,
        role=role,
        created_at=time.time(),
    )


def is_dead(process: ProcessInfo) -> bool:
    """Return whether it is certain, from here, that the process is gone.

    A process of another host or of another pid namespace can't be judged: it counts as alive. An earlier boot of
    this host has left nothing alive. A zombie is dead: it will never run again.
    """
    if process.host != os.uname().nodename:
        return False
    if process.boot_id != _boot_id():
        return True
    if process.pid_namespace != _pid_namespace():
        return False
    status, started = _stat(process.pid)
    # A pid that is in use again by a younger process does not bring the old one back.
    return status in _GONE or (started != 0 and process.started not in (0, started))


class Liveness:
    """Remembers answers of `is_dead`, because a reader asks the same question for every page."""

    def __init__(self) -> None:
        self._dead: set[str] = set()
        self._alive: dict[str, float] = {}

    def is_dead(self, process: ProcessInfo) -> bool:
        """Return what the function `is_dead` says; "alive" may be up to half a second old."""
        if process.id in self._dead:
            return True
        now = time.monotonic()
        seen = self._alive.get(process.id)
        if seen is not None and now - seen < _BELIEVED:
            return False
        if is_dead(process):
            self._dead.add(process.id)
            self._alive.pop(process.id, None)
            return True
        self._alive[process.id] = now
        return False


def _stat(pid: int) -> tuple[str, int]:
    """Return the status letter (``X`` where there is no such process) and the start time in ticks (0: not known)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return _ask_by_signal(pid)
    except OSError:
        return "?", 0
    # The second field is the program's name in parentheses, and may itself hold blanks and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def _ask_by_signal(pid: int) -> tuple[str, int]:
    if os.path.exists("/proc/self/stat"):
        return "X", 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "X", 0
    except OSError:
        pass
    return "?", 0


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
