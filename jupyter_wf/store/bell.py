"""Wakes the processes of a home that wait for work, without anybody looking at fixed intervals.

Who waits has a datagram socket in the folder ``bells``; who has changed something sends one byte to each of them. A
bell that is not heard does no harm but a delay: who waits also knows when the next thing is due.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from pathlib import Path
from types import TracebackType

from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings

__all__ = ["Bell", "ring"]

_FOLDER = "bells"


class Bell:
    """Waits until somebody rings. One thread waits; any thread may ring.

    Where the system refuses such sockets, `wait` only returns after its time, at most ``fallback`` seconds.
    """

    def __init__(self, settings: Settings, *, fallback: float = 0.5) -> None:
        self._fallback = fallback
        self._folder = settings.home / _FOLDER
        self._name = f"{os.getpid()}-{new_id()[:8]}"
        self._socket = _bound(self._folder, self._name)
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._lock = threading.Lock()
        self._closed = False

    def fileno(self) -> int | None:
        """Return the descriptor that can be read when it has rung, for an event loop; None where there is none."""
        return None if self._socket is None else self._socket.fileno()

    def wait(self, seconds: float | None) -> bool:
        """Wait for a ring, at most ``seconds`` (None: for ever); return whether it has rung. Rings before count."""
        if self._closed:
            return False
        if self._socket is None:
            seconds = self._fallback if seconds is None else min(seconds, self._fallback)
        found = [each for each in (self._socket, self._far) if each is not None]
        ready, _, _ = select.select(found, (), (), None if seconds is None else max(0.0, seconds))
        for each in ready:
            _drain(each)
        return bool(ready)

    def wake(self) -> None:
        """Ring this bell alone, from any thread or signal handler."""
        with contextlib.suppress(OSError):
            self._near.send(b"!")

    def close(self) -> None:
        """Take the bell away. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.wake()
        with contextlib.suppress(OSError):
            (self._folder / self._name).unlink()
        for each in (self._socket, self._near, self._far):
            if each is not None:
                each.close()

    def __enter__(self) -> Bell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


def ring(settings: Settings) -> None:
    """Wake everybody who waits on this home's bells; never raises, never waits."""
    folder = settings.home / _FOLDER
    try:
        names = os.listdir(folder)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sender.setblocking(False)
    try:
        for name in names:
            try:
                sender.sendto(b"!", _address(handle, folder, name))
            except (ConnectionRefusedError, FileNotFoundError):
                # Its owner has died without taking it away.
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=handle)
            except OSError:
                continue
    finally:
        sender.close()
        os.close(handle)


def _bound(folder: Path, name: str) -> socket.socket | None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        bell.bind(_address(handle, folder, name))
        bell.setblocking(False)
    except OSError:
        bell.close()
        return None
    finally:
        os.close(handle)
    return bell


def _address(handle: int, folder: Path, name: str) -> str:
    """Return the socket's path; on Linux a short one, because a home's path may be longer than sockets allow (108)."""
    return f"/proc/self/fd/{handle}/{name}" if os.path.isdir("/proc/self/fd") else str(folder / name)


def _drain(source: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while source.recv(1024):
            pass
