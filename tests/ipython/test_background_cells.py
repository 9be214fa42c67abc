"""Cells in the background beside others, in a shell of this process: who waits, what fails where, what is left over."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_wf.core.models import Run
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.store.blobs import Payload
from tests.waiting import until

if TYPE_CHECKING:
    from conftest import Shell


def last(ip: Shell, name: str) -> Run:
    return [run for run in ip.runs() if run.name == name][-1]


def background(ip: Shell) -> Any:
    # The transformer stands where the shell finds it.
    return ip.shell.ast_transformers[-1]._background


@pytest.fixture
def gate(ip: Shell) -> threading.Event:
    """What holds a background cell until it is set."""
    made = ip.namespace["gate"] = threading.Event()
    return made


@pytest.fixture
def opens_when_waited_for(ip: Shell, gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Open the gate when a cell begins to wait; return the names that each wait was for."""
    waits: list[list[str]] = []
    board: Any = background(ip)._board
    waiting: Callable[..., Any] = board.waiting

    def wait(names: list[str]) -> Any:
        waits.append(names)
        gate.set()
        return waiting(names)

    monkeypatch.setattr(board, "waiting", wait)
    return waits


SLOW = "%%task slow -b\nassert gate.wait(20)\n"


@pytest.mark.parametrize(
    ("before", "reader"),
    [
        ("def report():\n    return total", "report()"),
        ("def inner():\n    return total\ndef report():\n    return [inner() for _ in range(1)][0]", "report()"),
        ("class Report:\n    def make(self):\n        return total", "Report().make()"),
        ("class Report:\n    @property\n    def made(self):\n        return total\nreport = Report()", "report.made"),
        ("from functools import partial\ndef add(n):\n    return n + total\nadd_none = partial(add, 0)", "add_none()"),
        ("from functools import cache\n@cache\ndef report():\n    return total", "report()"),
        ("from jupyter_wf import task\n@task\ndef report():\n    return total", "report()"),
        ("report = lambda: total", "(lambda: report())()"),
    ],
    ids=["function", "nested", "class", "property", "partial", "cached", "task", "lambda"],
)
def test_a_reader_by_a_function_waits(
    ip: Shell, opens_when_waited_for: list[list[str]], before: str, reader: str
) -> None:
    ip.ok(before)
    ip.ok(f"{SLOW}total = 7")
    assert ip.ok(reader) == 7
    assert opens_when_waited_for == [["slow"]]


def test_a_default_of_a_task_that_is_defined_waits(ip: Shell, opens_when_waited_for: list[list[str]]) -> None:
    ip.ok(f"{SLOW}total = 7")
    ip.ok("%%task report(n=total)\nn + 1")
    assert ip.ok("report()") == 8


def test_a_flow_cell_waits_before_its_run_begins(ip: Shell, opens_when_waited_for: list[list[str]]) -> None:
    ip.ok(f"{SLOW}total = 7")
    assert ip.ok("%%flow whole\ntotal + 1") == 8
    slow, whole = last(ip, "slow"), next(run for run in ip.runs() if run.kind == "flow")
    assert slow.ended_at is not None and whole.created_at >= slow.ended_at


def test_names_that_a_text_does_not_show_are_waited_for(ip: Shell, opens_when_waited_for: list[list[str]]) -> None:
    ip.ok(f"{SLOW}exec('to' + 'tal = 7')")
    assert ip.ok("1 + 1") == 2
    assert ip.ok("total") == 7


def test_who_imports_the_same_does_not_wait(ip: Shell, gate: threading.Event) -> None:
    ip.ok("import math")
    ip.ok(f"import math\n{SLOW}".replace("import math\n", "", 1) + "import math\ntotal = math.pi")
    assert ip.ok("import math\nmath.floor(1.5)") == 1
    gate.set()
    assert ip.ok("total") > 3


def test_an_import_of_a_background_cell_is_waited_for(ip: Shell, opens_when_waited_for: list[list[str]]) -> None:
    ip.ok(f"{SLOW}import colorsys")
    assert ip.ok("colorsys.__name__") == "colorsys"


@pytest.mark.parametrize(
    ("raising", "kind"),
    [
        ("import sys\nsys.exit(3)", SystemExit),
        ("raise KeyboardInterrupt", KeyboardInterrupt),
        ("1 / 0", ZeroDivisionError),
    ],
)
def test_whatever_a_background_cell_raises_is_raised_in_its_reader(
    ip: Shell, capsys: pytest.CaptureFixture[str], raising: str, kind: type[BaseException]
) -> None:
    ip.ok(f"%%task bad -b\nboom = 1\n{raising}")
    for _ in range(2):
        result = ip.run("one = 1\nprint(boom)")
        assert isinstance(result.error_in_exec, kind)
    shown = capsys.readouterr().out
    if kind is ZeroDivisionError:
        assert shown.count("----> 2 print(boom)") == 2, "the line that reads is shown, in each reader only its own"
        assert shown.count("----> 3 1 / 0") == 2
    assert ip.ok("1 + 1") == 2


