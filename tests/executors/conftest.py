"""A process executor for each test, and proof that nothing of it is left."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jupyter_wf.executors import children
from jupyter_wf.executors.process import ProcessExecutor


def children_of_this_process() -> list[str]:
    """Return the status and command of every child, zombies included."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == os.getpid():
                found.append(f"{folder.name} {fields[0]}")
    return found


@pytest.fixture
def start() -> Iterator[Callable[[int], ProcessExecutor]]:
    """Start an executor of so many processes; it is shut down at the end, and has left no child then."""
    before = set(children_of_this_process())
    with ExitStack() as stack:

        def start(size: int) -> ProcessExecutor:
            executor = ProcessExecutor(size)
            executor.start(stack)
            return executor

        yield start
    assert not set(children_of_this_process()) - before


@pytest.fixture
def executor(start: Callable[[int], ProcessExecutor]) -> ProcessExecutor:
    """One of a single process."""
    return start(1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the steps after SIGINT soon."""
    monkeypatch.setattr(children, "INTERRUPT_GRACE", 0.1)
    monkeypatch.setattr(children, "TERMINATE_GRACE", 0.1)
