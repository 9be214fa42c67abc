"""The runner's process: takes one notebook run, executes it, and ends (``python -m jupyter_wf.services.runner_main``).

Standard input holds one line of JSON, the job. For a run in the foreground it stays open: its end means that the
command which started the run is gone, and the runner stops then.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import RunFinished, RunNotFound
from jupyter_wf.core.models import Run
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, load_settings
from jupyter_wf.notebook.orphans import end_escaped, sessions
from jupyter_wf.services.execution import execute_notebook
from jupyter_wf.services.queued_runs import execute_queued
from jupyter_wf.services.runners import own_private

if TYPE_CHECKING:
    from jupyter_wf.notebook.kernels import HeadlessKernel

__all__ = ["main", "perform"]

_STDIN = 0


def main() -> int:
    """Execute the job on standard input; return 0 when the run was brought to an end, whatever end, and 1 otherwise."""
    with asyncio.Runner() as loop:
        return perform(json.loads(_read_line()), loop)


def perform(job: dict[str, Any], loop: asyncio.Runner, kernel: HeadlessKernel | None = None) -> int:
    """Execute a job on an event loop; return 0 when its run was brought to an end, whatever end.

    ``kernel`` is one that was started in advance on the same loop. It is used where it is the kind of kernel that is
    wanted, and ended in any case. Whatever else the run has started is ended, and its private folder taken away.
    Raises what it was that the runner could not do.
    """
    private = Path(job["private"])
    own_private(private)
    mine = [os.getpid(), *([] if kernel is None or kernel.pid is None else [kernel.pid])]
    # Only what has begun a session meanwhile, or belongs to one of ours, can be the run's.
    others = sessions() - {os.getsid(pid) for pid in mine}
    try:
        return _perform(job, loop, kernel)
    finally:
        end_escaped(private.name, but=others)
        shutil.rmtree(private, ignore_errors=True)


def _perform(job: dict[str, Any], loop: asyncio.Runner, kernel: HeadlessKernel | None) -> int:
    runtime = Runtime.open(load_settings(), role="runner")
    try:
        runtime.journal.flush()
        if "queued" in job:
            return execute_queued(runtime, job, loop, kernel)
        try:
            run = _take(runtime, job)
        except (RunFinished, RunNotFound) as error:
            print(f"nothing to do: {error}", file=sys.stderr)
            if "next_attempt" in job:
                # Whoever was quicker has laid out a notebook of their own.
                shutil.rmtree(Path(job["executed"]).parent, ignore_errors=True)
            return 0
        live = runtime.adopt(run)
        try:
            _note(live, job.get("next_attempt"))
            loop.run(execute_notebook(live, job, kernel=kernel))
        except BaseException as error:
            live.close(StateType.CRASHED, f"the runner failed: {type(error).__name__}: {error}", error)
            raise
        return 0
    finally:
        runtime.close()


def _take(runtime: Runtime, job: dict[str, Any]) -> Run:
    """Make this process the owner of the run: of its first attempt, or of the next one."""
    if "next_attempt" in job:
        return runtime.store.take_over(job["run_id"], runtime.process.id)
    return runtime.store.claim(job["run_id"], runtime.process.id)


def _note(live: LiveRun, told: dict[str, Any] | None) -> None:
    """Write down what is new in a next attempt."""
    if told is None:
        return
    live.patch(source=told["source"], parameters=json.loads(told["parameters"]), expected=told["expected"])
    for line in told["log"]:
        live.log(logging.INFO, f"attempt {live.attempt}: {line}")
    # Whoever has started this process waits to hear that it has begun.
    live.runtime.journal.flush()


def _read_line() -> bytes:
    """Read the job byte for byte up to its newline: what comes behind it belongs to the lifeline."""
    chunks: list[bytes] = []
    while not chunks or not chunks[-1].endswith(b"\n"):
        chunk = os.read(_STDIN, 65536)
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks)


if __name__ == "__main__":
    sys.exit(main())
