"""What a task on Dask costs beside bare distributed: ``python tests/benchmarks/on_dask.py [N]``.

Both on one cluster of two processes, in one run: a map of N trivial calls (1,000), and a tenth as many that are
submitted and waited for one by one. Printed are milliseconds a call and the ratio; ``--json`` prints the figures alone.
A recorded task is RUNNING when a worker has a place for it, so a map is not sent to Dask at once, as distributed does.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from distributed import Client, LocalCluster

from jupyter_wf import flow, task
from jupyter_wf.task_runners import DaskTaskRunner


def plain(x: int) -> int:
    """Do nothing."""
    return x


step = task(plain)


def timed(work: Callable[[], Any]) -> float:
    """Return how many seconds ``work`` takes."""
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def bare(address: str, many: int) -> dict[str, float]:
    """Return the seconds of distributed alone."""
    with Client(address, set_as_default=False) as client:
        client.gather(client.map(plain, range(-10, 0), pure=False))
        few = range(many // 10)
        return {
            "map": timed(lambda: client.gather(client.map(plain, range(many), pure=False))),
            "submit": timed(lambda: [client.submit(plain, x, pure=False).result() for x in few]),
        }


def ours(address: str, many: int) -> dict[str, float]:
    """Return the seconds of the same as recorded tasks, once the flow is connected."""

    @flow(task_runner=DaskTaskRunner(address=address))
    def main() -> dict[str, float]:
        step.map(range(-10, 0)).result()
        few = range(many // 10)
        return {
            "map": timed(lambda: step.map(range(many)).result()),
            "submit": timed(lambda: [step.submit(x).result() for x in few]),
        }

    return main()


def measure(many: int) -> dict[str, dict[str, float]]:
    """Return milliseconds a call, ours and bare, and their ratio."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        found = {"bare": bare(address, many), "ours": ours(address, many)}
    calls = {"map": many, "submit": many // 10}
    each = {who: {what: 1e3 * took / calls[what] for what, took in times.items()} for who, times in found.items()}
    each["ratio"] = {what: each["ours"][what] / each["bare"][what] for what in calls}
    return each


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    with tempfile.TemporaryDirectory() as home:
        os.environ["JUPYTER_WF_HOME"] = home
        figures = measure(*(numbers or [1_000]))
    if "--json" in sys.argv:
        print(json.dumps(figures))
    else:
        for what in ("map", "submit"):
            print(
                f"{what:8} bare {figures['bare'][what]:6.2f} ms   ours {figures['ours'][what]:6.2f} ms   "
                f"ratio {figures['ratio'][what]:.2f}"
            )
