"""The line between an executor and a worker process: frames over one end of a socket pair.

A frame is its kind (one byte), the length of its payload (eight bytes) and the payload. Nothing but the file
descriptor is used, so that a worker need not import `socket`.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable
from typing import Any

__all__ = ["CALL", "END", "HELLO", "LAST", "LOG", "READY", "SLICE", "Line"]

#: To the worker: where its parent finds modules; a call.
HELLO, CALL = b"h", b"c"
#: From the worker: it can take calls; a log line; how the call ended; the same, and the worker ends too.
READY, LOG, END, LAST = b"r", b"l", b"e", b"x"

#: How long (seconds) one end waits for the other before it looks around.
SLICE = 0.02
_HEAD = struct.Struct(">cQ")
#: Payloads up to this size (bytes) are copied behind their head and sent with one system call.
_SMALL = 1 << 16


class Line:
    """One end of the line, which owns its file descriptor.

    ``tick`` is called whenever the other end has kept us waiting for `SLICE` seconds; what it raises goes to the
    caller. Without it the line blocks. One thread receives and one sends at a time.
    """

    def __init__(self, fd: int, tick: Callable[[], Any] | None = None) -> None:
        self._fd = fd
        self._tick = tick
        if tick is not None:
            os.set_blocking(fd, False)
            self._readable = select.poll()
            self._readable.register(fd, select.POLLIN)
            self._writable = select.poll()
            self._writable.register(fd, select.POLLOUT)

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send one frame. Raises `OSError` where the other end is gone."""
        head = _HEAD.pack(kind, len(payload))
        if len(payload) <= _SMALL:
            self._write(head + payload)
        else:
            self._write(head)
            self._write(payload)

    def receive(self) -> tuple[bytes, bytearray]:
        """Return the kind and the payload of the next frame. Raises `EOFError` or `OSError` where there is none."""
        kind, size = _HEAD.unpack(self._read(_HEAD.size))
        return kind, self._read(size)

    def close(self) -> None:
        """Hang up. Later calls do nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                self._wait(self._writable)

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        left = memoryview(data)
        while left:
            try:
                many = os.readv(self._fd, [left])
            except BlockingIOError:
                self._wait(self._readable)
                continue
            if many == 0:
                raise EOFError("the other end has hung up")
            left = left[many:]
        return data

    def _wait(self, poll: select.poll) -> None:
        if not poll.poll(SLICE * 1000) and self._tick is not None:
            self._tick()
