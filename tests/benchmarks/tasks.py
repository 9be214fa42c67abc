"""What a task costs: ``make bench``, or ``python tests/benchmarks/tasks.py [--quick]``, prints the table.

Each measurement runs in a process of its own on a new state folder, several times; the median is shown. Every state is
durable at the end, and beside the speed stands how many task runs the store holds afterwards: a fast engine that loses
records is not fast. In the same minutes plain calls and SQLite alone are measured, as the limits.

``--keep NAME`` writes the figures to ``figures.json``: those of the last tag, which the last column compares with.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FIGURES = HERE / "figures.json"

#: Workload, number of tasks, times, the aim in µs a task.
ROWS = (
    ("sequence", 1_000, 7, 60),
    ("sequence", 100_000, 1, 60),
    ("mapped", 1_000, 5, 100),
    ("mapped", 10_000, 3, 100),
    ("gather", 1_000, 5, 80),
    ("chain", 200, 5, 120),
    ("durable", 1_000, 3, None),
)


def measure_here(name: str, n: int) -> None:
    """In the child: warm up, measure once, print the figures as JSON."""
    from jupyter_wf.core.models import RunFilter
    from jupyter_wf.engine.runtime import current_runtime
    from tests.benchmarks.workloads import WORK

    WORK[name](10)
    store = current_runtime().store
    before = time.perf_counter()
    WORK[name](n)
    seconds = time.perf_counter() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    newest = store.list_runs(RunFilter(kinds=("flow",)), limit=1).items[0]
    assert newest.progress is not None
    recorded = newest.progress.counts.get("COMPLETED", 0)
    print(json.dumps({"us": seconds / n * 1e6, "mb": peak, "recorded": recorded}))


def in_child(*arguments: str, code: str | None = None, file: str = __file__) -> tuple[float, str]:
    """Run Python with a new state folder; return seconds and what it printed."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "JUPYTER_WF_HOME": home, "PYTHONPATH": str(ROOT)}
        # Where bytecode is not kept, every import compiles anew: that is not what users have.
        env["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "jupyter-wf-bench-pycache")
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, *(("-c", code) if code is not None else (file, *arguments))]
        before = time.perf_counter()
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        return time.perf_counter() - before, done.stdout


def timed(code: str, times: int) -> float:
    """Return the median milliseconds of a Python process that runs ``code``, after one to warm up."""
    in_child(code=code)
    return median(in_child(code=code)[0] for _ in range(times)) * 1e3


class Table:
    """The lines of the table, each with the ratio to what was kept."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self._kept: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"figures": {}}
        name = self._kept.get("name", "-")
        print(f"{'':24}{'measured':>12}{'aim':>10}{'peak MB':>9}{'recorded':>18}{'ratio to ' + name:>20}")

    def line(self, what: str, value: float, unit: str, aim: float | None = None, mb: str = "", told: str = "") -> None:
        """Print a line."""
        self.figures[what] = round(value, 2)
        before = self._kept["figures"].get(what)
        ratio = f"{value / before:.2f}" if before else "-"
        shown = "-" if aim is None else f"{aim:g} {unit}"
        amount = f"{value:.{2 if value < 1 else 1}f} {unit}"
        print(f"{what:24}{amount:>12}{shown:>10}{mb:>9}{told:>18}{ratio:>20}", flush=True)


def main(quick: bool, keep: str | None) -> None:
    """Print the table."""
    table = Table()
    limits = [json.loads(in_child("10000", file=str(HERE / "limits.py"))[1]) for _ in range(3)]
    limit = {name: median(each[name] for each in limits) for name in limits[0]}
    table.line("plain call", limit["plain"], "µs")
    table.line("SQLite alone, batched", limit["batched"], "µs")
    table.line("SQLite alone, each", limit["bare"], "µs")
    for name, n, times, given in ROWS:
        if quick and n > 10_000:
            continue
        rows = [json.loads(in_child("--child", name, str(n))[1]) for _ in range(1 if quick else times)]
        aim = 1.3 * limit["bare"] if name == "durable" else given
        table.line(
            f"{name}, {n:,}",
            median(row["us"] for row in rows),
            "µs",
            None if aim is None else round(aim, 1),
            f"{median(row['mb'] for row in rows):.1f}",
            f"{min(row['recorded'] for row in rows):,}/{n:,}",
        )
    _processes(table, 5 if quick else 15)
    if keep:
        FIGURES.write_text(json.dumps({"name": keep, "figures": table.figures}, indent=1) + "\n")


def _processes(table: Table, times: int) -> None:
    from tests.benchmarks.workloads import HELLO

    bare = timed("pass", times)
    table.line("bare Python", bare, "ms")
    table.line(
        "import flow, task", timed("import jupyter_wf; from jupyter_wf import flow, task", times) - bare, "ms", 60
    )
    table.line("hello as a process", timed(HELLO, times), "ms", 250)
    resumed = json.loads(in_child("--json", file=str(HERE / "resume.py"))[1])
    told = f"{resumed['called']} called"
    table.line("resume of 10,000 + 1", resumed["s"] * 1e3, "ms", 1000, f"{resumed['mb']:.1f}", told)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure_here(sys.argv[2], int(sys.argv[3]))
    else:
        sys.path.insert(0, str(ROOT))
        words = sys.argv[1:]
        main("--quick" in words, words[words.index("--keep") + 1] if "--keep" in words else None)
