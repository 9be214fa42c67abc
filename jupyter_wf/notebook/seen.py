"""Whether a name of the notebook has been bound to something else since a task read it, without hashing anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Any, NamedTuple
from uuid import UUID
from weakref import ref

from jupyter_wf.engine.sources import code_of

__all__ = ["Seen", "see"]

_PLAIN = (int, float, complex, str, bytes, type(None), date, time, timedelta, Decimal, Enum, PurePath, UUID, range)
#: A container with more items is told from another one by its identity alone.
_MOST = 100


class Seen(NamedTuple):
    """What was there: the object's identity, and, of what is small and plain, its content.

    ``held`` keeps an object that is small and plain alive, and refers weakly to another one, where that can be: a new
    object may be found at the place of one that is gone.
    """

    id: int
    kind: type
    content: Any
    held: Any

    def is_now(self, value: Any) -> bool:
        """Return whether ``value`` is the same object, or has the same content.

        What was changed inside an object is not noticed: it is the same object.
        """
        if id(value) == self.id and type(value) is self.kind:
            return not isinstance(self.held, ref) or self.held() is value
        return self.content is not None and type(value) is self.kind and bool(_content(value) == self.content)


def see(names: Mapping[str, Any]) -> dict[str, Seen]:
    """Return what is to be remembered of names and their values."""
    return {name: _see(value) for name, value in names.items()}


def _see(value: Any) -> Seen:
    content = _content(value)
    held = value
    if content is None:
        try:
            held = ref(value)
        except TypeError:
            held = None
    return Seen(id(value), type(value), content, held)


def _content(value: Any) -> Any:
    """Return something that is equal for equal values, None of what is large or not plain."""
    if isinstance(value, _PLAIN):
        return (value,)
    if type(value) is FunctionType:
        return code_of(value)
    if isinstance(value, ModuleType):
        return value.__name__
    if type(value) in (list, tuple, set, frozenset) and len(value) <= _MOST:
        return type(value)(value) if all(isinstance(item, _PLAIN) for item in value) else None
    if type(value) is dict and len(value) <= _MOST:
        return dict(value) if all(isinstance(i, _PLAIN) for pair in value.items() for i in pair) else None
    return None
