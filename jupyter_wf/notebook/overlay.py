"""The namespace of a cell that runs beside others: what it binds is its own until it has ended.

A cell in the background, one of several that run at the same time, and each item of a mapped cell get one. The names of
the notebook are there as they were when the cell began, whatever other cells bind meanwhile; so the outcome is that of
cells that run one after the other. That holds for functions of the notebook that the cell calls too, where it matters:
those that look up data get a copy which does so here. What is changed *inside* objects is seen by everybody, as ever;
methods of the notebook's classes look up names in the notebook.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

from jupyter_wf.notebook.cells import Namespace
from jupyter_wf.notebook.lookups import globals_of

__all__ = ["NO_DATA", "Overlay"]

_KEPT = frozenset(("__builtins__", "__name__"))
_NOTHING = object()
#: What is made by its definition or import, and is no data.
NO_DATA = (FunctionType, ModuleType, type)


class Overlay(dict[str, Any]):
    """A namespace that begins as ``start`` with ``bound`` names on top, above the namespace ``below``.

    ``uses`` are the names that the cell looks up, ``binds`` those that it binds. After `release` it is the namespace
    below for the functions that were made in it, whose globals it is.
    """

    def __init__(
        self,
        below: Namespace,
        start: Namespace,
        bound: Mapping[str, Any] | None = None,
        *,
        uses: Iterable[str] = (),
        binds: Iterable[str] = (),
    ) -> None:
        super().__init__(start)
        self._below = below
        self._start = start
        self._released = False
        #: What is here for the cell only, and was not bound by it.
        self._lent: dict[str, Any] = {}
        if bound:
            self.update(bound)
        self._lend(frozenset(uses), {*binds, *(bound or ())})

    def _lend(self, uses: frozenset[str], own: set[str]) -> None:
        """Put copies of functions here that look names up here; and built-in names, which are found faster then."""
        for name, function in self._followers(uses, own).items():
            self._lent[name] = self[name] = _moved(function, self)
        for name in uses:
            value = getattr(builtins, name, _NOTHING)
            if value is not _NOTHING and name not in self:
                self._lent[name] = self[name] = value

    def _followers(self, uses: Iterable[str], own: set[str]) -> dict[str, FunctionType]:
        """Return the functions of the notebook, by name, that lead to data, or to what the cell binds itself."""
        functions: dict[str, tuple[FunctionType, frozenset[str]]] = {}
        left = list(uses)
        while left:
            name = left.pop()
            value = self.get(name)
            if name not in functions and type(value) is FunctionType and value.__globals__ is self._below:
                functions[name] = value, globals_of(value.__code__)
                left += functions[name][1]
        follow: set[str] = set()
        grown = True
        while grown:
            found = {
                name
                for name, (_, seen) in functions.items()
                if not seen.isdisjoint(own | follow) or any(self._is_data(other) for other in seen)
            }
            grown, follow = found != follow, found
        return {name: functions[name][0] for name in follow}

    def _is_data(self, name: str) -> bool:
        value = self.get(name, _NOTHING)
        return value is not _NOTHING and not isinstance(value, NO_DATA)

    def __missing__(self, name: str) -> Any:
        if not self._released:
            raise KeyError(name)
        return self._below[name]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (self._released and name in self._below)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a name's value, here or, after the end, below."""
        try:
            return self[name]
        except KeyError:
            return default

    def changed(self, among: Iterable[str] | None = None) -> set[str]:
        """Return the names, of those ``among`` or of all, that were bound here, or bound again, since the beginning."""
        start, lent = self._start, self._lent
        items = self.items() if among is None else [(name, self[name]) for name in among if name in self]
        return {
            name
            for name, value in items
            if start.get(name, _NOTHING) is not value and lent.get(name, _NOTHING) is not value
        }

    def settle(self, names: Iterable[str]) -> None:
        """Make the functions and classes that were bound here ones of the namespace below.

        They find its names as fast as its own functions do, and bind names there (``global``). Those that only others
        refer to, such as decorators, look them up by way of this namespace.
        """
        for name in names:
            value = self[name]
            if type(value) is FunctionType and value.__globals__ is self:
                self[name] = _moved(value, self._below)
            elif isinstance(value, type):
                self._settle_class(value)

    def _settle_class(self, kind: type) -> None:
        for name, value in list(vars(kind).items()):
            moved = _moved_within(value, self, self._below)
            if moved is not value:
                setattr(kind, name, moved)

    def release(self, kept: Iterable[str] = ()) -> None:
        """Forget everything but ``kept``: names that belong to functions of the cell, and to nobody else."""
        stays = {name: self[name] for name in (*_KEPT, *kept) if name in self}
        self.clear()
        self.update(stays)
        self._start, self._lent = {}, {}
        self._released = True


def _moved(function: FunctionType, namespace: Namespace) -> FunctionType:
    """Return the same function with other globals."""
    made = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    for name in ("__module__", "__qualname__", "__doc__", "__annotations__", "__type_params__"):
        if hasattr(function, name):
            setattr(made, name, getattr(function, name))
    vars(made).update(vars(function))
    return made


def _moved_within(value: Any, here: Namespace, there: Namespace) -> Any:
    """Return an attribute of a class with the functions in it moved from one namespace to another."""
    if type(value) is FunctionType:
        return _moved(value, there) if value.__globals__ is here else value
    if type(value) in (staticmethod, classmethod):
        inner = _moved_within(value.__func__, here, there)
        return value if inner is value.__func__ else type(value)(inner)
    if type(value) is property:
        parts = [value.fget, value.fset, value.fdel]
        get, put, drop = (_moved_within(part, here, there) for part in parts)
        unmoved = all(a is b for a, b in zip(parts, (get, put, drop), strict=True))
        return value if unmoved else property(get, put, drop, value.__doc__)
    return value
