"""``jupyter wf run notebook.ipynb`` as its own process: output, exit codes, Ctrl-C, death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.notebook.making import code, is_running, printed, read_cells, write_notebook
from tests.waiting import until

SLEEP = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
PARAMETERS = code("year: int = 2012\ncity = 'Seattle'", "parameters")


def sleeping(command: CommandLine, runtime: Runtime, source: str = SLEEP) -> tuple[subprocess.Popen[str], Run, int]:
    """Start a notebook that sleeps; return the command, the run, and the kernel's process once it sleeps."""
    write_notebook(command.folder / "n.ipynb", source, "print('never')")
    process = command.start("run", "n.ipynb")
    (run,) = until(lambda: runtime.store.list_runs(RunFilter(roots_only=True)).items)
    lines = until(lambda: [r for r in runtime.store.logs(run.id) if r.logger == "stdout"])
    return process, run, int(lines[0].message)


def test_a_notebook_that_completes(command: CommandLine, runtime: Runtime) -> None:
    write_notebook(command.folder / "n.ipynb", PARAMETERS, "# Say it\nprint(city, year + 1)")
    done = command("run", "n.ipynb", "-p", "year=2013", "--output", "out.ipynb")
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = runtime.store.list_runs(RunFilter(roots_only=True)).items
    lines = [line.split("  ", 1)[1] for line in done.stdout.split("\n\n")[0].splitlines()]
    expected = [
        "n · ",
        "parameters",
        "parameters",
        "injected parameters",
        "injected parameters",
        "Say it",
        "Say it",
        "n · ",
    ]
    assert [line.split(None, 1)[0] for line in lines] == ["Running", *["Running", "Completed"] * 3, "Completed"]
    assert all(line.split(None, 1)[1].startswith(name) for line, name in zip(lines, expected, strict=True))
    assert "\x1b" not in done.stdout
    summary = dict(line.split(None, 1) for line in done.stdout.split("\n\n")[1].splitlines())
    assert summary["run"].startswith(run.id[:8])
    assert summary["steps"] == "3 completed"
    assert summary["notebook"] == "out.ipynb"
    assert done.stdout.rstrip().endswith("jupyter lab out.ipynb")
    assert printed(read_cells(command.folder / "out.ipynb")[2]) == "Seattle 2014\n"
    assert read_cells(run.source["executed"]) == read_cells(command.folder / "out.ipynb")
    assert (run.source["notebook"], run.source["target"]) == ("n.ipynb", "n.ipynb")
    assert dict(run.parameters) == {"year": 2013, "city": "Seattle"}


def test_json_is_all_there_is_on_stdout_and_a_failure_is_code_1(command: CommandLine, runtime: Runtime) -> None:
    write_notebook(command.folder / "n.ipynb", "1 / 0", "print('never')")
    done = command("run", "n.ipynb", "--json")
    assert done.returncode == 1
    run = json.loads(done.stdout)
    assert (run["state"]["type"], run["error"]["type"]) == ("FAILED", "ZeroDivisionError")
    assert run["progress"] == {"total": 2, "done": 1, "counts": {"FAILED": 1}}
    assert "Failed" in done.stderr
    assert printed(read_cells(run["source"]["executed"])[1]) == ""


def test_a_failure_shows_its_traceback(command: CommandLine) -> None:
    write_notebook(command.folder / "n.ipynb", "def broken():\n    return 1 / 0\nbroken()")
    done = command("run", "n.ipynb")
    assert done.returncode == 1
    assert "return 1 / 0" in done.stdout and "ZeroDivisionError: division by zero" in done.stdout
    assert "1 failed" in done.stdout


