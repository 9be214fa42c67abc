"""Files named on the command line: parameters to read, and where the executed notebook is copied to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.notebook.source import write_atomically

__all__ = ["check_output", "copy_output", "read_parameters"]


def read_parameters(path: Path) -> dict[str, Any]:
    """Return the parameters in a JSON or YAML file, an object by name. Raises `InvalidRequest` where it holds none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidRequest("--params-file", str(path), "there is no such file") from None
    except (OSError, ValueError) as error:
        raise InvalidRequest("--params-file", str(path), f"can't be read: {error}") from None
    values = _parse_yaml(path, text) if path.suffix.lower() in (".yaml", ".yml") else _parse_json(path, text)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise InvalidRequest("--params-file", str(path), "must hold an object: parameters by name")
    return values


def _parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("--params-file", str(path), f"is not JSON: {error}") from None


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise InvalidRequest("--params-file", str(path), "YAML needs PyYAML; install it or write JSON") from None
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidRequest("--params-file", str(path), f"is not YAML: {' '.join(str(error).split())}") from None


def check_output(path: Path) -> None:
    """See to it, before anything runs, that a file can be written at ``path``. Raises `InvalidRequest`."""
    folder = path.absolute().parent
    if path.is_dir():
        raise InvalidRequest("--output", str(path), "is a folder; name a file")
    if not folder.is_dir():
        raise InvalidRequest("--output", str(path), f"there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise InvalidRequest("--output", str(path), f"the folder {folder} can't be written")


def copy_output(executed: Path, path: Path) -> None:
    """Copy the executed notebook to ``path``, all at once, with the permissions of an ordinary new file."""
    umask = os.umask(0)
    os.umask(umask)
    write_atomically(path.absolute(), executed.read_text(encoding="utf-8"), mode=0o666 & ~umask)
