"""Outputs that earlier attempts have saved: which of them are put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jupyter_wf.notebook.earlier import EarlierOutputs


def cell(name: str, text: str | None = None, *, count: int | None = 1, failed: bool = False) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = []
    if text is not None:
        outputs.append({"output_type": "stream", "name": "stdout", "text": text})
    if failed:
        outputs.append({"output_type": "error", "ename": "E", "evalue": "", "traceback": []})
    return {
        "cell_type": "code",
        "id": name,
        "source": f"source of {name}",
        "metadata": {},
        "outputs": outputs,
        "execution_count": count,
    }


def saved(path: Path, *cells: dict[str, Any], minor: int = 5) -> str:
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": cells}))
    return str(path)


def texts(outputs: list[dict[str, Any]] | None) -> list[str] | None:
    return None if outputs is None else [output["text"] for output in outputs]


def test_the_newest_good_execution_counts(tmp_path: Path) -> None:
    new = saved(
        tmp_path / "new.ipynb",
        cell("a", "new a"),
        cell("b", "bad b", failed=True),
        cell("c", count=None),
        cell("d"),
    )
    old = saved(tmp_path / "old.ipynb", cell("a", "old a"), cell("b", "old b"), cell("c", "old c"), cell("d", "old d"))
    now = [cell(name) for name in ("c", "a", "d", "b", "new")]
    outputs = EarlierOutputs(now, [new, str(tmp_path / "gone.ipynb"), old])
    assert [texts(outputs(index)) for index in range(5)] == [["old c"], ["new a"], None, ["old b"], None]


def test_cells_without_ids_are_known_by_their_source(tmp_path: Path) -> None:
    cells = [{key: value for key, value in cell(name, name).items() if key != "id"} for name in ("a", "b")]
    path = saved(tmp_path / "n.ipynb", *cells, minor=4)
    outputs = EarlierOutputs([cells[1], {**cells[0], "source": "changed"}], [path])
    assert [texts(outputs(index)) for index in range(2)] == [["b"], None]


def test_views_of_runs_stay_away_and_lines_are_joined(tmp_path: Path) -> None:
    shown = cell("a", "kept")
    for html in (["<table class='jupyter-wf-run x'>", "</table>"], ["<b>", "mine</b>"]):
        data = {"text/html": html, "application/json": ["a", "b"]}
        shown["outputs"].append({"output_type": "display_data", "data": data, "metadata": {}})
    outputs = EarlierOutputs([cell("a")], [saved(tmp_path / "n.ipynb", shown)])(0)
    assert outputs is not None and [output.get("text") for output in outputs] == ["kept", None]
    assert outputs[1]["data"] == {"text/html": "<b>mine</b>", "application/json": ["a", "b"]}
