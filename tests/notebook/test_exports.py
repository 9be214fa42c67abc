"""Where the executed notebook is put, and where it is not."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.notebook.exports import export_notebook
from tests.notebook.making import write_notebook


@pytest.fixture
def executed(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "n.ipynb"
    path.parent.mkdir()
    write_notebook(path, "print('hello <b>you</b>')")
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "work" / "n.ipynb"
    path.parent.mkdir()
    path.write_text("the user's own", encoding="utf-8")
    return path


def test_it_goes_below_the_notebooks_folder(executed: Path, source: Path) -> None:
    files = export_notebook(executed, source, "reports/n-2026-12-01.ipynb")
    assert files == [source.parent / "reports" / "n-2026-12-01.ipynb"]
    assert files[0].read_text() == executed.read_text()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o666 & ~mask, "like the user's other files"


def test_an_older_one_is_replaced_whole(executed: Path, source: Path) -> None:
    old = source.parent / "out.ipynb"
    old.write_text("old", encoding="utf-8")
    assert export_notebook(executed, source, "out") == [old]
    assert json.loads(old.read_text())["cells"]
    assert sorted(path.name for path in source.parent.iterdir()) == ["n.ipynb", "out.ipynb"]


def test_html_is_a_page_of_the_outputs(executed: Path, source: Path) -> None:
    notebook, page = export_notebook(executed, source, "out.html", ("ipynb", "html"))
    assert (notebook.name, page.name) == ("out.ipynb", "out.html")
    assert "<html" in page.read_text() and "<b>you</b>')" not in page.read_text()


@pytest.mark.parametrize("target", ["../out", "a/../../out", "/tmp/out-of-it", "..", "folder/.ipynb", "linked/out"])
def test_nothing_is_written_elsewhere(executed: Path, source: Path, target: str) -> None:
    (source.parent / "linked").symlink_to(executed.parent)
    with pytest.raises(InvalidRequest, match="below the notebook's folder"):
        export_notebook(executed, source, target)
    assert [path.name for path in executed.parent.iterdir()] == ["n.ipynb"]


def test_a_link_to_a_file_elsewhere_is_not_followed(executed: Path, source: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious", encoding="utf-8")
    (source.parent / "out.ipynb").symlink_to(tmp_path / "precious")
    with pytest.raises(InvalidRequest):
        export_notebook(executed, source, "out")
    assert (tmp_path / "precious").read_text() == "precious"


def test_the_notebook_that_was_run_is_never_replaced(executed: Path, source: Path) -> None:
    with pytest.raises(InvalidRequest, match="replace the notebook that was run"):
        export_notebook(executed, source, "n", ("html", "ipynb"))
    assert source.read_text() == "the user's own"
    assert not (source.parent / "n.html").exists(), "nothing is half done"


def test_a_format_that_there_is_not(executed: Path, source: Path) -> None:
    with pytest.raises(InvalidRequest, match="ipynb and html"):
        export_notebook(executed, source, "out", ("pdf",))
