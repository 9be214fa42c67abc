"""Tables of the command line, drawn by rich: aligned, in the width of the terminal, whole where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jupyter_wf.cli.text import one_line

__all__ = ["Styled", "print_table"]

#: A cell: its text, or the text and its style.
Styled = str | tuple[str, str]
_NO_END = 10_000
_GAP = 2
#: How long a word may be to be kept in one piece: the longest for which there is room.
_WORDS = (40, 28, 20, 16, 12, 10, 8)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Styled]]) -> None:
    """Print rows below their titles to standard output; text of users is made harmless for a terminal."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # A pipe has no width: who reads it wants whole lines.
        console.width = _NO_END
    cells = [[_text(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for title, width in zip(titles, _widths(titles, cells, console.width), strict=True):
        table.add_column(title, overflow="fold", width=width)
    for row_of_texts in cells:
        table.add_row(*row_of_texts)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().splitlines():
        click.echo(line.rstrip())


def _widths(titles: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> list[int]:
    """Return the columns' widths: what they need, or in a narrow terminal such that few words are broken."""
    texts = [[title, *(row[number].plain for row in rows)] for number, title in enumerate(titles)]
    whole = [max(map(cell_len, column)) for column in texts]
    left = max(len(titles), width - _GAP * (len(titles) - 1))
    if sum(whole) <= left:
        return whole
    words = [max(cell_len(word) for text in column for word in (*text.split(), "x")) for column in texts]
    longest = next((most for most in _WORDS if sum(min(each, most) for each in words) <= left), 1)
    found = [min(each, longest) for each in words]
    left -= sum(found)
    # Those that need little get it, what is then left goes to those that need much.
    wanting = sorted(range(len(titles)), key=lambda number: whole[number] - found[number])
    for place, number in enumerate(wanting):
        more = min(whole[number] - found[number], left // (len(titles) - place))
        found[number] += more
        left -= more
    return found


def _text(cell: Styled) -> Text:
    text, style = cell if isinstance(cell, tuple) else (cell, "")
    return Text(one_line(text, 500), style=style)
