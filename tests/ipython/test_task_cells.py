"""Task cells with their dataflow, in a shell of this process: background, map, skip, cache, what is out of date."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_wf.core.models import Run
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.ipython.stale import StaleMarks
from jupyter_wf.notebook.dataflow import CellInput, read_dataflow
from jupyter_wf.notebook.ledger import Ledger
from jupyter_wf.store.blobs import Payload

if TYPE_CHECKING:
    from conftest import Shell


def task_runs(ip: Shell) -> list[Run]:
    return [run for run in ip.runs() if run.kind == "task"]


def last(ip: Shell, name: str) -> Run:
    return [run for run in ip.runs() if run.name == name][-1]


def logs(run: Run) -> list[str]:
    runtime = current_runtime()
    runtime.journal.flush()
    return [line.message for line in runtime.store.logs(run.id)]


@pytest.fixture
def gate(ip: Shell) -> threading.Event:
    """What holds a background cell until it is set."""
    made = ip.namespace["gate"] = threading.Event()
    return made


# -- background ------------------------------------------------------------------------------------------------------


def test_a_background_cell_returns_at_once_and_its_reader_waits(ip: Shell, gate: threading.Event) -> None:
    ip.ok("n = 3")
    ip.ok("%%task slow -b\nassert gate.wait(20)\ntotal = sum(range(n))")
    assert "total" not in ip.namespace
    assert ip.ok("n + 1") == 4, "a cell that reads nothing of it does not wait"
    threading.Timer(0.05, gate.set).start()
    assert ip.ok("total") == 3


def test_a_background_cell_sees_names_as_they_were_when_it_began(ip: Shell, gate: threading.Event) -> None:
    ip.ok("n = 3")
    ip.ok("%%task slow -b\nassert gate.wait(20)\nseen = n")
    ip.ok("n = 100\ngate.set()")
    assert ip.ok("seen, n") == (3, 100)


def test_a_cell_that_binds_the_output_anew_waits_too(ip: Shell, gate: threading.Event) -> None:
    ip.ok("%%task slow -b\nassert gate.wait(20)\ntotal = 1")
    threading.Timer(0.05, gate.set).start()
    ip.ok("total = 2")
    assert ip.ok("total") == 2
    assert last(ip, "slow").state.name == "Completed"


def test_a_background_error_surfaces_in_the_cell_that_reads(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task bad -b\n1 / 0\nboom = 1")
    ip.ok("other = 1")
    result = ip.run("print(boom)")
    assert isinstance(result.error_in_exec, ZeroDivisionError)
    shown = capsys.readouterr().out
    assert "1 / 0" in shown and "raised by the task 'bad'" in shown
    assert isinstance(ip.run("boom + 1").error_in_exec, ZeroDivisionError), "each reader gets it"
    ip.ok("boom = 5")
    assert ip.ok("boom") == 5, "a cell that binds the name mends it"


def test_wait_raises_what_nobody_has_seen(ip: Shell) -> None:
    ip.ok("%%task bad -b\n1 / 0\nboom = 1")
    assert isinstance(ip.run("%wf wait").error_in_exec, ZeroDivisionError)
    ip.ok("%wf wait")


def test_a_task_cell_waits_for_what_comes_before_it(ip: Shell, gate: threading.Event) -> None:
    ip.ok("%%task load -b\nassert gate.wait(20)\nframe = [1, 2]")
    threading.Timer(0.05, gate.set).start()
    ip.ok("%%task clean\ncleaned = frame[:1]")
    assert ip.ok("cleaned") == [1]
    load, clean = task_runs(ip)
    assert clean.upstream == (load.id,)


def test_a_reader_by_a_magic_or_by_exec_waits(ip: Shell, gate: threading.Event) -> None:
    ip.ok("%%task slow -b\nassert gate.wait(20)\ntotal = 7")
    threading.Timer(0.05, gate.set).start()
    ip.ok("%time print(total)")
    gate.clear()
    ip.ok("%%task slow -b\nassert gate.wait(20)\ntotal = 8")
    threading.Timer(0.05, gate.set).start()
    ip.ok("exec('again = to' + 'tal')")
    assert ip.ok("again") == 8


def test_functions_of_a_background_cell_live_in_the_notebook(ip: Shell) -> None:
    ip.ok("%%task define -b\nbase = 1\ndef add(x):\n    return x + base + more")
    ip.ok("%wf wait")
    ip.ok("more = 10")
    assert ip.ok("add(1)") == 12
    ip.ok("base = 2")
    assert ip.ok("add(1)") == 13


def test_an_awaiting_cell_runs_in_the_background(ip: Shell) -> None:
    ip.ok("%%task slow -b\nimport asyncio\nawait asyncio.sleep(0.01)\nanswer = 42")
    assert ip.ok("answer") == 42


# -- elsewhere --------------------------------------------------------------------------------------------------------


def test_a_cell_runs_in_another_process(ip: Shell) -> None:
    ip.ok("import os\nfactor = 2\ndef times(x):\n    return x * factor")
    ip.ok(
        "%%task remote --executor process\nimport os\npid = os.getpid()\nanswer = times(21)\ndef plus(x): return x + 1"
    )
    assert ip.ok("answer, plus(1), pid != os.getpid()") == (42, 2, True)


def test_a_cell_whose_names_are_not_all_seen_is_not_sent(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.run("%%task remote --executor process\nexec('x = 1')")
    assert "it can only run in this kernel" in capsys.readouterr().err
    ip.run("%%task remote --executor process\n_rate = 3\ndef f(): return _rate")
    assert "what it defines uses '_rate', which stays in the cell" in capsys.readouterr().err
    assert task_runs(ip) == []


# -- map --------------------------------------------------------------------------------------------------------------


def test_map_makes_lists_in_order(ip: Shell) -> None:
    ip.ok("days = ['mon', 'tue', 'wed']")
    ip.ok("%%task shout --map day=days\nloud = day.upper()\nsize = len(day)")
    assert ip.ok("loud, size") == (["MON", "TUE", "WED"], [3, 3, 3])
    assert "day" not in ip.namespace
    parent = last(ip, "shout")
    children = [run for run in ip.runs() if run.parent_id == parent.id]
    assert [child.name for child in children] == ["shout[0]", "shout[1]", "shout[2]"]
    assert parent.expected == 3


def test_a_mapped_cell_fails_with_its_items_error_and_says_how_many(ip: Shell) -> None:
    ip.ok("numbers = [1, 0, 2, 0]")
    error = ip.run("%%task invert --map n=numbers\nx = 1 / n").error_in_exec
    assert isinstance(error, ZeroDivisionError)
    assert "2 of 4 items did not complete; this is item 1" in error.__notes__
    assert "x" not in ip.namespace


def test_map_needs_items(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("n = 3")
    assert "which has no items" in str(ip.run("%%task each --map i=n\nx = i").error_in_exec)


# -- when, run-if -----------------------------------------------------------------------------------------------------


def test_when_skips_and_so_does_what_comes_after(ip: Shell) -> None:
    ip.ok("day = 'monday'")
    ip.ok("%%task weekend --when day=='sunday'\nrest = 1")
    ip.ok("%%task enjoy\nfun = rest")
    ip.ok("%%task count --run-if none_failed --after enjoy\ncounted = 1")
    assert [run.state.name for run in task_runs(ip)] == ["Skipped", "Skipped", "Completed"]
    assert last(ip, "weekend").state.message == "--when day=='sunday' does not hold"


def test_a_rule_is_about_all_above_where_a_cell_needs_nobody(ip: Shell) -> None:
    ip.ok("%%task fine\na = 1")
    ip.ok("%%task alarm --run-if one_failed\nrang = 1")
    assert last(ip, "alarm").state.name == "Skipped"
    ip.run("%%task broken\n1 / 0")
    ip.ok("%%task alarm --run-if one_failed\nrang = 1")
    assert last(ip, "alarm").state.name == "Skipped", "what stands below it does not count"
    ip.ok("%%task siren --run-if one_failed\nsang = 1")
    assert last(ip, "siren").state.name == "Completed"


# -- cache -----------------------------------------------------------------------------------------------------------


def test_cache_restores_outputs_and_their_classes(ip: Shell) -> None:
    cell = "%%task fit --cache\nimport math\nfitted = [math.factorial(n)]\ndef double(x): return 2 * x\nran.append(1)"
    ip.ok("n = 5\nran = []")
    ip.ok(cell.replace("\nran.append(1)", "\nprint('fitting')"))
    first = last(ip, "fit")
    ip.ok("del fitted, double, math")
    ip.ok(cell.replace("\nran.append(1)", "\nprint('fitting')"))
    assert last(ip, "fit").state.name == "Cached" and last(ip, "fit").id != first.id
    assert ip.ok("fitted, double(4), math.pi > 3") == ([120], 8, True)
    ip.ok("n = 6")
    ip.ok(cell.replace("\nran.append(1)", "\nprint('fitting')"))
    assert last(ip, "fit").state.name == "Completed"
    assert any("input 'n' changed" in line for line in logs(last(ip, "fit")))


def test_cache_by_source_and_refresh(ip: Shell) -> None:
    ip.ok("n = 1")
    ip.ok("%%task fit --cache source\nm = n + 1")
    ip.ok("n = 2")
    ip.ok("%%task fit --cache source\nm = n + 1  # a comment changes nothing")
    assert last(ip, "fit").state.name == "Cached" and ip.ok("m") == 2
    ip.ok("%%task fit --cache source --refresh\nm = n + 1")
    assert last(ip, "fit").state.name == "Completed" and ip.ok("m") == 3
    ip.ok("%%task fit --cache source\nm = n + 2")
    assert last(ip, "fit").state.name == "Completed" and ip.ok("m") == 4


def test_what_cannot_be_stored_is_not_cached(ip: Shell) -> None:
    ip.ok("%%task fit --cache\nimport threading\nlock = threading.Lock()\nm = 1")
    assert any("not cached: 'lock'" in line for line in logs(last(ip, "fit")))
    ip.ok("%%task fit --cache\nimport threading\nlock = threading.Lock()\nm = 1")
    assert last(ip, "fit").state.name == "Completed"


def test_a_cell_whose_functions_use_what_stays_in_it_is_not_cached(ip: Shell) -> None:
    for _ in range(2):
        ip.ok("%%task rates --cache\n_rate = 3\ndef f(): return _rate\nx = 1")
        assert last(ip, "rates").state.name == "Completed" and ip.ok("f()") == 3
    assert any("not cached: what it defines uses '_rate'" in line for line in logs(last(ip, "rates")))


def test_each_item_of_a_mapped_cell_is_cached_by_itself(ip: Shell) -> None:
    ip.ok("numbers = [1, 2]")
    ip.ok("%%task square --cache --map n=numbers\nsquared = n * n")
    ip.ok("numbers = [1, 2, 3]")
    ip.ok("%%task square --cache --map n=numbers\nsquared = n * n")
    assert ip.ok("squared") == [1, 4, 9]
    parent = last(ip, "square")
    states = [run.state.name for run in ip.runs() if run.parent_id == parent.id]
    assert states == ["Cached", "Cached", "Completed"]


# -- stale, %wf run --------------------------------------------------------------------------------------------------


def _status(ip: Shell) -> dict[str, tuple[str, str]]:
    table = ip.ok("%wf status")
    return {row[0].text: (row[2].text, row[4].text) for row in table.rows}


def _pipeline(ip: Shell) -> None:
    ip.ok("n = 3\norder = []")
    ip.ok("%%task load\nvalues = list(range(n))\norder.append('load')")
    ip.ok("%%task left\nlower = min(values)\norder.append('left')")
    ip.ok("%%task right\nupper = max(values)\norder.append('right')")
    ip.ok("%%task join\nspan = upper - lower\norder.append('join')")


def test_running_a_task_again_makes_what_comes_after_stale(ip: Shell) -> None:
    _pipeline(ip)
    assert {name: note for name, (_, note) in _status(ip).items()} == dict.fromkeys(
        ("load", "left", "right", "join"), ""
    )
    ip.ok("%%task load\nvalues = list(range(n))\norder.append('load')")
    notes = {name: note for name, (_, note) in _status(ip).items()}
    assert notes == {"load": "", **dict.fromkeys(("left", "right", "join"), "stale: 'load' was run again")}


def test_a_task_is_stale_when_a_plain_name_that_it_reads_is_another(ip: Shell) -> None:
    ip.ok("import math\nn, frame, days = 3, object(), ['mon']\ndef scale(x):\n    return x * 2")
    ip.ok("%%task load\nvalue = scale(n) + len(days) + math.floor(1.5)\nkept = frame")
    ip.ok("%%task next\nresult = value")
    # The same again: nothing has changed.
    ip.ok("import math\nn, days = 3, ['mon']\ndef scale(x):\n    return x * 2")
    assert _status(ip)["load"][1] == ""
    for change, name in (("n = 4", "n"), ("days = ['tue']", "days"), ("frame = object()", "frame")):
        ip.ok(change)
        assert _status(ip)["load"][1] == f"stale: '{name}' has changed"
        assert _status(ip)["next"][1] == f"stale: '{name}', which 'load' reads, has changed"
        assert [row[0].text for row in ip.ok("%wf run --dry-run").rows] == ["load", "next"]
        ip.ok("%wf run")
        assert _status(ip)["load"][1] == ""
    ip.ok("def scale(x):\n    return x * 3")
    assert _status(ip)["load"][1] == "stale: 'scale' has changed"


def test_the_view_of_a_run_that_is_not_the_newest_says_so(ip: Shell) -> None:
    told: list[dict[str, str | None]] = []
    marks = StaleMarks(Ledger(ip.namespace), SimpleNamespace(mark_stale=told.append))
    ledger = marks._ledger
    task = read_dataflow([CellInput(index=0, cell_id=None, source="%%task load\nx = n")]).tasks[0]
    ledger.read([CellInput(index=0, cell_id="a", source=task.source)])
    done = State(type=StateType.COMPLETED, name="Completed")
    ip.namespace["n"] = 1
    ledger.begin(task, "first")
    ledger.end("load", "first", done)
    marks.update()
    assert told == []
    ip.namespace["n"] = 2
    marks.update()
    ledger.begin(task, "second")
    ledger.end("load", "second", done)
    marks.update()
    assert told == [{"first": "'n' has changed"}, {"first": "it was run again"}]


def test_run_brings_up_to_date_in_order(ip: Shell) -> None:
    _pipeline(ip)
    ip.ok("n = 5\norder.clear()")
    ip.ok("%%task load\nvalues = list(range(n))\norder.append('load')")
    dry = ip.ok("%wf run --dry-run")
    assert [row[0].text for row in dry.rows] == ["left", "right", "join"]
    ip.ok("%wf run")
    assert ip.ok("span") == 4
    order = ip.ok("order")
    assert order[0] == "load" and sorted(order[1:3]) == ["left", "right"] and order[3] == "join"
    flow = next(run for run in ip.runs() if run.kind == "flow")
    assert {run.name for run in ip.runs() if run.parent_id == flow.id} == {"left", "right", "join"}
    assert all(note == "" for _, note in _status(ip).values())


def test_a_task_records_what_it_found_when_its_turn_came(ip: Shell) -> None:
    ip.ok("n = 1")
    ip.ok("%%task first\nx = n")
    ip.ok("%%task second\ny = x")
    ip.ok("n = 2")
    ip.ok("%wf run second")
    runs = [run for run in ip.runs() if run.kind == "task" and run.name == "second"]
    assert [run.parameters for run in runs] == [{"x": 1}, {"x": 2}]


def test_independent_tasks_run_at_the_same_time(ip: Shell) -> None:
    meeting = ip.namespace["meeting"] = threading.Barrier(2, timeout=20)
    ip.ok("%%task left --when meeting.n_waiting<9\na = 1")
    ip.ok("%%task right\nb = 1")
    ip.ok("%%task both\nc = a + b")
    assert meeting.n_waiting == 0
    ip.ok("n = 1")
    # The same cells, edited: each waits for the other one.
    ip.run("%%task left -b\na = meeting.wait()")
    ip.run("%%task right\nb = meeting.wait()")
    ip.ok("%wf run both")
    meeting.reset()
    ip.ok("%wf run --all")
    assert sorted((ip.namespace["a"], ip.namespace["b"])) == [0, 1]


def test_a_skipped_task_is_up_to_date_until_its_condition_changes(
    ip: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    ip.ok("day = 'monday'")
    ip.ok("%%task weekend --when day=='sunday'\nrest = 1")
    ip.ok("%%task after --after weekend --run-if all_done\ncounted = 1")
    ip.ok("%wf run")
    assert "up to date" in capsys.readouterr().out
    ip.ok("day = 'sunday'")
    assert [row[0].text for row in ip.ok("%wf run --dry-run").rows] == ["weekend", "after"]
    ip.ok("%wf run")
    assert ip.ok("rest") == 1


def test_another_list_to_map_over_is_another_source(ip: Shell) -> None:
    ip.ok("%%task each --map i=[1,2]\nx = i")
    ip.ok("%%task total\ny = sum(x)")
    ip.ok("%%task each --map i=[1,2,3]\nx = i")
    assert _status(ip)["total"][1] == "stale: 'each' was run again"


def test_run_one_and_what_it_needs(ip: Shell) -> None:
    _pipeline(ip)
    ip.ok("order.clear()")
    ip.ok("%wf run left")
    assert ip.ok("order") == ["left"]
    ip.ok("%wf run --downstream left")
    assert ip.ok("order") == ["left", "left", "join"]
    ip.ok("%wf run --all")
    assert ip.ok("order")[3] == "load" and len(ip.namespace["order"]) == 7


def test_a_failure_keeps_what_comes_after_from_running(ip: Shell) -> None:
    ip.ok("n = 0")
    ip.run("%%task load\nvalues = 1 / n")
    ip.run("%%task left\nlower = values")
    ip.ok("%%task other\nz = 1")
    error = ip.run("%wf run --all").error_in_exec
    assert isinstance(error, ZeroDivisionError)
    flow = next(run for run in ip.runs() if run.kind == "flow")
    states = {run.name: run.state.name for run in ip.runs() if run.parent_id == flow.id}
    assert states == {"load": "Failed", "left": "NotReady", "other": "Completed"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%wf run nobody", "the notebook has no task 'nobody'; there is 'load'"),
        ("%wf run load --all", "give names of tasks or --all"),
        ("%wf run --downstream", "needs the name of a task"),
    ],
)
def test_run_says_what_is_wrong(ip: Shell, capsys: pytest.CaptureFixture[str], line: str, says: str) -> None:
    ip.ok("%%task load\nvalues = 1")
    capsys.readouterr()
    ip.run(line)
    assert says in capsys.readouterr().err


def test_two_tasks_that_write_one_name_are_refused(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task load\nframe = 1")
    ip.run("%%task clean\nframe = 2")
    said = capsys.readouterr().err
    assert "'frame'" in said and "'load'" in said and "'clean'" in said
    assert ip.namespace["frame"] == 1


def test_a_mutation_is_warned_about_once(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task load\nrows = []")
    ip.ok("%%task fill\nrows.append(1)\nfilled = 1")
    assert "Warning" in capsys.readouterr().err
    ip.ok("%%task fill\nrows.append(1)\nfilled = 1")
    assert "Warning" not in capsys.readouterr().err


def test_status_graph_and_check_without_tasks(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    hint = "%%task NAME"
    assert hint in repr(ip.ok("%wf status")) and hint in repr(ip.ok("%wf check"))
    ip.ok("%wf graph")
    assert hint in capsys.readouterr().out


def test_graph_shows_how_tasks_stand(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    _pipeline(ip)
    ip.ok("%%task load\nvalues = list(range(n))\norder.append('load')")
    graph: Any = ip.ok("%wf graph")
    assert {node.name: node.state for node in graph.nodes} == {
        "load": "Completed",
        **dict.fromkeys(("left", "right", "join"), "Stale"),
    }
    capsys.readouterr()
    ip.ok("%wf graph --mermaid")
    assert capsys.readouterr().out.startswith("flowchart LR")


# -- ends -------------------------------------------------------------------------------------------------------------


def test_exit_in_a_task_cell_ends_it_as_completed(ip: Shell) -> None:
    ip.ok("%%task load\nimport sys\nsys.exit(0)")
    assert (last(ip, "load").state.name, last(ip, "load").state.message) == ("Completed", "stopped: sys.exit()")


def test_a_cell_stores_its_text_and_a_failed_one_its_inputs(ip: Shell) -> None:
    ip.ok("n, token, helper = 3, 'hidden', print")
    ip.run("%%task load --retries 0\nx = n / 0; token; helper")
    run = last(ip, "load")
    store, now = current_runtime().store, run.created_at
    told = store.find_result(f"cell/{run.id}", now)
    inputs = store.find_result(f"inputs/{run.id}", now)
    assert told is not None and b"x = n / 0" in told.data
    assert inputs is not None
    assert current_runtime().blobs.load(Payload(inputs.format, inputs.data)) == {"n": 3}
    assert "token" not in inputs.data.decode()


def test_a_run_says_what_it_used(ip: Shell) -> None:
    ip.ok("%%task load\nx = 1")
    usage = last(ip, "load").source["usage"]
    assert usage["cpu_seconds"] >= 0 and usage["memory_bytes"] >= 0


def test_the_last_value_is_an_artifact_of_the_task(ip: Shell) -> None:
    ip.ok("%%task load\nx = [1, 2]\nx")
    artifacts = current_runtime().store.artifacts.of_run(last(ip, "load").id)
    assert [artifact.data for artifact in artifacts] == ["[1, 2]"]


def test_the_cell_that_loads_the_extension_is_known(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%unload_ext jupyter_wf")
    ip.ok("%load_ext jupyter_wf\nn = 3")
    ip.ok("%%task a\nm = n")
    ip.ok("n = 4")
    ip.ok("%%task a\nm = n")
    assert "Warning" not in capsys.readouterr().err
