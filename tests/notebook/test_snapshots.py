"""Notebooks as they were when they were run."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.snapshots import keep_snapshot, read_snapshot, snapshot_path
from jupyter_wf.notebook.source import read_notebook
from tests.notebook.making import write_notebook


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_snapshot_is_the_file_to_the_byte_and_kept_once(settings: Settings, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", "x = 'ä'")
    before = path.read_bytes()
    notebook = read_notebook(path)
    kept = keep_snapshot(settings, notebook)
    assert kept.read_bytes() == before and stat.S_IMODE(kept.stat().st_mode) == 0o600
    file = kept.stat().st_ino
    os.utime(kept, (1, 1))
    assert keep_snapshot(settings, notebook) == kept and kept.stat().st_ino == file
    assert kept.stat().st_mtime > 1, "who tidies up sees that it was needed again"
    path.unlink()
    again = read_snapshot(settings, notebook.digest, path)
    assert (again.path, again.content) == (path, notebook.content)


def test_what_is_not_there_or_was_changed(settings: Settings, tmp_path: Path) -> None:
    notebook = read_notebook(write_notebook(tmp_path / "n.ipynb", "x = 1"))
    with pytest.raises(TargetError, match="no snapshot of it either"):
        read_snapshot(settings, notebook.digest, notebook.path)
    kept = keep_snapshot(settings, notebook)
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(TargetError, match="was changed"):
        read_snapshot(settings, notebook.digest, notebook.path)


@pytest.mark.parametrize("digest", ["", "../state", "a" * 63, "A" * 64, f"{'a' * 64}\n", "/etc/passwd"])
def test_what_is_no_digest_leads_nowhere(settings: Settings, digest: str) -> None:
    with pytest.raises(TargetError, match="is not the digest"):
        snapshot_path(settings, digest)
