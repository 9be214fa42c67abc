"""``%wf runs``, ``cancel`` and ``retry``: looking at what the state file holds, and asking for something."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from jupyter_wf.core.codec import encode_run
from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.html import RunTable

if TYPE_CHECKING:
    from jupyter_wf.core.processes import RequestKind
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]


class _Runs(Command):
    name = "runs"
    help = "List runs, newest first."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--limit", type=int, default=20, help="At most so many (20).")
        parser.add_argument("--state", type=_state, help="Only those in this state, for instance failed.")

    def run(self, session: Session, args: argparse.Namespace) -> RunTable:
        where = RunFilter(roots_only=True, states=(args.state,) if args.state else ())
        session.runtime.journal.flush()
        page = session.runtime.store.list_runs(where, limit=max(1, min(args.limit, 1000)))
        return RunTable([encode_run(run) for run in page.items])


class _Ask(Command):
    """Writes a request to the owner of a run."""

    kind: RequestKind

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", nargs="?", metavar="RUN", help="The run's id, or how it begins.")

    def run(self, session: Session, args: argparse.Namespace) -> None:
        if not args.run:
            raise UsageError(f"%wf {self.name} needs a run's id, or how it begins; %wf runs lists them")
        session.runtime.journal.flush()
        run = session.runtime.store.find_run(args.run)
        session.runtime.store.request(run.id, self.kind)
        print(f"asked to {self.name} {run.name} ({run.id[:8]})")


class _Cancel(_Ask):
    name = "cancel"
    help = "Ask a run, and everything below it, to stop."
    kind = "cancel"


class _Retry(_Ask):
    name = "retry"
    help = "Ask for another attempt of a run that failed."
    kind = "retry"


def _state(text: str) -> str:
    value = text.upper()
    if value not in StateType.__members__:
        raise argparse.ArgumentTypeError(f"{text!r} is not a state; there are {', '.join(StateType)}")
    return value


COMMANDS: tuple[Command, ...] = (_Runs(), _Cancel(), _Retry())
