"""The forms of stored values that need more than JSON: pickles, frames, compressed ones, those in files."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.store.blob_files import Collector, digest_and_signature, open_blob
from jupyter_wf.store.frames import read_frame, write_frame
from jupyter_wf.store.pickles import PickleSink, read_pickle, write_pickle
from jupyter_wf.store.serializers import FRAMES, Unstorable, as_json, from_json, is_signed
from jupyter_wf.store.signing import SIGNATURE_SIZE, Signer

__all__ = ["read", "read_file", "write"]

_COMPRESSED = "compressed/"
_CHUNK = 1 << 18
#: What the bytes of a signed value begin with, before the signature; nothing that is not signed begins so.
_SIGNED = b"signed:"


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
            raise Unstorable.too_large(self._size, self._largest)
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
    value: Any,
    format_: str | None,
    data: bytes | None,
    folder: Path | None,
    signer: Signer | None,
    limit: int,
    largest: int,
) -> tuple[bool, str, bytes]:
    """Return the bytes of a value in a format (None: the one that fits), or what names their file.

    That is ``(in a file?, format, data)``. ``data`` is the value's JSON, if that is known. More than ``limit`` bytes go
    to a file below ``folder``. Without a folder and a signer nothing is stored nor signed: it is only found out whether
    the value can be written. Raises `Unstorable`, `MissingResult` where it can't be signed, and whatever the
    value raises when it is taken apart.
    """
    if signer is not None and (format_ is None or is_signed(format_)):
        signer.prepare()
    collector = Collector(folder, limit, largest)
    try:
        format_ = _write(value, format_, data, collector, largest)
        in_file, stored = collector.finish()
    except BaseException:
        collector.discard()
        raise
    if signer is not None and is_signed(format_):
        stored = _signed(signer, format_, in_file, stored)
    return in_file, format_, stored


def _write(value: Any, format_: str | None, data: bytes | None, collector: Collector, largest: int) -> str:
    """Write a value, and return the format in which that was done."""
    if format_ is None:
        format_ = write_frame(value, collector)
        if format_ is not None:
            return format_
        format_ = "pickle"
    sink = _Deflated(collector, largest) if format_.startswith(_COMPRESSED) else collector
    if format_.endswith("json"):
        sink.write(as_json(value) if data is None else data)
    else:
        write_pickle(value, sink)
    if isinstance(sink, _Deflated):
        sink.finish()
    return format_


def _signed(signer: Signer, format_: str, in_file: bool, stored: bytes) -> bytes:
    if in_file:
        return stored + b":" + signer.sign(format_, bytes.fromhex(stored.decode())).hex().encode()
    return _SIGNED + signer.sign(format_, hashlib.sha256(stored).digest()) + stored


def read(format_: str, data: bytes, signer: Signer, largest: int) -> Any:
    """Return the value of bytes in a format. Raises `MissingResult`, and whatever reading raises."""
    if is_signed(format_):
        begin = len(_SIGNED) + SIGNATURE_SIZE
        if not data.startswith(_SIGNED) or len(data) < begin:
            raise _unsigned()
        signature, data = data[len(_SIGNED) : begin], data[begin:]
        signer.check(format_, hashlib.sha256(data).digest(), signature)
    return _read(format_, io.BytesIO(data), largest)


def read_file(format_: str, folder: Path, name: bytes, signer: Signer, largest: int) -> Any:
    """Return the value of a file in a format. Raises `MissingResult`, and whatever reading raises."""
    digest, signature = digest_and_signature(name)
    # The file's name says its content, and opening it checks that.
    with open_blob(folder, digest) as file:
        if is_signed(format_):
            if signature is None:
                raise _unsigned()
            signer.check(format_, bytes.fromhex(digest.decode()), signature)
        return _read(format_, file, largest)


def _unsigned() -> MissingResult:
    return MissingResult(
        "a stored result is not signed: an earlier development version stored it; run the task again to have it stored"
    )


def _read(format_: str, file: Any, largest: int) -> Any:
    if format_ in FRAMES:
        return read_frame(format_, file)
    if format_.startswith(_COMPRESSED):
        file = io.BufferedReader(_Inflated(file, largest), _CHUNK)
    return from_json(file.read()) if format_.endswith("json") else read_pickle(file)
