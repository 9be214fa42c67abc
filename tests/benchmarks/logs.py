"""What log lines cost: ``python tests/benchmarks/logs.py [LINES] [TASKS]``. All of them are in the store at the end.

The first table is the time from the call to the end of the journal's `append`, by way of writing and by what the
process is: a plain Python program also shows each line on stderr (here a file), a kernel does not. The second is what a
trivial task of a flow costs alone, and in one that writes LINES lines (100,000): all of them before, or as many before
each task; the lines' own time is not the tasks'. The mean has in it when the journal's thread had the interpreter while
a task wanted it; the median does not. Each measurement is a process of its own; of five, alone and with lines by turns,
the median is shown. Beside the speed stands how many lines and task runs the store holds.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

_REPEATS = 5
_LINES = 20_000


def measure_lines(way: str, role: str) -> dict[str, Any]:
    """In the child: write lines in one way; return microseconds a line, and how many are stored."""
    from jupyter_wf import flow, get_run_logger
    from jupyter_wf.engine.context import current_run
    from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime

    runtime = Runtime.open(load_settings(), role=role)
    set_runtime(runtime)
    if way == "logger with another handler":
        logging.getLogger().addHandler(logging.NullHandler())
    spent: list[float] = []

    @flow(log_prints=way == "print")
    def main() -> None:
        live = current_run()
        assert live is not None
        write: Callable[[int], None]
        if way == "LiveRun.log":
            write = lambda i: live.log(20, f"line {i} of the log")  # noqa: E731
        elif way == "print":
            write = lambda i: print("line", i, "of the log")  # noqa: E731
        else:
            write = lambda i: get_run_logger().info("line %d of the log", i)  # noqa: E731
        for _ in range(_REPEATS):
            before = time.perf_counter()
            for i in range(_LINES):
                write(i)
            spent.append((time.perf_counter() - before) / _LINES * 1e6)
            runtime.journal.flush()

    main()
    return {"us": median(spent), "least": min(spent), "stored": _stored_lines()}


def measure_tasks(kind: str, lines: int, tasks: int) -> dict[str, Any]:
    """In the child: call trivial tasks in a flow which logs; return microseconds of a task and of a line."""
    from jupyter_wf import flow, get_run_logger, task
    from jupyter_wf.core.models import RunFilter
    from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime

    runtime = Runtime.open(load_settings(), role="kernel")
    set_runtime(runtime)
    before_all = lines if kind == "before all" else 0
    before_each = lines // tasks if kind == "before each" else 0
    spent: list[float] = []
    logged: list[float] = []

    @task
    def same(x: int) -> int:
        return x

    @flow
    def main(n: int, first: int, each: int) -> None:
        logger = get_run_logger()
        for i in range(n):
            begin = time.perf_counter()
            for j in range(each + (first if i == 0 else 0)):
                logger.info("line %d of the log", j)
            between = time.perf_counter()
            same(i)
            spent.append(time.perf_counter() - between)
            logged.append(between - begin)

    main(20, 0, 1)
    spent.clear()
    logged.clear()
    main(tasks, before_all, before_each)
    newest = runtime.store.list_runs(RunFilter(kinds=("flow",)), limit=1).items[0]
    assert newest.progress is not None
    return {
        "mean": mean(spent) * 1e6,
        "median": median(spent) * 1e6,
        "line": sum(logged) / max(lines, 1) * 1e6,
        "stored": _stored_lines(),
        "recorded": newest.progress.counts.get("COMPLETED", 0),
    }


def _stored_lines() -> int:
    """Return how many log lines the newest flow run has in the store."""
    from jupyter_wf.core.models import RunFilter
    from jupyter_wf.engine.runtime import current_runtime

    store = current_runtime().store
    newest = store.list_runs(RunFilter(kinds=("flow",)), limit=1).items[0]
    count = after = 0
    while found := store.logs(newest.id, after=after, limit=10_000):
        count, after = count + len(found), found[-1].seq
    return count


def in_child(*arguments: str) -> dict[str, Any]:
    """Return what a process of its own measures on a new state folder; what it shows goes to a file."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "JUPYTER_WF_HOME": home, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        command = [sys.executable, __file__, "--child", *arguments]
        with open(Path(home) / "stderr", "w") as shown:
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=shown, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def main(lines: int, tasks: int) -> None:
    """Print both tables."""
    print(f"{_LINES} log lines, median (least) of {_REPEATS}")
    print(f"{'':30}{'µs a line':>18}{'stored':>16}")
    ways = [("LiveRun.log", "kernel"), ("logger", "kernel"), ("logger with another handler", "kernel")]
    for way, role in (*ways, ("print", "kernel"), ("logger", "python")):
        row = in_child("lines", way, role)
        name = f"{way}, shown on stderr" if role == "python" else way
        print(f"{name:30}{row['us']:9.2f} ({row['least']:5.2f}){row['stored']:>10}/{_LINES * _REPEATS}")
    print(f"\n{tasks} tasks in a flow with {lines} log lines")
    print(
        f"{'':14}{'mean µs':>9}{'alone':>7}{'ratio':>7}{'median':>8}{'alone':>7}{'ratio':>7}{'µs a line':>11}  stored"
    )
    for kind in ("before all", "before each"):
        alone, crowded = [], []
        for _ in range(_REPEATS):
            alone.append(in_child("tasks", kind, "0", str(tasks)))
            crowded.append(in_child("tasks", kind, str(lines), str(tasks)))
        figures = ""
        for key, width in (("mean", 9), ("median", 8)):
            here, there = (median(row[key] for row in rows) for rows in (crowded, alone))
            figures += f"{here:{width}.1f}{there:7.1f}{here / there:7.2f}"
        recorded, stored = (min(row[key] for row in crowded) for key in ("recorded", "stored"))
        line = median(row["line"] for row in crowded)
        print(f"{kind:14}{figures}{line:11.2f}  {recorded}/{tasks} tasks, {stored}/{lines} lines")


if __name__ == "__main__":
    if sys.argv[1:3] == ["--child", "lines"]:
        print(json.dumps(measure_lines(*sys.argv[3:5])))
    elif sys.argv[1:3] == ["--child", "tasks"]:
        print(json.dumps(measure_tasks(sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
    else:
        numbers = [int(text) for text in sys.argv[1:3]]
        main(*[*numbers, *(100_000, 1_000)[len(numbers) :]])
