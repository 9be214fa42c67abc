"""Deadlines (``late_after``) and commits before the caller goes on (``durable``)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import Runtime, current_runtime

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]


@pytest.mark.parametrize("make", [task, flow])
@pytest.mark.parametrize("how", ["call", "async"])
def test_a_run_that_goes_on_for_too_long_is_late_and_goes_on(
    make: Any, how: str, runs: Runs, story: Story, runtime: Runtime
) -> None:
    said = threading.Event()
    seen: list[Any] = []

    def hook(owner: Any, run: Any, state: Any) -> None:
        seen.append((owner.name, state.name, state.is_running()))
        said.set()

    def plain() -> int:
        assert said.wait(30)
        return 1

    async def awaited() -> int:
        assert await asyncio.to_thread(said.wait, 30)
        return 1

    made = make(late_after=timedelta(seconds=0.01), on_late=hook, name="slow")(plain if how == "call" else awaited)
    assert (made() if how == "call" else asyncio.run(made())) == 1
    assert seen == [("slow", "Late", True)]
    (run,) = runs()
    assert story(run.id) == ["Pending", "Running", "Late", "Completed"]
    runtime.journal.flush()
    assert [line.message for line in runtime.store.logs(run.id)] == ["late: still running 0.01 s after it began"]


def test_one_that_ends_in_time_is_not(runs: Runs, story: Story) -> None:
    @task(late_after=3600)
    def step() -> None: ...

    step()
    assert story(runs()[0].id) == ["Pending", "Running", "Completed"]


@pytest.mark.parametrize(
    "how",
    [
        "step()",
        "step.submit().result()",
        "asyncio.run(step_async())",
        "[*items()][0]",
        "asyncio.run(listed(items_async()))",
    ],
)
def test_a_durable_task_is_committed_when_its_call_returns(how: str, wf_home: Path) -> None:
    code = f"""
import asyncio, os
from jupyter_wf import flow, task

@task(durable=True)
def step():
    return "done"

@task(durable=True)
async def step_async():
    return "done"

@task(durable=True)
def items():
    yield "done"

@task(durable=True)
async def items_async():
    yield "done"

async def listed(items):
    return [item async for item in items][0]

@flow
def main():
    print({how}, flush=True)
    os._exit(9)

main()
"""
    environ = {**os.environ, "JUPYTER_WF_HOME": str(wf_home)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("done\n", 9), done.stderr
    runs = current_runtime().store.list_runs(RunFilter(oldest_first=True), limit=10).items
    assert [(run.kind, run.state.name) for run in runs][1] == ("task", "Completed")
    kept = current_runtime().store.run_result(runs[1].id)
    # What was yielded is not kept.
    assert (kept is None) == ("items" in how)
