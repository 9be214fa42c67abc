"""Checkpoints: what one attempt of a run leaves for the next, in whichever process that is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import checkpoint, flow, task
from jupyter_wf import runtime as runs
from jupyter_wf.core.errors import MissingContextError, MissingResult, ParameterError
from jupyter_wf.core.models import RunFilter
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.sources import load_flow
from jupyter_wf.store.blobs import Payload
from jupyter_wf.task_runners import ProcessPoolTaskRunner
from jupyter_wf.task_worker import BackgroundFuture
from tests.waiting import until


def _climb() -> list[Any]:
    """Get one step further with each attempt; return what was found in the last."""
    steps = checkpoint.get("steps", [])
    checkpoint.set("steps", [*steps, os.getpid()])
    if len(steps) < 2:
        raise ConnectionError(f"step {len(steps)}")
    return checkpoint.get("steps")  # type: ignore[no-any-return]


@task(retries=2)
def climb() -> list[Any]:
    return _climb()


@task(retries=2)
async def climb_async() -> list[Any]:
    await asyncio.sleep(0)
    return _climb()


@task(retries=1)
def die_first() -> str:
    if checkpoint.get("before") is None:
        checkpoint.set("before", "what was done")
        # The journal of this process commits it on a thread of its own.
        current_runtime().journal.flush()
        os._exit(3)
    return checkpoint.get("before")  # type: ignore[no-any-return]


def test_across_the_attempts_of_a_task() -> None:
    mine = [os.getpid()] * 3
    assert climb() == mine
    assert asyncio.run(climb_async()) == mine

    @flow
    def main() -> list[list[Any]]:
        return [climb(), climb.submit().result(), climb_async.submit().result(), *climb_many()]

    def climb_many() -> list[list[Any]]:
        retried = climb.with_options(name="many")
        return [future.result() for future in [retried.submit() for _ in range(5)]]

    assert main() == [mine] * 8


def test_across_worker_processes(runtime: Runtime) -> None:
    @flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
    def main() -> list[Any]:
        return [climb.submit().result(), die_first.submit().result()]

    steps, told = main()
    assert len(steps) == 3 and os.getpid() not in steps
    assert told == "what was done"


def test_across_the_attempts_of_a_flow() -> None:
    @flow(retries=2)
    def main() -> list[Any]:
        return _climb()

    assert len(main()) == 3


def test_a_timeout_keeps_what_was_set() -> None:
    @task(retries=1, timeout_seconds=0.2)
    async def slow() -> Any:
        if checkpoint.get("half") is None:
            checkpoint.set("half", "way")
            await asyncio.sleep(60)
        return checkpoint.get("half")

    assert asyncio.run(slow()) == "way"


def test_values_of_any_kind(runtime: Runtime, wf_home: Path) -> None:
    large = {"rows": "x" * 200_000}

    @task
    def keep() -> str:
        assert checkpoint.get("nothing", "default") == "default"
        checkpoint.set("nothing", None)
        assert checkpoint.get("nothing", "default") is None
        checkpoint.set("large", large)
        checkpoint.set("object", {1: (Path("x"), {2, 3})})
        checkpoint.set("over", 1)
        checkpoint.set("over", 2)
        values = [1]
        checkpoint.set("copy", values)
        values.append(2)
        checkpoint.get("copy").append(3)
        return runs.task_run.id or ""

    run_id = keep()
    runtime.journal.flush()

    def stored(name: str) -> Any:
        found = runtime.store.find_result(f"checkpoint/{run_id}/{name}", 0.0)
        assert found is not None
        return runtime.blobs.load(Payload(found.format, found.data))

    names = ("nothing", "large", "object", "over", "copy")
    assert [stored(name) for name in names] == [None, large, {1: (Path("x"), {2, 3})}, 2, [1]]
    assert [path for path in (wf_home / "results").rglob("*") if path.is_file()]


def test_what_cannot_be_stored_leaves_what_was_there() -> None:
    @task
    def keep() -> Any:
        checkpoint.set("it", 1)
        with pytest.raises(MissingResult, match="checkpoint 'it': a lock can't be stored"):
            checkpoint.set("it", threading.Lock())
        return checkpoint.get("it")

    assert keep() == 1


def test_runs_do_not_see_one_anothers() -> None:
    @task
    def first() -> None:
        checkpoint.set("it", "mine")

    @task
    def second() -> Any:
        return checkpoint.get("it")

    @flow
    def main() -> list[Any]:
        checkpoint.set("it", "the flow's")
        first()
        return [second(), first(), second(), checkpoint.get("it")]

    assert main() == [None, None, None, "the flow's"]


@pytest.mark.parametrize("name", ["", "x" * 301, None, 7, b"x", "a\0b", "a\ud800b"])
def test_names(name: Any) -> None:
    @task
    def keep() -> None:
        with pytest.raises(ParameterError, match="name"):
            checkpoint.set(name, 1)
        with pytest.raises(ParameterError, match="name"):
            checkpoint.get(name)
        checkpoint.set("x" * 300, 1)

    keep()


def test_outside_a_run() -> None:
    for use in (lambda: checkpoint.get("x"), lambda: checkpoint.set("x", 1)):
        with pytest.raises(MissingContextError, match="inside a task or flow"):
            use()


KILLED = """
    import os, threading
    from jupyter_wf import checkpoint, flow, task

    @task
    def train():
        seen = checkpoint.get("epoch", 0)
        checkpoint.set("epoch", seen + 1)
        checkpoint.set("weights", b"w" * 100_000)
        if seen == 0 and __name__ == "__main__":
            os.write(1, b"set\\n")
            threading.Event().wait(120)
        return [seen, len(checkpoint.get("weights"))]

    @flow
    def main():
        return train()

    if __name__ == "__main__":
        main()
"""


def test_resumed_after_its_process_was_killed(tmp_path: Path, runtime: Runtime) -> None:
    script = tmp_path / "training.py"
    script.write_text(textwrap.dedent(KILLED))
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None and process.stdout.readline() == "set\n"
        (child,) = until(lambda: runtime.store.list_runs(RunFilter(tasks=("train",))).items)
        key = f"checkpoint/{child.id}/weights"
        until(lambda: runtime.store.find_result(key, 0.0))
    finally:
        process.kill()
        process.communicate()
    assert child.parent_id is not None
    assert load_flow(f"{script}:main").resume(child.parent_id) == [1, 100_000]


def test_in_a_background_task(runtime: Runtime) -> None:
    from tests.public.test_task_worker import serving

    with serving(climb):
        future: BackgroundFuture = climb.delay()
        assert future.result(timeout=30) == [os.getpid()] * 3
