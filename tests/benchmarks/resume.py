"""What a resume costs: ``python tests/benchmarks/resume.py [N]``.

A flow of N tasks that completed and one that failed, in one process; resumed in another one. Printed are the seconds
from the call of ``Flow.resume`` to its return (everything committed), and how many task functions were called in it.
``--profile`` prints where the time goes, ``--json`` the figures for other programs; ``--here`` is what the children
run.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from jupyter_wf import flow, task

called = 0


@task
def step(x: int) -> int:
    """Do nothing; fail on -1 the first time."""
    global called
    called += 1
    if x == -1 and "FAILS" in os.environ:
        raise ValueError("the one that fails")
    return x


@flow
def main(n: int) -> int:
    """Call n tasks, then one more."""
    return sum([step(i) for i in range(n)]) + step(-1)


def fail(n: int) -> None:
    """In a child: leave a failed run."""
    # That it fails need not be shown.
    logging.getLogger().addHandler(logging.NullHandler())
    main(n, return_state=True)


def resume(profiled: bool) -> None:
    """In a child: go on with the newest flow run, and print the figures as JSON."""
    from jupyter_wf.core.models import RunFilter
    from jupyter_wf.engine.runtime import current_runtime

    store = current_runtime().store
    (run,) = store.list_runs(RunFilter(kinds=("flow",)), limit=1).items
    before = time.perf_counter()
    if profiled:
        import cProfile

        profile = cProfile.Profile()
        profile.runcall(main.resume, run.id)
        profile.print_stats("tottime")
        return
    main.resume(run.id)
    seconds = time.perf_counter() - before
    progress = store.get_run(run.id).progress
    assert progress is not None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "called": called, "completed": progress.counts["COMPLETED"], "mb": peak}))


def in_child(home: str, *arguments: str, **variables: str) -> str:
    """Run a part of this file in a process of its own."""
    root = str(Path(__file__).resolve().parents[2])
    env = {**os.environ, "JUPYTER_WF_HOME": home, "PYTHONPATH": root, **variables}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def table(n: int, profiled: bool, as_json: bool) -> None:
    """Measure three times and print the median."""
    figures = []
    for _ in range(1 if profiled else 3):
        with tempfile.TemporaryDirectory() as home:
            in_child(home, "--here", "fail", str(n), FAILS="1")
            said = in_child(home, "--here", "profile" if profiled else "resume")
        if profiled:
            print("\n".join(said.splitlines()[:45]))
            return
        figures.append(json.loads(said))
    seconds = median(each["s"] for each in figures)
    if as_json:
        print(json.dumps({**figures[0], "s": seconds}))
        return
    print(f"resume of {n} completed + 1 failed: {seconds:.3f} s ({seconds / n * 1e6:.0f} µs a task)")
    print(f"called: {figures[0]['called']}, completed: {figures[0]['completed']} of {n + 1}, {figures[0]['mb']:.0f} MB")


if __name__ == "__main__":
    if "--here" in sys.argv:
        what = sys.argv[2]
        if what == "fail":
            fail(int(sys.argv[3]))
        else:
            resume(what == "profile")
    else:
        numbers = [int(text) for text in sys.argv[1:] if text.isdigit()]
        table(numbers[0] if numbers else 10_000, "--profile" in sys.argv, "--json" in sys.argv)
