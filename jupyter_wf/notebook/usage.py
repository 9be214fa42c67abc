"""What a piece of work costs the machine: processor time and memory of the process that does it, and its children."""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

__all__ = ["Meter", "Usage"]

_LINUX = sys.platform.startswith("linux")
#: Whether the system tells which processes a thread has started (most Linux kernels do).
_TELLS_CHILDREN = _LINUX and Path("/proc/thread-self/children").exists()
#: Written to a process's ``clear_refs`` it makes the kernel forget the peak of its memory: nothing else happens.
_FORGET_PEAK = "5"
_PEAK = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE)
#: Seconds between two looks where the system does not remember a process's peak.
_SAMPLING = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used: seconds of processor time (user and system), and by how many bytes the memory grew at its peak."""

    cpu_seconds: float
    memory_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in a run's ``source``, under ``usage``."""
        return {"cpu_seconds": round(self.cpu_seconds, 3), "memory_bytes": self.memory_bytes}


@dataclass(slots=True)
class _Peaks:
    """The meters of one process, which share the one peak that the system remembers of it."""

    meters: list[Meter] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_peaks: dict[int, _Peaks] = {}


class Meter:
    """Measures what the process ``pid`` (this one when None) and its children use between `start` and `stop`.

    Work that goes on in the process at the same time is counted too: nobody can tell threads' memory apart. Nothing is
    raised for a process that has ended; what is not known any more counts as nothing.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._process: psutil.Process | None = None
        with suppress(psutil.Error):
            self._process = psutil.Process(pid)
        self._cpu = 0.0
        self._before: dict[int, int] = {}
        #: The highest memory of the process that was seen, in bytes.
        self.highest = 0
        self._sampler: _Sampler | None = None

    def start(self) -> None:
        """Begin to measure."""
        if self._process is None:
            return
        self._cpu, self._before = _cpu_and_memory(self._process)
        self.highest = self._before.get(self._process.pid, 0)
        shared = _peaks.setdefault(self._process.pid, _Peaks())
        with shared.lock:
            # What was the peak so far is the others' until now.
            _note(shared.meters, self._process.pid)
            if not _forget_peak(self._process.pid):
                self._sampler = _Sampler(self)
            shared.meters.append(self)

    def stop(self) -> Usage:
        """Return what was used since `start`."""
        process = self._process
        if process is None:
            return Usage(cpu_seconds=0.0, memory_bytes=0)
        if self._sampler is not None:
            self._sampler.stop()
        shared = _peaks.setdefault(process.pid, _Peaks())
        with shared.lock:
            _note(shared.meters, process.pid)
            if self in shared.meters:
                shared.meters.remove(self)
        cpu, after = _cpu_and_memory(process)
        growth = {pid: memory - self._before.get(pid, 0) for pid, memory in after.items() if pid != process.pid}
        growth[process.pid] = max(self.highest, after.get(process.pid, 0)) - self._before.get(process.pid, 0)
        memory = sum(bytes_ for bytes_ in growth.values() if bytes_ > 0)
        return Usage(cpu_seconds=max(0.0, cpu - self._cpu), memory_bytes=memory)

    def sample(self) -> None:
        """Note the memory of this moment."""
        if self._process is not None:
            with suppress(psutil.Error):
                self.highest = max(self.highest, self._process.memory_info().rss)


class _Sampler:
    """A thread that looks every now and then, where the system remembers no peak that can be forgotten."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jupyter-wf-memory", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.wait(_SAMPLING):
            self._meter.sample()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._meter.sample()


def _cpu_and_memory(process: psutil.Process) -> tuple[float, dict[int, int]]:
    """Return the processor time of a process and everything below it, and the memory of each by its pid.

    What ended children used is in their parent's account, so that the sum never falls.
    """
    tree = [process, *_below(process)]
    cpu, memory = 0.0, {}
    for each in tree:
        with suppress(psutil.Error), each.oneshot():
            cpu += sum(each.cpu_times()[:4])
            memory[each.pid] = each.memory_info().rss
    return cpu, memory


def _below(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes below another one.

    psutil looks at every process of the machine for that, which takes longer than most cells.
    """
    if not _TELLS_CHILDREN:
        with suppress(psutil.Error):
            return list(process.children(recursive=True))
        return []
    found: list[psutil.Process] = []
    left = [process.pid]
    while left:
        for pid in _children(left.pop()):
            with suppress(psutil.Error):
                found.append(psutil.Process(pid))
                left.append(pid)
    return found


def _children(pid: int) -> list[int]:
    """Return the processes that the threads of one have started, as far as they are still there."""
    found: list[int] = []
    with suppress(OSError), os.scandir(f"/proc/{pid}/task") as threads:
        for thread in threads:
            # It may have ended by now.
            with suppress(OSError), open(f"{thread.path}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _note(meters: list[Meter], pid: int) -> None:
    """Have the meters of a process note its peak so far."""
    peak = _peak(pid) if meters else 0
    for meter in meters:
        meter.highest = max(meter.highest, peak)


def _peak(pid: int) -> int:
    """Return the most memory (bytes) that a process had since its peak was forgotten; 0 where nobody knows."""
    if not _LINUX:
        return 0
    with suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_bytes())
        return int(found[1]) * 1024 if found else 0
    return 0


def _forget_peak(pid: int) -> bool:
    """Make the system begin anew with a process's peak; return whether it did."""
    if not _LINUX:
        return False
    try:
        Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True
