"""How a value is taken apart for its fingerprint: a word for its kind, then parts, which are values themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

__all__ = ["Pairs", "Parts", "Unhashable", "Unordered", "name_of"]

#: A word for the kind of a value and what it consists of.
Parts = tuple[str, Iterable[Any]]


class Unhashable(Exception):
    """A value has no stable fingerprint; ``name`` is the parameter it was given for, if that is known."""

    def __init__(self, value: object, reason: str, name: str | None = None) -> None:
        where = "" if name is None else f"input {name!r}: "
        super().__init__(f"{where}a {type(value).__qualname__} has no stable fingerprint ({reason})")
        self.value = value
        self.reason = reason
        self.name = name

    def as_input(self, name: str) -> Unhashable:
        """Return the same about the value of a parameter."""
        return Unhashable(self.value, self.reason, name)


class Unordered(NamedTuple):
    """Parts whose order does not count."""

    items: Iterable[Any]


class Pairs(NamedTuple):
    """Keys and values, whose order does not count."""

    items: Iterable[tuple[Any, Any]]


def name_of(thing: Any) -> str:
    """Return the full name of a class or function."""
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
