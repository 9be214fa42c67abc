"""A cell's body as a call that another process can make: text and inputs go there, outputs come back."""

from __future__ import annotations

import asyncio
import builtins
import linecache
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.notebook.cells import Namespace, compile_body
from jupyter_wf.store.pickles import write_pickle

__all__ = ["CellValue", "RemoteCell"]


class CellValue(dict[str, Any]):
    """What a cell has left: its data by name. ``shown`` is the value of its last expression, None without one."""

    __slots__ = ("shown",)

    def __init__(self, outputs: Mapping[str, Any], shown: Any = None) -> None:
        super().__init__(outputs)
        self.shown = shown

    def __reduce__(self) -> tuple[type[CellValue], tuple[dict[str, Any], Any]]:
        return CellValue, (dict(self), self.shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteCell:
    """The call. ``text`` is the body as Python text, ``inputs`` the names that it reads, ``outputs`` those it leaves.

    The names of a body that the syntax does not show can't be brought along: whoever makes this refuses such bodies.
    """

    text: str
    filename: str
    name: str
    flags: int
    show: str
    inputs: Mapping[str, Any]
    outputs: frozenset[str]

    def __call__(self) -> CellValue:
        """Run the body; return what it leaves. Raises what it raises."""
        lines = self.text.splitlines(keepends=True)
        linecache.cache[self.filename] = (len(self.text), None, lines, self.filename)
        body = compile_body(self.text, filename=self.filename, name=self.name, flags=self.flags, show=self.show)
        namespace: Namespace = {"__builtins__": builtins, "__name__": "__main__", **self.inputs}
        call = body.bind(namespace)
        shown = asyncio.run(call()) if body.is_async else call()
        return CellValue({name: namespace[name] for name in self.outputs if name in namespace}, _portable(shown))


class _Shown:
    """Stands for a value that can't be sent: shows what that would have shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class _Nowhere:
    """Takes a pickle and forgets it."""

    def write(self, data: Any, /) -> int:
        return len(data)

    def rewind(self) -> None:
        """Nothing was kept."""


def _portable(value: Any) -> Any:
    try:
        write_pickle(value, _Nowhere())
    except Exception:
        return _Shown(repr(value))
    return value
