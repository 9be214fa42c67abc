"""``%wf runs``, ``show``, ``last`` and ``logs``: looking at what the state file holds."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.offers import addresses, run_names
from jupyter_wf.ipython.commands.stored import card, find
from jupyter_wf.ipython.commands.tables import LogTable, RunCard, RunList, label
from jupyter_wf.notebook.addresses import find_last

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]

_NAMES = (
    *StateType,
    *"Late AwaitingRetry Retrying Cached Resumed TimedOut Skipped Missed Suspended NotReady Stopped".upper().split(),
)
_RUN = "A run's id or how it begins, its name, or 'last'; RUN/TASK for a task below it."


class _Runs(Command):
    name = "runs"
    help = "List runs, newest first."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--limit", type=_limit, default=20, help="At most so many (20).")
        parser.add_argument("--state", type=_states, default=(), help="Only these states: failed,crashed.")
        parser.add_argument("--flow", metavar="NAME", help="Only runs of this flow.")
        parser.add_argument("--all", action="store_true", help="Also the tasks and cells inside other runs.")

    def run(self, session: Session, args: argparse.Namespace) -> RunList:
        where = RunFilter(roots_only=not args.all, states=args.state, flow=args.flow)
        session.runtime.journal.flush()
        page = session.runtime.store.list_runs(where, limit=args.limit)
        return RunList(page.items, more=page.next_cursor is not None)

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        if len(words) > 1 and words[-2] == "--state":
            before, comma, _ = words[-1].rpartition(",")
            return [f"{before}{comma}{name.lower()}" for name in _NAMES]
        if len(words) > 1 and words[-2] == "--flow":
            return run_names(session, flows=True)
        return []


class _Show(Command):
    name = "show"
    help = "Show one run, what is below it, and its error."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help=_RUN)

    def run(self, session: Session, args: argparse.Namespace) -> RunCard:
        return card(session, find(session, args.run))

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return addresses(session, words[-1]) if len(words) == 1 else []


class _Last(Command):
    name = "last"
    help = "Show the last run, or the last one of a name; 'r = %wf last' has r.state, and r.value where that was kept."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="The name of a run, a flow or a task.")

    def run(self, session: Session, args: argparse.Namespace) -> RunCard:
        session.runtime.journal.flush()
        return card(session, find_last(session.runtime.store, args.name))

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return run_names(session) if len(words) == 1 else []


class _Logs(Command):
    name = "logs"
    help = "Show the log lines of a run and of everything below it."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help=_RUN)
        parser.add_argument("--level", type=_level, default=0, help="Only this level (name or number) and above.")
        parser.add_argument("--tail", type=_limit, default=200, metavar="N", help="The last so many lines (200).")

    def run(self, session: Session, args: argparse.Namespace) -> LogTable:
        store, run = session.runtime.store, find(session, args.run)
        # One more than is shown tells whether there are others before.
        lines = store.logs(run.id, limit=min(args.tail + 1, 1000), min_level=args.level, tail=True)
        before = len(lines) > args.tail
        names = {each.id: label(each) for each in store.get_runs({line.run_id for line in lines}).values()}
        return LogTable(lines[-args.tail :], names, before=before)

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        if len(words) > 1 and words[-2] == "--level":
            return [name.lower() for name in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")]
        return addresses(session, words[-1]) if len(words) == 1 else []


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 1 to 1000")
    return int(text)


def _states(text: str) -> tuple[str, ...]:
    states = tuple(part.strip() for part in text.split(",") if part.strip())
    for state in states:
        if state.upper() not in _NAMES:
            raise argparse.ArgumentTypeError(f"{state!r:.40} is not a state; there are {', '.join(_NAMES).lower()}")
    return states


def _level(text: str) -> int:
    known = logging.getLevelNamesMapping()
    if text.isascii() and text.isdigit() and len(text) < 6:
        return int(text)
    if text.upper() not in known:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is none of {', '.join(known)}")
    return known[text.upper()]


COMMANDS: tuple[Command, ...] = (_Runs(), _Show(), _Last(), _Logs())
