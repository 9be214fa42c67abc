"""Futures and states inside arguments: finding them, and putting values in their place."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from jupyter_wf.core.states import State
from jupyter_wf.engine.annotations import Annotation, allow_failure, quote
from jupyter_wf.engine.futures import RunFuture, RunFutureList

__all__ = ["Upstream", "find_upstream", "resolve"]


class Upstream:
    """What a call waits for.

    ``futures`` are the runs before it, ``states`` the ended ones that were handed over as states. ``excused`` are the
    ids of the runs whose failure is allowed wherever they were found. ``marked`` tells that there are annotations,
    which are to be taken off. It is true where arguments have to be resolved.
    """

    __slots__ = ("excused", "futures", "marked", "states")

    def __init__(self) -> None:
        self.futures: list[RunFuture[Any]] = []
        self.states: list[State] = []
        self.excused: set[str] = set()
        self.marked = False

    def __bool__(self) -> bool:
        return self.marked or bool(self.futures or self.states)


def _parts_of_object(value: Any) -> list[tuple[str, Any]]:
    """Return the fields by name of a dataclass, a pydantic model or an attrs class."""
    if hasattr(value, "__dataclass_fields__"):
        names = [field.name for field in fields(value)]
    elif hasattr(value, "__attrs_attrs__"):
        names = [field.name for field in value.__attrs_attrs__]
    else:
        names = [*type(value).__pydantic_fields__, *(getattr(value, "__pydantic_extra__", None) or ())]
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
        for container, name in ((list, "list"), (tuple, "tuple"), ((set, frozenset), "set"), (dict, "dict")):
            if issubclass(kind, container):
                return name
        marks = ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__")
        return "object" if any(hasattr(kind, mark) for mark in marks) else ""


_kinds = _Kinds()
_NOTHING = Upstream()


def find_upstream(values: Iterable[Any], wait_for: Iterable[Any] = ()) -> Upstream:
    """Return what is to be waited for among ``values``, inside their containers and objects, and in ``wait_for``.

    What is returned must not be changed.
    """
    kinds = _kinds
    found = [(value, False) for value in values if kinds[type(value)]]
    if wait_for:
        found += [(value, False) for value in wait_for]
    return _search(found) if found else _NOTHING


def _search(stack: list[tuple[Any, bool]]) -> Upstream:
    """Look into (value, whether its failure is allowed); what is shared, or holds itself, is looked into once."""
    kinds, found = _kinds, Upstream()
    futures: dict[str, RunFuture[Any]] = {}
    excused: dict[str, bool] = {}
    seen: set[tuple[int, bool]] = set()
    stack.reverse()
    while stack:
        value, allowed = stack.pop()
        how = kinds[type(value)]
        if how == "future":
            run_id = value.task_run_id
            futures[run_id] = value
            excused[run_id] = allowed and excused.get(run_id, True)
        elif how == "state":
            if not allowed:
                found.states.append(value)
            found.marked = True
        elif how == "annotation":
            found.marked = True
            if type(value) is not quote:
                stack.append((value.value, allowed or type(value) is allow_failure))
        elif how and (id(value), allowed) not in seen:
            seen.add((id(value), allowed))
            inside = [(item, allowed) for item in _items(how, value) if kinds[type(item)]]
            inside.reverse()
            stack += inside
    found.futures = list(futures.values())
    found.excused = {run_id for run_id, allowed in excused.items() if allowed}
    return found


def _items(how: str, value: Any) -> Iterable[Any]:
    if how == "dict":
        return [*value, *value.values()]
    return [item for _, item in _parts_of_object(value)] if how == "object" else list(value)


def resolve(value: Any) -> Any:
    """Return ``value`` with values in place of its ended futures and states; an exception for a run that failed.

    Containers and objects that hold one are copied, without calling constructors, never changed; others stay the same.
    What was shared, or held itself, still does in the copy.
    """
    how = _kinds[type(value)]
    if not how:
        return value
    if how in ("future", "state", "annotation"):
        return _Copying().resolved(value)
    return _Copying().resolved(value) if find_upstream((value,)) else value


class _Copying:
    """Copies what holds futures, each thing once.

    ``done`` has what was resolved, by the id of what it stands for; ``open`` what is being resolved, with its copy once
    something inside has asked for it. Tuples and frozen sets can't be open: what they hold themselves by is.
    """

    __slots__ = ("_done", "_open")

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._open: dict[int, Any] = {}

    def resolved(self, value: Any) -> Any:
        """Return what stands for ``value``: itself where nothing changes."""
        how = _kinds[type(value)]
        if not how:
            return value
        if how == "future":
            value.wait()
            return value.state.result(raise_on_failure=False)
        if how == "state":
            return value.result(raise_on_failure=False)
        if how == "annotation":
            return value.value if type(value) is quote else self.resolved(value.value)
        key = id(value)
        if key in self._done:
            return self._done[key]
        if how == "tuple" or isinstance(value, frozenset):
            new = self._frozen(value)
        elif key in self._open:
            if self._open[key] is None:
                self._open[key] = _copy(value)
            return self._open[key]
        else:
            self._open[key] = None
            new = self._changeable(how, value)
        return self._done.setdefault(key, new)

    def _frozen(self, value: Any) -> Any:
        items = [self.resolved(item) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        base = tuple if isinstance(value, tuple) else frozenset
        twin = base.__new__(type(value), items)
        if getattr(value, "__dict__", None):
            twin.__dict__.update(value.__dict__)
        return twin

    def _changeable(self, how: str, value: Any) -> Any:
        names = list(value) if how == "dict" else []
        old = _items(how, value)
        items = [self.resolved(item) for item in old]
        twin = self._open.pop(id(value))
        if twin is None:
            if all(new is before for new, before in zip(items, old, strict=True)):
                return value
            twin = _copy(value)
        if how == "list":
            twin[:] = items
        elif how == "set":
            twin.clear()
            twin.update(items)
        elif how == "dict":
            many = len(names)
            if any(new is not before for new, before in zip(items[:many], names, strict=True)):
                twin.clear()
            twin.update(zip(items[:many], items[many:], strict=True))
        else:
            for (name, before), new in zip(_parts_of_object(value), items, strict=True):
                if new is before:
                    continue
                extra = getattr(twin, "__pydantic_extra__", None)
                if extra and name in extra:
                    extra[name] = new
                else:
                    # Also where it is frozen: nobody else has seen the copy.
                    object.__setattr__(twin, name, new)
        return twin


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, RunFutureList) else copy.copy(value)
