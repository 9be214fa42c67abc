"""Signatures of stored values whose reading may run code: only what this home's own key has signed is read.

The key is a file of 32 random bytes that the user alone can read. A state folder that was copied without it, a file or
row that somebody changed or put there: all are refused before a byte of them is taken for a value.
"""

from __future__ import annotations

import hmac
import os
import stat
from contextlib import suppress
from pathlib import Path

from jupyter_wf.core.errors import MissingResult

__all__ = ["SIGNATURE_SIZE", "Signer"]

#: How many bytes a signature has.
SIGNATURE_SIZE = 32

_KEY_SIZE = 32
#: Said with what is signed, so that the key's signatures are good for nothing else.
_PURPOSE = b"jupyter_wf stored value 1\0"


class Signer:
    """Signs with the key in the file ``path``, which is made when something is signed for the first time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key: bytes | None = None

    def prepare(self) -> None:
        """Make sure that there is a key. Raises `MissingResult` where its file can't be made or be trusted."""
        if self._key is None:
            self._key = _read_key(self.path) or _make_key(self.path)

    def sign(self, format_: str, content: bytes) -> bytes:
        """Return the signature of a content (its SHA-256 digest) in a format. Raises like `prepare`."""
        self.prepare()
        assert self._key is not None
        return _signature(self._key, format_, content)

    def check(self, format_: str, content: bytes, signature: bytes) -> None:
        """Raise `MissingResult` unless this key has signed a content (its SHA-256 digest) in a format."""
        if self._key is None:
            self._key = _read_key(self.path)
            if self._key is None:
                raise MissingResult(f"a stored result can't be verified: the key that signs them is gone: {self.path}")
        if not hmac.compare_digest(_signature(self._key, format_, content), signature):
            raise MissingResult(
                f"a stored result is refused: it was altered, or signed with another key than {self.path}"
            )


def _signature(key: bytes, format_: str, content: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + format_.encode() + b"\0" + content, "sha256")


def _read_key(path: Path) -> bytes | None:
    """Return the key in a file, None where there is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(path, f"can't be read: {error.strerror}") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "is not a file: remove it")
        if found.st_uid != os.geteuid():
            raise _refused(path, f"belongs to user {found.st_uid}, not to you ({os.geteuid()}): remove it")
        if found.st_mode & 0o077:
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            raise _refused(
                path,
                f"is open to others (mode {mode}): remove it, which gives up the results signed with it, "
                f"or, if nobody else can have read it, run 'chmod 600 {path}'",
            )
        key = os.read(fd, _KEY_SIZE + 1)
    except OSError as error:
        raise _refused(path, f"can't be read: {error.strerror}") from error
    finally:
        os.close(fd)
    if len(key) != _KEY_SIZE:
        raise _refused(path, f"does not hold {_KEY_SIZE} bytes: remove it")
    return key


def _make_key(path: Path) -> bytes:
    """Make the file of a new key, and return its key, or that of whoever was quicker."""
    new = path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                os.fchmod(fd, 0o600)
                os.write(fd, os.urandom(_KEY_SIZE))
                os.fsync(fd)
            finally:
                os.close(fd)
            with suppress(FileExistsError):
                _put(new, path)
        finally:
            os.unlink(new)
    except OSError as error:
        raise _refused(path, f"can't be made: {error.strerror}") from error
    key = _read_key(path)
    if key is None:
        raise _refused(path, "was removed as soon as it was made")
    return key


def _put(new: Path, path: Path) -> None:
    """Give a complete file its name, never in the place of another. Raises `FileExistsError`."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links. Who comes between these two calls finds a key that is too short, and refuses it.
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, new.read_bytes())
        finally:
            os.close(fd)


def _refused(path: Path, why: str) -> MissingResult:
    return MissingResult(f"the key of stored results, {path}, {why}")
