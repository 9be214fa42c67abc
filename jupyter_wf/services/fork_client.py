"""The agent's end of a fork server: its process, and the spares that were forked from it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jupyter_wf.notebook.orphans import end_orphans
from jupyter_wf.services.forks import COMMAND, send

__all__ = ["ForkServer", "RunnerProcess", "Spare", "Stamps", "clear"]

_log = logging.getLogger(__name__)


class RunnerProcess:
    """A runner with a job. Its private folder, and what its kernel has left running, go when it ends."""

    def __init__(self, pid: int, private: Path) -> None:
        self.pid = pid
        self._private = private
        self._ended = threading.Event()
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code (a negative number: that signal; `warm.LOST`: nobody knows), None while it runs."""
        return self._code if self._ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raise `subprocess.TimeoutExpired` after ``timeout`` seconds."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("runner", timeout or 0.0)
        assert self._code is not None
        return self._code

    def finish(self, code: int) -> None:
        """Take in that it has ended with an exit code."""
        clear(self._private)
        self._code = code
        self._ended.set()


def clear(private: Path) -> None:
    """Take the private folder of a runner that has ended away, and what its kernel has left running."""
    # The system has killed the kernel with its runner, but not what the kernel had started.
    end_orphans(private)
    shutil.rmtree(private, ignore_errors=True)


class Stamps:
    """Files and folders, and when each was last changed."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._seen = {path: _changed(path) for path in paths}

    def differ(self) -> bool:
        """Return whether one of them has changed, has gone or has come since."""
        return any(_changed(path) != seen for path, seen in self._seen.items())


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


class Spare:
    """A forked runner: its job goes through ``channel``. ``born`` is set when its ``pid`` is known, or won't be."""

    def __init__(self, name: str, private: Path, channel: socket.socket) -> None:
        self.name = name
        self.private = private
        self.channel = channel
        self.born = threading.Event()
        self.pid: int | None = None
        #: A file that can be read when it has ended.
        self.handle = -1
        #: Whether its kernel answers.
        self.ready = False
        self.stamps = Stamps(())
        #: What it has said so far.
        self.heard = b""
        self.process: RunnerProcess | None = None
        self.ended = False

    def end(self, code: int) -> None:
        """Take in that it has ended."""
        self.ended = True
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1
        if self.process is not None:
            self.process.finish(code)
        else:
            clear(self.private)

    def dismiss(self) -> None:
        """Let it end, if it has no job."""
        with contextlib.suppress(OSError):
            self.channel.shutdown(socket.SHUT_RDWR)


def _ready(handles: Iterable[int]) -> bool:
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


class ForkServer:
    """A fork server and its children. Raises `OSError` where it can't be started."""

    def __init__(self, environ: Mapping[str, str], preload: Sequence[str]) -> None:
        self.pipe, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, *preload],
                stdin=theirs.fileno(),
                # What a preloaded module prints is nobody's output.
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=environ,
                start_new_session=True,
            )
        except OSError:
            self.pipe.close()
            raise
        finally:
            theirs.close()
        self.ready = self.served = False
        self.stamps = Stamps(())
        self.spares: list[Spare] = []
        #: Those that were asked for, by number; and those that live, by process.
        self.asked: dict[int, Spare] = {}
        self.children: dict[int, Spare] = {}
        self._number = 0
        self.taught = False
        #: Since when (monotonic clock) it has not done what it was asked for, None where it is quick enough.
        self.silent_since: float | None = None

    def fork(self, name: str, private: Path) -> Spare:
        """Ask for another spare with a kernel called ``name``. Raises `OSError`."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._number += 1
        spare = Spare(name, private, ours)
        try:
            self.asked[self._number] = spare
            order = {"fork": self._number, "kernel": name, "private": str(private), "tells": self._number == 1}
            send(self.pipe, order, theirs.fileno())
        except OSError:
            del self.asked[self._number]
            ours.close()
            clear(private)
            raise
        finally:
            theirs.close()
        return spare

    def teach(self, modules: Sequence[str]) -> None:
        """Have it import what a spare and its kernel have imported."""
        if modules:
            self.taught = True
            with contextlib.suppress(OSError):
                send(self.pipe, {"learn": list(modules)})

    def retire(self) -> None:
        """Let it end when the last of its children has; spares are sent home."""
        self.ready = False
        while self.spares:
            self.spares.pop().dismiss()
        with contextlib.suppress(OSError):
            send(self.pipe, {"retire": True})

    def is_late(self) -> bool:
        """Return whether it has not said that one of its children has ended, or is silent altogether."""
        handles = [spare.handle for spare in self.children.values() if spare.handle >= 0]
        return self.silent_since is not None or _ready(handles)

    def is_silent(self) -> float:
        """Note that it does not answer, and is not to be asked; return since when (monotonic clock) that is known."""
        if self.silent_since is None:
            _log.warning("the fork server does not answer: runners are started without it")
            self.ready, self.silent_since = False, time.monotonic()
        return self.silent_since

    def is_gone(self) -> None:
        """Take in that it has ended."""
        self.ready = False
        self.pipe.close()
        self.process.wait()
        for spare in self.asked.values():
            spare.born.set()
            clear(spare.private)
        self.asked.clear()
