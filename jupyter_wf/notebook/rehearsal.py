"""What the first notebook of a process pays for, done ahead: the rules of the notebook format, compiled when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nbformat

__all__ = ["rehearse"]

#: nbformat says nothing about its types.
_output: Callable[[dict[str, Any]], Any] = nbformat.v4.output_from_msg
_MESSAGES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("stream", {"name": "stdout", "text": ""}),
    ("display_data", {"data": {"text/plain": ""}, "metadata": {}}),
    ("execute_result", {"data": {"text/plain": ""}, "metadata": {}, "execution_count": 1}),
    ("error", {"ename": "", "evalue": "", "traceback": []}),
)


def rehearse() -> None:
    """Make what the outputs of a notebook are checked with. Takes some 50 ms the first time, and starts no thread."""
    for kind, content in _MESSAGES:
        _output({"header": {"msg_type": kind}, "content": content})
