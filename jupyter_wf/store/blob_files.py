"""Files named by their content: large results, each once, whoever stores it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.store.serializers import Unstorable

__all__ = ["Collector", "digest_and_signature", "open_blob", "size_of"]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
#: A file that is still being written after this time (seconds) was left behind by a process that is gone.
_ABANDONED = 24 * 3600.0


class Collector:
    """Takes bytes: up to ``limit`` are held in memory, more go to a file below ``folder`` (None: all are held).

    More than ``largest`` bytes are refused with `Unstorable`, and so is what the disk does not take. Whoever does not
    come to `finish` must `discard`.
    """

    def __init__(self, folder: Path | None, limit: int, largest: int) -> None:
        self._folder = folder
        self._limit = limit
        self._largest = largest
        self._parts: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()

    def write(self, data: Any, /) -> int:
        """Take bytes, or a buffer of them; return how many there were."""
        size = len(data) if type(data) is bytes else memoryview(data).nbytes
        self._size += size
        if self._size > self._largest:
            raise Unstorable.too_large(self._size, self._largest)
        if self._file is None and (self._folder is None or self._size <= self._limit):
            self._parts.append(bytes(data))
            return size
        try:
            if self._file is None:
                self._file = _new_file(self._folder)
                parts, self._parts = self._parts, []
                for part in parts:
                    self._append(self._file, part)
            self._append(self._file, data)
        except OSError as error:
            raise Unstorable(f"{self._folder}: {error.strerror or error}") from error
        return size

    def _append(self, file: BinaryIO, data: Any) -> None:
        file.write(data)
        self._hash.update(data)

    def rewind(self) -> None:
        """Forget what was taken."""
        self.discard()
        self._hash = hashlib.sha256()
        self._size = 0

    def discard(self) -> None:
        """Forget what was taken, and remove what is on the disk. Harmless at any time."""
        self._parts = []
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be flushed
                file.close()
            with suppress(OSError):
                os.unlink(file.name)

    def finish(self) -> tuple[bool, bytes]:
        """Return ``(True, digest in hexadecimal)`` if the bytes are in a file, else ``(False, the bytes)``."""
        if self._file is None:
            return False, self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        digest = self._hash.hexdigest()
        target = _path(self._folder, digest)
        try:
            self._file.close()
            _make_folder(target.parent)
            # A file that is there already is replaced by its equal: it may have been damaged.
            os.replace(self._file.name, target)
        except OSError as error:
            raise Unstorable(f"{self._folder}: {error.strerror or error}") from error
        self._file = None
        return True, digest.encode()


def _path(folder: Path | None, digest: str) -> Path:
    assert folder is not None
    return folder / digest[:2] / digest


def _make_folder(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)


def _new_file(folder: Path | None) -> BinaryIO:
    """Return a new file below ``folder`` for its owner alone, under a name that nothing else has."""
    assert folder is not None
    if not folder.is_dir():
        _make_folder(folder)
    else:
        _remove_abandoned(folder)
    path = folder / f"{os.urandom(16).hex()}.part"
    return open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed left half written."""
    before = time.time() - _ABANDONED
    for path in folder.glob("*.part"):
        # Someone else may be quicker.
        with suppress(OSError):
            if path.stat().st_mtime < before:
                path.unlink()


def open_blob(folder: Path, digest: bytes) -> BinaryIO:
    """Return the open file with a content, at its beginning.

    Raises `MissingResult` where there is none, it can't be read, or its content is another one.
    """
    name, path = _named(folder, digest)
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        found = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            found.update(chunk)
        if found.hexdigest() != name:
            raise MissingResult(f"the file of a stored result is damaged: {path}")
        file.seek(0)
    except OSError as error:
        file.close()
        raise _unreadable(path, error) from error
    except MissingResult:
        file.close()
        raise
    return file


def size_of(folder: Path, name: bytes) -> int:
    """Return the size (bytes) of a stored value's file. Raises `MissingResult` where there is none."""
    path = _named(folder, digest_and_signature(name)[0])[1]
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from error


def digest_and_signature(name: bytes) -> tuple[bytes, bytes | None]:
    """Return the two parts of what names a stored value's file: the content's digest, and its signature if it has one.

    Both are in hexadecimal where they are stored; the signature is returned as bytes. Raises `MissingResult`.
    """
    digest, colon, signature = name.partition(b":")
    if not colon:
        return digest, None
    if not _DIGEST.fullmatch(signature.decode("ascii", "replace")):
        raise MissingResult(f"a stored result has no signature of its file: {signature!r:.100}")
    return digest, bytes.fromhex(signature.decode())


def _named(folder: Path, digest: bytes) -> tuple[str, Path]:
    name = digest.decode("ascii", "replace")
    if not _DIGEST.fullmatch(name):
        raise MissingResult(f"a stored result names no file: {name!r:.100}")
    return name, _path(folder, name)


def _unreadable(path: Path, error: OSError) -> MissingResult:
    if isinstance(error, FileNotFoundError):
        return MissingResult(f"the file of a stored result is gone: {path}")
    return MissingResult(f"the file of a stored result can't be read: {path}: {error.strerror or error}")