def test_a_dead_kernel_is_code_1_with_its_cause(command: CommandLine) -> None:
    write_notebook(command.folder / "n.ipynb", "import os; os._exit(3)")
    done = command("run", "n.ipynb")
    assert done.returncode == 1
    assert "Crashed" in done.stdout and "the kernel died: exit code 3" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["n.ipynb", "-p", "yaer=2013"], "parameter 'yaer': the notebook has no such parameter; did you mean 'year'?"),
        (["n.ipynb", "-p", "year=soon"], "parameter 'year': expects int, got 'soon'"),
        (["n.ipynb", "-p", "year"], "parameter 'year': write it as name=value"),
        (["n.ipynb", "--params-file", "none.json"], "there is no such file"),
        (["n.ipynb", "--params-file", "bad.json"], "is not JSON"),
        (["n.ipynb", "--params-file", "bad.yaml"], "is not YAML"),
        (["n.ipynb", "--params-file", "list.json"], "must hold an object"),
        (["n.ipynb", "--params-file", "wrong.json"], "parameter 'year': expects int, got '2013'"),
        (["n.ipynb", "--output", "no/out.ipynb"], "there is no folder"),
        (["n.ipynb", "--output", "."], "is a folder"),
        (["none.ipynb"], "'none.ipynb': there is no such file"),
        (["bad.ipynb"], "is not a notebook"),
        (["n.ipynb:flow"], "leave out ':flow'"),
        (["what is this"], "is neither notebook.ipynb nor file.py:flow nor package.module:flow"),
        ([], "Missing argument 'TARGET'"),
    ],
)
def test_wrong_usage(args: list[str], message: str, tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from jupyter_wf.cli.app import main

    monkeypatch.chdir(tmp_path)
    write_notebook(tmp_path / "n.ipynb", PARAMETERS)
    (tmp_path / "bad.ipynb").write_text("{}")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "wrong.json").write_text('{"year": "2013"}')
    assert main(["run", *args]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err


def test_parameters_come_from_files_and_the_line_wins(command: CommandLine) -> None:
    write_notebook(command.folder / "n.ipynb", PARAMETERS, "print(city, year)")
    (command.folder / "p.yaml").write_text("year: 2014\ncity: Oslo\n")
    done = command("run", "n.ipynb", "--params-file", "p.yaml", "-p", "city=Bergen", "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["parameters"] == {"year": 2014, "city": "Bergen"}
    assert printed(read_cells(run["source"]["executed"])[2]) == "Bergen 2014\n"


def test_ctrl_c_cancels_the_run(command: CommandLine, runtime: Runtime) -> None:
    process, run, kernel = sleeping(command, runtime)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "cancelling" in err and "Cancelled" in out
    items = runtime.store.list_runs(RunFilter(root_id=run.id)).items
    assert {item.state.type for item in items} == {StateType.CANCELLED}
    cells = read_cells(run.source["executed"])
    assert cells[0]["outputs"][-1]["ename"] == "KeyboardInterrupt" and cells[1]["outputs"] == []
    assert not is_running(kernel)


def test_a_second_ctrl_c_does_not_wait(command: CommandLine, runtime: Runtime) -> None:
    stubborn = f"""
    {SLEEP.splitlines()[0]}
    print(os.getpid(), flush=True)
    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            print('no', flush=True)
    """
    process, run, kernel = sleeping(command, runtime, stubborn)
    os.killpg(process.pid, signal.SIGINT)
    until(lambda: [line for line in runtime.store.logs(run.id) if line.message == "no"])
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=4)
    assert process.returncode == 130
    assert runtime.store.get_run(run.id).state.type is StateType.CANCELLED
    assert not is_running(kernel)


def test_a_killed_command_takes_its_run_along(command: CommandLine, runtime: Runtime) -> None:
    process, run, kernel = sleeping(command, runtime)
    process.kill()
    until(lambda: runtime.store.get_run(run.id).state.type is StateType.CRASHED, 2)
    until(lambda: not is_running(kernel), 2)


def test_cancel_from_elsewhere_ends_the_command_with_130(command: CommandLine, runtime: Runtime) -> None:
    process, run, _ = sleeping(command, runtime)
    assert command("cancel", run.id[:8]).returncode == 0
    assert process.wait(20) == 130
