"""Variables: named JSON values that all runs on the state file share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from jupyter_wf.core.errors import InvalidRequest, VariableExists
from jupyter_wf.engine.runtime import current_runtime

__all__ = ["Variable"]

_NAME = re.compile(r"[a-z0-9_]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable as it was stored. The functions below read and write variables; each is done when it returns.

    Names have 1 to 255 lower-case letters, digits and underscores. Values are JSON values. Names and values of another
    kind raise `InvalidRequest`, a `ValueError`.
    """

    name: str
    value: Any
    tags: tuple[str, ...] = ()

    @staticmethod
    def get(name: str, default: Any = None) -> Any:
        """Return the value of the variable, ``default`` where there is none."""
        found = current_runtime().store.variables.get(_checked_name(name))
        return default if found is None else found.value

    @staticmethod
    def set(name: str, value: Any, tags: Sequence[str] | None = None, overwrite: bool = False) -> Variable:
        """Store a JSON value under ``name`` and return the variable.

        Raises `VariableExists`, a `ValueError`, where there is one already, unless ``overwrite``.
        """
        _refuse_non_json(value, "the value")
        if isinstance(tags, str) or not all(isinstance(tag, str) for tag in tags or ()):
            raise InvalidRequest("tags", tags, "must be a list of texts")
        variables = current_runtime().store.variables
        stored = variables.set(_checked_name(name), value, tags=tuple(tags or ()), overwrite=overwrite)
        if stored is None:
            raise VariableExists(name)
        return Variable(name=stored.name, value=stored.value, tags=stored.tags)

    @staticmethod
    def unset(name: str) -> bool:
        """Remove the variable; return whether there was one."""
        return current_runtime().store.variables.unset(_checked_name(name))

    @staticmethod
    async def aget(name: str, default: Any = None) -> Any:
        """Do as `get`, while the event loop goes on."""
        # Only who awaits needs it, and has it already.
        import asyncio

        return await asyncio.to_thread(Variable.get, name, default)

    @staticmethod
    async def aset(name: str, value: Any, tags: Sequence[str] | None = None, overwrite: bool = False) -> Variable:
        """Do as `set`, while the event loop goes on."""
        import asyncio

        return await asyncio.to_thread(Variable.set, name, value, tags, overwrite)

    @staticmethod
    async def aunset(name: str) -> bool:
        """Do as `unset`, while the event loop goes on."""
        import asyncio

        return await asyncio.to_thread(Variable.unset, name)


def _checked_name(name: Any) -> str:
    if type(name) is not str or not _NAME.fullmatch(name):
        raise InvalidRequest("name", name, "a variable's name has 1 to 255 lower-case letters, digits and underscores")
    return name


def _refuse_non_json(value: Any, where: str, depth: int = 0) -> None:
    """Raise `InvalidRequest`, which names the place and the type, for what JSON can't give back as it is."""
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and isfinite(value)):
        return
    if depth > 100:
        raise InvalidRequest("value", where, "is nested too deeply for JSON, or contains itself")
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_non_json(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                kind = type(key).__qualname__
                raise InvalidRequest("value", key, f"a key of {where} is no text but a {kind}: variables are JSON")
            _refuse_non_json(item, f"{where}[{key!r:.50}]", depth + 1)
    else:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        what = f"{value} is no JSON" if isinstance(value, float) else f"variables are JSON, not {kind}"
        raise InvalidRequest("value", f"a {kind}", f"{where}: {what}")
