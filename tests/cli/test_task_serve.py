"""``jupyter wf task serve``: background runs are executed by the command, and shown as they come and go."""

from __future__ import annotations

import importlib
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from jupyter_wf.sources import load_tasks
from tests.cli.conftest import CommandLine
from tests.waiting import until

Wf = Callable[..., tuple[int, str, str]]

CHORES = """
    import threading
    from pathlib import Path
    from jupyter_wf import flow, task

    @task
    def add(a, b=2):
        import neighbour
        return a + b + neighbour.NOTHING

    @task
    async def fail():
        raise ValueError("no such thing\\x1b[31m")

    @task
    def stuck(path):
        Path(path).touch()
        while True:
            threading.Event().wait(0.01)

    @flow
    def no_task(): ...

    also_add = add
"""


@pytest.fixture
def chores(command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module `chores` in the command's folder."""
    (command.folder / "chores.py").write_text(textwrap.dedent(CHORES))
    (command.folder / "neighbour.py").write_text("NOTHING = 0\n")
    (command.folder / "empty.py").write_text("from chores import add\n")
    monkeypatch.syspath_prepend(str(command.folder))
    yield importlib.import_module("chores")
    for name in ("chores", "empty", "neighbour"):
        sys.modules.pop(name, None)


def ready(process: subprocess.Popen[str]) -> str:
    """Return the first line, with which the command says that it serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("serving"), process.communicate()[1]
    return line


@pytest.mark.parametrize("target", ["chores.py", "chores", "chores.py:add chores:fail chores:also_add"])
def test_runs_are_executed_and_told_of(command: CommandLine, chores: ModuleType, target: str) -> None:
    process = command.start("task", "serve", *target.split(), "--limit", "1")
    assert "add, fail" in ready(process)
    added, failed = chores.add.delay(1), chores.fail.delay()
    assert added.result(timeout=30) == 3
    failed.wait(30)
    assert failed.state.is_failed() and process.stdout is not None
    lines = [re.split(" {2,}", process.stdout.readline().rstrip("\n")) for _ in range(4)]
    told = [(line[1], line[2]) for line in lines]
    one, two = (f"{future.run.name} ({future.task_run_id[:8]})" for future in (added, failed))
    assert sorted(told) == sorted([("Running", one), ("Completed", one), ("Running", two), ("Failed", two)])
    (end,) = [line for line in lines if line[1] == "Failed"]
    assert end[-1] == "ValueError: no such thing�[31m"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_is_stopped(
    command: CommandLine, chores: ModuleType, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # Whoever starts the tests in the background may have SIGINT ignored: that is inherited.
    process = command.start("task", "serve", "chores.py:stuck", preexec_fn=_heed_interrupts)
    ready(process)
    future = chores.stuck.delay(str(tmp_path / "begun"))
    until((tmp_path / "begun").exists)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, "")
    assert future.state.is_cancelled()
    assert "Cancelled" in out.splitlines()[-1]


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["chores.py:nothing"], "there is no 'nothing' in it; tasks in it: add, fail, stuck"),
        (["chores.py:no_task"], "'no_task' is no task; decorate it with @task"),
        (["empty.py"], "it defines no task"),
        (["missing.py"], "there is no such file"),
        (["what is this"], "is neither"),
        (["chores.py", "--limit", "0"], "--limit"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage(
    wf: Wf, chores: ModuleType, command: CommandLine, monkeypatch: pytest.MonkeyPatch, args: list[str], why: str
) -> None:
    monkeypatch.chdir(command.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    code, out, err = wf("task", "serve", *args)
    assert (code, out) == (2, "")
    assert why in err and err.count("\n") == 1


def test_one_task_is_served_once(command: CommandLine, chores: ModuleType) -> None:
    tasks = load_tasks(str(command.folder / "chores.py"))
    assert [each.name for each in tasks] == ["add", "fail", "stuck"]
