"""Reading ``workflows.yaml``: the deployments that a file declares, each value with its line.

The file is one object with the key ``deployments``, a list. Keys that there are not, keys that come twice and what is
no deployment are errors with the line.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import InvalidRequest, ParameterError, TargetError
from jupyter_wf.core.scheduling_errors import ScheduleError
from jupyter_wf.services.deploying import GIVEN_KEYS

__all__ = ["FILE_NAMES", "Declared", "declared_file", "read_declared"]

FILE_NAMES = ("workflows.yaml", "workflows.yml")
_LARGEST = 1_000_000
_MOST_VALUES = 50_000
_DEEPEST = 32
_KEYS = ("target", *GIVEN_KEYS)
#: Prefect's names for ours.
_ALIASES = {"entrypoint": "target", "work_pool": "pool"}

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One deployment of a file: its target, what is given for it, and the lines of its values by their place."""

    file: Path
    target: str
    given: dict[str, Any]
    line: int
    lines: Mapping[_Path, int]

    def located(self, error: InvalidRequest | ParameterError | ScheduleError | TargetError) -> TargetError:
        """Return an error about this deployment as one that names the line."""
        if isinstance(error, ScheduleError):
            names: list[Any] = [error.value, error.field]
        elif isinstance(error, InvalidRequest):
            names = [error.value, error.name]
        else:
            names = [getattr(error, "name", "target")]
        name = self.given.get("name")
        told = f"deployment {name!r}: {error}" if isinstance(name, str) else str(error)
        return TargetError(f"{self.file.name}, line {self._line_of(names)}", told)

    def _line_of(self, names: list[Any]) -> int:
        """Return the line of the first key that is one of the names; the deployment's own where none is."""
        synonyms = {usual: alias for alias, usual in (*_ALIASES.items(), ("every", "interval"))}
        told = [name for name in names if isinstance(name, str)]
        for name in (*told, *(synonyms[name] for name in told if name in synonyms)):
            for path, line in self.lines.items():
                if path[-1:] == (name,):
                    return line
        return self.line


def declared_file(path: Path) -> Path:
    """Return the file that is meant by a file's path, or by that of the folder in which it is.

    Raises `TargetError` where there is none.
    """
    full = Path(os.path.abspath(path))
    if not full.is_dir():
        if not full.is_file():
            raise TargetError(str(path), "there is no such file or folder")
        return full
    found = next((full / name for name in FILE_NAMES if (full / name).is_file()), None)
    if found is None:
        raise TargetError(str(path), f"there is no {FILE_NAMES[0]} in this folder")
    return found


def read_declared(file: Path) -> list[Declared]:
    """Return the deployments that a file declares; there may be none. Raises `TargetError` with the line."""
    reading = _Reading(file)
    content = reading.content()
    if not isinstance(content, dict):
        raise reading.error((), "the file must hold an object with the key 'deployments'")
    reading.check_keys((), content, ("deployments",))
    items = content.get("deployments")
    if not isinstance(items, list):
        raise reading.error(("deployments",), "'deployments' must be a list")
    return [_declared(reading, number, item) for number, item in enumerate(items)]


def _declared(reading: _Reading, number: int, item: Any) -> Declared:
    place: _Path = ("deployments", number)
    if not isinstance(item, dict):
        raise reading.error(place, "a deployment is an object with 'name' and 'target'")
    for alias, usual in _ALIASES.items():
        if alias in item:
            if usual in item:
                raise reading.error((*place, alias), f"{alias!r} and {usual!r} are the same; give one of them")
            item[usual] = item.pop(alias)
    if isinstance(item.get("pool"), dict) and list(item["pool"]) == ["name"]:
        item["pool"] = item["pool"]["name"]
    reading.check_keys(place, item, _KEYS)
    for key in ("name", "target"):
        if not isinstance(item.get(key), str):
            raise reading.error((*place, key), f"a deployment needs {key!r}, a text")
    given = {key: value for key, value in item.items() if key != "target"}
    lines = {path: line for path, line in reading.lines.items() if path[:2] == place}
    return Declared(
        file=reading.file,
        target=_below(reading.file.parent, item["target"]),
        given=given,
        line=reading.lines[place],
        lines=lines,
    )


def _below(folder: Path, target: str) -> str:
    """Return a target of the file as one of this process: paths are relative to the file's folder."""
    if target.endswith(".ipynb") or target.rpartition(":")[0].endswith(".py") or target.endswith(".py"):
        return os.path.normpath(folder / Path(target).expanduser())
    return target


class _Reading:
    """Makes values of a file's YAML, and notes their lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[_Path, int] = {}
        self._left = _MOST_VALUES

    def error(self, place: _Path, why: str) -> TargetError:
        """Return an error about the value at a place."""
        while place and place not in self.lines:
            place = place[:-1]
        return TargetError(f"{self.file.name}, line {self.lines.get(place, 1)}", why)

    def check_keys(self, place: _Path, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
        """Raise `TargetError` for a key that there is not."""
        for key in given:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                raise self.error((*place, key), f"there is no key {key!r} here; {hint}")

    def content(self) -> Any:
        """Return what the file holds."""
        try:
            import yaml  # type: ignore[import-untyped, unused-ignore]
        except ImportError:
            raise TargetError(self.file.name, "reading it needs PyYAML; install it") from None
        try:
            data = self.file.read_bytes()
            if len(data) > _LARGEST:
                raise TargetError(self.file.name, f"is larger than {_LARGEST:,} bytes")
            loader = yaml.SafeLoader(data.decode())
        except OSError as error:
            raise TargetError(self.file.name, f"can't be read: {error.strerror or error}") from None
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise TargetError(self.file.name, f"is no text: {_one_line(error)}") from None
        try:
            node = loader.get_single_node()
            return None if node is None else self._value(loader, node, ())
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = "" if mark is None else f", line {mark.line + 1}"
            text = getattr(error, "problem", None) or _one_line(error)
            alias = "alias" in f"{getattr(error, 'context', None)} {text}"
            hint = "; put text with * in quotes" if alias else ""
            raise TargetError(f"{self.file.name}{where}", f"is not YAML: {text}{hint}") from None
        finally:
            loader.dispose()

    def _value(self, loader: Any, node: Any, place: _Path) -> Any:
        self._left -= 1
        self.lines.setdefault(place, node.start_mark.line + 1)
        if self._left < 0 or len(place) > _DEEPEST:
            raise self.error(place, f"it has more than {_MOST_VALUES:,} values or {_DEEPEST} levels")
        if node.id == "mapping":
            return dict(self._items(loader, node, place))
        if node.id == "sequence":
            return [self._value(loader, item, (*place, number)) for number, item in enumerate(node.value)]
        value = loader.construct_object(node)
        return value.isoformat() if isinstance(value, date) else value

    def _items(self, loader: Any, node: Any, place: _Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = key_node.value
            inside = (*place, key) if isinstance(key, str) else place
            self.lines[inside] = key_node.start_mark.line + 1
            if key_node.id != "scalar" or key_node.tag != "tag:yaml.org,2002:str":
                raise self.error(inside, f"a key must be a text, not {str(key)[:60]!r}; put it in quotes")
            if key in seen:
                raise self.error(inside, f"the key {key!r} comes twice")
            seen.add(key)
            yield key, self._value(loader, value_node, inside)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
