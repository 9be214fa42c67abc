"""The executed notebook, put where it is wanted, as a notebook or as a page of HTML."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.notebook.source import write_atomically

__all__ = ["FORMATS", "export_notebook"]

#: Format → the ending of its files.
FORMATS = {"ipynb": ".ipynb", "html": ".html"}


def export_notebook(executed: Path, source: Path, target: str, formats: Iterable[str] = ("ipynb",)) -> list[Path]:
    """Write the notebook at ``executed`` in each format to ``target``, and return the files.

    ``target`` is a path relative to the folder of ``source``, the notebook that was run, with or without an ending; it
    may go into folders below, which are made, and replaces what is there, but for ``source`` itself. Each file is
    written whole or not at all, readable as the user's other files are.

    Raises `InvalidRequest` for a path that leads out of the folder, also over a symbolic link, for one that would
    replace ``source``, and for a format that there is not; `OSError` where the file can't be written.
    """
    paths = _paths(source, target, formats)
    written = []
    for kind, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _as_html(executed) if kind == "html" else executed.read_text(encoding="utf-8"))
        path.chmod(0o666 & ~_umask())
        written.append(path)
    return written


def _paths(source: Path, target: str, formats: Iterable[str]) -> dict[str, Path]:
    """Return where each format goes; nothing is written before all of them are known to be fine."""
    folder = source.parent.resolve()
    stem = target
    for ending in FORMATS.values():
        stem = stem.removesuffix(ending)
    found = {}
    for kind in dict.fromkeys(formats):
        if kind not in FORMATS:
            raise InvalidRequest("formats", kind, f"there are {' and '.join(FORMATS)}")
        path = folder / f"{stem}{FORMATS[kind]}"
        real = path.parent.resolve() / path.name
        if not real.is_relative_to(folder) or path.is_symlink() or not stem.rpartition("/")[2].strip(". "):
            raise InvalidRequest("output", target, f"it must lie below the notebook's folder {folder}")
        if real == source.resolve():
            raise InvalidRequest("output", target, "it would replace the notebook that was run; give another name")
        found[kind] = real
    return found


def _as_html(executed: Path) -> str:
    # Half a second that only those pay who want a page.
    from nbconvert import HTMLExporter

    exporter: Any = HTMLExporter()  # type: ignore[no-untyped-call]
    body, _ = exporter.from_filename(str(executed))
    return str(body)


def _umask() -> int:
    """Return the process's umask; there is no way to ask for it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
