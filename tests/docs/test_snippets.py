"""The programs in the documentation are executed: each Python block as a file, notebook cells in a kernel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/guide.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def is_cell(block: str) -> bool:
    return block.startswith("%")


PROGRAMS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page))
    if not is_cell(block)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cells_of_the_readme(tmp_path: Path) -> None:
    sources = [block for block in blocks("README.md") if is_cell(block)]
    assert any(source.startswith("%%task") for source in sources)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    (tmp_path / "data").symlink_to(ROOT / "notebooks/data")
    nbformat.write(notebook, tmp_path / "readme.ipynb")
    command = [sys.executable, "-m", "jupyter_wf", "run", "readme.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_name_modules_that_there_are() -> None:
    named = {name for page in PAGES for name in re.findall(r"`jupyter_wf\.(\w+)", (ROOT / page).read_text("utf-8"))}
    there = {path.stem for path in (ROOT / "jupyter_wf").iterdir()}
    assert named <= there, named - there
