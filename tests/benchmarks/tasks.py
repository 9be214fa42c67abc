"""What a task costs: ``python tests/benchmarks/tasks.py [N]`` prints a table. Every state is durable at the end.

Each measurement runs in a process of its own on a new state folder, three times; the median is shown. Beside the
speed stands how many task runs the store holds afterwards: a fast engine that loses records is not fast.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

HELLO = """
from jupyter_wf import task, flow
@task
def say_hello(): print("Hello, world!")
@task
def greet(name): print(f"Hello, {name}!")
@flow
def main():
    hello = say_hello()
    greet_hello = greet("Prefect")
if __name__ == "__main__":
    print(main())
"""


def sequence(n: int) -> None:
    """Call a trivial task n times."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        for i in range(n):
            nothing(i)

    main()


def threads(n: int) -> None:
    """Submit a trivial task n times, then take every result."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        for future in [nothing.submit(i) for i in range(n)]:
            future.result()

    main()


def chain(n: int) -> None:
    """Submit n tasks, each with the future of the one before."""
    from jupyter_wf import flow, task

    nothing = task(_same)

    @flow
    def main() -> None:
        future = nothing.submit(0)
        for _ in range(n - 1):
            future = nothing.submit(future)
        future.result()

    main()


def gather(n: int) -> None:
    """Gather n awaitables of a trivial async task."""
    import asyncio

    from jupyter_wf import flow, task

    @task
    async def nothing(x: int) -> int:
        return x

    @flow
    async def main() -> None:
        await asyncio.gather(*[nothing(i) for i in range(n)])

    asyncio.run(main())


def _same(x: int) -> int:
    return x


WORK: dict[str, Callable[[int], None]] = {f.__name__: f for f in (sequence, threads, chain, gather)}


def measure_here(name: str, n: int) -> None:
    """In the child: warm up, measure once, print the figures as JSON."""
    from jupyter_wf.core.models import RunFilter
    from jupyter_wf.engine.runtime import current_runtime

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


def in_child(*arguments: str, code: str | None = None) -> tuple[float, str]:
    """Run Python with a new state folder; return seconds and what it printed."""
    with tempfile.TemporaryDirectory() as home:
        here = Path(__file__).resolve().parents[2]
        env = {**os.environ, "JUPYTER_WF_HOME": home, "PYTHONPATH": str(here)}
        # Where bytecode is not kept, every import compiles anew: that is not what users have.
        env["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "jupyter-wf-bench-pycache")
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, *(("-c", code) if code is not None else (__file__, *arguments))]
        before = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        return time.perf_counter() - before, done.stdout


def timed(code: str, times: int = 7) -> float:
    """Return the median seconds of a Python process that runs ``code``, after one to warm up."""
    in_child(code=code)
    return median(in_child(code=code)[0] for _ in range(times))


def main(n: int) -> None:
    """Print the table."""
    print(f"{n} trivial tasks, states durable at the end; median of 3")
    print(f"{'':12}{'µs a task':>10}{'peak MB':>9}{'recorded':>10}")
    for name in WORK:
        rows = [json.loads(in_child("--child", name, str(n))[1]) for _ in range(3)]
        us, mb = median(row["us"] for row in rows), median(row["mb"] for row in rows)
        print(f"{name:12}{us:10.1f}{mb:9.1f}{min(row['recorded'] for row in rows):>7}/{n}")
    bare = timed("pass")
    load = timed("import jupyter_wf; from jupyter_wf import flow, task")
    hello = timed(HELLO)
    print(f"bare Python {bare * 1e3:.0f} ms · with `import flow, task` {(load - bare) * 1e3:+.0f} ms")
    print(f"the hello flow as a process {hello * 1e3:.0f} ms ({hello / bare:.1f} × bare Python)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure_here(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
