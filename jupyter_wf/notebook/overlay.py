"""The namespace of a cell that runs beside others: what it binds is its own until it has ended.

A cell in the background, one of several that run at the same time, and each item of a mapped cell get one. The names of
the notebook are there as they were when the cell began, whatever other cells bind meanwhile; so the outcome is that of
cells that run one after the other. What is changed *inside* objects is seen by everybody, as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_wf.notebook.cells import Namespace

__all__ = ["Overlay"]

_KEPT = frozenset(("__builtins__", "__name__"))
_NOTHING = object()


class Overlay(dict[str, Any]):
    """A namespace that begins as ``start`` with ``bound`` names on top, above the namespace ``below``.

    After `release` it is the namespace below for the functions that were made in it, whose globals it is.
    """

    def __init__(self, below: Namespace, start: Namespace, bound: Mapping[str, Any] | None = None) -> None:
        super().__init__(start)
        self._below = below
        self._start = start
        self._released = False
        if bound:
            self.update(bound)

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

    def changed(self) -> set[str]:
        """Return the names that were bound here, or bound again, since the beginning."""
        return {name for name, value in self.items() if self._start.get(name, _NOTHING) is not value}

    def release(self, kept: Iterable[str] = ()) -> None:
        """Forget everything but ``kept``: names that belong to functions of the cell, and to nobody else."""
        stays = _KEPT | set(kept)
        for name in self.keys() - stays:
            del self[name]
        self._start = {}
        self._released = True
