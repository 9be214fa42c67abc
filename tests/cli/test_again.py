"""``jupyter wf resume``, ``repair``, ``rerun`` and ``notebook`` for notebooks, as processes of their own."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.notebook.making import code, printed, read_cells, write_notebook
from tests.waiting import until

FAILS = "from pathlib import Path\nassert Path('mended').exists()"
CELLS = ("%load_ext jupyter_wf", "%%task load\nrows = [1]", f"%%task check\n{FAILS}")
RETURN = "from jupyter_wf import wf_return\nwf_return({'day': day, 'rows': rows})"


def failed(command: CommandLine, runtime: Runtime, *cells: str) -> Run:
    """Run a notebook that fails, and return its run."""
    write_notebook(command.folder / "n.ipynb", code("day = 1", "parameters"), *(cells or (*CELLS, RETURN)))
    done = command("run", "n.ipynb", "-p", "day=2")
    assert done.returncode == 1
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    assert f"jupyter wf resume {run.id[:8]}" in done.stdout
    return run


def test_resume_watches_the_next_attempt(command: CommandLine, runtime: Runtime) -> None:
    run = failed(command, runtime)
    (command.folder / "mended").touch()
    done = command("resume", run.id[:8])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.split("\n\n")[0].splitlines()
    assert "Resuming" in lines[0] and "Completed" in lines[-1] and lines[-1].endswith("attempt 2")
    assert any("Resumed" in line and "load" in line for line in lines)
    now = runtime.store.get_run(run.id)
    assert (now.attempt, now.state.type) == (2, StateType.COMPLETED)
    refused = command("resume", run.id)
    assert refused.returncode == 2 and "jupyter wf rerun" in refused.stderr


def test_json_has_the_result(command: CommandLine, runtime: Runtime) -> None:
    run = failed(command, runtime)
    (command.folder / "mended").touch()
    done = command("repair", run.id, "--params", "day=5", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["attempt"], told["result"]) == (0, 2, {"day": 5, "rows": [1]})
    assert told["parameters"] == {"day": 5}
    again = json.loads(command("rerun", run.id, "--from", "check", "-p", "day=6", "--json").stdout)
    assert (again["state"]["name"], again["attempt"], again["result"]["day"]) == ("Completed", 1, 6)
    assert again["source"]["rerun_of"] == run.id
    other = json.loads(command("rerun", run.id, "--json").stdout)
    assert other["result"]["day"] == 5, "the parameters of the newest attempt"


def test_a_result_that_is_no_json_is_told(command: CommandLine, runtime: Runtime) -> None:
    write_notebook(command.folder / "n.ipynb", "from jupyter_wf import wf_return\nwf_return({1, 2})")
    told = json.loads(command("run", "n.ipynb", "--json").stdout)
    assert told["result"] == {"type": "set", "repr": "{1, 2}"}


def test_a_resume_that_fails_again_is_code_1(command: CommandLine, runtime: Runtime) -> None:
    run = failed(command, runtime)
    done = command("resume", run.id, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["attempt"], told["result"], told["can_resume"]) == (1, 2, None, True)
    wrong = command("repair", run.id, "-p", "day=soon")
    assert wrong.returncode == 2 and "'day'" in wrong.stderr
    assert runtime.store.get_run(run.id).attempt == 2


def test_ctrl_c_cancels_the_next_attempt(command: CommandLine, runtime: Runtime) -> None:
    run = failed(command, runtime, f"import time\n{FAILS}\nprint('begun')\ntime.sleep(600)")
    (command.folder / "mended").touch()
    process = command.start("resume", run.id)
    until(lambda: any(line.message == "begun" for line in runtime.store.logs(run.id)))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Cancelled" in out
    now = runtime.store.get_run(run.id)
    assert (now.attempt, now.state.type, now.can_resume) == (2, StateType.CANCELLED, True)


def test_the_notebook_of_a_run(command: CommandLine, runtime: Runtime) -> None:
    run = failed(command, runtime)
    before = (command.folder / "n.ipynb").read_bytes()
    (command.folder / "n.ipynb").write_text("changed")
    assert command("notebook", run.id, "--snapshot", "-o", "old.ipynb").returncode == 0
    assert (command.folder / "old.ipynb").read_bytes() == before
    assert command("notebook", run.id, "-o", "executed.ipynb").returncode == 0
    assert "AssertionError" in printed(read_cells(command.folder / "executed.ipynb")[4])
    assert command("notebook", run.id).stdout.strip() == run.source["executed"]
    Path(run.source["executed"]).unlink()
    gone = command("notebook", run.id)
    assert gone.returncode == 2 and "is not there any more" in gone.stderr


def test_a_flow_is_run_again_with_its_arguments(command: CommandLine, runtime: Runtime) -> None:
    source = "from jupyter_wf import flow\n\n@flow\ndef nightly(day: int, n: int = 1):\n    print('day', day, 'n', n)\n"
    (command.folder / "flows.py").write_text(source)
    assert command("run", "flows.py:nightly", "-p", "day=3", "-p", "n=4").returncode == 0
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    done = command("rerun", run.id, "-p", "n=5")
    assert done.returncode == 0, done.stderr
    assert "day 3 n 5" in done.stdout
    assert len(runtime.store.list_runs(RunFilter(roots_only=True)).items) == 2
    refused = command("rerun", run.id, "--from", "x")
    assert refused.returncode == 2 and "--from is for notebooks" in refused.stderr
    for args in (("repair", run.id), ("notebook", run.id)):
        other = command(*args)
        assert other.returncode == 2 and "notebook" in other.stderr