def test_a_cell_that_failed_runs_again_whatever_it_left(ip: Shell) -> None:
    ip.ok("n = 0")
    for body in ("x = 1 / n", "exec('x = 1 / n')"):
        ip.ok(f"%%task bad -b\n{body}")
        ip.ok(f"%%task bad -b\n{body}")
        assert last(ip, "bad").state.name in ("Running", "Pending", "Failed")
        assert len([run for run in ip.runs() if run.name == "bad"]) % 2 == 0


def test_a_run_that_completes_forgets_the_error_in_the_background(ip: Shell) -> None:
    ip.ok("n = 0")
    ip.ok("%%task bad -b\nx = 1 / n")
    assert isinstance(ip.run("x").error_in_exec, ZeroDivisionError)
    ip.ok("n = 2")
    ip.ok("%wf run")
    assert ip.ok("x") == 0.5


def test_a_failed_background_cell_is_tried_again_with_the_names_of_now(ip: Shell) -> None:
    ip.ok("n = 0")
    ip.ok("%%task bad -b\nx = 1 / n\nx")
    assert isinstance(ip.run("%wf wait").error_in_exec, ZeroDivisionError)
    ip.ok("n = 2")
    ip.ok("%wf retry bad")
    until(lambda: last(ip, "bad").state.name == "Completed")
    assert last(ip, "bad").attempt == 2
    assert ip.ok("x") == 0.5


def test_a_background_run_is_known_at_once(ip: Shell, gate: threading.Event) -> None:
    ip.ok(f"{SLOW}total = 7")
    (row,) = ip.ok("%wf status").rows
    assert "Running" in row[2].text
    gate.set()
    assert ip.ok("total") == 7


def test_run_waits_for_the_same_task_in_the_background(ip: Shell, opens_when_waited_for: list[list[str]]) -> None:
    ip.ok("ran = []")
    ip.ok(f"{SLOW}ran.append(1)\ntotal = len(ran)")
    ip.ok("%wf run --all")
    assert ip.ok("total") == 2


def test_tasks_that_run_together_come_after_their_new_runs_only(ip: Shell) -> None:
    ip.ok("%%task one\na = 1")
    ip.ok("%%task two\nb = a")
    ip.ok("%wf run --all")
    assert last(ip, "two").upstream == (last(ip, "one").id,)


@pytest.mark.parametrize("more", ["", " --executor thread", " -b --executor thread"])
def test_the_last_value_is_shown_once(ip: Shell, capsys: pytest.CaptureFixture[str], more: str) -> None:
    result = ip.run(f"%%task value{more}\nx = 1\n'a ' + 'value'")
    ip.ok("%wf wait")
    assert capsys.readouterr().out.count("'a value'") == 1
    assert result.result == (None if "-b" in more else "a value")
    ip.ok(f"%%task value{more}\nx = 1\n'a ' + 'value';")
    ip.ok("%wf wait")
    assert "'a value'" not in capsys.readouterr().out


def test_a_cached_background_cell_is_known_by_what_it_began_with(ip: Shell, gate: threading.Event) -> None:
    meeting = ip.namespace["meeting"] = threading.Barrier(2)
    ip.ok("n = 1")
    held = ip.namespace["held"] = threading.Event()
    # A when-clause holds it before its key is made.
    ip.ok("%%task fit -b --cache --when 'meeting.wait(20) >= 0 and held.wait(20)'\nm = n * 10")
    meeting.wait(20)
    ip.ok("n = 2")
    held.set()
    assert ip.ok("m") == 10
    ip.ok("%%task fit --cache --when True\nm = n * 10")
    assert ip.ok("m") == 20, "what was made of the old value is not taken for the new one"


def test_a_failed_background_cell_stores_what_it_began_with(ip: Shell, gate: threading.Event) -> None:
    ip.ok("n = 3")
    ip.ok(f"{SLOW}x = n / 0")
    ip.ok("n = 4\ngate.set()")
    assert isinstance(ip.run("x").error_in_exec, ZeroDivisionError)
    run = last(ip, "slow")
    inputs = current_runtime().store.find_result(f"inputs/{run.id}", run.created_at)
    assert inputs is not None
    assert current_runtime().blobs.load(Payload(inputs.format, inputs.data))["n"] == 3


@pytest.mark.parametrize("line", ["--when n.nothing", "--map i=n.nothing", "-b --when n.nothing"])
def test_an_error_of_the_line_is_shown_there(ip: Shell, capsys: pytest.CaptureFixture[str], line: str) -> None:
    ip.ok("n = 1")
    ip.run(f"%%task fit {line}\nm = n")
    ip.run("m")
    shown = capsys.readouterr().out
    assert f"----> 1 # %%task fit {line}" in shown and "jupyter_wf/" not in shown


