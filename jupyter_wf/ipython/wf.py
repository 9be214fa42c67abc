"""``%wf``: the commands of the command line, in a cell."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython's own functions have no types)
from __future__ import annotations

import difflib
import html
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.ipython.commands.base import split_words
from jupyter_wf.ipython.commands.registry import COMMANDS
from jupyter_wf.ipython.session import Session

__all__ = ["CommandList", "WfMagics"]


@magics_class
class WfMagics(Magics):
    """The line magic ``%wf`` of a `Session`."""

    def __init__(self, shell: InteractiveShell, session: Session) -> None:
        super().__init__(shell)
        self._session = session

    @no_var_expand
    @line_magic
    def wf(self, line: str) -> Any:
        """Look at runs and steer them: ``%wf COMMAND …``.

        ``%wf`` or ``%wf help`` lists the commands, ``%wf COMMAND --help`` tells what one takes. Words are separated as
        in a shell: quotes keep one together.
        """
        words = split_words(line)
        if not words or words[0] in ("help", "-h", "--help"):
            return _help(words[1:])
        command = COMMANDS.get(words[0])
        if command is None:
            raise UsageError(_unknown(words[0]))
        if {"-h", "--help"} & set(words[1:]):
            return _help([command.name])
        args = command.parser.parse_args(words[1:])
        try:
            return command.run(self._session, args)
        except JupyterWfError as error:
            raise UsageError(" ".join(str(error).split())) from None


class CommandList:
    """The list that ``%wf`` shows."""

    def __repr__(self) -> str:
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
        return "\n".join(("%wf COMMAND …", "", *lines, "", "%wf COMMAND --help tells what a command takes."))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left;padding:2px 12px 2px 0'><code>%wf {html.escape(name)}</code></td>"
            f"<td style='text-align:left'>{html.escape(command.help)}</td></tr>"
            for name, command in COMMANDS.items()
        )
        hint = "<code>%wf COMMAND --help</code> tells what a command takes."
        return f"<table style='border-collapse:collapse;font-size:13px'>{rows}</table><p>{hint}</p>"


def _help(words: list[str]) -> CommandList | None:
    if not words:
        return CommandList()
    if words[0] not in COMMANDS:
        raise UsageError(_unknown(words[0]))
    print(COMMANDS[words[0]].parser.format_help().rstrip())
    return None


def _unknown(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean %wf {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"%wf has no command {word[:60]!r}; {hint}"
