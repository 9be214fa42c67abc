"""What a failed program prints, and what is stored of a failure: the user's frames, without ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import jupyter_wf
from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.engine.tracebacks import FULL_VARIABLE

PROGRAM = """
import asyncio, sys
from jupyter_wf import flow, task

def deep():
    raise KeyError("deep")

def chained():
    try:
        deep()
    except KeyError as error:
        raise ValueError("no") from error

@task
def fails(x=0):
    chained()

@task
async def fails_async():
    await asyncio.sleep(0)
    chained()

@task
def with_cause():
    try:
        fails()
    except ValueError as error:
        raise RuntimeError("outer") from error

@task
def with_context():
    try:
        fails.submit().result()
    except ValueError:
        raise RuntimeError("outer")

@task
def grouping():
    many = []
    for each in (fails, with_cause):
        try:
            each()
        except Exception as error:
            many.append(error)
    raise ExceptionGroup("several", many)

@task
def after(x):
    pass

@flow
def main(how):
    if how == "call":
        fails()
    elif how == "submit":
        fails.submit().result()
    elif how == "map":
        fails.map([1, 2]).result()
    elif how == "async submitted":
        fails_async.submit().result()
    elif how == "state":
        fails(return_state=True).result()
    elif how == "returned":
        return fails.submit()
    elif how == "not ready":
        after(fails.submit())
    elif how == "cause":
        with_cause()
    elif how == "context":
        with_context.submit().result()
    elif how == "group":
        grouping()
    elif how == "group submitted":
        grouping.submit().result()

@flow
async def main_async(how):
    if how == "await":
        await fails_async()
    elif how == "await submitted":
        await fails_async.submit()
    elif how == "await a thread":
        await fails.submit()
    elif how == "gather":
        await asyncio.gather(fails_async(), fails_async())
    elif how == "task group":
        async with asyncio.TaskGroup() as several:
            several.create_task(fails_async())
            several.create_task(fails_async())

how = sys.argv[1]
if "a" in how[:1] or how in ("gather", "task group"):
    asyncio.run(main_async(how)) if how != "async submitted" else main(how)
else:
    main(how)
"""

WAYS = [
    *("call", "submit", "map", "async submitted", "state", "returned", "not ready", "cause", "context"),
    *("group", "group submitted", "await", "await submitted", "await a thread", "gather", "task group"),
]
OURS = str(Path(jupyter_wf.__file__).parent)


def printed(how: str, tmp_path: Path, **environment: str) -> str:
    """Return what the program prints when it fails."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    env = {**os.environ, "PYTHONPATH": str(Path(OURS).parent), **environment}
    env.setdefault(HOME_VARIABLE, str(tmp_path / "wf-home"))
    ended = subprocess.run(
        [sys.executable, str(program), how], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1, ended.stderr
    return ended.stderr


@pytest.mark.parametrize("how", WAYS)
def test_only_the_users_frames_are_printed_and_stored(how: str, tmp_path: Path) -> None:
    text = printed(how, tmp_path)
    assert OURS not in text
    errors = [run.error for run in current_runtime().store.list_runs().items if run.error is not None]
    assert errors
    for error in errors:
        assert OURS not in error.traceback
    if how == "not ready":
        assert "UpstreamFailed" in text
        return
    assert "ValueError: no" in text and "KeyError: 'deep'" in text
    assert "in deep" in text and "in chained" in text
    if how in ("cause", "context", "group"):
        assert "RuntimeError: outer" in text


@pytest.mark.parametrize("how", ["call", "group", "await"])
def test_all_frames_are_printed_where_they_are_asked_for(how: str, tmp_path: Path) -> None:
    text = printed(how, tmp_path, **{FULL_VARIABLE: "1"})
    assert os.path.join(OURS, "engine", "drivers.py" if how != "await" else "asynchronous.py") in text
