"""Recorded = executed: every task that ran is in the store, whatever the process does next; another process counts."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import jupyter_wf
from jupyter_wf.core.settings import HOME_VARIABLE
from tests.waiting import until

ROOT = str(Path(jupyter_wf.__file__).parent.parent)

PROGRAM = """
import asyncio, os, sys
from jupyter_wf import flow, task

@task
def one(x):
    return x + 1

@task
async def one_async(x):
    return x + 1

@task
def several(n):
    return sum(one(i) for i in range(n))

@flow
def sequence(n):
    return sum(one(i) for i in range(n))

@flow
def mapped(n):
    return sum(one.map(range(n)).result())

@flow
def left_to_the_flow(n):
    for i in range(n):
        one.submit(i)
    return n * (n + 1) // 2

@flow
async def gathered(n):
    return sum(await asyncio.gather(*[one_async(i) for i in range(n)]))

@flow
async def gathered_threads(n):
    return sum(await asyncio.gather(*[one.submit(i) for i in range(n)]))

@flow
def part(n):
    return sum(one(i) for i in range(n))

@flow
def nested(n):
    for _ in range(5):
        part(n // 10)
        several.submit(n // 10)
    return n * (n + 1) // 2

how, n, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
work = globals()[how](n)
value = asyncio.run(work) if asyncio.iscoroutine(work) else work
print(value, flush=True)
if end == "_exit":
    os._exit(7)
elif end == "exit":
    sys.exit(7)
elif end == "raise":
    raise ZeroDivisionError("after the flow")
elif end == "kill":
    os.kill(os.getpid(), 9)
"""

COUNT = """
import collections, json
from jupyter_wf.core.models import RunFilter
from jupyter_wf.engine.runtime import current_runtime

store, cursor, states, left = current_runtime().store, None, collections.Counter(), 0
while True:
    page = store.list_runs(RunFilter(), limit=1000, cursor=cursor)
    for run in page.items:
        states[f"{run.kind} {run.state.name}"] += 1
        left += run.ended_at is None
    cursor = page.next_cursor
    if cursor is None:
        break
print(json.dumps({**states, "open": left}))
"""

#: How a process ends once the flow has returned, and the status it leaves.
ENDS = {"return": 0, "exit": 7, "_exit": 7, "raise": 1, "kill": -signal.SIGKILL}


def python(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, HOME_VARIABLE: str(home), "PYTHONPATH": ROOT}


def count(home: Path) -> dict[str, int]:
    """Have a process of its own count the runs by kind and state."""
    out = subprocess.run(
        [sys.executable, "-c", COUNT], env=environment(home), capture_output=True, text=True, timeout=120, check=True
    )
    found: dict[str, int] = json.loads(out.stdout)
    return found


def execute(home: Path, how: str, n: int, end: str) -> None:
    """Run the program to its end; check that it did the work."""
    home.parent.mkdir(parents=True, exist_ok=True)
    program = home.parent / "program.py"
    program.write_text(PROGRAM)
    ended = subprocess.run(
        [sys.executable, str(program), how, str(n), end],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == ENDS[end], ended.stderr
    assert int(ended.stdout) == n * (n + 1) // 2


WAYS = ["sequence", "mapped", "left_to_the_flow", "gathered", "gathered_threads", "nested"]


def expected(how: str, n: int) -> dict[str, int]:
    if how == "nested":
        return {"flow Completed": 6, "task Completed": n + 5, "open": 0}
    return {"flow Completed": 1, "task Completed": n, "open": 0}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", WAYS)
def test_a_thousand_tasks_are_recorded(how: str, end: str, tmp_path: Path) -> None:
    execute(tmp_path / "home", how, 1000, end)
    assert count(tmp_path / "home") == expected(how, 1000)


@pytest.mark.parametrize("how", WAYS)
def test_six_thousand_tasks_are_recorded(how: str, tmp_path: Path) -> None:
    execute(tmp_path / "home", how, 6000, "kill")
    assert count(tmp_path / "home") == expected(how, 6000)


def test_a_hundred_thousand_tasks_are_recorded(tmp_path: Path) -> None:
    execute(tmp_path / "home", "sequence", 100_000, "kill")
    assert count(tmp_path / "home") == expected("sequence", 100_000)


# Killed at any moment


DURABLE = """
import sys
from jupyter_wf import flow, task

@task(durable=True)
def step(x):
    with open(sys.argv[1] + ".called", "a") as file:
        file.write(f"{x}\\n")
    return x

@flow
def steps(n):
    with open(sys.argv[1] + ".seen", "a") as file:
        for i in range(n):
            assert step(i) == i
            file.write(f"{i}\\n")
            file.flush()
    return n

if sys.argv[2] == "begin":
    steps(100_000)
else:
    print(steps.resume(sys.argv[2], n=int(sys.argv[3])))
"""

FIND = """
import json
from jupyter_wf.core.models import RunFilter
from jupyter_wf.engine.runtime import current_runtime

store = current_runtime().store
(top,) = store.list_runs(RunFilter(kinds=("flow",))).items
done, cursor = 0, None
while True:
    page = store.list_runs(RunFilter(kinds=("task",), states=("COMPLETED",)), limit=1000, cursor=cursor)
    done += len(page.items)
    cursor = page.next_cursor
    if cursor is None:
        break
print(json.dumps([top.id, done]))
"""


def lines(file: Path) -> list[int]:
    """Return the numbers in the whole lines of a file."""
    if not file.exists():
        return []
    return [int(line) for line in file.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("seed", range(10))
def test_what_a_killed_flow_has_seen_is_stored_and_not_called_again(seed: int, tmp_path: Path) -> None:
    home, marks = tmp_path / "home", tmp_path / "marks"
    program = tmp_path / "program.py"
    program.write_text(DURABLE)
    seen = Path(f"{marks}.seen")
    process = subprocess.Popen([sys.executable, str(program), str(marks), "begin"], env=environment(home))
    try:
        # From the first task on, at a moment that differs by the seed.
        until(lambda: lines(seen), "the first task")
        threading.Event().wait(random.Random(seed).uniform(0, 0.2))
    finally:
        process.kill()
        process.wait(30)
    told, called = lines(seen), lines(Path(f"{marks}.called"))
    assert told == list(range(len(told)))
    out = subprocess.run(
        [sys.executable, "-c", FIND], env=environment(home), capture_output=True, text=True, timeout=60, check=True
    )
    run_id, done = json.loads(out.stdout)
    assert len(told) <= done <= len(called)
    more = len(called) + 20
    resumed = subprocess.run(
        [sys.executable, str(program), str(marks), run_id, str(more)],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert int(resumed.stdout) == more
    again = lines(Path(f"{marks}.called"))[len(called) :]
    assert set(again) == set(range(done, more)) and len(again) == more - done
    assert count(home) == {"flow Completed": 1, "task Completed": more, "open": 0}
