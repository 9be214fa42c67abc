"""A notebook as it is on disk: read once, judged, and identified by the hash of its bytes.

Only JSON is needed here, so that the command line and the server can look at a notebook without loading nbformat.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import TargetError

__all__ = [
    "NotebookSource",
    "cell_tags",
    "parse_notebook",
    "read_notebook",
    "write_atomically",
    "write_bytes_atomically",
]

_LARGEST = 512 * 1024 * 1024
_CELL_TYPES = ("code", "markdown", "raw")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookSource:
    """A snapshot of a notebook.

    ``path`` is absolute; ``data`` are the file's bytes and ``digest`` their SHA-256 in hexadecimal; ``content`` is the
    notebook in nbformat 4, its cell sources and stream texts joined to single strings.
    """

    path: Path
    digest: str
    content: dict[str, Any]
    data: bytes = field(repr=False)

    @property
    def cells(self) -> list[dict[str, Any]]:
        """The cells, in order."""
        cells: list[dict[str, Any]] = self.content["cells"]
        return cells

    @property
    def language(self) -> str:
        """The language of the notebook's kernel in lower case, ``python`` where it does not say."""
        metadata = self.content["metadata"]
        for key, name in (("language_info", "name"), ("kernelspec", "language")):
            found = metadata.get(key)
            if isinstance(found, dict) and isinstance(found.get(name), str):
                return str(found[name]).lower()
        return "python"


def read_notebook(path: Path | str) -> NotebookSource:
    """Read the notebook at ``path`` (relative to the current folder).

    Raises `TargetError` where there is no such file, it cannot be read, or it is not a notebook in nbformat 4.
    """
    shown = os.fspath(path)
    full = Path(os.path.abspath(path))
    try:
        if full.stat().st_size > _LARGEST:
            raise TargetError(shown, f"is larger than {_LARGEST // 2**20} MiB; clear its outputs first")
        data = full.read_bytes()
    except FileNotFoundError:
        raise TargetError(shown, "there is no such file") from None
    except IsADirectoryError:
        raise TargetError(shown, "is a folder, not a notebook") from None
    except (OSError, ValueError) as error:
        raise TargetError(shown, f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    return parse_notebook(data, full, shown)


def parse_notebook(data: bytes, path: Path, shown: str) -> NotebookSource:
    """Return the notebook whose file holds ``data``; ``shown`` is its name in the `TargetError` for what is none."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise TargetError(shown, "is not a notebook: its content is not JSON") from None
    if not isinstance(content, dict) or "nbformat" not in content:
        raise TargetError(shown, "is not a notebook: it has no 'nbformat'")
    if content["nbformat"] != 4:
        raise TargetError(shown, f"is in notebook format {content['nbformat']!r}; open it in JupyterLab and save it")
    _check(content, shown)
    return NotebookSource(path=path, digest=sha256(data).hexdigest(), content=content, data=data)


def _check(content: dict[str, Any], shown: str) -> None:
    """Bring ``content`` into the form promised by `NotebookSource`, or raise `TargetError`."""
    content.setdefault("metadata", {})
    cells = content.get("cells")
    if not isinstance(cells, list) or not isinstance(content["metadata"], dict):
        raise TargetError(shown, "is not a notebook: it has no list of cells")
    content.setdefault("nbformat_minor", 0)
    seen: set[str] = set()
    for index, cell in enumerate(cells):
        if not isinstance(cell, dict) or cell.get("cell_type") not in _CELL_TYPES:
            raise TargetError(shown, f"cell {index + 1} is neither code nor markdown nor raw")
        cell["source"] = _joined(cell.get("source", ""), f"the source of cell {index + 1}", shown)
        if not isinstance(cell.setdefault("metadata", {}), dict):
            raise TargetError(shown, f"the metadata of cell {index + 1} are not an object")
        if cell["cell_type"] == "code":
            cell.setdefault("execution_count", None)
            _check_outputs(cell, index, shown)
        if content["nbformat_minor"] >= 5:
            if not isinstance(cell.get("id"), str) or cell["id"] in seen:
                cell["id"] = f"cell-{index}-{os.urandom(4).hex()}"
            seen.add(cell["id"])


def _check_outputs(cell: dict[str, Any], index: int, shown: str) -> None:
    outputs = cell.setdefault("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise TargetError(shown, f"the outputs of cell {index + 1} are not a list of objects")
    for output in outputs:
        if "text" in output:
            output["text"] = _joined(output["text"], f"an output of cell {index + 1}", shown)


def _joined(text: object, what: str, shown: str) -> str:
    if isinstance(text, str):
        return text
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    raise TargetError(shown, f"{what} is not text")


def cell_tags(cell: dict[str, Any]) -> list[str]:
    """Return a cell's tags; what is no list counts as none."""
    tags = cell["metadata"].get("tags", [])
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace the file at ``path`` by ``text`` in UTF-8: a reader sees the old content or the new, never a part.

    Lone surrogates, which UTF-8 does not have, become ``?``. Raises `OSError`.
    """
    write_bytes_atomically(path, text.encode("utf-8", "replace"), mode=mode)


def write_bytes_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file at ``path`` by ``data``, as `write_atomically` does. Raises `OSError`."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
