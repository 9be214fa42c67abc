"""Running the command line: in a process of its own, in a terminal, or in this process where that is enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import Runtime

COMMAND = [sys.executable, "-m", "jupyter_wf.cli"]


@dataclass
class CommandLine:
    """Starts ``jupyter wf`` in ``folder``; kills at the end what still runs."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command with pipes."""
        process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **options},
        )
        self.started.append(process)
        return process

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        process = self.start(*args)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[CommandLine]:
    folder = tmp_path / "work"
    folder.mkdir()
    made = CommandLine(folder)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def runtime(wf_home: Path) -> Iterator[Runtime]:
    """The state file that the command uses, opened here to look at it or to fill it."""
    runtime = Runtime.open(Settings(home=wf_home), role="python")
    yield runtime
    runtime.close()


@pytest.fixture
def wf(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, stdout, stderr."""
    from jupyter_wf.cli.app import main

    def run(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(args)
        return (code, *capsys.readouterr())

    return run
