"""Processes that are dead, far away, or about to be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.store.processes import this_process

ROOT = Path(__file__).resolve().parents[2]


def dead_process() -> ProcessInfo:
    """Return the description of a process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        process.wait(30)
    return this_process("python")._replace(pid=process.pid, started=1)


def foreign_process() -> ProcessInfo:
    """Return the description of a process of another host, whose pid nobody has here."""
    return dead_process()._replace(host="another-host", boot_id="another-boot")


class Child:
    """A process that runs ``tests/contracts/child.py``: commands go in by lines, answers come out as lines of JSON."""

    def __init__(self, kind: str, home: Path) -> None:
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.contracts.child", kind, str(home)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.info = self.read()

    def tell(self, *words: object) -> None:
        """Send a command without waiting for its answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        """Return the next answer."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the child has ended with {self.process.wait(30)}"
        return json.loads(line)

    def ask(self, *words: object) -> Any:
        """Send a command and return its answer."""
        self.tell(*words)
        return self.read()

    def kill(self) -> None:
        """Kill it as the kernel does when memory is out; what it had said before can still be read."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def child(kind: str, home: Path) -> Iterator[Child]:
    """Have a child process for a while."""
    started = Child(kind, home)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()
