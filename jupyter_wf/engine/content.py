"""The digest of a value's content: equal for equal values, in every process and kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jupyter_wf.engine.kinds import parts_of
from jupyter_wf.engine.parts import Pairs, Unhashable, Unordered
from jupyter_wf.engine.sources import blake2b

__all__ = ["digest_of"]

_DEEPEST = 200
_SIZE = 32
_NEVER = 1 << 62

_Update = Callable[[Any], None]

_flat = json.JSONEncoder(ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")).encode

_SCALARS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda value: b"",
    bool: lambda value: b"1" if value else b"0",
    # In base 16: Python refuses to write long numbers in base 10.
    int: lambda value: b"%x" % value,
    float: lambda value: repr(value).encode(),
    complex: lambda value: repr(value).encode(),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
}
_FLAT = frozenset((type(None), bool, int, float, str))
_TEXT = frozenset((str,))


def digest_of(value: Any) -> bytes:
    """Return 32 bytes that depend on the content of ``value`` alone. Raises `Unhashable`."""
    digest = blake2b(digest_size=_SIZE)
    try:
        _Walk().feed(digest.update, value)
    except Unhashable:
        raise
    except RecursionError:
        raise Unhashable(value, "nested too deep") from None
    except Exception as error:
        # Properties and methods of the user's classes may raise anything.
        raise Unhashable(value, _said(error)) from error
    return digest.digest()


def _said(error: BaseException) -> str:
    """Return an error as one line, also if it can't say itself what it is."""
    try:
        text = " ".join(str(error).split())[:300]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _Walk:
    """Goes through one value. Each object is taken apart once; one that holds itself is found again by its place."""

    __slots__ = ("_done", "_lowest", "_open", "_path")

    def __init__(self) -> None:
        #: Of objects that are finished; they are kept alive, so that no other gets their id.
        self._done: dict[int, tuple[Any, bytes]] = {}
        #: Of objects that hold one that is not finished: the how manieth they were.
        self._open: dict[int, tuple[Any, int]] = {}
        #: How deep the objects lie that are being taken apart.
        self._path: dict[int, int] = {}
        #: The least deep object on the path that was met again.
        self._lowest = _NEVER

    def feed(self, update: _Update, value: Any) -> None:
        """Put a value into a digest, so that no two different sequences of values look alike."""
        kind = type(value)
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            # The type is part of it: 1, 1.0 and True are different inputs.
            data = scalar(value)
            update(b"%s:%d:" % (kind.__name__.encode(), len(data)))
            update(data)
        elif kind is memoryview and value.c_contiguous:
            update(b"bytes:%d:" % value.nbytes)
            update(value)
        else:
            flat = _flat_text(value, kind)
            if flat is None:
                update(b"node:")
                update(self._node(value))
            else:
                update(b"%s=%d:" % (kind.__name__.encode(), len(flat)))
                update(flat)

    def _node(self, value: Any) -> bytes:
        key = id(value)
        done = self._done.get(key)
        if done is not None:
            return done[1]
        depth = len(self._path)
        above = self._path.get(key)
        if above is not None:
            self._lowest = min(self._lowest, above)
            return b"above%d" % (depth - above)
        met = self._open.get(key)
        if met is not None:
            return b"met%d" % met[1]
        if depth > _DEEPEST:
            raise Unhashable(value, f"nested more than {_DEEPEST} deep")
        before, self._lowest = self._lowest, _NEVER
        self._path[key] = depth
        try:
            digest = self._digest(value)
        finally:
            del self._path[key]
        if self._lowest >= depth:
            self._done[key] = (value, digest)
            self._lowest = before
        else:
            self._open[key] = (value, len(self._open))
            self._lowest = min(before, self._lowest)
        return digest

    def _digest(self, value: Any) -> bytes:
        digest = blake2b(digest_size=_SIZE)
        update = digest.update
        word, parts = parts_of(value)
        self.feed(update, word)
        for part in parts:
            if type(part) is Pairs:
                self._unordered(update, [self._pair(*pair) for pair in part.items])
            elif type(part) is Unordered:
                self._unordered(update, [self._pair(item) for item in part.items])
            else:
                self.feed(update, part)
        return digest.digest()

    def _pair(self, *items: Any) -> bytes:
        digest = blake2b(digest_size=_SIZE)
        for item in items:
            self.feed(digest.update, item)
        return digest.digest()

    def _unordered(self, update: _Update, digests: list[bytes]) -> None:
        update(b"unordered:%d:" % len(digests))
        for digest in sorted(digests):
            update(digest)


def _flat_text(value: Any, kind: type) -> bytes | None:
    """Return the JSON of a container of nothing but plain values: long ones are then a matter of microseconds."""
    if kind is dict:
        if not value or set(map(type, value)) != _TEXT or not _FLAT.issuperset(map(type, value.values())):
            return None
    elif kind not in (list, tuple) or not _FLAT.issuperset(map(type, value)):
        return None
    try:
        return _flat(value).encode("utf-8", "surrogatepass")
    except ValueError:  # a number too long to be written
        return None
