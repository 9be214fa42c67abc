"""Next attempts of notebook runs, repairs and reruns, in real kernels; and all that must not go wrong with them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_wf.core.errors import InvalidRequest, JupyterWfError, ParameterError, RunFinished, RunnerError, TargetError
from jupyter_wf.core.models import Run
from jupyter_wf.core.states import StateType
from jupyter_wf.services import notebook_runs, runners
from jupyter_wf.services.launcher import Launched, start_notebook
from tests.notebook.making import code
from tests.services.desk import FAILS, LOAD, Desk, shown
from tests.waiting import until


def test_the_next_attempt_runs_the_notebook_as_it_is_now(desk: Desk) -> None:
    desk.write("x = 1\nprint('first')", "# Fails\n1 / 0", "# Gone\npass", "print(x)")
    run = desk.start()
    assert run.can_resume and run.progress is not None and run.progress.counts == {"COMPLETED": 1, "FAILED": 1}
    first = Path(run.source["executed"])
    before = first.read_bytes()
    ids = [child.id for child in desk.children(run)]
    desk.write("x = 1\nprint('first')", "# Mended\nx = 2", "print(x)")
    done = desk.resume(run)
    assert (done.id, done.attempt, done.state.name, done.error) == (run.id, 2, "Completed", None)
    assert [child.id for child in desk.children(done)][:2] == ids, "the same children have a next attempt"
    assert desk.story(done) == {
        "x = 1": (2, "Completed"),
        "Mended": (2, "Completed"),
        "print(x)": (1, "Completed"),
    }
    assert done.progress is not None and (done.progress.done, done.progress.total) == (3, 3)
    assert shown(done, 2) == "2\n"
    assert Path(done.source["executed"]) == first.parent / "attempt-2" / "n.ipynb"
    assert first.read_bytes() == before, "what the attempt before has left can still be read"
    assert (first.parent / "attempt-2" / "runner.log").exists()
    assert not done.can_resume


def test_cells_are_known_by_their_ids_and_those_that_are_gone_stay(desk: Desk) -> None:
    desk.write("# A\npass", "# B\npass", "# C\n1 / 0")
    run = desk.start()
    content = json.loads(desk.path.read_text())
    a, b, c = content["cells"]
    content["cells"] = [{**c, "source": "# C now\npass"}, {**b, "id": "another", "source": "# D\npass"}, a]
    desk.path.write_text(json.dumps(content))
    done = desk.resume(run)
    assert desk.story(done) == {
        "A": (2, "Completed"),
        "B": (1, "Completed"),
        "C now": (2, "Completed"),
        "D": (1, "Completed"),
    }
    assert [child.source["cell"] for child in desk.children(done)] == [2, 1, 0, 1]


def test_completed_task_cells_are_restored_with_their_outputs(desk: Desk) -> None:
    desk.write(LOAD, "%%task load\nprint('loading')\nrows = [1, 2]", f"%%task check\n{FAILS}", "print(sum(rows))")
    run = desk.start()
    assert desk.story(run)["check"] == (1, "Failed")
    desk.mend()
    done = desk.resume(run)
    assert desk.story(done)["load"] == (2, "Resumed") and desk.story(done)["check"] == (2, "Completed")
    assert shown(done, 1).endswith("loading\n") and shown(done, 1).count("load ·") == 1, "its view is shown once"
    assert shown(done, 3) == "3\n"
    assert desk.logged(done).count("loading") == 1
    assert "attempt 2: to be run are check" in desk.logged(done)


def test_what_has_changed_runs_again_unless_it_is_repaired(desk: Desk) -> None:
    cells = (LOAD, "%%task load\nrows = [1, 2]", f"%%task check\nassert rows\n{FAILS}", "%%task side\nside = 1")
    desk.write(*cells)
    run = desk.start()
    desk.write(LOAD, cells[1].replace("2]", "2, 3]"), *cells[2:])
    again = desk.resume(run)
    assert desk.story(again)["load"] == (2, "Completed"), "its source has changed"
    desk.write(LOAD, cells[1].replace("2]", "2, 3, 4]"), *cells[2:], "print(rows)")
    desk.mend()
    repaired = desk.resume(again, repair=True)
    assert (repaired.attempt, repaired.state.name) == (3, "Completed")
    story = desk.story(repaired)
    assert (story["load"], story["check"], story["side"]) == ((3, "Resumed"), (3, "Completed"), (1, "Completed"))
    assert shown(repaired, 4) == "[1, 2, 3]\n"
    assert "to be run are check, side" in desk.logged(repaired)


def test_a_cell_that_was_called_because_of_a_failure_runs_again_after_it(desk: Desk) -> None:
    desk.write(LOAD, f"%%task check\n{FAILS}", "%%task tidy --after check --run-if all_done\nprint('tidied')")
    run = desk.start()
    assert desk.story(run)["tidy"] == (1, "Completed")
    desk.mend()
    done = desk.resume(run)
    assert desk.story(done)["tidy"] == (2, "Completed")


def test_a_rerun_from_a_task_restores_the_others_from_the_old_run(desk: Desk) -> None:
    desk.write(
        code("day = 1", "parameters"),
        LOAD,
        "%%task load\nrows = [1, 2]",
        "%%task total\ntotal = sum(rows)",
        "%%task side\nside = 5",
        "print(total, side, day)",
    )
    run = desk.start(day=7)
    new = desk.rerun(run, from_task="total")
    assert new.id != run.id and (new.attempt, new.state.name, new.source["rerun_of"]) == (1, "Completed", run.id)
    story = desk.story(new)
    assert [story[name] for name in ("load", "total", "side")] == [(1, "Resumed"), (1, "Completed"), (1, "Resumed")]
    assert shown(new, 6) == "3 5 7\n"
    assert desk.story(run)["load"] == (1, "Completed"), "the old run stays as it was"
    whole = desk.rerun(run, parameters={"day": 8})
    assert desk.story(whole)["load"] == (1, "Completed") and shown(whole, 6) == "3 5 8\n"
    with pytest.raises(InvalidRequest, match="no task of this name; it has load, total, side"):
        desk.rerun(run, from_task="nothing")


def test_parameters_are_those_of_the_run_unless_they_are_changed(desk: Desk) -> None:
    declared = code("year = 2012\ncity = 'x'\nlong: str = ''\npassword = 'none'", "parameters")
    tell = f"print(year, city, len(long), password)\n{FAILS}"
    desk.write(declared, tell)
    run = desk.start(year=2020, long="y" * 5_000, password="hush")
    with pytest.raises(ParameterError, match="'password': its value is a secret, so it was not stored"):
        desk.resume(run)
    desk.write(code("year = 2012\ncity = 'changed'\nlong: str = ''\npassword = 'none'", "parameters"), tell)
    second = desk.resume(run, parameters={"password": "new"})
    assert shown(second, 2).startswith("2020 changed 5000 new")
    desk.mend()
    third = desk.resume(second, parameters={"password": "new"}, texts={"year": "2021"})
    assert shown(third, 2) == "2021 changed 5000 new\n"
    assert (third.parameters["year"], third.parameters["password"]) == (2021, "***")
    for wrong in ({"year": "soon", "password": "x"}, {"month": 1, "password": "x"}):
        with pytest.raises(ParameterError):
            desk.rerun(third, parameters=wrong)


def test_a_parameter_that_is_not_declared_any_more_is_left_out(desk: Desk) -> None:
    desk.write(code("year = 2012\nold = 1", "parameters"), "1 / 0")
    run = desk.start(year=2020, old=5)
    desk.write(code("year = 2012", "parameters"), "print(year)")
    done = desk.resume(run)
    assert (done.state.name, dict(done.parameters)) == ("Completed", {"year": 2020})
    assert "has no parameter 'old' any more" in desk.logged(done)


def test_where_the_notebook_is_gone_its_snapshot_is_used(desk: Desk) -> None:
    desk.write(FAILS, "print('done')")
    run = desk.start()
    desk.path.unlink()
    desk.mend()
    done = desk.resume(run)
    assert done.state.name == "Completed" and shown(done, 1) == "done\n"
    assert f"the notebook {desk.path} is gone: the snapshot of the attempt before is used" in desk.logged(done)
    again = desk.rerun(done)
    assert again.state.name == "Completed"


def test_of_those_who_ask_at_the_same_time_one_gets_it(desk: Desk) -> None:
    desk.write(FAILS)
    run = desk.start()
    desk.mend()
    launched: list[Launched] = []
    refused: list[JupyterWfError] = []
    together = threading.Barrier(3)

    def ask() -> None:
        together.wait()
        try:
            launched.append(desk.begin(run))
        except JupyterWfError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (mine,) = launched
    done = desk.ended(mine)
    assert (done.attempt, done.state.name) == (2, "Completed")
    assert [type(error) for error in refused] == [RunFinished, RunFinished]
    folder = desk.runtime.settings.runs / run.id
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [mine.executed.parent.name]


def folders(desk: Desk, run: Run) -> set[str]:
    return {path.name for path in (desk.runtime.settings.runs / run.id).iterdir()}


def test_a_runner_that_can_not_begin_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(FAILS)
    run = desk.start()
    monkeypatch.setattr(runners, "_RUNNER", "jupyter_wf.services.no_such_module")
    with pytest.raises(RunnerError, match="no_such_module"):
        desk.begin(run)
    monkeypatch.setattr(runners.sys, "executable", str(desk.folder / "no-python"))
    with pytest.raises(OSError):
        desk.begin(run)
    now = desk.runtime.store.get_run(run.id)
    assert (now.attempt, now.state, now.source) == (1, run.state, run.source)
    assert folders(desk, run) == {"n.ipynb", "runner.log"}
    monkeypatch.undo()


def test_a_runner_that_says_nothing_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(FAILS)
    run = desk.start()
    silent = desk.folder / "jupyter_wf_silent.py"
    silent.write_text("import signal\nsignal.pause()")
    monkeypatch.setenv("PYTHONPATH", f"{desk.folder}:{Path(runners.__file__).parents[2]}")
    monkeypatch.setattr(runners, "_RUNNER", "jupyter_wf_silent")
    monkeypatch.setattr(notebook_runs, "_PATIENCE", 0.2)
    with pytest.raises(RunnerError, match="it said nothing"):
        desk.begin(run)
    assert desk.runtime.store.get_run(run.id).attempt == 1
    assert folders(desk, run) == {"n.ipynb", "runner.log"}


def test_what_can_not_be_resumed_is_refused(desk: Desk) -> None:
    desk.write(LOAD, "%%task t\nx = 1")
    done = desk.start()
    with pytest.raises(RunFinished, match="it is done"):
        desk.begin(done)
    task = next(child for child in desk.children(done) if child.kind == "task")
    with pytest.raises(TargetError, match="is a run of the task 't', not of a notebook"):
        desk.begin(task)
    with pytest.raises(TargetError):
        desk.rerun(task)
    going = replace(done, state=replace(done.state, type=StateType.RUNNING, name="Running"))
    with pytest.raises(RunFinished, match="it has not ended; cancel it first"):
        desk.begin(going)
    failed = replace(done, state=replace(done.state, type=StateType.FAILED, name="Failed"), parent_id=done.id)
    with pytest.raises(RunFinished, match=f"resumed alone: run {done.id}, which called it, is Completed"):
        desk.begin(failed)
    assert folders(desk, done) == {"n.ipynb", "runner.log"}


def test_a_broken_notebook_changes_nothing(desk: Desk) -> None:
    desk.write(FAILS)
    run = desk.start()
    desk.path.write_text("not JSON")
    with pytest.raises(TargetError, match="its content is not JSON"):
        desk.begin(run)
    assert desk.runtime.store.get_run(run.id).attempt == 1
    assert folders(desk, run) == {"n.ipynb", "runner.log"}


def test_a_kernel_that_dies_each_time_is_a_crash_each_time(desk: Desk) -> None:
    desk.write("x = 1", "import os\nos._exit(9)")
    run = desk.start()
    for attempt in (1, 2, 3):
        assert (run.attempt, run.state.type, run.state.message) == (
            attempt,
            StateType.CRASHED,
            "the kernel died: exit code 9",
        )
        assert [(child.attempt, child.state.name) for child in desk.children(run)] == [
            (attempt, "Completed"),
            (attempt, "Crashed"),
        ]
        run = desk.resume(run) if attempt < 3 else run


def test_a_run_whose_runner_was_killed_is_resumed(desk: Desk) -> None:
    desk.write(
        "print('one')",
        "import time\nfrom pathlib import Path\nprint('begun')\nif not Path('mended').exists(): time.sleep(600)",
    )
    runtime = desk.runtime
    launched = start_notebook(
        runtime.store, runtime.settings, desk.path, parameters={}, source={}, process=runtime.process
    )
    until(lambda: "begun" in desk.logged(launched.run))
    launched.process.kill()
    run = desk.ended(launched)
    assert run.state.type is StateType.CRASHED and run.can_resume
    desk.mend()
    done = desk.resume(run)
    assert (done.attempt, done.state.name) == (2, "Completed")
    assert [(child.attempt, child.state.name) for child in desk.children(done)] == [(2, "Completed"), (2, "Completed")]


def test_a_run_of_an_older_release_is_resumed_with_what_its_record_says(desk: Desk) -> None:
    desk.write(code("year = 2012", "parameters"), FAILS, "print(year)")
    run = desk.start(year=2020)
    desk.mend()
    old = replace(run, source={name: value for name, value in run.source.items() if name != "given"})
    assert shown(desk.resume(old), 3) == "2020\n"


def test_a_run_says_what_it_was_called_with_last_and_why_it_was_not_restored(desk: Desk) -> None:
    cells = ["%%task base\nb = factor", "%%task fails\nf = b / (factor - 2)"]
    desk.write("%load_ext jupyter_wf\nfactor = 2", *cells)
    run = desk.start()
    assert run.state.type is StateType.FAILED
    desk.write("%load_ext jupyter_wf\nfactor = 3", *cells)
    again = desk.resume(run)
    assert again.state.type is StateType.COMPLETED
    assert {each.parameters["factor"] for each in desk.children(again) if each.kind == "task"} == {3}
    desk.write("%load_ext jupyter_wf\nfactor = 4", *cells)
    assert "not restored: input 'factor' changed" in desk.logged(desk.rerun(again, from_task="fails"))
