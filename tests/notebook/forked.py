"""Cells in a kernel that is forked or started, and what came of them: ``python -m tests.notebook.forked``.

A program of its own: a process that forks must have no threads.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Kernel", "in_kernel"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Kernel:
    """What came of cells: what each printed or showed, how the kernel ended, and whether it was forked."""

    texts: list[str]
    ended: str
    forked: bool


def in_kernel(
    *cells: str, folder: Path, forks: bool = True, path: Sequence[Path] = (), environ: dict[str, str] | None = None
) -> Kernel:
    """Execute cells in a new kernel that works in ``folder``; ``path`` comes first on everybody's module path."""
    job = {"cells": cells, "folder": str(folder), "forks": forks, "environ": environ or {}}
    folders = os.pathsep.join(map(str, (*path, ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.notebook.forked"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": folders, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return Kernel(**json.loads(done.stdout.splitlines()[-1]))


async def _execute(job: dict[str, Any], private: Path) -> dict[str, Any]:
    from jupyter_wf.notebook.forking import ForkedProcess
    from jupyter_wf.notebook.kernels import HeadlessKernel

    environ = {**os.environ, **job["environ"]}
    kernel = HeadlessKernel(name="python3", folder=Path(job["folder"]), environ=environ, private=private)
    await kernel.start()
    forked = isinstance(kernel.manager.provisioner.process, ForkedProcess)
    texts = [await _executed(kernel, cell) for cell in job["cells"]]
    await kernel.stop()
    return {"texts": texts, "ended": kernel.exit_reason(), "forked": forked}


async def _executed(kernel: Any, cell: str) -> str:
    asked = kernel.client.execute(cell)
    text = ""
    while True:
        try:
            message = await kernel.client.get_iopub_msg(timeout=0.5)
        except Exception:
            if not kernel.alive:
                return text
            continue
        if message["parent_header"].get("msg_id") != asked:
            continue
        content = message["content"]
        text += content.get("text") or content.get("data", {}).get("text/plain", "")
        text += "\n".join(content.get("traceback", ()))
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return text


def main() -> None:
    """Do the job on standard input."""
    job = json.loads(sys.stdin.read())
    # A fork server has no folder of its own on its path.
    del sys.path[0]
    import ipykernel.kernelapp  # noqa: F401

    from jupyter_wf.notebook.forking import prepare_fork
    from jupyter_wf.notebook.provisioner import ForkProvisioner

    ForkProvisioner.forks = job["forks"]
    prepare_fork()
    with tempfile.TemporaryDirectory(prefix="jwf-") as folder:
        private = Path(folder) / "k"
        private.mkdir(mode=0o700)
        answer = json.dumps(asyncio.run(_execute(job, private)))
        # What the kernel prints past Jupyter may stand before it.
        print(f"\n{answer}")


if __name__ == "__main__":
    main()
