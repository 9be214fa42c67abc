"""What there is to be compared with, on the same machine in the same minute: plain calls, and SQLite alone.

Run as a program: ``python tests/benchmarks/limits.py N`` prints µs a task as JSON. The rows are as many and as large as
those that a task leaves: one of its run, four of its events.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import open_store
from jupyter_wf.store.sqlite.driver import sqlite

__all__ = ["bare", "batched", "plain"]

_RUN = "INSERT INTO runs VALUES (" + ",".join("?" * 29) + ")"
_EVENT = "INSERT INTO events (at, run, kind, payload, root) VALUES (?, ?, ?, ?, ?)"
_PAYLOAD = json.dumps({"type": "RUNNING", "name": "Running", "message": None, "attempt": 1})
_CREATED = json.dumps({"kind": "task", "name": "nothing-0", "parent_id": new_id(), "root_id": new_id()})


def _same(x: int) -> int:
    return x


def plain(n: int) -> float:
    """Return the microseconds of a plain call."""
    begun = time.perf_counter()
    for i in range(n):
        _same(i)
    return (time.perf_counter() - begun) / n * 1e6


def _rows(i: int) -> tuple[tuple[object, ...], list[tuple[object, ...]]]:
    now = time.time()
    root = "00000000-0000-4000-8000-000000000000"
    run = (
        *(i + 1, new_id(), "task", f"nothing-{i}", "main", "nothing", root, root),
        *(1, 1, "COMPLETED", "Completed", None, now),
        *(f'{{"x":{i}}}', "[]", "[]", "{}", None),
        *(now, now, now, None, root),
        *(i, "0123456789abcdef", "", "json", str(i).encode()),
    )
    events = [(now, i + 1, "run", _CREATED, None), *[(now, i + 1, "state", _PAYLOAD, None)] * 3]
    return run, events


def _in_file(work: Callable[[sqlite.Connection], None]) -> float:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        open_store(settings).close()
        connection = sqlite.connect(settings.database, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        width = len(connection.execute("PRAGMA table_info(runs)").fetchall())
        assert width == 29, f"a run has {width} columns: mend the rows of this file"
        begun = time.perf_counter()
        work(connection)
        seconds = time.perf_counter() - begun
        connection.close()
        return seconds


def batched(n: int, size: int = 200) -> float:
    """Return the microseconds of a task's rows where ``size`` tasks share a transaction."""

    def work(connection: sqlite.Connection) -> None:
        for begin in range(0, n, size):
            connection.execute("BEGIN IMMEDIATE")
            for i in range(begin, min(n, begin + size)):
                run, events = _rows(i)
                connection.execute(_RUN, run)
                connection.executemany(_EVENT, events)
            connection.execute("COMMIT")

    return _in_file(work) / n * 1e6


def bare(n: int) -> float:
    """Return the microseconds of a task's rows in a transaction of their own."""

    def work(connection: sqlite.Connection) -> None:
        for i in range(n):
            connection.execute("BEGIN IMMEDIATE")
            run, events = _rows(i)
            connection.execute(_RUN, run)
            connection.executemany(_EVENT, events)
            connection.execute("COMMIT")

    return _in_file(work) / n * 1e6


if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_WF_HOME", tempfile.gettempdir())
    number = int(sys.argv[1])
    print(json.dumps({"plain": plain(number), "batched": batched(number), "bare": bare(number)}))
