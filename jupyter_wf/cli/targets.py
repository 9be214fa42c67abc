"""What a target on the command line names: a notebook, or a flow in a file or module."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from jupyter_wf.core.errors import TargetError
from jupyter_wf.flows import Flow

__all__ = ["Target", "load_flow", "parse_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parsed target. ``kind`` is notebook, file or module; ``where`` its path or dotted name; ``name`` the flow's."""

    text: str
    kind: str
    where: str
    name: str | None = None


def parse_target(text: str) -> Target:
    """Tell what ``text`` names: ``a.ipynb``, ``a.py``, ``a.py:flow``, ``package.module`` or ``package.module:flow``.

    Raises `TargetError` for anything else.
    """
    where, colon, name = text.rpartition(":")
    if not (colon and name.isidentifier()):
        where, name = text, ""
    if text.endswith(".ipynb"):
        return Target(text=text, kind="notebook", where=text)
    if where.endswith(".ipynb"):
        raise TargetError(text, f"a notebook is run as a whole; leave out ':{name}'")
    if where.endswith(".py"):
        return Target(text=text, kind="file", where=where, name=name or None)
    if where and all(part.isidentifier() for part in where.split(".")):
        return Target(text=text, kind="module", where=where, name=name or None)
    raise TargetError(text, "is neither notebook.ipynb nor file.py:flow nor package.module:flow")


def load_flow(target: Target) -> Flow[..., Any]:
    """Import the file or module and return the flow. Raises `TargetError` where that fails or there is no such flow."""
    module = _load_file(target) if target.kind == "file" else _load_module(target)
    if target.name is not None:
        found = getattr(module, target.name, None)
        if isinstance(found, Flow):
            return found
        if found is None:
            raise TargetError(target.text, f"there is no {target.name!r} in it; {_known(module)}")
        raise TargetError(target.text, f"{target.name!r} is no flow; decorate it with @flow")
    flows = _flows(module)
    if len(flows) == 1:
        return next(iter(flows.values()))
    raise TargetError(target.text, f"say which flow to run; {_known(module)}")


def _flows(module: ModuleType) -> dict[str, Flow[..., Any]]:
    """Return the flows that the module defines, not those it imported; each once, under its first name."""
    found: dict[int, tuple[str, Flow[..., Any]]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Flow) and value.fn.__module__ == module.__name__:
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def _known(module: ModuleType) -> str:
    names = sorted(_flows(module))
    return f"flows in it: {', '.join(names)}" if names else "it defines no flow"


def _load_file(target: Target) -> ModuleType:
    path = Path(os.path.abspath(target.where))
    if not path.is_file():
        raise TargetError(target.text, "there is no such file")
    sys.path.insert(0, str(path.parent))
    # Under the name by which other files of that folder would import it, so that there are no two of it.
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise TargetError(target.text, "can't be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader = spec.loader
    try:
        _imported(target, lambda: loader.exec_module(module))
    except TargetError:
        del sys.modules[path.stem]
        raise
    return module


def _load_module(target: Target) -> ModuleType:
    sys.path.insert(0, os.getcwd())
    module: ModuleType = _imported(target, lambda: importlib.import_module(target.where))
    return module


def _imported(target: Target, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and target.kind == "module" and f"{target.where}.".startswith(f"{missing}."):
            raise TargetError(
                target.text, f"there is no module {missing!r} in {os.getcwd()} or on Python's path"
            ) from None
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        if isinstance(error, SyntaxError):
            where = f" ({error.filename}, line {error.lineno})"
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise TargetError(target.text, f"importing it failed: {type(error).__name__}: {text}{where}") from error
