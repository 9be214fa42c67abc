"""Hosts of services in processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_wf.core.failpoints import FAILPOINT_VARIABLE

__all__ = ["HostProcess", "host_process"]

ROOT = Path(__file__).resolve().parents[2]


class HostProcess:
    """A process that hosts services; with a ``failpoint`` it may die at any time, also before it has begun."""

    def __init__(self, home: Path, *, failpoint: str = "", greedy: bool = False, log: Path | None = None) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.services.hosting_child", str(home)]
        environment = {**os.environ, FAILPOINT_VARIABLE: failpoint}
        with contextlib.ExitStack() as stack:
            self.process = subprocess.Popen(
                [*command, "greedy"] if greedy else command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if log is None else stack.enter_context(log.open("wb")),
                text=True,
            )
        self.id = "" if failpoint else str(self.read()["id"])

    def read(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the host has ended with {self.process.wait(30)}"
        return json.loads(line)

    def status(self) -> dict[str, Any]:
        """What the host says of itself."""
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found: dict[str, Any] = self.read()
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """End it in order; return its code."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(30)

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@contextmanager
def host_process(home: Path, **options: Any) -> Iterator[HostProcess]:
    """Have a host for a while."""
    found = HostProcess(home, **options)
    try:
        yield found
    finally:
        found.close()
