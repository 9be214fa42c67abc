"""``%wf`` on the runs of notebooks that were executed elsewhere: what a plain cell had, and going on with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from jupyter_wf.ipython import _sessions
from tests.waiting import until


@pytest.fixture
def failed(tmp_path: Path, wf_home: Path) -> Path:
    """A notebook whose run has failed, until the file beside it is there."""
    cells = [
        "%load_ext jupyter_wf\nfrom pathlib import Path",
        "%%task base\nnumbers = [1, 2]",
        f"%%task fetch\nwanted = len(numbers)\ntext = Path({str(tmp_path / 'there')!r}).read_text()",
    ]
    path = tmp_path / "report.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    run(path, 1)
    return tmp_path / "there"


def run(path: Path, code: int) -> None:
    command = [sys.executable, "-m", "jupyter_wf", "run", str(path)]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)


def test_a_failed_task_of_a_notebook_is_looked_into_loaded_and_resumed(ip: Any, failed: Path) -> None:
    shown = ip.ok("%wf debug report/fetch")
    assert "FileNotFoundError" in repr(shown)
    assert "wanted = 2" in repr(shown)
    assert "wanted = 2" in repr(ip.ok("%wf debug report"))
    loaded = ip.ok("%wf load report/fetch")
    assert ip.namespace["numbers"] == [1, 2]
    assert loaded.source.splitlines()[1] == "wanted = len(numbers)"
    failed.write_text("hello")
    ip.ok("%wf resume report")
    store = _sessions[ip.shell][0].runtime.store
    run = until(lambda: (found := store.find_run(shown.run.root_id)).state.is_completed() and found, "resumed")
    assert run.attempt == 2
    assert ip.ok("%wf show report/fetch").value == {"text": "hello", "wanted": 2}
    assert ip.ok("%wf load report/fetch").names == ["numbers"]


def test_what_a_plain_cell_had_when_it_failed(ip: Any, tmp_path: Path) -> None:
    path = tmp_path / "plain.ipynb"
    cells = ["%load_ext jupyter_wf\ntoken = 'hunter2'\nrows = [3, 0]", "share = rows[0] / rows[1]"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)
    run(path, 1)
    shown = ip.ok("%wf debug plain")
    assert "rows = [3, 0]" in repr(shown)
    assert "hunter2" not in repr(shown)
    assert shown.frames[-1]["source"] == "share = rows[0] / rows[1]"
