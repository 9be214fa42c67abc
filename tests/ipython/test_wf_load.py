"""``%wf load``: a run's inputs in the namespace, and its source in a new cell."""

from __future__ import annotations

import html
import json
import time
from typing import Any

import pandas
import pytest
from IPython.core.error import UsageError

from jupyter_wf.core.events import Kept, ResultStored
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, current_runtime
from jupyter_wf.ipython import _sessions
from jupyter_wf.notebook.shelf import Shelf
from tests.ipython.kernels import running_kernel


def runtime_of(ip: Any) -> Runtime:
    return _sessions[ip.shell][0].runtime


class Notebook:
    """Writes down a notebook's run as a runner and its kernel do, in this process."""

    def __init__(self, ip: Any, **parameters: Any) -> None:
        self.runtime = runtime_of(ip)
        self.root = self.runtime.begin("flow", flow_name="etl", parameters=parameters)
        self.root.set_state(StateType.RUNNING)

    def cell(self, name: str, body: str, *, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> LiveRun:
        live = self.runtime.begin("task", name, task_name=name, parent=self.root)
        facts = {"kind": "task", "line": name, "body": body, "reads": list(reads), "writes": list(writes)}
        self.store(f"cell/{live.id}", live, "json", json.dumps(facts).encode())
        live.set_state(StateType.RUNNING)
        return live

    def store(self, key: str, live: LiveRun, format_: str, data: bytes) -> None:
        self.runtime.journal.append(ResultStored(live.id, time.time(), key, None, format_, data))

    def complete(self, live: LiveRun, values: dict[str, Any] | None) -> None:
        kept = None if values is None else Kept(*Shelf(self.runtime.blobs).keep(values).payload)
        live.set_state(StateType.COMPLETED, kept=kept)

    def fail(self, live: LiveRun, inputs: dict[str, Any], largest: int | None = None) -> None:
        shelved = Shelf(self.runtime.blobs).keep(inputs, largest=largest)
        self.store(f"inputs/{live.id}", live, *shelved.payload)
        live.set_state(StateType.FAILED, error=ValueError("no"))


def refused(ip: Any, capsys: pytest.CaptureFixture[str], line: str) -> str:
    capsys.readouterr()
    assert isinstance(ip.run(line).error_in_exec, UsageError)
    return capsys.readouterr().err.strip()


def test_a_failed_cell_with_its_stored_inputs(ip: Any) -> None:
    notebook = Notebook(ip)
    frame = pandas.DataFrame({"a": [1, 2]})
    live = notebook.cell("clean", "rows = frame[frame.a > limit]\n%time x = 1\nlock", reads=("frame", "limit", "lock"))
    notebook.fail(live, {"frame": frame, "limit": 1, "lock": (lambda: 1, object())[1]}, largest=100_000)
    ip.ok("limit = 'mine'")
    loaded = ip.ok("%wf load etl/clean")
    pandas.testing.assert_frame_equal(ip.namespace["frame"], frame)
    assert ip.namespace["limit"] == 1
    assert loaded.replaced == ["limit"]
    assert loaded.source.endswith("\nrows = frame[frame.a > limit]\n%time x = 1\nlock\n")
    assert loaded.source.startswith(f"# clean, as it was in run {live.id[:8]}\n")
    # A plain shell has no cells: the source is told.
    assert loaded.source in repr(loaded)
    assert html.escape(loaded.source) in loaded._repr_html_()
    assert "replaced what it was" in repr(loaded)


def test_inputs_of_a_cell_from_the_cells_before_it_and_the_parameters(ip: Any) -> None:
    notebook = Notebook(ip, day="2026-01-31", token="abc", table=[1, {"a": 2}], odd=object())
    notebook.complete(notebook.cell("old", "rows = 1", writes=("rows",)), {"rows": "old"})
    notebook.complete(notebook.cell("rows", "rows = 1; more = 2", writes=("rows", "more")), {"rows": [1, 2]})
    notebook.complete(notebook.cell("unkept", "gone = 1", writes=("gone",)), None)
    reads = ("rows", "more", "gone", "day", "token", "table", "odd", "helper", "pandas")
    live = notebook.cell("report", "print(rows, day)", reads=reads)
    notebook.complete(live, {})
    notebook.complete(notebook.cell("later", "rows = 9", writes=("rows",)), {"rows": "later"})
    notebook.root.set_state(StateType.COMPLETED)
    ip.ok("import pandas")
    loaded = ip.ok(f"%wf load {live.id}")
    assert loaded.names == ["day", "rows", "table"]
    assert [ip.namespace[name] for name in loaded.names] == ["2026-01-31", [1, 2], [1, {"a": 2}]]
    assert loaded.replaced == []
    assert set(loaded.missing) == {"more", "gone", "token", "odd", "helper"}
    assert loaded.missing["helper"] == "comes from a plain cell: run it"
    assert "'unkept', whose outputs were not stored" in loaded.missing["gone"]
    assert "secret" in loaded.missing["token"]
    assert "not stored whole" in loaded.missing["odd"]
    text = repr(loaded)
    assert "as it is in this notebook" in text
    assert "print(rows, day)" in text


def test_a_failed_task_of_a_flow_is_loaded_as_a_call(ip: Any) -> None:
    ip.ok("from jupyter_wf import flow, task\nimport threading")
    ip.ok(
        "@task(name='weigh')\ndef scales(rows, /, factor, *more, lock=None, password='x', **named):\n"
        "    raise ValueError(rows)"
    )
    ip.ok("lock = threading.Lock()")
    ip.run("%%flow whole\nscales([1, 2], 3, 4, lock=lock, password='hunter2', a=1)")
    loaded = ip.ok("%wf load whole/weigh")
    assert loaded.source.splitlines()[1] == "scales(rows, factor, *more, lock=lock, password=password, **named)"
    assert ip.namespace["rows"] == [1, 2]
    assert (ip.namespace["more"], ip.namespace["named"]) == ((4,), {"a": 1})
    # In the process where it failed everything is at hand.
    assert ip.namespace["password"] == "hunter2"
    assert "hunter2" not in repr(loaded)
    failed = ip.run(loaded.source)
    assert str(failed.error_in_exec) == "[1, 2]"
    _sessions[ip.shell][0].failures.forget()
    ip.ok("del rows, lock, password, named, more, factor, scales")
    loaded = ip.ok("%wf load whole/weigh")
    assert ip.namespace["rows"] == [1, 2]
    assert set(loaded.missing) == {"lock", "password"}
    assert loaded.missing["password"] == "is a secret, so it was not stored"
    assert "# There is no task 'weigh' in the namespace: define or import it first." in loaded.source
    assert "# password is missing: it is a secret" in loaded.source
    assert loaded.source.splitlines()[-1].startswith("weigh(")


def test_a_task_that_completed_and_a_flow(ip: Any) -> None:
    ip.ok("from jupyter_wf import flow, task\n@task\nasync def double(n): return n * 2")
    ip.ok("@flow(name='etl')\nasync def whole(day, frame): return await double(21)")
    ip.ok("import pandas\nawait whole('monday', pandas.DataFrame({'a': [1]}))")
    loaded = ip.ok("%wf load etl/double")
    assert (loaded.names, ip.namespace["n"]) == (["n"], 21)
    assert loaded.source.endswith("\nawait double(n=n)\n")
    assert ip.ok(loaded.source) == 42
    loaded = ip.ok("%wf load etl")
    assert loaded.names == ["day", "frame"]
    assert ip.namespace["frame"].shape == (1, 1)
    assert loaded.source.endswith("\nawait whole(day=day, frame=frame)\n")


def test_arguments_that_come_from_other_tasks(ip: Any) -> None:
    ip.ok("from jupyter_wf import flow, task\n@task\ndef one(): return {1: 2}\n@task\ndef fail(x): raise ValueError(x)")
    ip.ok("@flow\ndef whole():\n    future = fail.submit(one.submit())\n    future.wait()\n    return 1")
    ip.ok("whole()")
    for forget in (False, True):
        if forget:
            _sessions[ip.shell][0].failures.forget()
        ip.namespace.pop("x", None)
        assert ip.ok("%wf load whole/fail").names == ["x"]
        assert ip.namespace["x"] == {1: 2}


def test_recorded_parameters_that_only_stand_for_values(ip: Any) -> None:
    ip.ok("from jupyter_wf import flow, task\n@task\ndef take(a, b, c, d, e, f, g): return 1")
    call = "take(object(), 'x' * 3000, list(range(200)), {'k': {1, 2}}, [1, None, 'x', {'y': 2.5}], (1, 2), 'g')"
    ip.ok(f"@flow\ndef whole(): return {call}\nwhole()")
    loaded = ip.ok("%wf load whole/take")
    assert loaded.names == ["e", "g"]
    assert loaded.missing["f"] == "was not stored exactly, only that it is like [1, 2]"
    assert ip.namespace["e"] == [1, None, "x", {"y": 2.5}]
    assert loaded.missing["b"] == "was not stored, only what it is"


def test_a_plain_cell_can_not_be_loaded(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    notebook = Notebook(ip)
    live = notebook.runtime.begin("cell", "x = 1", parent=notebook.root)
    assert "was not stored: it is a plain cell" in refused(ip, capsys, f"%wf load {live.id}")
    current_runtime().journal.flush()


@pytest.mark.parametrize("ipykernel", [6, 7])
def test_a_new_cell_in_a_notebook(tmp_path: Any, ipykernel: int) -> None:
    with running_kernel(tmp_path / "home", ipykernel) as kernel:
        kernel.ok("from jupyter_wf import flow, task\n@task\ndef half(n): return 1 / n")
        kernel.run("%%flow whole\nhalf(0)")
        reply = kernel.ok("n = 'mine'\n%wf load whole/half")
        (shown,) = [content["data"] for content in reply.of("execute_result")]
        assert "its source is in a new cell" in shown["text/plain"]
        assert "half(n=n)" not in shown["text/plain"]
        (payload,) = reply.payload
        assert (payload["source"], payload["replace"]) == ("set_next_input", False)
        assert payload["text"].endswith("\nhalf(n=n)\n")
        assert kernel.ok("n").value == "0"
        assert kernel.run(payload["text"]).of("error")[0]["ename"] == "ZeroDivisionError"
        kernel.client.session.metadata = {"jupyter_wf": {"run_id": None, "flow_run_id": "flow-1", "cell": 2}}
        reply = kernel.ok("%wf load whole/half")
        (shown,) = [content["data"] for content in reply.of("execute_result")]
        assert "half(n=n)" in shown["text/plain"]
        assert reply.payload == []
