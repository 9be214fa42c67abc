"""Futures and states inside arguments: finding them, and putting values in their place."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from jupyter_wf.core.states import State
from jupyter_wf.engine.annotations import Annotation, allow_failure, quote, unmapped
from jupyter_wf.engine.futures import RunFuture

__all__ = ["Upstream", "find_upstream", "resolve"]

_LISTS = (list, tuple, set, frozenset)
_DICTS = (dict, OrderedDict, defaultdict)


class Upstream:
    """What a call waits for.

    ``futures`` are the runs before it, ``states`` the ended ones that were handed over as states. ``excused`` are the
    ids of the runs whose failure is allowed.
    """

    __slots__ = ("excused", "futures", "states")

    def __init__(self) -> None:
        self.futures: list[RunFuture[Any]] = []
        self.states: list[State] = []
        self.excused: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.futures or self.states)


def _parts_of_object(value: Any) -> list[tuple[str, Any]]:
    """Return the fields by name of a dataclass, a pydantic model or an attrs class."""
    if hasattr(value, "__dataclass_fields__"):
        names = [field.name for field in fields(value)]
    elif hasattr(value, "__attrs_attrs__"):
        names = [field.name for field in value.__attrs_attrs__]
    else:
        names = list(type(value).__pydantic_fields__)
    return [(name, getattr(value, name)) for name in names if hasattr(value, name)]


class _Kinds(dict[type, str]):
    """How values of a type are looked into; worked out once for each type."""

    def __missing__(self, kind: type) -> str:
        self[kind] = found = self._find(kind)
        return found

    @staticmethod
    def _find(kind: type) -> str:
        if issubclass(kind, RunFuture):
            return "future"
        if issubclass(kind, State):
            return "state"
        if issubclass(kind, Annotation):
            return "annotation"
        if kind in _LISTS or (issubclass(kind, tuple) and hasattr(kind, "_make")):
            return "list"
        if kind in _DICTS:
            return "dict"
        marks = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
        return "object" if any(hasattr(kind, mark) for mark in marks) else ""


_kinds = _Kinds()
_NOTHING = Upstream()


def find_upstream(values: Iterable[Any], wait_for: Iterable[Any] = ()) -> Upstream:
    """Return what is to be waited for among ``values``, inside their containers and objects, and in ``wait_for``.

    What is returned must not be changed.
    """
    found = None
    kinds = _kinds
    for value in values:
        if kinds[type(value)]:
            found = found or Upstream()
            _look_inside(value, found, (), False)
    for value in wait_for:
        found = found or Upstream()
        _look_inside(value, found, (), False)
    return found or _NOTHING


def _look_inside(value: Any, found: Upstream, around: tuple[int, ...], excused: bool) -> None:
    how = _kinds[type(value)]
    if not how or id(value) in around:
        return
    if how == "future":
        found.futures.append(value)
        if excused:
            found.excused.add(value.task_run_id)
    elif how == "state":
        if not excused:
            found.states.append(value)
    elif how == "annotation":
        if not isinstance(value, quote):
            _look_inside(value.value, found, around, excused or isinstance(value, allow_failure))
    else:
        # A container may contain itself.
        around = (*around, id(value))
        if how == "dict":
            items: Iterable[Any] = value.values()
        else:
            items = value if how == "list" else [item for _, item in _parts_of_object(value)]
        for item in items:
            _look_inside(item, found, around, excused)


def resolve(value: Any) -> Any:
    """Return ``value`` with values in place of its ended futures and states; an exception for a run that failed.

    Containers and objects that hold one are copied, without calling constructors, never changed; others stay the same.
    """
    return _resolve(value, ())


def _resolve(value: Any, around: tuple[int, ...]) -> Any:
    how = _kinds[type(value)]
    if not how or id(value) in around:
        return value
    if how == "future":
        value.wait()
        return value.state.result(raise_on_failure=False)
    if how == "state":
        return value.result(raise_on_failure=False)
    if how == "annotation":
        return value.value if isinstance(value, (quote, unmapped)) else _resolve(value.value, around)
    around = (*around, id(value))
    return _REBUILD[how](value, lambda item: _resolve(item, around))


def _list(value: Any, resolved: Callable[[Any], Any]) -> Any:
    items = [resolved(item) for item in value]
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    make: Callable[[Any], Any] = getattr(type(value), "_make", type(value))
    return make(items)


def _dict(value: Any, resolved: Callable[[Any], Any]) -> Any:
    changed = {key: new for key, item in value.items() if (new := resolved(item)) is not item}
    if not changed:
        return value
    twin = copy.copy(value)
    twin.update(changed)
    return twin


def _object(value: Any, resolved: Callable[[Any], Any]) -> Any:
    changed = {name: new for name, item in _parts_of_object(value) if (new := resolved(item)) is not item}
    if not changed:
        return value
    twin = copy.copy(value)
    for name, item in changed.items():
        # Also where it is frozen: nobody else has seen the copy.
        object.__setattr__(twin, name, item)
    return twin


_REBUILD: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {"list": _list, "dict": _dict, "object": _object}
