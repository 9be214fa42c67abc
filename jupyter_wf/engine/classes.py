"""What a class consists of: by name where others can import it, by its content where it is a notebook's or script's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from jupyter_wf.engine.parts import Parts, name_of

__all__ = ["class_parts"]

#: Attributes of a class that Python and libraries make of the rest, or that say where it was written.
_MADE = ("__", "_abc_")
_MADE_OF_ENUMS = (
    "_member_",
    "_value2member_",
    "_generate_next_",
    "_unhashable_",
    "_hashable_",
    "_new_member_",
    "_use_",
)


def class_parts(cls: type) -> Parts:
    """Return what decides how instances of a class behave.

    A class of ``__main__`` is known by its bases, annotations, values and methods, so that it is the same in each
    kernel, wherever its cell stands.
    """
    if cls.__module__ != "__main__":
        return "class", (name_of(cls),)
    parts: list[Any] = [name_of(cls), list(cls.__bases__)]
    own = vars(cls)
    if issubclass(cls, Enum):
        parts.append([(name, member.value) for name, member in cls.__members__.items()])
    elif is_dataclass(cls):
        parts.append([(field.name, _said(field.type), _factory(field)) for field in fields(cls)])
    parts.append([(name, _said(kind)) for name, kind in _annotations(own)])
    parts.extend(_members(cls, own))
    return "class", parts


def _members(cls: type, own: Any) -> Iterator[Any]:
    members: Any = ()
    made: tuple[str, ...] = _MADE
    if issubclass(cls, Enum):
        members, made = cls.__members__, _MADE_OF_ENUMS
    for name in sorted(own):
        value = own[name]
        if name in members or (name.startswith(made) and not _is_written(value, cls)):
            continue
        yield name
        yield value if _is_code(value) or type(value) in _PLAIN else _said(type(value))


#: Values that are taken as they are; a class may also hold locks, registries and caches.
_PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset))


def _is_code(value: Any) -> bool:
    return isinstance(value, FunctionType | staticmethod | classmethod | property)


def _is_written(value: Any, cls: type) -> bool:
    """Whether a method with a special name was written by the user, not made by a library."""
    function = value.__func__ if isinstance(value, staticmethod | classmethod) else value
    if not isinstance(function, FunctionType) or function.__module__ != cls.__module__:
        return False
    return not function.__code__.co_filename.startswith("<") or function.__code__.co_filename.startswith("<ipython")


def _annotations(own: Any) -> list[tuple[str, Any]]:
    found = own.get("__annotations__")
    return sorted(found.items()) if isinstance(found, dict) else []


def _factory(field: Any) -> Any:
    return field.default_factory if isinstance(field.default_factory, FunctionType) else _said(field.default_factory)


def _said(annotation: Any) -> str:
    """Return an annotation as a text without addresses."""
    if isinstance(annotation, str):
        return annotation
    return name_of(annotation) if isinstance(annotation, type) else type(annotation).__qualname__
