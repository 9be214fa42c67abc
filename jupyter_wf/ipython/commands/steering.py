"""``%wf cancel``, ``retry`` and ``resume``: asking something of runs."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from IPython.core.error import UsageError

from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.core.errors import JupyterWfError, RunFinished
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.core.processes import RequestKind
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.flow_runs import resume_flow_run
from jupyter_wf.flows import Flow
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.offers import addresses, runs_in
from jupyter_wf.ipython.commands.stored import find
from jupyter_wf.ipython.commands.tables import label

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS"]

T = TypeVar("T")
_OPEN = ("scheduled", "pending", "running", "paused")
_ENDED_BADLY = ("failed", "crashed", "cancelled")


class _Ask(Command):
    """Writes a request to the owner of a run."""

    kind: ClassVar[RequestKind]
    states: ClassVar[tuple[str, ...]]

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="A run's id or how it begins, its name, or RUN/TASK.")

    def run(self, session: Session, args: argparse.Namespace) -> None:
        run = find(session, args.run)
        session.runtime.store.request(run.id, self.kind)
        print(f"asked to {self.name} {label(run)} ({short_id(run.id)})")

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return addresses(session, words[-1], self.states) if len(words) == 1 else []


class _Cancel(_Ask):
    name = "cancel"
    help = "Ask a run, and everything below it, to stop."
    kind = "cancel"
    states = _OPEN


class _Retry(_Ask):
    name = "retry"
    help = "Ask for another attempt of a run that failed, in the process that ran it."
    kind = "retry"
    states = _ENDED_BADLY


class _Resume(Command):
    name = "resume"
    help = "Go on with a run that is paused, suspended or did not complete."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", metavar="RUN", help="A run's id or how it begins, or its name.")
        parser.add_argument(
            "--input", action="append", default=[], metavar="NAME=VALUE", help="Give what a paused run asks for."
        )
        parser.add_argument(
            "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="Change a parameter."
        )

    def run(self, session: Session, args: argparse.Namespace) -> Any:
        run = find(session, args.run)
        if run.state.is_completed():
            raise RunFinished(run.id, run.state.name, "resumed")
        suspended = run.state.name == "Suspended"
        if run.state.is_paused() and not suspended:
            _apart(lambda: resume_flow_run(run.id, run_input=_input(args.input)))
            print(f"{label(run)} ({short_id(run.id)}) goes on")
            return None
        if args.input and not suspended:
            raise UsageError(f"--input is for runs that are paused; {short_id(run.id)} is {run.state.name}")
        if args.input:
            _apart(lambda: resume_flow_run(run.id, run_input=_input(args.input)))
            print(f"{label(run)} ({short_id(run.id)}) goes on in a process of its own")
            return None
        texts = dict(map(parse_assignment, args.parameter))
        if run.is_notebook:
            return _resume_notebook(session, run, texts)
        return _go_on(session, run, {name: _value(text) for name, text in texts.items()})

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        return runs_in(session, (*_ENDED_BADLY, "paused")) if len(words) == 1 else []


def _resume_notebook(session: Session, run: Run, texts: dict[str, str]) -> None:
    """Begin the next attempt of a notebook's run, in a process of its own."""
    # Few kernels do: it loads what reads and runs notebooks.
    from jupyter_wf.services.notebook_runs import resume_notebook

    runtime = session.runtime
    launched = resume_notebook(runtime.store, runtime.settings, run, process=runtime.process, texts=texts)
    told = f"{label(run)} ({short_id(run.id)}) goes on in a process of its own, as attempt {launched.run.attempt}"
    print(f"{told}; %wf show {short_id(run.id)} looks at it")


def _go_on(session: Session, run: Run, changed: dict[str, Any]) -> Any:
    """Make the next attempt: by the flow in the namespace, else by what this kernel remembers of the run."""
    flow = _flow(session, run) if run.kind == "flow" else None
    if flow is not None:
        if flow.isasync:
            raise UsageError(f"{run.flow_name!r} is asynchronous: await {_name_of(session, flow)}.resume({run.id!r})")
        return flow.resume(run.id, **changed)
    live = session.runtime.find(run.id)
    if live is not None and live.rerun is not None and not live.is_open:
        if changed:
            raise UsageError("-p needs the flow itself in the namespace; a cell takes what the notebook has")
        return _try_again(session, run, live)
    if run.kind == "flow" and run.source.get("entrypoint"):
        raise UsageError(
            f"the flow {run.flow_name!r} is not in the namespace: import it from {run.source['entrypoint']}, "
            f"or use 'jupyter wf resume {short_id(run.id)}'"
        )
    raise UsageError(
        f"this kernel has nothing to resume {label(run)} ({short_id(run.id)}) with: run its cell again, "
        f"or use 'jupyter wf resume {short_id(run.id)}'"
    )


def _try_again(session: Session, run: Run, live: LiveRun) -> None:
    """Make the next attempt of a run that this process remembers: in a notebook below its own cell, else here."""
    if hasattr(session.shell, "kernel"):
        session.runtime.rerun(live)
        print(f"{label(run)} ({short_id(run.id)}) is tried again, below its own cell, when this one has ended")
        return
    work = live.rerun() if live.rerun is not None else None
    if inspect.iscoroutine(work):
        _apart(lambda: asyncio.run(work))
    print(f"{label(run)} ({short_id(run.id)}) is {live.state.name}")
    if live.last_error is not None and not live.state.is_completed():
        raise live.last_error


def _flow(session: Session, run: Run) -> Flow[..., Any] | None:
    found = [value for value in list(session.shell.user_ns.values()) if isinstance(value, Flow)]
    return next((flow for flow in found if flow.name == run.flow_name), None)


def _name_of(session: Session, flow: Flow[..., Any]) -> str:
    return next(str(name) for name, value in list(session.shell.user_ns.items()) if value is flow)


def _apart(work: Callable[[], T]) -> T:
    """Return what a function gives that must be called where no event loop is running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def _input(texts: Sequence[str]) -> Any:
    """Return the input as a JSON value: an object of the fields, or the one plain value."""
    if not texts:
        return None
    try:
        return {name: _value(text) for name, text in map(parse_assignment, texts)}
    except JupyterWfError:
        if len(texts) > 1:
            raise
        return _value(texts[0])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


COMMANDS: tuple[Command, ...] = (_Cancel(), _Retry(), _Resume())
