"""The parameters cell: what it declares, and the cell that sets what was given."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import ParameterError, TargetError
from jupyter_wf.notebook.parameters import inject, notebook_arguments
from jupyter_wf.notebook.source import NotebookSource, parse_notebook, read_notebook


def cell(source: str, *tags: str, kind: str = "code") -> dict[str, Any]:
    return {
        "cell_type": kind,
        "id": f"c{abs(hash(source)) % 10**6}",
        "metadata": {"tags": list(tags)},
        "source": source,
    }


def notebook(*cells: dict[str, Any], minor: int = 5, **metadata: Any) -> NotebookSource:
    content = {"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": list(cells)}
    return parse_notebook(json.dumps(content).encode(), Path("/x/n.ipynb"), "n.ipynb")


DECLARED = """\
# A comment
%matplotlib inline
year = 2012
start: date = date(2012, 1, 1)
cities: list[str] = ["Seattle"]
limit: int | None = None
key: str
ratio, other = 1, 2
from datetime import date
until = date(2013, 1, 1)
"""


def test_names_types_and_defaults_are_found() -> None:
    arguments = notebook_arguments(notebook(cell("x = 1"), cell(DECLARED, "parameters")))
    assert [(a.name, str(a.type), a.required, a.default) for a in arguments.items] == [
        ("year", "int", False, "2012"),
        ("start", "date", False, "date(2012, 1, 1)"),
        ("cities", "list[str]", False, "['Seattle']"),
        ("limit", "int | None", False, "None"),
        ("key", "str", True, None),
        ("until", "date", False, "date(2013, 1, 1)"),
    ]


def run_cells(content: dict[str, Any]) -> dict[str, Any]:
    namespace: dict[str, Any] = {"date": date}
    for found in content["cells"]:
        exec(found["source"].replace("%matplotlib inline", ""), namespace)
    return namespace


def test_what_is_injected_means_what_was_given() -> None:
    source = notebook(cell(DECLARED, "parameters"), cell("result = (year, start, cities, limit, key, until)"))
    arguments = notebook_arguments(source)
    values = arguments.bind(
        {"cities": ["Oslo", "'\"\n"], "key": "k"}, {"year": "2013", "start": "2013-02-03", "limit": "5"}
    )
    content = inject(source, arguments, values)
    assert [c["metadata"]["tags"] for c in content["cells"]] == [["parameters"], ["injected-parameters"], []]
    expected = (2013, date(2013, 2, 3), ["Oslo", "'\"\n"], 5, "k", date(2013, 1, 1))
    assert run_cells(content)["result"] == expected
    assert len(source.cells) == 2, "the source is left as it was"


def test_special_numbers_and_sets_can_be_injected() -> None:
    source = notebook(
        cell("a = 1.0\nb: set[int] = set()\nc: tuple[int, ...] = ()\nd: Path = ''\ne: set = set()", "parameters")
    )
    arguments = notebook_arguments(source)
    values = arguments.bind({"a": float("inf"), "b": [1], "c": [2], "d": "x/y", "e": []})
    namespace = run_cells(inject(source, arguments, values) | {})
    assert (namespace["a"], namespace["b"], namespace["c"], namespace["e"]) == (float("inf"), {1}, [2], set())
    assert namespace["d"] == Path("x/y")


def test_an_earlier_injection_is_replaced() -> None:
    source = notebook(cell("a = 1", "parameters"), cell("a = 2", "injected-parameters"), cell("b = a"))
    arguments = notebook_arguments(source)
    assert run_cells(inject(source, arguments, {"a": 3}))["b"] == 3
    assert run_cells(inject(source, arguments, {}))["b"] == 1


def test_old_notebooks_get_no_cell_ids() -> None:
    source = notebook(cell("a = 1", "parameters"), minor=4)
    assert "id" not in inject(source, notebook_arguments(source), {"a": 2})["cells"][1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (notebook(cell("a = 1")), "no cell is tagged 'parameters'"),
        (notebook(cell("a = 1", "parameters", kind="markdown")), "no cell is tagged 'parameters'"),
        (notebook(cell("a = 1", "parameters"), kernelspec={"language": "R"}), "parameters of r notebooks"),
    ],
)
def test_a_notebook_without_parameters_says_why(source: NotebookSource, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        notebook_arguments(source).bind({"a": 1})


def test_a_parameters_cell_that_cannot_be_parsed_is_named() -> None:
    with pytest.raises(TargetError, match="its parameters cell can't be parsed, line 2"):
        notebook_arguments(notebook(cell("a = 1\nb =", "parameters")))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"not json", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "has no 'nbformat'"),
        (b'{"nbformat": 3}', "notebook format 3"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": [5]}', "cell 1 is neither"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}', "the source of cell 1 is not text"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "metadata": 5}]}', "metadata of cell 1"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "outputs": 5}]}', "outputs of cell 1"),
    ],
)
def test_what_is_no_notebook_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        parse_notebook(data, Path("/x/n.ipynb"), "n.ipynb")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="there is no such file"):
        read_notebook(tmp_path / "none.ipynb")
    with pytest.raises(TargetError, match="is a folder"):
        read_notebook(tmp_path)
    with pytest.raises(TargetError, match="can't be read"):
        read_notebook("a\0b.ipynb")


def test_sources_are_joined_and_ids_made_unique(tmp_path: Path) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": "a",
            "source": ["x = 1\n", "y = 2"],
            "outputs": [{"output_type": "stream", "text": ["a", "b"]}],
        },
        {"cell_type": "markdown", "id": "a", "source": "t"},
        {"cell_type": "raw"},
    ]
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": cells}))
    source = read_notebook(path)
    assert source.cells[0]["source"] == "x = 1\ny = 2"
    assert source.cells[0]["outputs"][0]["text"] == "ab"
    assert len({found["id"] for found in source.cells}) == 3
    assert source.language == "python"
