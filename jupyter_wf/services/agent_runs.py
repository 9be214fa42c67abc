"""What an agent holds of each run that it executes: the runner's process, and how it is ended when need be."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jupyter_wf.core.deployments import Claimed
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.orphans import end_left_orphans, end_orphans
from jupyter_wf.services.runners import private_folder, start_runner

__all__ = ["ColdRunners", "Held", "RunnerLike", "Runners", "end_left", "note_private", "run_folder"]

_PRIVATE = "private"


class RunnerLike(Protocol):
    """A runner's process, which leads a group of processes."""

    @property
    def pid(self) -> int:
        """Its number, and that of its group."""

    def wait(self) -> int:
        """Wait for its end; return the exit code, a negative number for a signal."""


class Runners(Protocol):
    """Starts runners."""

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> RunnerLike:
        """Start one that prints to ``log`` and works in its folder. Raises `OSError`.

        ``kernel`` is the kernelspec's name, where it is known.
        """

    def close(self) -> None:
        """End what waits for a job; what has one goes on."""


class ColdRunners:
    """Starts each runner as a new interpreter, where nothing faster is to be had."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> RunnerLike:
        """Start a runner."""
        private = private_folder()
        try:
            runner = start_runner(
                self._settings, {**job, "private": str(private), "lifeline": False}, folder=log.parent, log=log
            )
        except OSError:
            shutil.rmtree(private, ignore_errors=True)
            raise
        return _ColdRunner(runner, private)

    def close(self) -> None:
        """There is nothing to be ended."""


class _ColdRunner:
    def __init__(self, process: Any, private: Path) -> None:
        self._process = process
        self._private = private

    @property
    def pid(self) -> int:
        pid: int = self._process.pid
        return pid

    def wait(self) -> int:
        code: int = self._process.wait()
        # The system has killed the kernel with its runner, but not what the kernel had started.
        end_orphans(self._private)
        shutil.rmtree(self._private, ignore_errors=True)
        return code


@dataclass(slots=True, kw_only=True)
class Held:
    """A run that an agent has claimed, with its runner. Times are those of the monotonic clock."""

    claimed: Claimed
    process: RunnerLike
    log: Path
    since: float = field(default_factory=time.monotonic)
    #: When it was first seen that it is to stop, or has ended, although its process is there.
    overdue: float | None = None
    #: At how many looks the run had not been taken by its runner.
    untaken: int = 0
    #: The exit code, once the process has ended.
    code: int | None = None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.claimed.queued.run_id

    def wait(self) -> None:
        """Wait for the runner's end, and end what it has left running in its group."""
        self.code = self.process.wait()
        self.kill()

    def kill(self) -> None:
        """Kill the runner with its whole group; the system kills its kernel with it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


def run_folder(settings: Settings, run_id: str, attempt: int) -> Path:
    """Return where an attempt of a run keeps its files."""
    folder = settings.runs / run_id
    return folder if attempt == 1 else folder / f"attempt-{attempt}"


def note_private(settings: Settings, run_id: str, attempt: int, private: Path) -> None:
    """Write down in an attempt's folder where its private one is: a process that finds it dead can tidy up."""
    (run_folder(settings, run_id, attempt) / _PRIVATE).write_text(str(private))


def end_left(settings: Settings, run_id: str, attempt: int) -> None:
    """End what a dead attempt of a run has left running, where the agent that had it has not done so itself."""
    with contextlib.suppress(OSError, ValueError):
        private = Path((run_folder(settings, run_id, attempt) / _PRIVATE).read_text())
        # It is one of ours, whatever the file says.
        if private.name.startswith("jwf-") and private.is_dir() and private.stat().st_uid == os.getuid():
            end_left_orphans(private)
