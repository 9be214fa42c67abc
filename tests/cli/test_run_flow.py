"""``jupyter wf run file.py:flow`` and ``package.module:flow``: flows run in the command's own process."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable

import pytest

from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.waiting import until

Wf = Callable[..., tuple[int, str, str]]
FLOWS = """
import os
from datetime import date
from jupyter_wf import flow, task
import beside

@task
def double(x): return x * 2

@flow
def total(n: int, day: date = date(2012, 1, 1)):
    print("printed by python", double(n), day.year, beside.NAME, flush=True)
    os.system("echo printed by a subprocess")
    return "value"

@flow(name="breaks")
def broken():
    raise ValueError("no luck")

@flow
async def later(n: float = 1):
    print(n)

@flow
def slow():
    import time
    print("begun", flush=True)
    # Short ones: a signal that comes in the instant before a blocking call is only noticed after it.
    for _ in range(6000):
        time.sleep(0.1)

def plain(): ...

if __name__ == "__main__":
    raise SystemExit("must not run as a script")
"""


@pytest.fixture
def files(command: CommandLine) -> CommandLine:
    folder = command.folder / "flows"
    folder.mkdir()
    (folder / "f.py").write_text(FLOWS)
    (folder / "beside.py").write_text("NAME = 'beside'")
    (folder / "one.py").write_text("from jupyter_wf import flow\n@flow\ndef only(): print('only one')\n")
    (folder / "none.py").write_text("x = 1\n")
    (folder / "syntax.py").write_text("x = 1\ny = = 2\n")
    (folder / "raises.py").write_text("import no_such_package\n")
    package = command.folder / "pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mod.py").write_text("from jupyter_wf import flow\n@flow\ndef go(): print('from a package')\n")
    return command


def test_a_flow_in_a_file(files: CommandLine, runtime: Runtime) -> None:
    done = files("run", "flows/f.py:total", "-p", "n=4", "-p", "day=2013-05-06")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "printed by python 8 2013 beside" in lines and "printed by a subprocess" in lines
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    assert (run.flow_name, run.state.type) == ("total", StateType.COMPLETED)
    changes = [line.split()[1:3] for line in lines if line[2:3] == ":"]
    assert changes == [["Running", "total"], ["Running", "double-0"], ["Completed", "double-0"], ["Completed", "total"]]
    assert "steps     1 completed" in done.stdout


def test_json_keeps_prints_off_stdout(files: CommandLine) -> None:
    done = files("run", "flows/f.py:total", "-p", "n=4", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["flow_name"] == "total"
    assert "printed by python" in done.stderr and "printed by a subprocess" in done.stderr


def test_a_failing_flow_is_code_1_and_shows_the_users_frames(files: CommandLine) -> None:
    done = files("run", "flows/f.py:broken")
    assert done.returncode == 1
    assert "ValueError: no luck" in done.stdout and "in broken" in done.stdout
    assert "jupyter_wf/engine" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("flows/one.py", "only one"),
        ("pack.mod:go", "from a package"),
        ("pack.mod", "from a package"),
        ("flows/f.py:later", "1"),
    ],
)
def test_other_targets(files: CommandLine, target: str, line: str) -> None:
    done = files("run", target)
    assert done.returncode == 0, done.stderr
    assert line in done.stdout.splitlines()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["flows/f.py"], "say which flow to run; flows in it: broken, later, slow, total"),
        (["flows/f.py:nothing"], "there is no 'nothing' in it; flows in it: broken"),
        (["flows/f.py:plain"], "'plain' is no flow; decorate it with @flow"),
        (["flows/f.py:double"], "'double' is no flow"),
        (["flows/none.py"], "it defines no flow"),
        (["flows/missing.py"], "there is no such file"),
        (["flows/syntax.py"], "SyntaxError: invalid syntax ("),
        (["flows/raises.py"], "ModuleNotFoundError: No module named 'no_such_package' ("),
        (["pack.absent:go"], "there is no module 'pack.absent'"),
        (["flows/f.py:total"], "parameter 'n': the flow 'total' needs it (int)"),
        (["flows/f.py:total", "-p", "n=x"], "parameter 'n': expects int, got 'x'"),
        (["flows/f.py:total", "-p", "m=1"], "parameter 'm': the flow 'total' has no such parameter"),
        (["flows/f.py:total", "-p", "n=1", "--output", "x.ipynb"], "--output is for notebooks"),
    ],
)
def test_wrong_usage(
    files: CommandLine, wf: Wf, monkeypatch: pytest.MonkeyPatch, args: list[str], message: str
) -> None:
    monkeypatch.chdir(files.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    code, out, err = wf("run", *args)
    for name in {"f", "one", "none", "syntax", "raises", "beside", "pack", "pack.mod"} - before:
        sys.modules.pop(name, None)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_ctrl_c_cancels_the_flow(files: CommandLine, runtime: Runtime) -> None:
    process = files.start("run", "flows/f.py:slow")
    assert process.stdout is not None
    until(lambda: "begun" in process.stdout.readline())  # type: ignore[union-attr]
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    assert run.state.type is StateType.CANCELLED
