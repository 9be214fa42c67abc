"""``%wf widgets``: what is shown below the cells."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_wf.ipython.commands.base import Command

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]

_CHOICES = ("on", "off", "compact")


class _Widgets(Command):
    name = "widgets"
    help = "Show runs below their cells, as a whole (on), as one line (compact), or not at all (off)."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("value", choices=_CHOICES, help="What to show from the next run on.")

    def run(self, session: Session, args: argparse.Namespace) -> None:
        session.board.enabled = args.value != "off"
        if args.value != "off":
            session.board.mode = "compact" if args.value == "compact" else "full"

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return list(_CHOICES) if len(words) == 1 else []


COMMANDS: tuple[Command, ...] = (_Widgets(),)
