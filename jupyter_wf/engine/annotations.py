"""Marks on arguments, under Prefect's names: how `map` and the resolution of futures are to treat them."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

__all__ = ["Annotation", "allow_failure", "quote", "unmapped"]

T = TypeVar("T")


class Annotation(Generic[T]):
    """A value with a mark; `unwrap` gives the value back."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def unwrap(self) -> T:
        """Return the value itself."""
        return self.value

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self), self.value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.value,)


class unmapped(Annotation[T]):
    """An argument of `map` that every call gets as it is, though it could be iterated over."""


class allow_failure(Annotation[T]):
    """A future (or a container with futures) whose failure does not keep the task from being called.

    In place of the value of a run that did not complete the task gets its exception.
    """


class quote(Annotation[T]):
    """A value that is handed over as it is, without looking for futures inside: for large containers."""

    def unquote(self) -> T:
        """Return the value itself."""
        return self.value
