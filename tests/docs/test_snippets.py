"""The programs in the documentation are executed: each Python block as a file, cells as notebooks, section by section.

A block is a cell where it begins with a magic, or where its fence says so: ``python cell``, and behind that the tags of
the cell. The cells of a section are one notebook; it is run in a shell, as by hand, and headless. The lines of ``sh``
blocks are executed in their order, in a folder that has the ``yaml`` which was shown last.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nbformat
import pytest

if TYPE_CHECKING:
    from tests.ipython.conftest import Shell

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "docs/guide.md")
#: A file that the page shows, or lines for a terminal.
_SHOWN = re.compile(r"^```(?P<kind>yaml|sh)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: What the lines for a terminal speak of and the page does not show.
_FLOWS = "from jupyter_wf import flow\n\n\n@flow\ndef etl(rows: int = 2):\n    return rows\n"
_PART = re.compile(r"^#+ (?P<title>[^\n]+)$|^```python(?P<said>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: Sections whose notebook fails on purpose: they tell how it is resumed.
FAILING = ("Going on with a run",)
#: Sections that run a cell twice, as people do and a notebook does not.
BY_HAND = ("What is out of date", "Cached outputs")


class Block(NamedTuple):
    """A block of Python: the section that it is in, and the tags of the cell that it is, None for a program."""

    section: str
    text: str
    tags: list[str] | None


def blocks(page: str) -> list[Block]:
    found, section = [], ""
    for part in _PART.finditer((ROOT / page).read_text(encoding="utf-8")):
        if part["title"]:
            section = part["title"]
            continue
        words = part["said"].split()
        is_cell = words[:1] == ["cell"] or part["text"].startswith("%")
        found.append(Block(section, part["text"].rstrip("\n"), words[1:] if is_cell else None))
    return found


def notebooks() -> dict[str, list[Block]]:
    """Return the cells of each section that has some."""
    found: dict[str, list[Block]] = {}
    for page in PAGES:
        for block in blocks(page):
            if block.tags is not None:
                found.setdefault(block.section, []).append(block)
    return found


PROGRAMS = [
    pytest.param(block.text, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks(page))
    if block.tags is None
]
NOTEBOOKS = notebooks()
GOOD = [section for section in NOTEBOOKS if section not in FAILING]


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(program: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(program, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("section", GOOD)
def test_cells_by_hand(section: str, ip: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(section, tmp_path)
    monkeypatch.chdir(tmp_path)
    if section not in BY_HAND:
        monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "page.ipynb"))
    assert any(block.text.startswith("%%task") for block in NOTEBOOKS[section])
    for block in NOTEBOOKS[section]:
        ip.ok(block.text)


@pytest.mark.parametrize("section", [section for section in GOOD if section not in BY_HAND])
def test_cells_headless(section: str, tmp_path: Path) -> None:
    write(section, tmp_path)
    code, run = wf(tmp_path, "run", "page.ipynb")
    assert code == 0, run["error"]


@pytest.mark.parametrize("section", FAILING)
def test_cells_that_fail_and_go_on(section: str, tmp_path: Path) -> None:
    write(section, tmp_path)
    code, run = wf(tmp_path, "run", "page.ipynb")
    assert (code, run["error"]["type"]) == (1, "ValueError"), run["error"]
    code, resumed = wf(tmp_path, "resume", run["id"], "-p", "most=2000")
    assert (code, resumed["id"], resumed["attempt"]) == (0, run["id"], 2), resumed["error"]
    assert resumed["result"] == {"days": 1461}


def write(section: str, folder: Path) -> None:
    """Write the notebook of a section, as ``page.ipynb``."""
    cells = []
    for block in NOTEBOOKS[section]:
        cell = nbformat.v4.new_code_cell(block.text)
        cell.metadata["tags"] = block.tags
        cells.append(cell)
    (folder / "data").symlink_to(ROOT / "notebooks/data")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "page.ipynb")


def wf(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run ``jupyter wf``; return its exit code and the run that it printed."""
    command = [sys.executable, "-m", "jupyter_wf", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_lines_for_a_terminal(tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("rows: int = 10\norder: dict | None = None", metadata={"tags": ["parameters"]})]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "report.ipynb")
    (tmp_path / "flows.py").write_text(_FLOWS)
    called = []
    for shown in _SHOWN.finditer((ROOT / "docs/guide.md").read_text("utf-8")):
        if shown["kind"] == "yaml":
            (tmp_path / "workflows.yaml").write_text(shown["text"])
            continue
        for line in shown["text"].splitlines():
            program, group, *words = shlex.split(line)
            assert (program, group) == ("jupyter", "wf")
            command = [sys.executable, "-m", "jupyter_wf", *words]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
            called.append(words[0])
    assert {"deploy", "apply", "schedules", "backfill", "retention", "triggers", "automations"} <= set(called)


def test_the_pages_name_modules_that_there_are() -> None:
    named = {name for page in PAGES for name in re.findall(r"`jupyter_wf\.(\w+)", (ROOT / page).read_text("utf-8"))}
    there = {path.stem for path in (ROOT / "jupyter_wf").iterdir()}
    assert named <= there, named - there


def test_the_pages_name_every_command() -> None:
    from_help = subprocess.run(
        [sys.executable, "-m", "jupyter_wf", "--help"], capture_output=True, text=True, timeout=60
    ).stdout
    commands = re.findall(r"^  ([a-z]+)  ", from_help.partition("Commands:")[2], re.MULTILINE)
    assert "resume" in commands
    table = (ROOT / "README.md").read_text("utf-8")
    assert [command for command in commands if f"`jupyter wf {command}" not in table] == []
