"""What a command of ``%wf`` is, and how its line is taken apart."""

from __future__ import annotations

import argparse
import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["Command", "CommandParser", "split_words"]


class CommandParser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, whose text is one line, where another ends the program."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` with what is wrong, and where help is."""
        raise UsageError(f"{self.prog}: {' '.join(message.split())}; {self.prog} --help shows how it is used")


class Command(ABC):
    """One word behind ``%wf``: what it takes, what it does, and what Tab offers for it.

    ``name`` is the word and ``help`` one sentence about it. A command is stateless: what it works on is the session.
    """

    name: ClassVar[str]
    help: ClassVar[str]

    @cached_property
    def parser(self) -> CommandParser:
        """The parser of what stands behind the command's name."""
        parser = CommandParser(prog=f"%wf {self.name}", description=self.help, add_help=False, allow_abbrev=False)
        parser.add_argument("-h", "--help", action="store_true", help="Print this.")
        self.declare(parser)
        return parser

    def declare(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027 (many commands take nothing)
        """Add the command's arguments and options; there are none where this is not overridden."""

    @abstractmethod
    def run(self, session: Session, args: argparse.Namespace) -> Any:
        """Carry the command out; return what is to be displayed, or None.

        What raises a `JupyterWfError` is shown as a `UsageError`: one line.
        """

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        """Return what the last of ``words`` may become, in the order in which to offer it.

        ``words`` are those behind the command's name; the last one is the one at the cursor, and may be empty. Options
        and their choices are offered without this; what does not begin with the last word is left out by the caller.
        """
        return []


def split_words(line: str) -> list[str]:
    """Return the words of a line as a shell would: quotes keep one together. Raises `UsageError` for an open quote."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"%wf: {str(error).lower()} in {line!r}") from None
