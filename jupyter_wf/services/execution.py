"""Executing a notebook in the runner's process, once its run is ours and it is laid out."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.settings import PARENT_VARIABLE
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.context import ROOT_VARIABLE
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.orphans import RUNNER_VARIABLE
from jupyter_wf.notebook.plan import Plan

if TYPE_CHECKING:
    from jupyter_wf.notebook.kernels import HeadlessKernel

__all__ = ["execute_notebook"]

_STDIN = 0


async def execute_notebook(
    live: LiveRun,
    job: Mapping[str, Any],
    *,
    timeout: float | None = None,
    publish: Callable[[], Mapping[str, Any]] | None = None,
    kernel: HeadlessKernel | None = None,
) -> None:
    """Execute the notebook that ``job`` names, on the main thread; return when its run has ended.

    ``job`` has the paths ``executed`` (the copy that is executed in place), ``folder`` (where the kernel works),
    ``private`` (for its sockets) and ``notebook`` (what it is known by), the ``plan``, and whether standard input is a
    ``lifeline``. ``timeout`` (seconds) and ``publish`` are as for `NotebookRunner`, and so is ``kernel``, one
    that was started in advance.
    """
    # A grammar that nbclient's imports compile for checks of IRIs, which nobody asks for here, costs a second.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from jupyter_wf.notebook.runner import NotebookRunner, Outcome

    environ = {
        **os.environ,
        PARENT_VARIABLE: live.id,
        ROOT_VARIABLE: live.root_id,
        RUNNER_VARIABLE: Path(job["private"]).name,
        # As the Jupyter server does: what is run is known to the kernel by the notebook's name.
        "JPY_SESSION_NAME": job["notebook"],
    }
    runner = NotebookRunner(
        live,
        executed=Path(job["executed"]),
        folder=Path(job["folder"]),
        environ=environ,
        private=Path(job["private"]),
        plan=Plan.from_json(job["plan"]),
        timeout=timeout,
        publish=publish,
        spare=kernel,
    )

    def end(message: str) -> None:
        runner.stop(Outcome(type=StateType.CRASHED, message=message), now=True)

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(signum, end, f"the runner was ended by {signum.name}")
    if job["lifeline"]:
        threading.Thread(target=_wait_for_end, args=(end,), name="jupyter-wf-lifeline", daemon=True).start()
    await runner.run()


def _wait_for_end(end: Callable[[str], None]) -> None:
    while os.read(_STDIN, 65536):
        pass
    end("the command that started the run is gone")
