"""A notebook run in the foreground: it is watched to its end, and Ctrl-C cancels it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from jupyter_wf.cli.files import copy_output
from jupyter_wf.cli.follow import Follower
from jupyter_wf.cli.here import conclude, view
from jupyter_wf.core.errors import RunFinished
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services.launcher import Launched
from jupyter_wf.services.results import plain_result

__all__ = ["watch_notebook"]


def watch_notebook(
    runtime: Runtime, start: Callable[[], Launched], *, as_json: bool, output: Path | None = None
) -> int:
    """Show the notebook run that ``start`` starts in the foreground until it ends; return the command's exit code.

    The executed notebook is copied to ``output``. Raises what ``start`` raises.
    """
    out = sys.stderr if as_json else sys.stdout
    follower = Follower(runtime.store, view(out), after=runtime.store.last_seq())
    with _presses() as presses:
        launched = start()
        follower.watch(launched.run.id)
        follower.start()
        _attend(runtime, follower, launched, presses)
    record = runtime.store.get_run(launched.run.id)
    if output is not None:
        copy_output(launched.executed, output)
    result = {"result": plain_result(runtime.store, runtime.settings, record)}
    return conclude(record, as_json=as_json, executed=output or launched.executed, more=result)


@contextmanager
def _presses() -> Iterator[list[int]]:
    """Collect presses of Ctrl-C in a list instead of letting them interrupt whatever runs here."""
    presses: list[int] = []

    def note(signum: int, frame: FrameType | None) -> None:
        presses.append(signum)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, before)


def _attend(runtime: Runtime, follower: Follower, launched: Launched, presses: list[int]) -> None:
    """Wait until the run has ended; turn presses of Ctrl-C into requests, then into signals."""
    heeded = 0
    while not follower.wait(0.1):
        if len(presses) > heeded:
            heeded += 1
            _heed(runtime, launched, heeded)
    if follower.error is not None:
        raise follower.error
    assert launched.process.stdin is not None
    with suppress(OSError):
        launched.process.stdin.close()
    launched.wait()


def _heed(runtime: Runtime, launched: Launched, press: int) -> None:
    if press == 1:
        click.echo("cancelling … (Ctrl-C again: do not wait)", err=True)
        with suppress(RunFinished):
            runtime.store.request(launched.run.id, "cancel")
        return
    with suppress(ProcessLookupError):
        if press == 2:
            os.kill(launched.process.pid, signal.SIGTERM)
        else:
            os.killpg(launched.process.pid, signal.SIGKILL)
