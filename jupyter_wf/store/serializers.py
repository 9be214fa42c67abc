"""The forms in which a value is stored: which is chosen, and how it is written and read.

Chosen without being asked: JSON where that gives the very same value back (types, order and shared parts included), the
forms of Arrow for the data frames that it gives back as they were (`jupyter_wf.store.frames`), the standard library's
pickle where everything can be imported by name, a cloudpickle for the rest (what was defined in a notebook or script
goes by value). ``compressed/…`` is zlib: every Python has it, it streams, and it is ten times as
fast as lzma for results that are mostly read again within the hour.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from jupyter_wf.core.errors import ParameterError

__all__ = [
    "FORMATS",
    "FRAMES",
    "Unstorable",
    "as_json",
    "check_serializer",
    "exact_json",
    "from_json",
    "is_signed",
]

#: The names that a ``result_serializer`` may have; also the formats of what is stored.
FORMATS = ("json", "pickle", "compressed/json", "compressed/pickle")

#: The formats of data frames; they are chosen, not asked for.
FRAMES = ("arrow/pandas", "arrow/polars", "arrow/pyarrow")

_SCALARS = frozenset((type(None), bool, int, float, str))
_SCALARS_AND_CONTAINERS = _SCALARS | {list, dict}
_TEXT_KEYS = frozenset((str,))
#: Deeper JSON could not be read where the stack is nearly full; pickles are read without recursion.
_DEEPEST = 50

_exact = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")).encode
_lenient = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_quote = json.encoder.encode_basestring
_read = json.JSONDecoder().decode


class Unstorable(Exception):
    """What takes the bytes of a value refuses them; the text says why."""

    @classmethod
    def too_large(cls, size: int, largest: int) -> Unstorable:
        """Return what is said of a value of ``size`` bytes so far, where no more than ``largest`` are stored."""
        return cls(f"it is too large to be stored: at least {size:,} bytes, of at most {largest:,}")


def check_serializer(name: object) -> str:
    """Return ``name`` if it is a serializer's; raises `ParameterError`, which names those there are."""
    if isinstance(name, str) and name in FORMATS:
        return name
    raise ParameterError("result_serializer", f"{name!r:.100} is none; there are {', '.join(map(repr, FORMATS))}")


def is_signed(format_: str) -> bool:
    """Whether values are signed in a format: in all but JSON, reading runs code or trusts what it reads."""
    return not format_.endswith("json")


def _text(value: str) -> bytes | None:
    try:
        return _quote(value).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair; JSON's escapes would join two halves into one character.
        return None


def _number(value: int) -> bytes | None:
    # Python refuses to read a number of more than 4,300 digits.
    return b"%d" % value if -(2**63) <= value < 2**63 or value.bit_length() < 4096 else None


_HOT: dict[type, Callable[[Any], bytes | None]] = {
    type(None): lambda value: b"null",
    bool: lambda value: b"true" if value else b"false",
    int: _number,
    float: lambda value: b"%r" % value if isfinite(value) else None,
    str: _text,
}


def exact_json(value: Any) -> bytes | None:
    """Return ``value`` as the JSON (UTF-8) that gives the very same value back, None where there is none."""
    hot = _HOT.get(type(value))
    if hot is not None:
        return hot(value)
    if not _is_exact(value):
        return None
    try:
        return _exact(value).encode()
    except (ValueError, RecursionError):
        # A number that is not finite or too long, a text that is not Unicode.
        return None


def _is_exact(value: Any) -> bool:
    """Whether a container holds JSON values of exactly JSON's types only, and none of them twice."""
    level = [value]
    seen: set[int] | None = None
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                if item and set(map(type, item)) != _TEXT_KEYS:
                    return False
                inner = item.values()
            elif kind is list:
                inner = item
            else:
                return False
            kinds = set(map(type, inner))
            if not kinds <= _SCALARS:
                if not kinds <= _SCALARS_AND_CONTAINERS:
                    return False
                below += [child for child in inner if type(child) is list or type(child) is dict]
        if not below:
            return True
        # A part that occurs twice would come back as two, and one that holds itself would never end.
        if seen is None:
            seen = {id(value)}
        new = set(map(id, below))
        if len(new) != len(below) or not seen.isdisjoint(new):
            return False
        seen |= new
        level = below
    return False


def as_json(value: Any) -> bytes:
    """Return ``value`` as JSON where that was asked for: tuples become lists, keys texts.

    Raises `TypeError` for what JSON has no word for.
    """
    text = _lenient(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _escaped(value).encode()


def from_json(data: bytes) -> Any:
    """Return the value of JSON bytes. Raises `ValueError` where they are none."""
    return _read(data.decode())
