"""Tables of the command line, drawn by rich: aligned, in the width of the terminal, whole where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jupyter_wf.cli.text import one_line

__all__ = ["Styled", "print_table"]

#: A cell: its text, or the text and its style.
Styled = str | tuple[str, str]
_NO_END = 10_000


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Styled]]) -> None:
    """Print rows below their titles to standard output; text of users is made harmless for a terminal."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width: who reads it wants whole lines.
        console.width = _NO_END
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(_text(cell) for cell in row))
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def _text(cell: Styled) -> Text:
    text, style = cell if isinstance(cell, tuple) else (cell, "")
    return Text(one_line(text, 500), style=style)
