"""Notebooks written by tests, and waiting for something with a deadline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def code(source: str, *tags: str) -> dict[str, Any]:
    """Return a code cell that still has an output of some earlier run."""
    old = {"output_type": "stream", "name": "stdout", "text": "output of an earlier run\n"}
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "source": source, "outputs": [old], "execution_count": 99}


def markdown(source: str) -> dict[str, Any]:
    """Return a markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write_notebook(path: Path, *cells: str | dict[str, Any], metadata: dict[str, Any] | None = None) -> Path:
    """Write a notebook; a text is a code cell. Return its path."""
    made = [code(cell) if isinstance(cell, str) else dict(cell) for cell in cells]
    for index, cell in enumerate(made):
        cell["id"] = f"id-{index}"
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": KERNEL if metadata is None else metadata, "cells": made}
    path.write_text(json.dumps(content))
    return path


def read_cells(path: Path | str) -> list[dict[str, Any]]:
    """Return the cells of the notebook at ``path``."""
    cells: list[dict[str, Any]] = json.loads(Path(path).read_text())["cells"]
    return cells


def printed(cell: dict[str, Any]) -> str:
    """Return everything a cell printed or displayed as text."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain") or o.get("traceback", "") for o in cell["outputs"]]
    return "".join("".join(text) for text in texts)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
