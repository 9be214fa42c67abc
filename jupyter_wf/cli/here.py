"""Running a flow in the command's own process, watching it, and telling how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click
from rich.console import Console

from jupyter_wf.cli.app import CANCELLED, FAILED
from jupyter_wf.cli.follow import Follower, View
from jupyter_wf.cli.plain import PlainView
from jupyter_wf.cli.progress import TerminalView
from jupyter_wf.cli.summary import print_summary
from jupyter_wf.core.codec import encode_run
from jupyter_wf.core.models import Run
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, set_runtime

__all__ = ["conclude", "run_here", "stdout_kept_for_json", "view"]


def run_here(runtime: Runtime, out: TextIO, work: Callable[[], Any]) -> Run | int:
    """Call ``work``, which runs a flow (or returns what is to be awaited), and show its run on ``out``.

    Returns the run, or an exit code where none began. Closes the runtime.
    """
    set_runtime(runtime)
    try:
        follower = Follower(runtime.store, view(out), after=runtime.store.last_seq())
        ids: list[str] = []

        def begun(live: LiveRun) -> None:
            ids.append(live.id)
            follower.watch(live.id)

        forget = runtime.on_root(begun)
        follower.start()
        interrupted = False
        try:
            result = work()
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        except KeyboardInterrupt:
            interrupted = True
        except BaseException:
            follower.close()
            raise
        finally:
            forget()
        runtime.journal.flush()
        if not ids:
            follower.close()
            return CANCELLED if interrupted else FAILED
        follower.wait()
        return runtime.store.get_run(ids[0])
    finally:
        set_runtime(None)
        runtime.close()


@contextmanager
def stdout_kept_for_json(wanted: bool) -> Iterator[TextIO]:
    """Where only JSON may go to stdout, send there to stderr what the flow and its subprocesses print meanwhile."""
    if not wanted:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield sys.stderr
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def view(out: TextIO) -> View:
    """Return what shows runs in a terminal, or in plain lines where ``out`` is none."""
    if out.isatty() and os.environ.get("TERM") != "dumb":
        return TerminalView(Console(file=out, highlight=False, markup=False, emoji=False))
    return PlainView(out)


def conclude(record: Run, *, as_json: bool, executed: Path | None = None, more: Mapping[str, Any] | None = None) -> int:
    """Print how a run ended, for people or as JSON (and there ``more`` too), and return the command's exit code."""
    if as_json:
        click.echo(json.dumps({**encode_run(record), **(more or {})}, ensure_ascii=True))
    else:
        print_summary(record, executed)
    if record.state.type is StateType.CANCELLED:
        return CANCELLED
    fine = record.state.type is StateType.COMPLETED or record.state.name == "Suspended"
    return 0 if fine else FAILED
