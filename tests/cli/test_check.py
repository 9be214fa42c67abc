"""``check`` and ``graph``: a notebook looked at without being run."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.notebook.making import markdown, write_notebook

Wf = Callable[..., tuple[int, str, str]]


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A notebook without a problem; running it would leave a file."""
    cells = [
        markdown("# ETL"),
        "import pandas as pd\ndef tidied(): return raw",
        f"open({str(tmp_path / 'ran')!r}, 'w').close()",
        "%%task load\nraw = pd.read_csv('x')",
        "%%task clean\ntidy = tidied()",
        "%%task report --after load\n!echo $tidy",
    ]
    return str(write_notebook(tmp_path / "good.ipynb", *cells))


@pytest.fixture
def bad(tmp_path: Path) -> str:
    cells = [
        markdown("# ETL"),
        "%%task load\nraw = {}",
        "%%task clean --after laod\nraw['x'] = 1",
        "%%task plot\n\x1b[31m = \nprint(raw)",
        "%%task again\nraw = 2",
    ]
    return str(write_notebook(tmp_path / "bad.ipynb", *cells))


def test_nothing_wrong(wf: Wf, good: str) -> None:
    assert wf("check", good) == (0, "3 tasks, 3 edges, no problems\n", "")
    assert not Path(good).with_name("ran").exists()


def test_problems_are_listed_with_their_cells(wf: Wf, bad: str) -> None:
    code, out, err = wf("check", bad)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (1, "", 5)
    heads = [line.split()[:4] for line in lines[:-1]]
    assert heads == [
        ["cell", "3", "warning", "mutation"],
        ["cell", "3", "error", "unknown-after"],
        ["cell", "4", "error", "syntax"],
        ["cell", "5", "error", "duplicate-output"],
    ]
    assert "task 'load' (cell 2) and task 'again' (cell 5) both write 'raw'" in lines[3]
    assert lines[-1] == "4 tasks, 1 edge, 4 problems"
    assert "\x1b" not in out


def test_json_counts_cells_from_0(wf: Wf, bad: str) -> None:
    code, out, err = wf("check", bad, "--json")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert list(found) == ["tasks", "edges", "problems"]
    assert found["tasks"][0] == {"name": "load", "cell": 1, "reads": [], "writes": ["raw"]}
    assert found["edges"] == [["load", "clean"]]
    assert [(problem["cell"], problem["kind"]) for problem in found["problems"]] == [
        (2, "mutation"),
        (2, "unknown-after"),
        (3, "syntax"),
        (4, "duplicate-output"),
    ]
    assert all(set(problem) == {"cell", "kind", "message"} for problem in found["problems"])


def test_a_warning_alone_is_a_problem_too(wf: Wf, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "a.ipynb", "%%task a\nx = []", "%%task b\nx.append(1)")
    code, out, _ = wf("check", str(path))
    assert (code, out.splitlines()[-1]) == (1, "2 tasks, 1 edge, 1 problem")


def test_graph_prints_who_comes_after_whom(wf: Wf, good: str, bad: str) -> None:
    assert wf("graph", good) == (
        0,
        "good.ipynb: 3 nodes, 3 edges\n  load\n  clean ← load\n  report ← load, clean\n",
        "",
    )
    code, out, err = wf("graph", bad)
    assert (code, out.splitlines()[0]) == (0, "bad.ipynb: 4 nodes, 1 edges")
    assert err == "4 problems; 'jupyter wf check' lists them\n"


def test_graph_as_json_is_that_of_check(wf: Wf, good: str, bad: str) -> None:
    for notebook in (good, bad):
        code, out, err = wf("graph", notebook, "--json")
        assert (code, err) == (0, "")
        assert out == wf("check", notebook, "--json")[1]


def test_graph_as_mermaid_and_svg(wf: Wf, good: str, tmp_path: Path) -> None:
    code, out, _ = wf("graph", good, "--mermaid")
    assert code == 0
    assert out.startswith("flowchart LR\n") and "n0 --> n1" in out
    _, picture, _ = wf("graph", good, "--svg", "-")
    assert wf("graph", good, "--svg", str(tmp_path / "g.svg")) == (0, "", "")
    assert (tmp_path / "g.svg").read_text(encoding="utf-8") == picture.rstrip("\n")
    assert ET.fromstring(picture).tag.endswith("svg")


@pytest.mark.parametrize("command", ["check", "graph"])
def test_what_is_no_notebook(wf: Wf, command: str, tmp_path: Path) -> None:
    (tmp_path / "text.ipynb").write_text("text")
    other = write_notebook(
        tmp_path / "r.ipynb", "x <- 1", metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
    )
    for path, reason in (
        (tmp_path / "gone.ipynb", "no such file"),
        (tmp_path / "text.ipynb", "JSON"),
        (other, "in r;"),
    ):
        code, out, err = wf(command, str(path))
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err


def test_wrong_usage(wf: Wf, good: str, tmp_path: Path) -> None:
    code, _, err = wf("graph", good, "--json", "--mermaid")
    assert code == 2 and "exclude one another" in err
    code, _, err = wf("graph", good, "--svg", str(tmp_path / "no" / "g.svg"))
    assert code == 2 and "can't be written" in err


def test_a_notebook_without_magics_needs_no_ipython(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "a.ipynb", "x = 1", "%%task a\ny = x")
    program = (
        "import sys\nfrom jupyter_wf.cli.app import main\n"
        f"code = main(['check', {str(path)!r}])\n"
        "print(code, sorted({'IPython', 'nbformat', 'ipykernel', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1 task, no edges, no problems", "0 []"]
