"""Notebooks called from Python: what they return, how they fail, and that they are part of the run that calls them."""

from __future__ import annotations

import datetime
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from jupyter_wf import flow, run_notebook, wf_return
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.exceptions import NotebookFailed, ParameterError, TargetError
from jupyter_wf.notebooks import NotebookRun
from tests.notebook.making import code, write_notebook
from tests.waiting import until

FAILS = "from pathlib import Path\nassert Path('mended').exists(), 'not yet'"
RETURN = "from jupyter_wf import wf_return\n"


@pytest.fixture
def runtime(wf_home: Path) -> Iterator[Runtime]:
    yield current_runtime()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def runs(runtime: Runtime, **where: object) -> list[Run]:
    runtime.journal.flush()
    return list(runtime.store.list_runs(RunFilter(oldest_first=True, **where)).items)  # type: ignore[arg-type]


def test_a_notebook_returns_a_value(runtime: Runtime, folder: Path) -> None:
    write_notebook(
        folder / "clean.ipynb",
        code(
            "import datetime\nfrom pathlib import Path\nday: datetime.date = None\nnames = []\nplace: Path = None",
            "parameters",
        ),
        f"{RETURN}wf_return('replaced')\nwf_return({{'day': day, 'names': names, 'place': place.name}})",
    )
    run = run_notebook("clean.ipynb", day=datetime.date(2026, 1, 31), names=("a", "b"), place=Path("x/y"))
    assert isinstance(run, NotebookRun)
    assert run.result() == {"day": datetime.date(2026, 1, 31), "names": ["a", "b"], "place": "y"}
    assert (run.state.type, run.path) == (StateType.COMPLETED, str(folder / "clean.ipynb"))
    assert Path(run.executed).is_file()
    task, below = runs(runtime, kinds=("task", "flow"))
    assert (task.task_name, task.name, task.state.name) == ("run_notebook", "clean.ipynb", "Completed")
    assert (below.id, below.name, below.parent_id, below.root_id) == (run.id, run.name, task.id, task.id)
    assert below.flow_name == "clean" and not below.can_resume


