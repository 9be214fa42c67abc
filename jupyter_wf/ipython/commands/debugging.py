"""``%wf debug`` and ``load``: looking into a run that has ended, and running it by hand."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.loading import Loaded, load
from jupyter_wf.ipython.commands.offers import addresses
from jupyter_wf.ipython.commands.stored import find, frames_stored
from jupyter_wf.ipython.commands.tables import StoredFailure, label
from jupyter_wf.ipython.postmortem import debug
from jupyter_wf.notebook.addresses import below

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]

_RUN = "RUN/TASK, or a run's id or how it begins, its name, or 'last'"


class _Debug(Command):
    name = "debug"
    help = "Open the debugger where a run of this kernel failed; of another one show what its variables were."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", nargs="?", metavar="RUN", help=f"{_RUN}; without it the last failure.")

    def run(self, session: Session, args: argparse.Namespace) -> StoredFailure | None:
        if args.run is None:
            failure = session.failures.newest
            if failure is None:
                raise UsageError("nothing has failed in this kernel; %wf debug RUN/TASK shows a failure of another one")
            run = find(session, failure.run_id)
        else:
            run = find(session, args.run, failed=True)
            if run.error is None:
                raise UsageError(f"{label(run)} ({short_id(run.id)}) is {run.state.name}: there is no failure to debug")
            run = _where_it_failed(session, run)
            failure = session.failures.of(run.id)
        if failure is not None and debug(session.shell, failure):
            return None
        return StoredFailure(run, frames_stored(session, run), _hint(run, kept=failure is not None))

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return addresses(session, words[-1], ("failed", "crashed")) if len(words) == 1 else []


class _Load(Command):
    name = "load"
    help = "Put a task's inputs into the namespace and its source into a new cell."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help=f"{_RUN}.")

    def run(self, session: Session, args: argparse.Namespace) -> Loaded:
        return load(session, find(session, args.run, failed=True))

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return addresses(session, words[-1]) if len(words) == 1 else []


def _where_it_failed(session: Session, run: Run) -> Run:
    """Return the run itself, or the one below it that made it fail, where only that one's variables are known."""
    if session.failures.of(run.id) is not None or frames_stored(session, run):
        return run
    failed = list(below(session.runtime.store, run, RunFilter(states=("failed", "crashed"))))
    return next((each for each in reversed(failed) if frames_stored(session, each)), run)


def _hint(run: Run, *, kept: bool) -> str:
    why = "There is nobody here to type into a debugger" if kept else "It is not one of this kernel's last failures"
    return f"{why}: %wf load {short_id(run.id)} puts its inputs into the namespace, and its source into a new cell."


COMMANDS: tuple[Command, ...] = (_Debug(), _Load())
