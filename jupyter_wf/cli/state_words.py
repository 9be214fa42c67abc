"""States as people name them on the command line: a name that no state of ours has may be a slip."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from jupyter_wf.cli.text import one_line
from jupyter_wf.core.states import StateType

__all__ = ["strange_states"]

#: What states are called beside their types, and what else happens.
_OTHERS = (
    *("late", "awaitingretry", "retrying", "cached", "skipped", "missed", "timedout", "suspended", "notready"),
    *("deadline", "deployment-paused", "no-success"),
)


def strange_states(words: Iterable[str]) -> Iterator[str]:
    """Return a sentence about each word that is neither a type of states nor a name that the package gives to one.

    Flows may end in states with names of their own, so that such a word is no error.
    """
    known = [*(each.value.lower() for each in StateType), *_OTHERS]
    for word in words:
        if word.lower() not in known:
            near = get_close_matches(word.lower(), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield f"{one_line(word)!r} is no state but one that a flow names so itself{hint}"
