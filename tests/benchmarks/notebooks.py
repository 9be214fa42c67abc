"""How long a notebook of one cell takes: ``python tests/benchmarks/notebooks.py [--json] [--repeat N] [--queue N]``.

An agent runs in a process of its own, as the server's does. Measured are

- the time from the submission of a notebook to its COMPLETED record, one notebook at a time;
- the start of a kernel up to its first reply: one that waits as a spare, a forked one, and one as Jupyter starts it;
- twenty notebooks submitted at once, and the most memory (PSS) that the agent and everything below it had;
- a queue of two hundred;
- the first again with pandas imported in the cell, with and without the setting ``preload``.

Beside each stands what bare nbclient takes for the same in this process, which has imported it, and the ratio. Nothing
of a run's record, its folder or its logs is in that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

CORES = os.cpu_count() or 1
AT_ONCE = 20
#: Seconds between two notebooks, in which the agent gets its next runner ready.
PAUSE = 0.8
PLAIN = "1 + 1"
PANDAS = "import pandas\npandas.DataFrame({'a': [1, 2]}).sum()"


def notebook(path: Path, source: str) -> Path:
    """Write a notebook of one cell; return its path."""
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": [cell]}
    path.write_text(json.dumps(content))
    return path


def below(pid: int) -> Iterator[int]:
    """Yield a process and everything below it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            yield from below(int(child))


def proportional(pid: int) -> int:
    """Return the memory of a process and everything below it, in kB: what several share counts once."""
    total = 0
    try:
        for each in below(pid):
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
            total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    except OSError:
        # Something has ended meanwhile.
        return total
    return total


class Bench:
    """A state folder of its own, with an agent."""

    def __init__(self, folder: Path) -> None:
        from jupyter_wf.engine.runtime import Runtime, load_settings

        os.environ["JUPYTER_WF_HOME"] = str(folder / "home")
        self.folder = folder
        self.runtime = Runtime.open(load_settings(), role="cli")
        self.runtime.journal.flush()

    @contextmanager
    def agent(self, preload: str = "") -> Iterator[int]:
        """Have an agent while the block runs; yield its process."""
        from jupyter_wf.services.submitting import has_agent

        command = [sys.executable, "-m", "jupyter_wf.services.agent_main", "--limit", str(CORES)]
        with open(self.folder / "agent.log", "ab") as log:
            process = subprocess.Popen(command, stderr=log, env={**os.environ, "JUPYTER_WF_PRELOAD": preload})
        try:
            while not has_agent(self.runtime.store):
                time.sleep(0.01)
            # One for the road: the fork server learns from it what to import.
            self.submit_and_wait(PLAIN)
            time.sleep(4)
            self.submit_and_wait(PLAIN)
            time.sleep(PAUSE)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def submit(self, source: str) -> str:
        """Submit a notebook; return the id of its run."""
        from jupyter_wf.services.submitting import submit_or_launch

        runtime = self.runtime
        path = notebook(self.folder / "n.ipynb", source)
        return submit_or_launch(
            runtime.store, runtime.settings, path, parameters={}, source={}, process=runtime.process
        ).id

    def wait(self, ids: list[str]) -> None:
        """Wait until all of the runs have COMPLETED."""
        left = set(ids)
        while left:
            runs = self.runtime.store.get_runs(left)
            for run_id, run in runs.items():
                if run.state.is_closed():
                    assert run.state.is_completed(), run.state
                    left.discard(run_id)
            time.sleep(0.002)

    def submit_and_wait(self, source: str) -> float:
        """Return the seconds from a notebook's submission to its end."""
        before = time.perf_counter()
        self.wait([self.submit(source)])
        return time.perf_counter() - before

    def one_by_one(self, source: str, repeat: int) -> float:
        """Return the median of several notebooks, one after the other."""
        taken = []
        for _ in range(repeat):
            taken.append(self.submit_and_wait(source))
            time.sleep(PAUSE)
        return median(taken)

    def many(self, count: int, agent: int) -> tuple[float, float]:
        """Submit notebooks at once; return the seconds for all of them and the highest memory in MB."""
        peak, ended = [0], threading.Event()

        def look() -> None:
            while not ended.wait(0.05):
                peak.append(proportional(agent))

        watcher = threading.Thread(target=look)
        watcher.start()
        before = time.perf_counter()
        self.wait([self.submit(PLAIN) for _ in range(count)])
        seconds = time.perf_counter() - before
        ended.set()
        watcher.join()
        return seconds, max(peak) / 1024


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what processes print that are started in the block: a kernel on TCP complains each time."""
    error, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(error, 2)
        os.close(error)
        os.close(nothing)


def bare(folder: Path, source: str, count: int = 1) -> float:
    """Return the seconds that bare nbclient takes for notebooks, as many at a time as there are cores."""
    import nbformat
    from nbclient import NotebookClient

    path = notebook(folder / "bare.ipynb", source)

    async def execute(places: asyncio.Semaphore) -> None:
        async with places:
            content = nbformat.read(path, as_version=4)
            await NotebookClient(content, resources={"metadata": {"path": str(folder)}}).async_execute()

    async def all_of_them() -> None:
        places = asyncio.Semaphore(CORES)
        await asyncio.gather(*(execute(places) for _ in range(count)))

    with quiet():
        before = time.perf_counter()
        asyncio.run(all_of_them())
        return time.perf_counter() - before


#: A program of its own, because what forks must have no threads. It prints the seconds of both.
KERNELS = """
import asyncio, gc, importlib, json, os, sys, tempfile, time
from pathlib import Path
import ipykernel.kernelapp, ipykernel.ipkernel, ipykernel.zmqshell
from jupyter_wf.notebook.forking import prepare_fork
from jupyter_wf.notebook.kernels import HeadlessKernel