def test_without_a_value_the_result_is_none(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", "x = 1")
    assert run_notebook(folder / "n.ipynb").result() is None


def test_the_output_that_a_task_names_is_the_result(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", "%load_ext jupyter_wf", "%%task total --return total\ntotal = 1 + 2")
    assert run_notebook("n.ipynb").result() == 3


def test_a_failure_tells_the_cell_and_the_traceback(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", "x = 1", "def broken():\n    return x / 0\nbroken()")
    with pytest.raises(NotebookFailed, match=r"is Failed: cell 2: ZeroDivisionError: division by zero") as raised:
        run_notebook("n.ipynb")
    error = raised.value
    assert (error.cell, error.state) == (2, "Failed")
    assert "return x / 0" in error.traceback and "return x / 0" in error.__notes__[0]
    assert Path(error.executed).is_file()
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.cell, copied.run_id) == (str(error), 2, error.run_id)


def test_notebooks_with_dependencies_are_one_flow(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "one.ipynb", code("n = 1", "parameters"), f"{RETURN}wf_return(n + 1)")
    write_notebook(folder / "two.ipynb", code("n = 1", "parameters"), f"{RETURN}wf_return(n * 10)")

    @flow
    def nightly() -> int:
        first = run_notebook.submit("one.ipynb", n=5)
        beside = run_notebook.submit("one.ipynb", n=7)
        second = run_notebook("two.ipynb", n=first.result().result())
        return int(second.result()) + int(beside.result().result())

    assert nightly() == 68
    (root,) = runs(runtime, roots_only=True)
    below = runs(runtime, root_id=root.id)
    assert [run.kind for run in below].count("flow") == 4 and {run.root_id for run in below} == {root.id}
    assert all(run.state.is_completed() for run in below)


def test_a_retry_goes_on_with_the_run_that_failed(runtime: Runtime, folder: Path) -> None:
    tries = "from pathlib import Path\np = Path('tries')\nn = len(p.read_text()) if p.exists() else 0\n"
    count = f"{tries}p.write_text('x' * (n + 1))"
    write_notebook(
        folder / "n.ipynb",
        "%load_ext jupyter_wf",
        "%%task load\nprint('loading')\nrows = [1]",
        f"%%task check\n{count}\nassert n >= 2",
    )
    run = run_notebook.with_options(retries=2)("n.ipynb")
    (below,) = runs(runtime, kinds=("flow",))
    assert (below.id, below.attempt, below.state.name) == (run.id, 3, "Completed")
    children = {child.name: (child.attempt, child.state.name) for child in runs(runtime, parent_id=run.id)}
    assert children["load"] == (3, "Resumed") and children["check"] == (3, "Completed")
    lines = [line.message for line in runtime.store.logs(run.id)]
    assert lines.count("loading") == 1


def test_the_next_attempt_of_a_flow_goes_on_with_its_notebooks(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "good.ipynb", f"{RETURN}wf_return('good')")
    write_notebook(folder / "bad.ipynb", FAILS, f"{RETURN}wf_return('mended')")

    @flow
    def both() -> list[str]:
        return [run_notebook(name).result() for name in ("good.ipynb", "bad.ipynb")]

    assert both(return_state=True).type is StateType.FAILED
    (root,) = runs(runtime, roots_only=True)
    ids = {run.id for run in runs(runtime, kinds=("flow",))}
    Path("mended").touch()
    assert both.resume(root.id) == ["good", "mended"]
    flows = {run.flow_name: (run.attempt, run.state.name) for run in runs(runtime, kinds=("flow",))}
    assert flows == {"both": (2, "Completed"), "good": (1, "Completed"), "bad": (2, "Completed")}
    assert {run.id for run in runs(runtime, kinds=("flow",))} == ids


def test_a_notebook_that_had_completed_is_not_run_again(
    runtime: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_wf.services import notebook_calls

    write_notebook(folder / "n.ipynb", code("day = 1", "parameters"), f"{RETURN}wf_return(day)")
    attend, failed = notebook_calls._attend, []

    def late(*args: object) -> None:
        attend(*args)  # type: ignore[arg-type]
        if not failed:
            failed.append(True)
            raise ConnectionError("the caller failed when the notebook had ended")

    monkeypatch.setattr(notebook_calls, "_attend", late)
    assert run_notebook.with_options(retries=1)("n.ipynb", day=3).result() == 3
    assert [(run.attempt, run.state.name) for run in runs(runtime, kinds=("flow",))] == [(1, "Completed")]


def test_who_cancels_the_flow_cancels_the_notebook(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", "print('begun')\nimport time\ntime.sleep(600)")

    @flow
    def outer() -> None:
        run_notebook.submit("n.ipynb").result()

    states: list[StateType] = []
    thread = threading.Thread(target=lambda: states.append(outer(return_state=True).type))
    thread.start()

    def begun() -> bool:
        below = runs(runtime, kinds=("flow",))
        return len(below) == 2 and any(line.message == "begun" for line in runtime.store.logs(below[1].id))

    until(begun)
    root, below = runs(runtime, kinds=("flow",))
    runtime.store.request(root.id, "cancel")
    thread.join(60)
    assert states == [StateType.CANCELLED]
    until(lambda: runtime.store.get_run(below.id).state.is_closed())
    assert runtime.store.get_run(below.id).state.type is StateType.CANCELLED


def test_a_notebook_that_takes_too_long_is_stopped(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", "import time\ntime.sleep(600)")
    state = run_notebook.with_options(timeout_seconds=1.5)("n.ipynb", return_state=True)
    assert (state.type, state.name) == (StateType.FAILED, "TimedOut")
    (below,) = runs(runtime, kinds=("flow",))
    until(lambda: runtime.store.get_run(below.id).state.is_closed())
    assert runtime.store.get_run(below.id).state.type is StateType.CANCELLED


def test_a_path_is_looked_for_here_and_beside_the_flow(
    runtime: Runtime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside = folder / "flows"
    beside.mkdir()
    source = "from jupyter_wf import flow, run_notebook\n@flow\ndef f():\n    return run_notebook('n.ipynb').path\n"
    (beside / "nightly_flows.py").write_text(source)
    write_notebook(beside / "n.ipynb", "x = 1")
    module = ModuleType("nightly_flows")
    monkeypatch.setitem(sys.modules, "nightly_flows", module)
    exec(compile(source, str(beside / "nightly_flows.py"), "exec"), module.__dict__)
    assert module.f() == str(beside / "n.ipynb")
    write_notebook(folder / "n.ipynb", "x = 2")
    assert module.f() == str(folder / "n.ipynb"), "the current folder comes first"


def test_what_is_wrong_is_said_before_anything_runs(runtime: Runtime, folder: Path) -> None:
    write_notebook(folder / "n.ipynb", code("day = 1", "parameters"))
    with pytest.raises(TargetError, match="there is no such file"):
        run_notebook("gone.ipynb")
    with pytest.raises(ParameterError, match="'month'"):
        run_notebook("n.ipynb", month=1)
    assert runs(runtime, kinds=("flow",)) == []


def test_outside_a_notebooks_run_a_value_is_only_returned(wf_home: Path) -> None:
    value = object()
    assert wf_return(value) is value
    assert not wf_home.exists(), HOME_VARIABLE
