"""Tables of the command line in terminals of any width."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import click
import pytest
from rich.cells import cell_len

from jupyter_wf.cli.tables import print_table

TITLES = ("deployment", "when", "next", "pool", "target")
ROWS = [
    ("report/nightly", "At 06:00, Monday through Friday", "Mon 2026-11-23 06:00 +01:00", "default", "/home/me/a.ipynb"),
    ("etl/日本語", "", ("paused", "yellow"), "big", f"/home/{'z' * 90}.ipynb"),
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list[str]]:
    """Draw the table in a terminal of so many columns, or in none."""

    def draw(width: int | None) -> list[str]:
        out = io.StringIO()
        if width is not None:
            monkeypatch.setattr(out, "isatty", lambda: True)
            monkeypatch.setenv("COLUMNS", str(width))
            monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", out)
        print_table(TITLES, ROWS)
        monkeypatch.undo()
        return [click.unstyle(line) for line in out.getvalue().splitlines()]

    return draw


@pytest.mark.parametrize("width", [20, 40, 60, 79, 80, 100, 133, 220])
def test_nothing_is_lost_and_nothing_too_wide(drawn: Callable[[int | None], list[str]], width: int) -> None:
    lines = drawn(width)
    assert max(map(cell_len, lines)) <= width
    kept = "".join("".join(lines).split())
    for row in ROWS:
        for cell in row:
            text = cell if isinstance(cell, str) else cell[0]
            assert not set(text) - set(kept) - {" "}
    assert kept.count("z") == 90


def test_words_stay_whole_where_there_is_room(drawn: Callable[[int | None], list[str]]) -> None:
    for width in (80, 100, 133):
        text = "\n".join(drawn(width))
        for word in ("deployment", "report/nightly", "2026-11-23", "06:00,", "Monday", "default", "paused"):
            assert word in text, (width, word)


def test_lines_are_whole_where_there_is_no_terminal(drawn: Callable[[int | None], list[str]]) -> None:
    assert len(drawn(None)) == 3 and len(drawn(300)) == 3
