"""What a cell prints: kept for the notebook and as log lines, both with a limit, whatever the cell does."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import nbformat

__all__ = ["LONGEST_LINE", "MOST_LINES", "MOST_RICH", "MOST_TEXT", "CellText", "LogLines", "plain_text"]

#: Characters of printed text kept in the notebook for one cell.
MOST_TEXT = 5_000_000
#: Characters of displayed data (HTML, images in base64, …) kept for one cell.
MOST_RICH = 64_000_000
#: Characters of a cell's last line that are shown while it runs.
_LONGEST_LAST = 200
#: Log lines kept of one cell, and characters kept of one line.
MOST_LINES = 10_000
LONGEST_LINE = 8_000

#: nbformat says nothing about its types.
_to_node: Callable[[dict[str, Any]], Any] = nbformat.from_dict
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def plain_text(text: str) -> str:
    """Return ``text`` without the escape sequences of terminals."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


class LogLines:
    """Cuts printed text into lines and hands them to ``emit(stream name, line)``.

    What a carriage return overwrote is left out, as a terminal would. After `MOST_LINES` lines one marker follows, and
    nothing more.
    """

    def __init__(self, emit: Callable[[str, str], None]) -> None:
        self._emit = emit
        self._partial: dict[str, str] = {}
        self._lines = 0

    def take(self, name: str, text: str) -> None:
        """Take what was printed to the stream ``name`` next."""
        if self._lines > MOST_LINES:
            return
        *lines, rest = (self._partial.pop(name, "") + text).split("\n")
        for line in lines:
            self._line(name, line)
            if self._lines > MOST_LINES:
                return
        if rest:
            # Only what can still be seen of a line is kept: a progress bar rewrites it for ever.
            shown = rest[rest.rfind("\r", 0, -1) + 1 :]
            self._partial[name] = shown[: LONGEST_LINE + 1]

    def end(self) -> None:
        """Emit the lines that no newline has ended."""
        for name, line in self._partial.items():
            self._line(name, line)
        self._partial.clear()

    def _line(self, name: str, line: str) -> None:
        if self._lines > MOST_LINES:
            return
        self._lines += 1
        if self._lines > MOST_LINES:
            self._emit(name, f"… more than {MOST_LINES:,} lines were printed; the rest is not logged")
            return
        line = plain_text(line.rstrip("\r").rpartition("\r")[2])
        if len(line) > LONGEST_LINE:
            line = f"{line[:LONGEST_LINE]}… (cut after {LONGEST_LINE:,} characters)"
        self._emit(name, line)


class CellText:
    """The printed text of one cell, on its way into the cell's outputs.

    Texts are collected in lists and joined by `settle`: appending to the notebook's strings would be quadratic.
    """

    def __init__(self, lines: LogLines | None = None) -> None:
        self._lines = lines
        self._chunks: list[str] = []
        self._node: Any = None
        self._left = MOST_TEXT
        self._rich_left = MOST_RICH
        self._end = ""

    @property
    def last_line(self) -> str:
        """What was printed last that is no empty line, as a terminal would show it; empty where that is nothing."""
        lines = (plain_text(line.rstrip("\r").rpartition("\r")[2]).strip() for line in self._end.split("\n"))
        return next((line for line in reversed(list(lines)) if line), "")[:_LONGEST_LAST]

    def take(self, outputs: list[Any], name: str, text: str) -> None:
        """Add what was printed to ``name`` (stdout or stderr) to ``outputs``, the cell's list of outputs."""
        if self._lines is not None:
            self._lines.take(name, text)
        self._end = (self._end + text[-2 * _LONGEST_LAST :])[-2 * _LONGEST_LAST :]
        if not outputs:
            self._left = MOST_TEXT
        if self._left <= 0:
            return
        if self._node is None or not outputs or outputs[-1] is not self._node or self._node["name"] != name:
            self.settle()
            self._node = _to_node({"output_type": "stream", "name": name, "text": ""})
            outputs.append(self._node)
        self._chunks.append(text[: self._left])
        self._left -= len(text)
        if self._left <= 0:
            self._chunks.append(f"\n… the output was cut here: {MOST_TEXT:,} characters of a cell are kept\n")

    def admits(self, data: Any) -> bool:
        """Return whether displayed data (a MIME bundle) still fits into the cell's outputs."""
        if isinstance(data, dict):
            self._rich_left -= sum(len(value) for value in data.values() if isinstance(value, str))
        return self._rich_left > 0

    def settle(self) -> None:
        """Put the collected text into the outputs, so that the notebook can be saved."""
        if self._node is not None and self._chunks:
            self._node["text"] += "".join(self._chunks)
            self._chunks.clear()

    def end(self) -> None:
        """Finish: nothing more will be printed."""
        self.settle()
        if self._lines is not None:
            self._lines.end()