def test_an_awaiting_cell_with_a_wrong_line_says_so(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task one\na = 1")
    ip.run("%%task two\nimport asyncio\nawait asyncio.sleep(0)\na = 2")
    told = capsys.readouterr()
    assert "UsageError: " in told.err and "both write 'a'" in told.err and "Traceback" not in told.out


def test_stop_is_one_line(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.run("%wf stop it is enough")
    assert capsys.readouterr().out.strip() == "The notebook is to stop here: it is enough"


class Big:
    """Something whose end can be seen."""


@pytest.mark.parametrize("line", ["-b", "", "--map i=[1]", "-b --map i=[1]", "-b --executor thread"])
def test_nothing_is_kept_of_a_cell_that_has_ended(ip: Shell, line: str) -> None:
    ip.namespace["Big"] = Big
    ip.ok("outside = Big()")
    ip.ok(f"%%task make {line}\nassert outside\nmade = Big()")
    ip.ok("%wf wait")
    made = ip.namespace["made"]
    watched = [weakref.ref(ip.namespace["outside"]), weakref.ref(made[0] if "--map" in line else made)]
    del made
    ip.ok("del outside, made")

    def gone() -> bool:
        gc.collect()
        return all(ref() is None for ref in watched)

    until(gone)


# -- names -----------------------------------------------------------------------------------------------------------


def test_functions_see_the_names_as_they_were_too(ip: Shell, gate: threading.Event) -> None:
    ip.ok("n = 3\ndef inner():\n    return n\ndef outer():\n    return inner()")
    ip.ok(f"{SLOW}seen = outer()")
    ip.ok("n = 100\ngate.set()")
    assert ip.ok("seen, outer()") == (3, 100)


def test_functions_see_what_the_cell_that_calls_them_binds(ip: Shell) -> None:
    ip.ok("scale = 0\ndef norm(x):\n    return x / scale")
    ip.ok("%%task half -b\nscale = 2\nhalves = norm(8)")
    assert ip.ok("halves, scale") == (4.0, 2)
    ip.ok("def double():\n    return 2 * item")
    ip.ok("%%task doubles --map item=[1,2]\ndoubled = double()")
    assert ip.ok("doubled") == [2, 4]


def test_a_function_that_needs_no_data_is_the_notebooks_own(ip: Shell) -> None:
    ip.ok("import math\ndef area(r):\n    return math.pi * r * r\nsame = []")
    ip.ok("%%task circle -b\nsame.append(area)\nsmall = area(1)")
    ip.ok("small")
    assert ip.ok("same[0] is area")


DEFINES = """%%task define -b
from dataclasses import dataclass
counter = 0

def count():
    global counter
    counter += 1
    return counter

@dataclass
class Point:
    x: int
    def up(self):
        return Point(self.x + step)
    @staticmethod
    def origin():
        return Point(0 * step)
    @classmethod
    def at(cls, x):
        return cls(x + 0 * step)
    @property
    def next(self):
        return count() + self.x

_private = 5
def shared():
    return _private
step = 1
point = Point(1).up()
"""


def test_what_a_background_cell_defines_is_the_notebooks(ip: Shell) -> None:
    ip.ok(DEFINES)
    ip.ok("%wf wait")
    ip.ok("step = 10")
    assert ip.ok("count(), count(), counter") == (1, 2, 2)
    assert ip.ok("point.up().x, Point.origin().x, Point.at(7).x, point.next") == (12, 0, 7, 5)
    assert ip.ok("shared(), isinstance(point, Point), '_private' in globals()") == (5, True, False)
    assert ip.ok("import pickle\npickle.loads(pickle.dumps([point, count]))[1] is count")
    assert ip.namespace["count"].__globals__ is ip.namespace


def test_built_in_names_are_no_outputs(ip: Shell) -> None:
    ip.ok("%%task lengths -b\nn = len([1, 2])\nexec('m = abs(-3)')")
    assert ip.ok("n, m") == (2, 3)
    assert {"len", "abs", "exec"}.isdisjoint(ip.namespace)


def test_a_magic_in_a_background_cell_does_not_wait_for_its_own_cell(ip: Shell) -> None:
    ip.ok("n = 1")
    ip.ok("%%task timed -b\n%time total = n + 1\nfound = !echo {n}")
    assert ip.ok("total, list(found)") == (2, ["1"])


def test_generators_and_comprehensions_live_on(ip: Shell) -> None:
    ip.ok("def fact(k):\n    return 1 if k < 2 else k * fact(k - 1)")
    ip.ok(
        "%%task make -b\ndef steps():\n    yield fact(3)\n    yield later\n"
        "walk = steps()\nfirst = next(walk)\nlazy = (fact(k) for k in range(5))"
    )
    assert ip.ok("first") == 6
    ip.ok("later = 9")
    assert ip.ok("next(walk), list(lazy)") == (9, [1, 1, 2, 6, 24])


def test_run_does_not_mind_a_plain_cell_that_is_no_python(ip: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task one\na = 1")
    ip.run("not python at all")
    ip.ok("%wf run --all")
    assert len([run for run in ip.runs() if run.name == "one"]) == 2
    capsys.readouterr()
    ip.run("%%task two\nnot python at all")
    ip.run("%wf run")
    assert "UsageError: %wf run: " in capsys.readouterr().err
