"""Values as bytes: small ones to lie in the run's own record, large ones in files named by their content.

What is written how is said in `jupyter_wf.store.serializers`. Reading a pickle runs code: only processes that execute
the user's own runs call `decode` and `Blobs.load`, the server never does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.store.serializers import FORMATS, Unstorable, as_json, check_serializer, exact_json, from_json

__all__ = ["INLINE_LIMIT", "LARGEST", "NAMES", "Blobs", "Payload", "decode", "encode"]

#: Values up to this size (bytes) are stored with the run; `Blobs` puts larger ones into files.
INLINE_LIMIT = 64 * 1024
#: No larger value (bytes, also before it is compressed) is stored.
LARGEST = 1024**3

#: The format of a list of values by name, see `jupyter_wf.store.manifests`.
NAMES = "names"

_FILE = "file:"


class Payload(NamedTuple):
    """A stored value: ``format`` is one of `serializers.FORMATS`, or `NAMES`.

    In a format that begins with ``file:`` the data is the digest (64 hexadecimal characters) of a file's content.
    """

    format: str
    data: bytes

    @property
    def in_file(self) -> bool:
        """Whether the value is in a file."""
        return self.format.startswith(_FILE)


_NULL, _TRUE, _FALSE = (Payload("json", text) for text in (b"null", b"true", b"false"))


def encode(value: Any, serializer: str | None = None) -> Payload:
    """Return ``value`` as bytes, in the form that ``serializer`` names, else in the one that fits.

    Raises `MissingResult` where it can't be stored or is larger than `LARGEST`, `ParameterError` for a serializer that
    does not exist.
    """
    return _encode(value, serializer, None, INLINE_LIMIT, None)


def decode(payload: Payload) -> Any:
    """Return the value of stored bytes. Raises `MissingResult` where they can't be read."""
    format_, data = payload
    if format_ == "json":
        try:
            return from_json(data)
        except (ValueError, RecursionError) as error:
            raise _unreadable(error) from error
    if format_ in FORMATS:
        # Only what is not plain JSON needs it: 2 ms for pickle, 1 ms for zlib, 3 ms for hashlib.
        from jupyter_wf.store import blob_forms

        try:
            return blob_forms.read(format_, data, LARGEST)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            raise _unreadable(error) from error
    if format_.startswith(_FILE):
        raise MissingResult(f"a stored result of the format {format_!r} is in a file: read it through Blobs")
    raise MissingResult(f"a stored result has the unknown format {format_!r:.100}")


class Blobs:
    """Values as bytes, large ones as files below ``folder``, which is made when the first of them comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(
        self, value: Any, serializer: str | None = None, *, inline: int = INLINE_LIMIT, largest: int | None = None
    ) -> Payload:
        """Return what is to be stored for ``value``: its bytes, or the name of their file if they are more than ``inline``.

        Raises like `encode`, and `MissingResult` where the file can't be written or the value takes more than
        ``largest`` bytes (None: `LARGEST`).
        """
        return _encode(value, serializer, self.folder, inline, largest)

    def size(self, payload: Payload) -> int:
        """Return how many bytes a stored value takes. Raises `MissingResult` where its file is gone."""
        if not payload.in_file:
            return len(payload.data)
        # Only large results need it.
        from jupyter_wf.store import blob_files

        return blob_files.size_of(self.folder, payload.data)

    def load(self, payload: Payload) -> Any:
        """Return the value of what `keep` returned.

        Raises `MissingResult` where it can't be read: no file, one with another content, classes that are gone.
        """
        if payload.format == NAMES:
            # Only cells of notebooks leave more than one value.
            from jupyter_wf.store import manifests

            return manifests.load_names(payload, self.load)
        if not payload.in_file:
            return decode(payload)
        # Only large results need it.
        from jupyter_wf.store import blob_forms

        format_ = payload.format.removeprefix(_FILE)
        if format_ not in FORMATS:
            raise MissingResult(f"a stored result has the unknown format {payload.format!r:.100}")
        try:
            return blob_forms.read_file(format_, self.folder, payload.data, LARGEST)
        except (KeyboardInterrupt, SystemExit, MissingResult):
            raise
        except BaseException as error:
            raise _unreadable(error) from error


def _encode(value: Any, serializer: str | None, folder: Path | None, inline: int, largest: int | None) -> Payload:
    if serializer is None:
        if value is None:
            return _NULL
        if value is True:
            return _TRUE
        if value is False:
            return _FALSE
    try:
        if serializer is None:
            data = exact_json(value)
            if data is None:
                serializer = "pickle"
            elif len(data) <= inline:
                return Payload("json", data)
            else:
                serializer = "json"
        else:
            data = None
            check_serializer(serializer)
            if serializer == "json":
                data = as_json(value)
                if len(data) <= inline:
                    return Payload("json", data)
        # See `decode`.
        from jupyter_wf.store import blob_forms

        in_file, stored = blob_forms.write(
            value, serializer, data, folder, inline, LARGEST if largest is None else min(largest, LARGEST)
        )
    except (KeyboardInterrupt, SystemExit, ParameterError):
        raise
    except BaseException as error:
        raise MissingResult(f"a {type(value).__qualname__} can't be stored: {_reason(error)}") from error
    return Payload(_FILE + serializer if in_file else serializer, stored)


def _unreadable(error: BaseException) -> MissingResult:
    return MissingResult(f"a stored result can't be read: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Say in one line what went wrong; the error may be the user's, and not be able to say it itself."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    if isinstance(error, Unstorable):
        return text
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