async def measure():
    private = Path(tempfile.mkdtemp(prefix="jwf-"))
    kernel = HeadlessKernel(name="python3", folder=private, environ=dict(os.environ), private=private)
    began = time.perf_counter()
    await kernel.start()
    forked = time.perf_counter() - began
    modules = await kernel.modules()
    began = time.perf_counter()
    await kernel.take_over(folder=Path.cwd(), environ={**os.environ, "SOME": "thing"})
    spare = time.perf_counter() - began
    await kernel.stop()
    return forked, spare, modules

def once():
    prepare_fork()
    return asyncio.run(measure())

# What a fork server learns from its first kernel; then another process, forked like a runner.
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, json.dumps(once()[2]).encode())
    os._exit(0)
os.close(writing)
with open(reading) as pipe:
    told = pipe.read()
for name in json.loads(told):
    try:
        importlib.import_module(name)
    except Exception:
        pass
gc.freeze()
print(json.dumps(once()[:2]))
"""


def kernels(repeat: int) -> dict[str, float]:
    """Return the seconds up to the first reply of kernels: as a spare, forked, as usual."""
    from jupyter_client.manager import start_new_async_kernel

    async def usual() -> float:
        before = time.perf_counter()
        manager, client = await start_new_async_kernel()
        seconds = time.perf_counter() - before
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        return seconds

    found = []
    for _ in range(repeat):
        done = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    with quiet():
        started = median(asyncio.run(usual()) for _ in range(repeat))
    return {
        "kernel: spare": median(spare for _, spare in found),
        "kernel: forked": median(forked for forked, _ in found),
        "kernel: as usual": started,
    }


def measure(bench: Bench, repeat: int, queue: int) -> dict[str, float]:
    """Measure everything; return seconds, but for what says MB."""
    found = kernels(min(repeat, 5))
    bare(bench.folder, PLAIN)
    with bench.agent() as agent:
        found["one notebook"] = bench.one_by_one(PLAIN, repeat)
        found["one notebook, bare nbclient"] = median(bare(bench.folder, PLAIN) for _ in range(min(repeat, 5)))
        found["agent, idle, MB"] = proportional(agent) / 1024
        found[f"{AT_ONCE} at once"], found[f"{AT_ONCE} at once, MB"] = bench.many(AT_ONCE, agent)
        found[f"{AT_ONCE} at once, bare nbclient"] = bare(bench.folder, PLAIN, AT_ONCE)
        found[f"{queue} in a queue"], found[f"{queue} in a queue, MB"] = bench.many(queue, agent)
        time.sleep(PAUSE)
        found["with pandas"] = bench.one_by_one(PANDAS, repeat)
    with bench.agent(preload="pandas"):
        found["with pandas, preloaded"] = bench.one_by_one(PANDAS, repeat)
    found["with pandas, bare nbclient"] = median(bare(bench.folder, PANDAS) for _ in range(min(repeat, 5)))
    for what, other in (("one notebook", ""), (f"{AT_ONCE} at once", ""), ("with pandas, preloaded", "with pandas")):
        found[f"{what} / bare nbclient"] = found[what] / found[f"{other or what}, bare nbclient"]
    found["kernel: spare / as usual"] = found["kernel: spare"] / found["kernel: as usual"]
    found["kernel: forked / as usual"] = found["kernel: forked"] / found["kernel: as usual"]
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=11, metavar="N", help="how often; medians are printed")
    parser.add_argument("--queue", type=int, default=200, metavar="N", help="how many notebooks wait in the queue")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        figures = measure(bench, args.repeat, args.queue)
        bench.runtime.close()
    if args.json:
        print(json.dumps(figures))
        return 0
    for what, value in figures.items():
        unit, scale = ("", 1.0) if "/" in what else ("MB", 1.0) if what.endswith("MB") else ("ms", 1000.0)
        print(f"{what:<36}{value * scale:10.2f} {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
