"""Values as bytes: small ones to lie in the run's own record, large ones in files named by their content.

What is written how is said in `jupyter_wf.store.serializers`. Reading a pickle runs code: only processes that execute
the user's own runs call `Blobs.load`, the server never does; and what is no JSON is read only where it carries the
signature of this home's key (`jupyter_wf.store.signing`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.store.serializers import FORMATS, FRAMES, Unstorable, as_json, check_serializer, exact_json, from_json

if TYPE_CHECKING:
    from jupyter_wf.store.signing import Signer

__all__ = ["INLINE_LIMIT", "KEY_NAME", "LARGEST", "NAMES", "Blobs", "Payload", "check_storable"]

#: Values up to this size (bytes) are stored with the run; `Blobs` puts larger ones into files.
INLINE_LIMIT = 64 * 1024
#: No larger value (bytes, also before it is compressed) is stored.
LARGEST = 1024**3

#: The file of the key that signs values; it lies beside their folder, in the home of the state.
KEY_NAME = "signing.key"

#: The format of a list of values by name, see `jupyter_wf.store.manifests`.
NAMES = "names"

_FILE = "file:"
_KNOWN = frozenset((*FORMATS, *FRAMES))


class Payload(NamedTuple):
    """A stored value: ``format`` is one of `serializers.FORMATS` or `serializers.FRAMES`, or `NAMES`.

    In a format that begins with ``file:`` the data is the digest (64 hexadecimal characters) of a file's content,
    followed, where that is no JSON, by a colon and its signature (64 as well). In other formats that are no JSON the
    signature stands before the value.
    """

    format: str
    data: bytes

    @property
    def in_file(self) -> bool:
        """Whether the value is in a file."""
        return self.format.startswith(_FILE)


_NULL, _TRUE, _FALSE = (Payload("json", text) for text in (b"null", b"true", b"false"))


class Blobs:
    """Values as bytes, large ones as files below ``folder``, which is made when the first of them comes.

    The key of the signatures is beside the folder, see `KEY_NAME`; it is made when the first value is signed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: None where nothing is to be stored, see `check_storable`.
        self._target: Path | None = folder
        self._made: Signer | None = None

    @property
    def _signer(self) -> Signer:
        if self._made is None:
            # Only what is not plain JSON needs it: 4 ms for hmac and hashlib.
            from jupyter_wf.store.signing import Signer

            self._made = Signer(self.folder.with_name(KEY_NAME))
        return self._made

    def keep(
        self, value: Any, serializer: str | None = None, *, inline: int = INLINE_LIMIT, largest: int | None = None
    ) -> Payload:
        """Return what is to be stored for ``value``: its bytes, or, above ``inline`` bytes, the name of their file.

        ``serializer`` names the format (None: the one that fits). Raises `ParameterError` for a serializer that does
        not exist, and `MissingResult` where the value can't be stored, takes more than ``largest`` bytes (None:
        `LARGEST`), or the disk or the key of the signatures refuses.
        """
        if serializer is None:
            if value is None:
                return _NULL
            if value is True:
                return _TRUE
            if value is False:
                return _FALSE
        if largest is not None and largest < inline:
            inline = largest
        try:
            data = None
            if serializer is None:
                data = exact_json(value)
                if data is not None:
                    if len(data) <= inline:
                        return Payload("json", data)
                    serializer = "json"
            else:
                check_serializer(serializer)
                if serializer == "json":
                    data = as_json(value)
                    if len(data) <= inline:
                        return Payload("json", data)
            # See `load`.
            from jupyter_wf.store import blob_forms

            signer = None if self._target is None else self._signer
            most = LARGEST if largest is None else min(largest, LARGEST)
            in_file, format_, stored = blob_forms.write(value, serializer, data, self._target, signer, inline, most)
        except (KeyboardInterrupt, SystemExit, ParameterError):
            raise
        except BaseException as error:
            raise MissingResult(f"a {type(value).__qualname__} can't be stored: {_reason(error)}") from error
        return Payload(_FILE + format_ if in_file else format_, stored)

    def size(self, payload: Payload) -> int:
        """Return how many bytes a stored value takes. Raises `MissingResult` where its file is gone."""
        if not payload.in_file:
            return len(payload.data)
        # Only large results need it.
        from jupyter_wf.store import blob_files

        return blob_files.size_of(self.folder, payload.data)

    def load(self, payload: Payload) -> Any:
        """Return the value of what `keep` returned.

        Raises `MissingResult` where it can't be read: no file, one with another content, a signature that is missing or
        not of this key (nothing of such a value is read), classes that are gone.
        """
        format_, data = payload
        try:
            if format_ == "json":
                return from_json(data)
            if format_ == NAMES:
                # Only cells of notebooks leave more than one value.
                from jupyter_wf.store import manifests

                return manifests.load_names(payload, self.load)
            plain = format_.removeprefix(_FILE)
            if plain not in _KNOWN:
                raise MissingResult(f"a stored result has the unknown format {format_!r:.100}")
            # Only what is not plain JSON needs it: 2 ms for pickle, 1 ms for zlib, 3 ms for hashlib.
            from jupyter_wf.store import blob_forms

            if payload.in_file:
                return blob_forms.read_file(plain, self.folder, data, self._signer, LARGEST)
            return blob_forms.read(plain, data, self._signer, LARGEST)
        except (KeyboardInterrupt, SystemExit, MissingResult):
            raise
        except BaseException as error:
            raise MissingResult(f"a stored result can't be read: {_reason(error)}") from error


class _Nowhere(Blobs):
    """Takes values apart like any other, and stores nothing."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._target = None


_NOWHERE = _Nowhere()


def check_storable(value: Any, serializer: str | None = None) -> None:
    """Raise what `Blobs.keep` would raise for a value, and store nothing."""
    _NOWHERE.keep(value, serializer)


def _reason(error: BaseException) -> str:
    """Say in one line what went wrong; the error may be the user's, and not be able to say it itself."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    if isinstance(error, Unstorable | MissingResult):
        return text
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
