"""``%%task`` and ``%%flow`` in a plain IPython shell."""

from __future__ import annotations

import inspect
import pickle
import re
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_wf.engine.runtime import current_runtime


def test_a_task_cell_reads_writes_and_displays(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("base = 20")
    assert ip.ok("%%task load\n_half = base // 2\nrows = [_half] * 2\nsum(rows)") == 20
    assert ip.namespace["rows"] == [10, 10]
    assert "_half" not in ip.namespace
    assert ip.states() == [("task", "load", "Completed")]
    out = capsys.readouterr().out
    assert re.search(r"Out\[\d+\]: 20", out)
    assert "✓ Task run load · Completed" in out


def test_the_output_history_is_kept(ip: Any) -> None:
    ip.ok("%%task a\n1 + 1")
    assert ip.ok("_ + 1") == 3
    assert ip.ok("%%task b\n_ + 1\n_") == 3


def test_a_semicolon_hides_the_value(ip: Any) -> None:
    assert ip.ok("%%task a\nx = 2\nx;") is None
    assert ip.ok("%%task a\nimport asyncio\nawait asyncio.sleep(0, 3);") is None


def test_the_value_of_a_cell_s_last_line_is_only_displayed(ip: Any) -> None:
    assert ip.ok("%%task load\nrows = 'x' * 100_000\nrows") == "x" * 100_000
    (run,) = ip.runs()
    store = current_runtime().store
    assert store.run_result(run.id) is None
    assert not list(current_runtime().settings.results.glob("*/*"))


def test_a_failure_leaves_the_namespace_alone(ip: Any) -> None:
    ip.ok("x = 1")
    result = ip.run("%%task bad\nx = 2\ny = 3\n1 / 0")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    assert ip.namespace["x"] == 1
    assert "y" not in ip.namespace
    (run,) = ip.runs()
    assert (run.state.name, run.error.type) == ("Failed", "ZeroDivisionError")


def test_each_attempt_begins_from_the_same_names(ip: Any) -> None:
    ip.ok("tries = []\nx = 1")
    ip.ok("%%task flaky --retries 3 --retry-delay 0\ntries.append(x)\nx += 1\nassert len(tries) == 3\nx")
    assert ip.namespace["tries"] == [1, 1, 1]
    assert ip.namespace["x"] == 2
    (run,) = ip.runs()
    assert (run.attempt, run.max_attempts, run.state.name) == (3, 4, "Completed")


def test_a_time_out_fails_the_task(ip: Any) -> None:
    result = ip.run("%%task slow --timeout 0.05\nx = 1\nimport time\ntime.sleep(30)")
    assert isinstance(result.error_in_exec, TimeoutError)
    assert "x" not in ip.namespace
    assert ip.states() == [("task", "slow", "TimedOut")]
    assert ip.ok("1 + 1") == 2


def test_tags_and_prints(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task noisy --tags a,b\nprint('hello')")
    ip.ok("%%task quiet --no-log-prints\nprint('nothing')")
    noisy, quiet = ip.runs()
    assert noisy.tags == ("a", "b")
    store = current_runtime().store
    assert [record.message for record in store.logs(noisy.id)] == ["hello"]
    assert store.logs(quiet.id) == []
    assert {"hello", "nothing"} <= set(capsys.readouterr().out.split("\n"))


def test_await_shell_and_magics_in_a_body(ip: Any) -> None:
    ip.ok("word = 'hi'")
    assert ip.ok("%%task a\nimport asyncio\nx = await asyncio.sleep(0, 5)\nx") == 5
    assert ip.ok("%%task s\n_w = word\nlines = !echo {_w} $word\nlines[0]") == "hi hi"
    ip.ok("%%task m\n%time t = 3\n_u = 4")
    assert ip.namespace["t"] == 3
    assert "_u" not in ip.namespace
    ip.ok("%%task c\n\n%%capture captured\nprint('inside')")
    assert "inside" in ip.namespace["captured"].stdout
    assert {state for _, _, state in ip.states()} == {"Completed"}


def test_functions_and_classes_go_on_working(ip: Any) -> None:
    ip.ok(
        "%%task defs\n_cache = {}\ndef fact(n): return 1 if n < 2 else n * fact(n - 1)\n"
        "def remember(k): _cache[k] = late; return len(_cache)\nclass Box:\n    pass"
    )
    ip.ok("late = 1")
    assert ip.ok("fact(5)") == 120
    assert [ip.ok("remember(1)"), ip.ok("remember(2)")] == [1, 2]
    assert ip.namespace["Box"].__module__ == "__main__"
    assert inspect.getsource(ip.namespace["fact"]).startswith("def fact(n)")


def test_classes_can_be_pickled(ip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ip.ok("%%task defs\nclass Box:\n    def __init__(self, v): self.v = v\nbox = Box(3)")
    monkeypatch.setattr("__main__.Box", ip.namespace["Box"], raising=False)
    assert pickle.loads(pickle.dumps(ip.namespace["box"])).v == 3


@pytest.mark.parametrize("head", ["%%task bad", "%%flow bad"])
@pytest.mark.parametrize("extra", ["", "await __import__('asyncio').sleep(0)\n"], ids=["sync", "async"])
def test_tracebacks_show_the_cells_frames_only(
    ip: Any, capsys: pytest.CaptureFixture[str], head: str, extra: str
) -> None:
    ip.ok("def divide(a):\n    return a / 0")
    result = ip.run(f"{head}\n{extra}y = 1\ndivide(y)")
    out = capsys.readouterr().out
    frames = re.findall(r"Cell In\[(\d+)\], line (\d+)", out)
    assert frames == [("2", "4" if extra else "3"), ("1", "2")]
    assert "jupyter_wf/" not in out
    assert "hidden" not in out
    # The exception is an ordinary one again.
    assert not hasattr(result.error_in_exec, "_render_traceback_")


@pytest.mark.parametrize(
    ("call", "inside"),
    [
        ("part(0)", [("1", "2")]),
        ("part.submit(0).result()", [("1", "2")]),
        ("await later(0)", [("2", "3")]),
        ("part()", []),
        ("whole(1, 2)", []),
    ],
)
def test_a_call_in_an_ordinary_cell_fails_as_that_of_a_plain_function(
    ip: Any, capsys: pytest.CaptureFixture[str], call: str, inside: list[tuple[str, str]]
) -> None:
    ip.ok("%%task part(n)\n1 / n")
    ip.ok("%%task later(n)\nawait __import__('asyncio').sleep(0)\n1 / n")
    ip.ok("%%flow whole(n)\nn")
    ip.run(f"x = 1\n{call}")
    out = capsys.readouterr().out
    assert re.findall(r"Cell In\[(\d+)\], line (\d+)", out) == [("4", "2"), *inside]
    assert "jupyter_wf/" not in out
    assert "hidden" not in out


def test_frames_between_a_flow_and_its_task_are_left_out(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task part(n)\nn / 0")
    ip.run("%%flow whole\npart(1)")
    out = capsys.readouterr().out
    assert re.findall(r"Cell In\[(\d+)\], line (\d+)", out) == [("2", "2"), ("1", "2")]
    assert "jupyter_wf/" not in out


CHAINED = """
from jupyter_wf import flow, task

@task
def deep():
    raise KeyError("deep")

@task
def chained():
    try:
        deep.submit().result()
    except KeyError as error:
        raise ValueError("no") from error

@task
def grouped():
    many = []
    for each in (deep, chained):
        try:
            each()
        except Exception as error:
            many.append(error)
    raise ExceptionGroup("several", many)

@flow
def whole(which):
    which()
"""


@pytest.mark.parametrize("which", ["chained", "grouped"])
def test_frames_in_causes_and_groups_are_left_out(which: str, ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok(CHAINED)
    ip.run(f"whole({which})")
    # IPython prints groups to stderr.
    out = "".join(capsys.readouterr())
    assert "KeyError" in out and "ValueError" in out
    assert "jupyter_wf/" not in out


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("%%task bad\nx = 1\nx = = 2", 3),
        ("%%task bad\nreturn 1", 2),
        ("%%task bad(a)\nx = 1\nx = = 2", 3),
        ("%%task bad(a)\nbreak", 2),
    ],
)
def test_syntax_errors_look_as_in_any_cell(ip: Any, capsys: pytest.CaptureFixture[str], cell: str, line: int) -> None:
    result = ip.run(cell)
    assert isinstance(result.error_before_exec, SyntaxError)
    out = capsys.readouterr().out
    assert f"Cell In[1], line {line}" in out
    assert "Traceback" not in out
    assert ip.runs() == []


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%task\n1", "needs a name first"),
        ("%%task a b\n1", "'b' is no option"),
        ("%%task a --nope\n1", "there is no option '--nope'"),
        ("%%task a --retries x\n1", "'x' is not a whole number"),
        ("%%task a --retries -1\n1", "'-1' is not a whole number"),
        ("%%task a --retry-delay 1,x\n1", "'1,x' is not a number of seconds"),
        ("%%task a --timeout 0\n1", "'0' is not a number of seconds above 0"),
        ("%%task a --timeout nan\n1", "'nan' is not a number"),
        ("%%task 2a\n1", "bad task name"),
        ("%%flow a --tags x\n1", "--tags is for cells with %%task"),
        ("%%task f(a\n1", "no closing parenthesis"),
    ],
)
def test_usage_errors_are_one_line(ip: Any, capsys: pytest.CaptureFixture[str], cell: str, message: str) -> None:
    result = ip.run(cell)
    assert isinstance(result.error_in_exec, UsageError)
    err = capsys.readouterr().err
    assert message in err
    assert err.strip().count("\n") == 0
    assert ip.runs() == []


def test_help_shows_the_options(ip: Any) -> None:
    for name in ("task", "flow"):
        text = ip.shell.magics_manager.magics["cell"][name].__doc__
        assert f"usage: %%{name} NAME [options]" in text
        for word in ("--retries", "--retry-delay", "--timeout", "NAME(parameters) [-> out] [options]"):
            assert word in text


def test_a_callable_task(ip: Any) -> None:
    ip.ok("k = 100")
    assert ip.ok("%%task add(a, b=2) -> out --retries 1\nout = a + b + k\n'not this'") is None
    add = ip.namespace["add"]
    assert (add(1), add(1, b=3)) == (103, 104)
    assert inspect.getsource(add.fn).split("\n")[:2] == ["def add(a, b=2):", "    out = a + b + k"]
    assert str(inspect.signature(add)) == "(a, b=2)"
    assert [run.task_name for run in ip.runs()] == ["add", "add"]
    assert ip.runs()[0].parameters == {"a": 1}
    assert "out" not in ip.namespace


def test_a_callable_task_without_a_named_result(ip: Any) -> None:
    ip.ok("%%task last(a)\nif a:\n    a += 1\na * 2")
    assert [ip.ok("last(0)"), ip.ok("last(1)")] == [0, 4]


def test_an_async_callable_task(ip: Any) -> None:
    ip.ok("%%task later(a)\nimport asyncio\nawait asyncio.sleep(0)\na + 1")
    assert inspect.iscoroutinefunction(ip.namespace["later"].fn)
    assert ip.ok("await later(1)") == 2


def test_a_flow_cell_has_its_tasks_as_children(ip: Any) -> None:
    ip.ok("%%task part(n)\nn * 2")
    assert (
        ip.ok(
            "%%flow whole\n_parts = [part.submit(i) for i in range(3)]\ntotal = sum(f.result() for f in _parts)\ntotal"
        )
        == 6
    )
    flow, *tasks = ip.runs()
    assert (flow.kind, flow.flow_name, flow.state.name) == ("flow", "whole", "Completed")
    assert {task.parent_id for task in tasks} == {flow.id}
    assert ip.namespace["total"] == 6


def test_a_callable_flow(ip: Any) -> None:
    ip.ok("%%task part(n)\nn * 2")
    ip.ok("%%flow whole(n=2)\npart(n) + part(n)")
    assert ip.ok("whole(3)") == 12
    assert [run.kind for run in ip.runs()] == ["flow", "task", "task"]
    assert ip.runs()[0].parameters == {"n": 3}


def test_an_interrupt_cancels_the_task(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    result = ip.run("%%task stop\nx = 1\nraise KeyboardInterrupt")
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert ip.states() == [("task", "stop", "Cancelled")]
    assert "x" not in ip.namespace
    assert "jupyter_wf/" not in capsys.readouterr().out


def test_sys_exit_does_not_leave_the_run_open(ip: Any) -> None:
    with pytest.warns(UserWarning, match="To exit"):
        ip.run("%%task out\nraise SystemExit(3)")
    assert [state for _, _, state in ip.states()] == ["Crashed"]


def test_earlier_future_imports_and_interactivity_hold(ip: Any) -> None:
    ip.ok("from __future__ import annotations")
    ip.ok("%%task t\ndef f(x: Missing): pass")
    assert ip.namespace["f"].__annotations__ == {"x": "Missing"}
    ip.shell.ast_node_interactivity = "last_expr_or_assign"
    assert ip.ok("%%task t\nx = 5") == 5


def test_loading_twice_and_unloading(ip: Any) -> None:
    ip.ok("%reload_ext jupyter_wf")
    assert ip.ok("%%task a\n1") == 1
    assert len(ip.runs()) == 1
    ip.ok("%unload_ext jupyter_wf")
    assert isinstance(ip.run("%%task a\n1").error_in_exec, UsageError)
    assert ip.shell.input_transformers_post == []
    ip.ok("%load_ext jupyter_wf")
    assert ip.ok("%%task a\n2") == 2


def test_many_runs_in_one_cell_do_not_flood_it(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task part(n)\nn")
    ip.ok("for i in range(30): part(i)")
    told = capsys.readouterr().out
    assert told.count("Task run part") == 1
    assert "run 30, 29 earlier runs: 29 completed" in told


def test_a_flow_inside_a_flow_is_shown_with_its_flows_name(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%flow inner(n)\nn")
    ip.ok("%%flow outer\ninner(1)")
    _, inside = ip.runs()
    assert f"✓ inner · {inside.name}" in capsys.readouterr().out
