"""Starting runners: what is recorded first, and what becomes of a run whose runner or command dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import ParameterError, TargetError
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services import runners
from jupyter_wf.services.launcher import Launched, launch_notebook, start_notebook
from jupyter_wf.services.runners import clean_environment
from tests.notebook.making import code, is_running, printed, read_cells, write_notebook
from tests.waiting import until

SLEEP = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"


@pytest.fixture
def runtime(wf_home: Path) -> Iterator[Runtime]:
    runtime = Runtime.open(Settings(home=wf_home), role="server")
    yield runtime
    runtime.close()


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def start(runtime: Runtime, path: Path, foreground: bool = False, **parameters: Any) -> Launched:
    return start_notebook(
        runtime.store,
        runtime.settings,
        path,
        parameters=parameters,
        source={"notebook": "shown/n.ipynb"},
        process=runtime.process,
        foreground=foreground,
    )


def ended(runtime: Runtime, launched: Launched) -> Run:
    run = until(lambda: (r := runtime.store.get_run(launched.run.id)).state.is_closed() and r)
    assert run
    assert launched.wait(20)
    return run


def kernel_pid(runtime: Runtime, launched: Launched) -> int:
    """Wait until the cell `SLEEP` has said which process it runs in."""

    def look() -> int:
        lines = [line.message for line in runtime.store.logs(launched.run.id) if line.logger == "stdout"]
        return int(lines[0]) if lines else 0

    return until(look)


def test_a_notebook_runs_to_its_end_by_itself(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "canary")
    tell = "import os\nprint(year * 2, os.environ.get('JUPYTER_TOKEN'))"
    path = write_notebook(tmp_path / "n.ipynb", code("year = 2012", "parameters"), tell)
    before = path.read_bytes()
    run = launch_notebook(
        runtime.store,
        runtime.settings,
        path,
        parameters={"year": 2013},
        source={"target": "n"},
        process=runtime.process,
    )
    assert (run.state.type, run.process_id, run.flow_name, run.expected) == (StateType.PENDING, None, "n", 3)
    assert dict(run.parameters) == {"year": 2013}
    final = until(lambda: (r := runtime.store.get_run(run.id)).state.is_closed() and r)
    assert final and final.state.type is StateType.COMPLETED
    assert final.process_id not in (None, runtime.process.id)
    assert final.progress is not None and (final.progress.done, final.progress.total) == (3, 3)
    executed, folder = Path(final.source["executed"]), Path(final.source["folder"])
    assert printed(read_cells(executed)[2]) == "4026 None\n"
    assert path.read_bytes() == before
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}
    assert {file.name for file in folder.iterdir()} == {"n.ipynb", "runner.log"}


def test_what_cannot_run_leaves_nothing_behind(runtime: Runtime, tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "n.ipynb", code("year = 2012", "parameters"))
    with pytest.raises(ParameterError):
        start(runtime, path, year="soon")
    with pytest.raises(TargetError):
        start(runtime, tmp_path / "none.ipynb")
    assert runtime.store.list_runs(RunFilter()).items == ()
    assert not runtime.settings.runs.exists()


def test_a_runner_that_dies_before_it_took_the_run_is_noticed(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "_RUNNER", "jupyter_wf.services.no_such_module")
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", "1"))
    run = ended(runtime, launched)
    assert run.state.type is StateType.CRASHED
    assert "before it took the run (exit code 1)" in str(run.state.message)
    assert "no_such_module" in str(run.state.message)


def test_a_runner_that_cannot_be_started_is_a_crash(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(OSError):
        start(runtime, write_notebook(tmp_path / "n.ipynb", "1"))
    (run,) = runtime.store.list_runs(RunFilter()).items
    assert run.state.type is StateType.CRASHED and "can't be started" in str(run.state.message)


def test_a_killed_runner_takes_its_kernel_along(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Path
) -> None:
    monkeypatch.setattr(runners, "_short_folder", lambda: str(short))
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", "print('first')", SLEEP))
    lines = until(lambda: [r for r in runtime.store.logs(launched.run.id) if r.message.isdigit()])
    pid = int(lines[0].message)
    os.kill(launched.process.pid, signal.SIGKILL)
    until(lambda: not is_running(pid), 2)
    run = ended(runtime, launched)
    assert run.state.type is StateType.CRASHED
    assert runtime.store.list_runs(RunFilter(root_id=run.id, states=("RUNNING",))).items == ()
    assert printed(read_cells(launched.executed)[0]) == "first\n", "what was done before is saved"
    assert not list(short.iterdir())


def test_without_its_lifeline_a_foreground_run_ends(runtime: Runtime, tmp_path: Path) -> None:
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", SLEEP), foreground=True)
    pid = kernel_pid(runtime, launched)
    assert launched.process.stdin is not None
    launched.process.stdin.close()
    run = ended(runtime, launched)
    assert run.state.type is StateType.CRASHED
    assert run.state.message == "the command that started the run is gone"
    assert not is_running(pid)
    assert printed(read_cells(launched.executed)[0]).startswith(str(pid))


def test_a_background_run_outlives_who_started_it(runtime: Runtime, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)\nprint('done')"
    path = write_notebook(tmp_path / "n.ipynb", wait)
    script = (
        "import sys; from pathlib import Path; from jupyter_wf.engine.runtime import Runtime, load_settings\n"
        "from jupyter_wf.services.launcher import launch_notebook\n"
        "r = Runtime.open(load_settings(), role='server')\n"
        "run = launch_notebook(r.store, r.settings, Path(sys.argv[1]), parameters={}, source={}, process=r.process)\n"
        "print(run.id)\n"
        "r.close()"
    )
    starter = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    run_id = starter.stdout.strip()
    until(lambda: runtime.store.get_run(run_id).state.type is StateType.RUNNING)
    gate.touch()
    run = until(lambda: (r := runtime.store.get_run(run_id)).state.is_closed() and r)
    assert run and run.state.type is StateType.COMPLETED
    assert printed(read_cells(run.source["executed"])[0]) == "done\n"


def test_a_request_cancels_a_run_in_another_process(runtime: Runtime, tmp_path: Path) -> None:
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", SLEEP))
    pid = kernel_pid(runtime, launched)
    runtime.store.request(launched.run.id, "cancel")
    run = ended(runtime, launched)
    assert run.state.type is StateType.CANCELLED
    assert not is_running(pid)


def test_a_run_cancelled_at_once_is_cancelled_whoever_comes_first(runtime: Runtime, tmp_path: Path) -> None:
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", SLEEP))
    runtime.store.request(launched.run.id, "cancel")
    assert ended(runtime, launched).state.type is StateType.CANCELLED


def test_a_runner_told_to_end_says_so(runtime: Runtime, tmp_path: Path) -> None:
    launched = start(runtime, write_notebook(tmp_path / "n.ipynb", SLEEP))
    pid = kernel_pid(runtime, launched)
    os.kill(launched.process.pid, signal.SIGTERM)
    run = ended(runtime, launched)
    assert (run.state.type, run.state.message) == (StateType.CRASHED, "the runner was ended by SIGTERM")
    assert not is_running(pid)


def test_secrets_are_not_handed_on_unless_named() -> None:
    environ = {"JUPYTER_TOKEN": "a", "X_TOKEN": "b", "Y_SECRET": "c", "PATH": "/bin", "JUPYTER_WF_PARENT_RUN": "r"}
    assert clean_environment(environ) == {"PATH": "/bin"}
    kept = clean_environment({**environ, "JUPYTER_WF_PASS_ENV": "X_TOKEN, Y_SECRET"})
    assert {"X_TOKEN", "Y_SECRET"} < kept.keys() and "JUPYTER_TOKEN" not in kept
