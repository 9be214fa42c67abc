"""Notebooks as they were when they were run, each kept once, named by the hash of its bytes."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.source import NotebookSource, parse_notebook, write_bytes_atomically

__all__ = ["keep_snapshot", "read_snapshot", "snapshot_path"]

_DIGEST = re.compile(r"[0-9a-f]{64}")


def snapshot_path(settings: Settings, digest: str) -> Path:
    """Return where the notebook with this SHA-256 (64 hexadecimal digits) is kept, if it is.

    Raises `TargetError` for what is no digest: it may come from a record that anybody wrote.
    """
    if not _DIGEST.fullmatch(digest):
        raise TargetError(digest[:100], "is not the digest of a notebook")
    return settings.snapshots / f"{digest}.ipynb"


def keep_snapshot(settings: Settings, notebook: NotebookSource) -> Path:
    """Keep the file of a notebook as it was read, unless it is kept already; return where. Raises `OSError`."""
    path = snapshot_path(settings, notebook.digest)
    try:
        # Whoever tidies up leaves what is needed again.
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes_atomically(path, notebook.data)
    return path


def read_snapshot(settings: Settings, digest: str, path: Path) -> NotebookSource:
    """Return the notebook that was kept under a digest, as that of the file ``path``.

    Raises `TargetError` where there is none, or its content is another one.
    """
    kept = snapshot_path(settings, digest)
    try:
        data = kept.read_bytes()
    except OSError:
        raise TargetError(str(path), "is gone, and there is no snapshot of it either") from None
    if sha256(data).hexdigest() != digest:
        raise TargetError(str(path), f"is gone, and its snapshot {kept} was changed")
    return parse_notebook(data, path, str(path))
