"""Tab behind ``%wf``: commands, options, and what each command offers."""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython's own functions have no types)
from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.registry import COMMANDS
from jupyter_wf.ipython.session import Session

__all__ = ["completions", "offer_completions"]

#: ``%wf`` at the beginning of a line, or behind an assignment; what follows is the text up to the cursor.
_LINE = re.compile(r"\s*(?:[^\W\d]\w*\s*=\s*)?%wf\s+(?P<rest>.*)", re.DOTALL)
_MOST = 200


def completions(session: Session, line: str) -> tuple[str, list[str]]:
    """Return the word at the end of ``line`` and what it may become; nothing where the line is no ``%wf``."""
    found = _LINE.fullmatch(line)
    if found is None:
        return "", []
    *before, word = re.split(r"\s+", found["rest"])
    if not before or before == ["help"]:
        offered = list(COMMANDS) if before else [*COMMANDS, "help"]
    elif before[0] in COMMANDS:
        offered = list(_offered(session, COMMANDS[before[0]], before[1:], word))
    else:
        offered = []
    low = word.lower()
    fits = [text for text in dict.fromkeys(offered) if text.lower().startswith(low)]
    return word, fits[:_MOST]


def _offered(session: Session, command: Command, before: list[str], word: str) -> Iterator[str]:
    actions = command.parser._actions
    taking = _option(actions, before[-1]) if before else None
    if taking is not None and taking.nargs != 0:
        yield from map(str, taking.choices or ())
        yield from command.complete(session, [*before, word])
        return
    if word.startswith("-"):
        for action in actions:
            given = any(option in before for option in action.option_strings)
            if not given or isinstance(action, argparse._AppendAction):
                yield from (option for option in action.option_strings if option.startswith("--"))
        return
    yield from command.complete(session, [*_positional(actions, before), word])


def _option(actions: list[argparse.Action], word: str) -> argparse.Action | None:
    return next((action for action in actions if word in action.option_strings), None)


def _positional(actions: list[argparse.Action], words: list[str]) -> Iterator[str]:
    """Yield the words that are neither options nor their values."""
    skip = False
    for word in words:
        action = _option(actions, word)
        if action is not None:
            skip = action.nargs != 0
        elif skip:
            skip = False
        else:
            yield word


def offer_completions(shell: InteractiveShell, session: Session) -> Callable[[], None]:
    """Make the shell complete ``%wf`` lines; return what undoes it."""

    @context_matcher(identifier="jupyter_wf", priority=100.0)
    def matcher(context: CompletionContext) -> Any:
        try:
            word, fits = completions(session, context.text_until_cursor)
        except JupyterWfError:
            # The state file can't be read now: Tab is no place to say so.
            word, fits = "", []
        return {
            "completions": [SimpleCompletion(text=text, type="magic") for text in fits],
            "matched_fragment": word,
            "ordered": True,
            # Files and names of the notebook are nothing for a command.
            "suppress": bool(fits),
        }

    matchers: list[Any] = shell.Completer.custom_matchers
    matchers.append(matcher)

    def undo() -> None:
        if matcher in matchers:
            matchers.remove(matcher)

    return undo
