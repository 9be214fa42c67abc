"""What a task costs the journal's thread: ``python tests/benchmarks/journal.py [N]`` prints microseconds a task.

A task is one run created, three changes of state, and a small value that it keeps. Beside the processor time of the
journal's thread stands what `append` costs the caller, and what one line of log costs.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from jupyter_wf.core.events import Entry, Kept, LogWritten, RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import SqliteStore, open_store

_REPEATS = 5


def tasks(count: int, root: str, owner: str) -> list[Entry]:
    """Return the entries of ``count`` tasks, each begun and completed."""
    entries: list[Entry] = []
    kept = Kept("json", b"null", "0123456789abcdef", '{"name": "world"}')
    for index in range(count):
        run_id, at = new_id(), time.time()
        name = f"say-hello-{index}"
        created = RunCreated(run_id, at, "task", name, None, "say-hello", root, root, owner, call_number=index)
        entries.append(created)
        entries.append(StateChanged(run_id, at, 1, "PENDING", "Pending"))
        entries.append(StateChanged(run_id, at, 1, "RUNNING", "Running"))
        entries.append(StateChanged(run_id, at, 1, "COMPLETED", "Completed", None, None, kept))
    return entries


def lines(count: int, root: str, owner: str) -> list[Entry]:
    """Return ``count`` lines of log."""
    return [LogWritten(root, time.time(), 20, "jupyter_wf", f"line {index} of the log") for index in range(count)]


def measure(store: SqliteStore, entries: list[Entry], count: int) -> tuple[float, float]:
    """Return microseconds for each of ``count``: of the journal's thread (processor time), and of one `append`."""
    journal = store.journal()
    clock = [0.0]
    ended = journal.subscribe(lambda seq, committed: clock.append(time.thread_time()))
    begin = clock[-1] = _thread_time(store)
    started = time.perf_counter()
    for entry in entries:
        journal.append(entry)
    appended = time.perf_counter() - started
    journal.flush()
    ended()
    return (clock[-1] - begin) / count * 1e6, appended / len(entries) * 1e6


def _thread_time(store: SqliteStore) -> float:
    """Return the processor time of the journal's thread so far: a job is done there."""
    return store.journal().run(lambda connection: time.thread_time(), tells=False)


def report(name: str, make: Callable[[int, str, str], list[Entry]], count: int) -> None:
    """Print one line."""
    spent: list[tuple[float, float]] = []
    for _ in range(_REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            store = open_store(Settings(home=Path(folder) / "home"))
            owner = this_process("python")
            store.register(owner)
            root = new_id()
            store.journal().append(RunCreated(root, time.time(), "flow", "root", "root", None, None, root, owner.id))
            store.journal().append(StateChanged(root, time.time(), 1, "RUNNING", "Running"))
            store.journal().flush()
            spent.append(measure(store, make(count, root, owner.id), count))
            store.close()
    thread, append = (median(each) for each in zip(*spent, strict=True))
    print(f"{name:8} {thread:6.1f} µs on the journal's thread, {append:6.2f} µs an append")


def main() -> None:
    """Measure as many tasks, and lines, as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    report("task", tasks, count)
    report("log line", lines, count)


if __name__ == "__main__":
    main()
