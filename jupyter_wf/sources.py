"""Flows and tasks by the name of their place, ``path/to/file.py:flow`` or ``package.module:flow``."""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar
from zlib import crc32

from jupyter_wf.core.errors import TargetError
from jupyter_wf.engine.entrypoints import attribute, entrypoint_of
from jupyter_wf.flows import Flow
from jupyter_wf.tasks import Task

__all__ = [
    "Entrypoint",
    "entrypoint_of",
    "flow_from_source",
    "load_flow",
    "load_object",
    "load_tasks",
    "parse_entrypoint",
]

_Thing = TypeVar("_Thing", Flow[..., Any], Task[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrypoint:
    """A parsed entrypoint. ``where`` is the path of a file or a module's dotted name; ``name`` what it names there."""

    text: str
    is_file: bool
    where: str
    name: str | None = None


def parse_entrypoint(text: str) -> Entrypoint:
    """Tell what ``text`` names: ``a.py``, ``a.py:flow``, ``a.py:Class.method``, ``package.module`` or with ``:flow``.

    Raises `TargetError` for anything else.
    """
    where, colon, name = text.rpartition(":")
    if not (colon and _is_dotted(name)):
        where, name = text, ""
    if where.endswith(".py"):
        return Entrypoint(text=text, is_file=True, where=where, name=name or None)
    if _is_dotted(where):
        return Entrypoint(text=text, is_file=False, where=where, name=name or None)
    raise TargetError(text, "is neither file.py:flow nor package.module:flow")


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def load_flow(entrypoint: str) -> Flow[..., Any]:
    """Import the file or module and return the flow that the entrypoint names; the only one where it names none.

    The file's folder (the working directory for a module) is on Python's path during the import, and the file becomes
    a module of its own name, so code below ``if __name__ == "__main__"`` does not run. Raises `TargetError` where
    there is no such file, module or flow, and where importing it fails, whose exception is then the cause.
    """
    parsed = parse_entrypoint(entrypoint)
    module = _load_module(parsed)
    if parsed.name is None:
        flows = _flows(module)
        if len(flows) == 1:
            return next(iter(flows.values()))
        raise TargetError(entrypoint, f"say which flow to run; {_known(module)}")
    found = _named(module, parsed)
    if not isinstance(found, Flow):
        raise TargetError(entrypoint, f"{parsed.name!r} is no flow; decorate it with @flow")
    return found


def load_tasks(entrypoint: str) -> list[Task[..., Any]]:
    """Import the file or module, as `load_flow` does, and return the task that the entrypoint names.

    Where it names none, all tasks that the module defines; there may be none. Raises `TargetError`.
    """
    parsed = parse_entrypoint(entrypoint)
    module = _load_module(parsed)
    if parsed.name is None:
        return list(_defined(module, Task).values())
    found = attribute(module, parsed.name)
    if isinstance(found, Task):
        return [found]
    what = f"there is no {parsed.name!r} in it"
    if found is not None:
        what = f"{parsed.name!r} is no task; decorate it with @task"
    raise TargetError(entrypoint, f"{what}; tasks in it: {', '.join(sorted(_defined(module, Task))) or 'none'}")


def load_object(entrypoint: str) -> Any:
    """Return what `entrypoint_of` named: a flow, a task or a function.

    A file that was imported already is not imported again. Raises `TargetError` as `load_flow` does.
    """
    parsed = parse_entrypoint(entrypoint)
    if parsed.name is None:
        raise TargetError(entrypoint, "names nothing in it; add :name")
    return _named(_load_module(parsed, again=False), parsed)


def flow_from_source(source: str | Path, entrypoint: str) -> Flow[..., Any]:
    """Return the flow at ``entrypoint`` (``flows.py:my_flow``, relative to the folder ``source``).

    Raises `TargetError` where ``source`` is no local folder (addresses of repositories and storage objects are not
    taken), and as `load_flow` does.
    """
    only = "only a local folder can be a source; fetch it first and give the folder"
    if not isinstance(source, str | os.PathLike):
        raise TargetError(type(source).__name__, only)
    text = os.fspath(source)
    if "://" in text or text.startswith("git@") or text.endswith(".git"):
        raise TargetError(text, only)
    folder = Path(os.path.abspath(Path(text).expanduser()))
    if not folder.is_dir():
        raise TargetError(text, "there is no such folder" if not folder.exists() else only)
    parsed = parse_entrypoint(entrypoint)
    if parsed.is_file:
        return load_flow(f"{folder / entrypoint}")
    with _on_path(folder):
        return load_flow(entrypoint)


def _named(module: ModuleType, parsed: Entrypoint) -> Any:
    assert parsed.name is not None
    found = attribute(module, parsed.name)
    if found is None:
        raise TargetError(parsed.text, f"there is no {parsed.name!r} in it; {_known(module)}")
    return found


def _flows(module: ModuleType) -> dict[str, Flow[..., Any]]:
    return _defined(module, Flow)


def _defined(module: ModuleType, kind: type[_Thing]) -> dict[str, _Thing]:
    """Return the flows, or tasks, that the module defines, not those it imported; each once, under its first name."""
    found: dict[int, tuple[str, _Thing]] = {}
    for name, value in vars(module).items():
        if isinstance(value, kind) and value.fn.__module__ == module.__name__:
            found.setdefault(id(value), (name, value))
    return dict(found.values())


def _known(module: ModuleType) -> str:
    names = sorted(_flows(module))
    return f"flows in it: {', '.join(names)}" if names else "it defines no flow"


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let Python find the modules of ``folder`` first."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        # The import may have changed the path itself.
        if entry in sys.path:
            sys.path.remove(entry)


def _load_module(parsed: Entrypoint, *, again: bool = True) -> ModuleType:
    if parsed.is_file:
        path = Path(os.path.abspath(Path(parsed.where).expanduser()))
        if not path.is_file():
            raise TargetError(parsed.text, "there is no such file")
        known = None if again else sys.modules.get(_module_name(path))
        if known is not None:
            return known
        with _on_path(path.parent):
            return _load_file(parsed, path)
    with _on_path(Path.cwd()):
        module: ModuleType = _imported(parsed, partial(importlib.import_module, parsed.where))
        return module


def _load_file(parsed: Entrypoint, path: Path) -> ModuleType:
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(parsed.text, "can't be imported")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    # The file may have changed since an earlier import: tracebacks show what runs now.
    linecache.checkcache(str(path))
    try:
        _imported(parsed, partial(spec.loader.exec_module, module))
    except BaseException:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
        raise
    return module


def _module_name(path: Path) -> str:
    """Return the name by which other files of the folder import this one, so that there are no two of it.

    Where a module of another file has that name already, or Python's own library, it is one made of the path instead.
    """
    taken = sys.modules.get(path.stem)
    file = getattr(taken, "__file__", None)
    ours = file is not None and os.path.abspath(file) == str(path)
    if ours or (taken is None and path.stem not in sys.stdlib_module_names and path.stem.isidentifier()):
        return path.stem
    return f"{''.join(c if c.isalnum() else '_' for c in path.stem)}_{crc32(os.fsencode(path)):08x}"


def _imported(parsed: Entrypoint, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and not parsed.is_file and f"{parsed.where}.".startswith(f"{missing}."):
            raise TargetError(
                parsed.text, f"there is no module {missing!r} in {os.getcwd()} or on Python's path"
            ) from None
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        if isinstance(error, SyntaxError):
            where = f" ({error.filename}, line {error.lineno})"
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        raise TargetError(parsed.text, f"importing it failed: {type(error).__name__}: {text}{where}") from error
