"""The forms of stored values that need more than JSON: pickles, compressed ones, those in files."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

from jupyter_wf.store.blob_files import Collector, open_blob
from jupyter_wf.store.pickles import PickleSink, read_pickle, write_pickle
from jupyter_wf.store.serializers import Unstorable, as_json, from_json

__all__ = ["read", "read_file", "write"]

_COMPRESSED = "compressed/"
_CHUNK = 1 << 18


class _Deflated:
    """Compresses what is written to it, and hands it on. Large pickles are never in memory as a whole."""

    def __init__(self, sink: PickleSink, largest: int) -> None:
        self._sink = sink
        self._largest = largest
        self.rewind()

    def rewind(self) -> None:
        self._sink.rewind()
        self._size = 0
        self._zlib = zlib.compressobj(6)

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self._size += size
        if self._size > self._largest:
            raise Unstorable(f"it is too large to be stored: more than {self._largest:,} bytes")
        self._sink.write(self._zlib.compress(data))
        return size

    def finish(self) -> None:
        self._sink.write(self._zlib.flush())


class _Inflated(io.RawIOBase):
    """Reads what `_Deflated` wrote, up to ``largest`` bytes."""

    def __init__(self, file: Any, largest: int) -> None:
        self._file = file
        self._left = largest
        self._zlib = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        room = len(buffer)
        while room:
            data = self._zlib.unconsumed_tail or self._file.read(_CHUNK)
            out = self._zlib.decompress(data, room)
            if out:
                self._left -= len(out)
                if self._left < 0:
                    raise ValueError("it is larger than anything that is stored")
                buffer[: len(out)] = out
                return len(out)
            if self._zlib.eof:
                break
            if not data:
                raise ValueError("it ends too early")
        return 0


def write(
    value: Any, format_: str, data: bytes | None, folder: Path | None, limit: int, largest: int
) -> tuple[bool, bytes]:
    """Return ``(True, digest of the file)`` or ``(False, bytes)`` of a value in a format.

    ``data`` is its JSON, if that is known. More than ``limit`` bytes go to a file below ``folder``, if there is one.
    Raises `Unstorable`, and whatever the value raises when it is taken apart.
    """
    collector = Collector(folder, limit, largest)
    try:
        sink = _Deflated(collector, largest) if format_.startswith(_COMPRESSED) else collector
        if format_.endswith("json"):
            sink.write(as_json(value) if data is None else data)
        else:
            write_pickle(value, sink)
        if isinstance(sink, _Deflated):
            sink.finish()
        return collector.finish()
    except BaseException:
        collector.discard()
        raise


def read(format_: str, data: bytes, largest: int) -> Any:
    """Return the value of bytes in a format. Raises whatever reading raises."""
    return _read(format_, io.BytesIO(data), largest)


def read_file(format_: str, folder: Path, digest: bytes, largest: int) -> Any:
    """Return the value of a file in a format. Raises `MissingResult`, and whatever reading raises."""
    with open_blob(folder, digest) as file:
        return _read(format_, file, largest)


def _read(format_: str, file: Any, largest: int) -> Any:
    if format_.startswith(_COMPRESSED):
        file = io.BufferedReader(_Inflated(file, largest), _CHUNK)
    return from_json(file.read()) if format_.endswith("json") else read_pickle(file)
