"""What the dataflow of a notebook gains: ``python tests/benchmarks/notebook.py [--json] [--repeat N]``.

Two notebooks, each run headless by the command's own way (`start_notebook`), a kernel of their own included:

- eight task cells that need nothing of each other and sleep a second each: one after the other, and with ``-b``;
- twenty task cells, each of which works for ``WORK`` seconds, the last one fails: run again as a whole, and resumed.

Printed are the seconds of each, from its call to the end of the runner's record, and their ratio; beside them the
seconds of a notebook with one empty cell: what the kernel and the runner take by themselves.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

WORK = 0.25
SLEEPERS = 8
CHAIN = 20


def notebook(path: Path, sources: list[str]) -> Path:
    """Write a notebook with these code cells; return its path."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for i, source in enumerate(sources)
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    path.write_text(json.dumps(content))
    return path


def sleepers(flag: str) -> list[str]:
    """Return the cells of the first notebook; ``flag`` goes into each line."""
    tasks = [f"%%task sleep{i} {flag}\ntime.sleep(1)\nout{i} = {i}" for i in range(SLEEPERS)]
    total = " + ".join(f"out{i}" for i in range(SLEEPERS))
    return ["%load_ext jupyter_wf\nimport time", *tasks, f"assert {total} == {sum(range(SLEEPERS))}"]


def chain(path: Path, *, fails: bool) -> Path:
    """Write the second notebook: each cell needs what the one before has left."""
    tasks = ["%%task step0\ntime.sleep(WORK)\nx0 = 1"]
    tasks += [f"%%task step{i}\ntime.sleep(WORK)\nx{i} = x{i - 1} + 1" for i in range(1, CHAIN - 1)]
    last = "1 / 0" if fails else f"done = x{CHAIN - 2}"
    tasks.append(f"%%task step{CHAIN - 1}\ntime.sleep(WORK)\n{last}")
    return notebook(path, [f"%load_ext jupyter_wf\nimport time\nWORK = {WORK}", *tasks])


class Bench:
    """Runs notebooks in a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime

        os.environ["JUPYTER_WF_HOME"] = str(folder / "home")
        self.folder = folder
        self.runtime = Runtime.open(load_settings(), role="cli")
        set_runtime(self.runtime)
        # Its first use makes this process known in the store.
        self.runtime.journal.flush()

    def run(self, path: Path) -> tuple[float, Any]:
        """Run a notebook; return the seconds and its run."""
        from jupyter_wf.services.launcher import start_notebook

        def begin() -> Any:
            return start_notebook(
                *(self.runtime.store, self.runtime.settings, path),
                parameters={},
                source={},
                process=self.runtime.process,
                foreground=True,
            )

        return self._timed(begin)

    def resume(self, run: Any) -> tuple[float, Any]:
        """Resume a run; return the seconds and the run."""
        from jupyter_wf.services.notebook_runs import resume_notebook

        def begin() -> Any:
            return resume_notebook(
                self.runtime.store, self.runtime.settings, run, process=self.runtime.process, foreground=True
            )

        return self._timed(begin)

    def _timed(self, begin: Callable[[], Any]) -> tuple[float, Any]:
        before = time.perf_counter()
        launched = begin()
        launched.wait()
        seconds = time.perf_counter() - before
        return seconds, self.runtime.store.get_run(launched.run.id)

    def states(self, run: Any) -> dict[str, int]:
        """Return how many task runs below a run are in each state."""
        from jupyter_wf.core.models import RunFilter

        page = self.runtime.store.list_runs(RunFilter(parent_id=run.id, kinds=("task",)), limit=1_000)
        names = [each.state.name for each in page.items]
        return {name: names.count(name) for name in sorted(set(names))}


def measure(bench: Bench) -> dict[str, Any]:
    """Run everything once; return the seconds by what was run."""
    folder = bench.folder
    found: dict[str, Any] = {}
    found["one empty cell"], _ = bench.run(notebook(folder / "empty.ipynb", ["pass"]))
    found["eight one-second cells"], plain = bench.run(notebook(folder / "plain.ipynb", sleepers("")))
    found["the same with -b"], beside = bench.run(notebook(folder / "beside.ipynb", sleepers("-b")))
    assert plain.state.is_completed() and beside.state.is_completed(), (plain.state, beside.state)
    path = chain(folder / "chain.ipynb", fails=True)
    found["twenty cells, the last fails"], failed = bench.run(path)
    assert failed.state.name == "Failed" and bench.states(failed) == {"Completed": CHAIN - 1, "Failed": 1}
    chain(path, fails=False)
    found["mended and resumed"], resumed = bench.resume(failed)
    assert bench.states(resumed) == {"Completed": 1, "Resumed": CHAIN - 1}, bench.states(resumed)
    found["mended and run again"], again = bench.run(path)
    assert again.state.is_completed()
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often; medians are printed")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        rounds = [measure(bench) for _ in range(args.repeat)]
        bench.runtime.close()
    figures = {what: median(each[what] for each in rounds) for what in rounds[0]}
    figures["-b / plain"] = figures["the same with -b"] / figures["eight one-second cells"]
    figures["resumed / run again"] = figures["mended and resumed"] / figures["mended and run again"]
    if args.json:
        print(json.dumps(figures))
        return 0
    for what, value in figures.items():
        unit = "" if "/" in what else " s"
        print(f"{what:<32}{value:8.2f}{unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
