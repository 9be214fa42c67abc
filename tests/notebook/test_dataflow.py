"""What the cells of a notebook take from one another, and what is found to be wrong."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.notebook.dataflow import (
    CellInput,
    Dataflow,
    encode_dataflow,
    is_error,
    notebook_cells,
    read_dataflow,
)
from jupyter_wf.notebook.source import read_notebook
from tests.notebook.making import code, markdown, write_notebook


def inputs(*sources: str) -> list[CellInput]:
    return [CellInput(index=index, cell_id=f"id-{index}", source=source) for index, source in enumerate(sources)]


def read(*sources: str) -> Dataflow:
    return read_dataflow(inputs(*sources))


def kinds(dataflow: Dataflow) -> list[tuple[int, str]]:
    return [(problem.cell, problem.kind) for problem in dataflow.problems]


def reads(*sources: str) -> str:
    """Return what the task in the last cell reads."""
    dataflow = read(*sources)
    assert dataflow.problems == (), dataflow.problems
    return " ".join(sorted(dataflow.tasks[-1].reads))


# -- what a task reads and writes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["%%task t\ny = x + 1"], "x"),
        (["%%task t\nprint(f'{x!r:>{width}}', len(rows))"], "rows width x"),
        (["%%task t\ny = [i + k for i in rows if i in keep]"], "k keep rows"),
        (["%%task t\ndef f():\n    return x\ny = f()"], "x"),
        (["%%task t\n_t = x\ny = _t"], "x"),
        # Through functions of other cells, at any distance.
        (["def g():\n    return x", "%%task t\ny = g()"], "g x"),
        (["def h():\n    return x", "def g():\n    return h()", "%%task t\ny = g()"], "g h x"),
        (["def f(n):\n    return g(n)\ndef g(n):\n    return f(n) if n else x", "%%task t\ny = f(2)"], "f g x"),
        (["%%task s\ndef g():\n    return x", "%%task t\ny = g()"], "g x"),
        (["%%task g(a)\na + x", "%%task t\ny = g(1)"], "g x"),
        (["%%task g(a) -> out\n!ls $a\nout = a + x", "%%task t\ny = g(1)"], "g x"),
        (["%%flow g(a)\na + x", "%%task t\ny = g(1)"], "g x"),
        (["if fast:\n    def g(): return x\nelse:\n    def g(): return z", "%%task t\ny = g()"], "g x z"),
        (["def g():\n    return x", "%%task t\nx = 1\ny = g()"], "g"),
        (["def g():\n    return x", "%%task t\ny = g()\nx = 1"], "g x"),
        (["def g():\n    return x", "%%task t\ny = [g() for _ in range(3)]"], "g x"),
        (["def g():\n    return x", "%%task t\ndef f():\n    return g()\ny = f()"], "g x"),
        (["g = lambda: x", "%%task t\ny = g()"], "g x"),
        (["def g(): return x", "h = g", "%%task t\ny = h()"], "h x"),
        (["def g(): return x", "steps = [g, len]", "%%task t\ny = steps[0]()"], "steps x"),
        (["def g(n): return x", "h = functools.partial(g, 2)", "%%task t\ny = h()"], "h x"),
        (["def g(): return x", "h = task(g)\nk = h.with_options(retries=2)", "%%task t\ny = k()"], "k x"),
        (["def deco(f): return wrap(f, x)\n@deco\ndef g(): pass", "%%task t\ny = g()"], "deco g wrap x"),
        (["class A:\n    def f(self):\n        return x", "%%task t\ny = A().f()"], "A x"),
        (["class A:\n    def f(self):\n        return x\na = A()", "%%task t\ny = a.f()"], "a x"),
        (["class A:\n    def f(s): return x\nclass B(A): pass", "b = B()", "%%task t\ny = b.f()"], "A b x"),
        # What a plain cell has read to make data does not matter later.
        (["def g(): return x\ny = g()", "%%task t\nz = y"], "y"),
        (["y = x", "%%task t\nz = y"], "y"),
        (["total = sum(x)", "%%task t\nz = total"], "total"),
        (["class A:\n    n = x", "%%task t\ny = A.n"], "A"),
        # Python's own names, unless the notebook has bound them.
        (["%%task t\nprint(len(input))"], ""),
        (["input = 3", "%%task t\nprint(len(input))"], "input"),
        # The expressions of the line.
        (["%%task t --map row=rows[:n]\ny = row * k"], "k n rows"),
        (["%%task t --map row='[row for row in rows]'\ny = row"], "rows"),
        (["def g(): return x", "%%task t --map row=g()\ny = row"], "g x"),
        (["%%task t --when 'n > limit'\ny = 1"], "limit n"),
        (["def g(): return x", "%%task t --when g()\ny = 1"], "g x"),
        # Shell commands and magics.
        (["%%task t\n!ls $folder {name}"], "folder name"),
        (["%%task t\n%time y = f(x)\nz = y"], "f x"),
        (["%%task t\n%%time\ny = x"], "x"),
        (["%%time\ndef g(): return x", "%%task t\ny = g()"], "g x"),
    ],
)
def test_reads(sources: list[str], expected: str) -> None:
    assert reads(*sources) == expected


@pytest.mark.parametrize(
    ("source", "writes", "data"),
    [
        ("a = b, (c, *d) = v", "a b c d", "a b c d"),
        ("import os\nfrom x import y as z\ndef f(): pass\nclass C: pass\nv = 1", "C f os v z", "v"),
        ("with open(p) as fh:\n    pass\nfor i in p:\n    pass\nif (n := 3):\n    _private = 2", "fh i n", "fh i n"),
        ("%time y = 3", "y", "y"),
        ("%%capture out\ny = 3", "out y", "out y"),
        ("lines = !ls", "lines", "lines"),
        ("print(1)", "", ""),
    ],
)
def test_writes(source: str, writes: str, data: str) -> None:
    task = read(f"%%task t\n{source}").tasks[0]
    assert " ".join(sorted(task.writes)) == writes
    assert " ".join(sorted(task.data)) == data


def test_a_mapped_cell_does_not_write_its_item() -> None:
    task = read("%%task t --map row=rows\nrow = row.strip()\nn = len(row)").tasks[0]
    assert (task.reads, task.writes) == ({"rows"}, {"n"})


def test_what_is_known_of_a_task() -> None:
    source = "\n\n%%task load -b --tags a\n!ls\nx = 1\n"
    dataflow = read("plain = 1", source)
    task = dataflow.task("load")
    assert task is dataflow.tasks[0]
    assert (task.cell, task.cell_id, task.source) == (1, "id-1", source)
    assert task.options.background and task.options.tags == ("a",)
    assert task.body.split("\n")[2:5] == [
        "# %%task load -b --tags a",
        "get_ipython().system('ls')",
        "x = 1",
    ]
    assert dataflow.task("plain") is None


@pytest.mark.parametrize(
    "source",
    [
        "%%task load\nx = 1\n%time y = 2\n\nz = y",
        "\n  \n%%task load\n\n\n!ls\nz = 3",
        "  %%task load\n  x = 1\n  z = 2",
        "%%task load\nx = '''\n%no magic\n'''\nz = 1",
    ],
)
def test_lines_stay_where_they_are(source: str) -> None:
    body = read(source).tasks[0].body.split("\n")
    place = next(number for number, line in enumerate(source.split("\n")) if "z = " in line)
    assert "z = " in body[place]


def test_what_magics_run_is_known_and_what_is_to_be_run_has_them() -> None:
    """The analysis looks into them; the text is complete."""
    dataflow = read("%%task a\nraw = []", "%%task b\n\n%%capture out\n%%time\n\n%time y = raw.pop()\nz = 1")
    task = dataflow.tasks[1]
    assert (task.reads, task.writes) == ({"raw"}, {"out", "y", "z"})
    assert task.body.split("\n")[2].startswith("get_ipython().run_cell_magic('capture', 'out', '%%time")
    assert kinds(dataflow) == [(1, "mutation")]
    assert "in line 6 (raw.pop())" in dataflow.problems[0].message


# -- edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "edges"),
    [
        (["%%task a\nx = 1", "%%task b\ny = x"], ["a b"]),
        (["%%task a\nx = 1", "%%task b\ny = x", "%%task c\nz = x, y"], ["a b", "a c", "b c"]),
        (["%%task a\nimport os\ndef f(): pass\nclass C: pass", "%%task b\nf(os, C)"], []),
        # Data that a function of another cell looks up when it is called.
        (["def g(): return x", "%%task a\nx = 1", "%%task b\ny = g()"], ["a b"]),
        (["%%task a\nx = 1", "%%task b\ndef g(): return x", "%%task c\ny = g()"], ["a b", "a c"]),
        (["%%task b\ndef g(): return x", "%%task a\nx = 1", "%%task c\ny = g()"], ["a c"]),
        # A plain cell in between binds the name anew.
        (["%%task a\nx = 1", "x = 2", "%%task b\ny = x"], []),
        (["%%task a\nx = 1", "import x", "%%task b\ny = x"], []),
        (["x = 2", "%%task a\nx = 1", "%%task b\ny = x"], ["a b"]),
        (["%%task a\nx = 1", "%%task b\ny = x", "x = 2"], ["a b"]),
        (["%%task a\n_x = 1", "%%task b\ny = _x"], []),
        (["%%task a\nx = 1", "%%task b --after a\ny = 1", "%%task c --after a,b\nz = x"], ["a b", "a c", "b c"]),
        (["%%task b --after a\ny = 1", "%%task a\nx = 1"], ["a b"]),
        (["%%task a\nx = 1", "%%task b --map i=x\ny = i", "%%task c --when x\nz = 1"], ["a b", "a c"]),
        # Cells that only define something are no tasks.
        (["%%task a(n)\nx = 1", "%%task b\ny = x"], []),
        (["%%flow a\nx = 1", "%%task b\ny = x"], []),
        (["%%task a\ntotal = 1", "%%task b\ny = total + 1"], ["a b"]),
        (["%%task a\nn = n + 1"], []),
    ],
)
def test_edges(sources: list[str], edges: list[str]) -> None:
    dataflow = read(*sources)
    assert dataflow.problems == ()
    assert [" ".join(edge) for edge in dataflow.edges] == edges


def test_edges_say_what_goes_along_them() -> None:
    dataflow = read("%%task a\nx = 1\ny = 2", "%%task b\nz = x, y", "%%task c --after a\nv = 1")
    assert dataflow.carried == {("a", "b"): ("x", "y"), ("a", "c"): ()}


def test_cells_that_are_skipped_do_not_count() -> None:
    cells = inputs("%%task a\nx = 1", "%%task b\nx = 2", "%%task c\ny = x")
    cells[1] = CellInput(index=1, cell_id=None, source=cells[1].source, tags=("skip-execution",))
    dataflow = read_dataflow(cells)
    assert [task.name for task in dataflow.tasks] == ["a", "c"]
    assert (dataflow.edges, dataflow.problems) == ((("a", "c"),), ())


def test_up_and_down_and_order() -> None:
    dataflow = read(
        "%%task plot --after load\ny = 1",
        "%%task load\nraw = 1",
        "%%task clean\ntidy = raw",
        "%%task other\nz = 1",
        "%%task report\nr = tidy",
    )
    assert dataflow.upstream("report") == ("load", "clean")
    assert dataflow.downstream("load") == ("plot", "clean", "report")
    assert dataflow.upstream("other") == dataflow.downstream("other") == dataflow.upstream("nobody") == ()
    assert dataflow.order() == ("load", "plot", "clean", "other", "report")


# -- problems -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sources", "cell", "kind", "parts"),
    [
        (["x = 1", "y = ("], 1, "syntax", ["cell 2: line 1", "never closed"]),
        (["%%task a\nx = 1\ny = = 2"], 0, "syntax", ["cell 1: line 3"]),
        (["%%task a\nreturn 3"], 0, "syntax", ["cell 1: line 2", "'return' outside function"]),
        (["%%task f(x)\ny = = 2"], 0, "syntax", ["cell 1: line 2"]),
        (["x = '\0'"], 0, "syntax", ["cell 1"]),
        (["x = " + "+".join(["1"] * 5000)], 0, "syntax", ["cell 1", "nested"]),
        (["%%task\nx = 1"], 0, "line", ["cell 1: %%task needs a name"]),
        (["%%task a/b\nx = 1"], 0, "line", ["cell 1", "'a/b'"]),
        (["%%task a --retries x\ny = 1"], 0, "line", ["cell 1: %%task a: --retries: 'x'"]),
        (["%%flow a --map x=y\ny = 1"], 0, "line", ["cell 1: %%flow a: --map"]),
        (["%%task a --return z\ny = 1"], 0, "line", ["'a' (cell 1)", "'z'", "it writes y"]),
        (["x = 1\n\n%%flow a\ny = (1"], 0, "line", ["cell 1: line 3: %%flow must"]),
        (["# load\n%%task a\ny = 1"], 0, "line", ["cell 1: line 2: %%task must be the first line"]),
        (["%%task a\nx = 1", "", "%%task a\ny = 1"], 2, "duplicate-name", ["cells 1 and 3", "'a'", "rename"]),
        (
            ["%%task a\nx = 1", "%%task b\nx = 2"],
            1,
            "duplicate-output",
            ["'a' (cell 1)", "'b' (cell 2)", "'x'", "rename", "'_x'"],
        ),
        (["%%task a\nx = 1", "%%task b\nx = x + 1"], 1, "duplicate-output", ["'x'"]),
        (["%%task a\nfor i in v: pass", "%%task b\nfor i in v: pass"], 1, "duplicate-output", ["'i'"]),
        (["%%task a\nx = 1", "%%task b\ndef x(): pass"], 1, "duplicate-output", ["'x'"]),
        (["%%task a\ndef x(): return 1", "%%task b\ndef x(): return 2"], 1, "duplicate-output", ["'x'"]),
        (
            ["%%task a --after b\nx = 1", "%%task b\ny = x"],
            0,
            "cycle",
            ["a (cell 1) → b (cell 2) → a", "'a' is to run after 'b'", "'b' reads 'x' of 'a'"],
        ),
        (["%%task a --after a\nx = 1"], 0, "cycle", ["a → a", "--after"]),
        (
            ["%%task load\nx = 1", "%%task b --after laod\ny = 1"],
            1,
            "unknown-after",
            ["'b' (cell 2)", "'laod'", "did you mean 'load'?"],
        ),
        (["%%task a --after zzz\nx = 1", "%%task b\ny = 1"], 0, "unknown-after", ["there are b"]),
        (["%%task a --after zzz\nx = 1"], 0, "unknown-after", ["there is no other"]),
        (["%%task a --after f\nx = 1", "%%task f(n)\nn"], 0, "unknown-after", ["'f'"]),
        (
            ["%%task b\ny = x", "%%task a\nx = 1"],
            0,
            "order",
            ["'b' (cell 1)", "'x'", "'a' (cell 2)", "move cell 2 above cell 1"],
        ),
        (["%%task b\ny = x", "x = 1"], 0, "order", ["'x'", "cell 2"]),
        (["%%task b\ny = pd.read()", "import pandas as pd"], 0, "order", ["'pd'"]),
    ],
)
def test_problems(sources: list[str], cell: int, kind: str, parts: list[str]) -> None:
    dataflow = read(*sources)
    assert kinds(dataflow) == [(cell, kind)]
    for part in parts:
        assert part in dataflow.problems[0].message


@pytest.mark.parametrize(
    "sources",
    [
        ["%%task a\nimport pandas as pd", "%%task b\nimport pandas as pd"],
        ["%%task a\ndef f(x):\n    return x", "%%task b\ndef f(x): return x  # the same"],
        ["%%task a\n_x = 1", "%%task b\n_x = 2"],
        ["x = 1", "%%task a\nx = 2"],
        ["%%task a\nx = 1", "x = 2"],
        ["x = 1", "%%task b\ny = x", "x = 2"],
        ["from numpy import *", "%%task b\ny = x", "x = 2"],
        # A function may look up what is there when it is called.
        ["%%task a\ndef f(): return x", "x = 1", "y = f()"],
        ["%%bash\nls | grep (", "%%html\n<b>", "pip install pandas", "!ls", "%matplotlib inline", "x?", "%%time?"],
        ["ls -l", "cd ..", "%%writefile a.py\n%%task b\n", "# nothing"],
        ["text = '''\n%%task b\n'''"],
        ["%%task a --return x\nfrom m import *"],
        ["await f()", "%%task a\nx = await f()\nasync for y in x: pass"],
        ["%%task f(x) -> y\ny = await x", "%%flow g(x)\nreturn x"],
        ["import re\nre.match('\\d', x)\nx is 1"],
        [""],
        [],
    ],
)
def test_what_is_no_problem(sources: list[str]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read(*sources).problems == ()
    assert caught == []


def test_an_order_problem_has_its_edge() -> None:
    dataflow = read("%%task b\ny = x", "%%task a\nx = 1")
    assert dataflow.edges == (("a", "b"),)
    assert dataflow.order() == ("a", "b")


def test_names_that_are_hidden_above_are_not_missed() -> None:
    """A star import may bind what the task reads; a task further down is named all the same."""
    assert kinds(read("from m import *", "%%task b\ny = x", "%%task a\nx = 1")) == [(1, "order")]


def test_every_group_in_a_cycle_is_told_once_with_its_shortest_way() -> None:
    dataflow = read(
        "%%task a --after c\nx = 1",
        "%%task b\ny = x",
        "%%task c --after b\nz = y",
        "%%task d --after e\nv = z",
        "%%task e --after d\nw = 1",
        "%%task behind --after a\nu = 1",
    )
    told = [problem.message for problem in dataflow.problems]
    assert kinds(dataflow) == [(0, "cycle"), (3, "cycle")]
    assert "a (cell 1) → b (cell 2) → c (cell 3) → a" in told[0]
    assert "d (cell 4) → e (cell 5) → d" in told[1]
    assert sorted(dataflow.order()) == ["a", "b", "behind", "c", "d", "e"]
    assert dataflow.upstream("a") == ("b", "c")


def test_problems_of_a_broken_cell_leave_the_others_alone() -> None:
    dataflow = read("%%task a\nx = 1", "%%task b\ny = (", "%%task c --after b\nz = x")
    assert kinds(dataflow) == [(1, "syntax")]
    assert [task.name for task in dataflow.tasks] == ["a", "b", "c"]
    assert dataflow.edges == (("a", "c"), ("b", "c"))


def test_which_problems_are_errors() -> None:
    errors = ("syntax", "line", "duplicate-name", "duplicate-output", "cycle", "unknown-after")
    assert all(is_error(kind) for kind in errors)
    assert not is_error("order")
    assert not is_error("mutation")


def test_as_json() -> None:
    dataflow = read("import os", "%%task b\nimport re\nz = x, os", "%%task a\nx = 1\ndef f(): pass")
    encoded = json.loads(json.dumps(encode_dataflow(dataflow)))
    message = encoded["problems"][0].pop("message")
    assert "cell 3" in message
    assert encoded == {
        "tasks": [
            {"name": "b", "cell": 1, "reads": ["os", "x"], "writes": ["re", "z"]},
            {"name": "a", "cell": 2, "reads": [], "writes": ["f", "x"]},
        ],
        "edges": [["a", "b"]],
        "problems": [{"cell": 1, "kind": "order"}],
    }


def test_long_chains_of_functions_are_followed_as_far_as_possible() -> None:
    chain = [f"def f{number}(): return f{number + 1}()" for number in range(2000)]
    assert read(*chain[:100], "%%task t\ny = f0()").tasks[0].reads == {f"f{number}" for number in range(101)}
    assert "f0" in read(*chain, "%%task t\ny = f0()").tasks[0].reads


def test_cells_of_a_notebook_on_disk(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "a.ipynb", markdown("# t"), code("x = 1", "parameters"), "%%task a\nx")
    cells = notebook_cells(read_notebook(path))
    assert cells == [
        CellInput(index=1, cell_id="id-1", source="x = 1", tags=("parameters",)),
        CellInput(index=2, cell_id="id-2", source="%%task a\nx"),
    ]


# -- properties ---------------------------------------------------------------------------------------------------

_NAMES = [f"v{number}" for number in range(6)]
_CELLS = st.lists(
    st.tuples(
        st.sampled_from(["task", "plain"]),
        st.sets(st.sampled_from(_NAMES), max_size=2),
        st.sets(st.sampled_from(_NAMES), max_size=3),
        st.sets(st.integers(0, 7), max_size=1),
    ),
    max_size=8,
)


def _source(number: int, kind: str, writes: set[str], used: set[str], after: set[int]) -> str:
    lines = [f"print({', '.join(sorted(used))})", *(f"{name} = {number}" for name in sorted(writes))]
    option = "".join(f" --after t{other}" for other in sorted(after))
    return "\n".join([f"%%task t{number}{option}", *lines] if kind == "task" else lines)


@given(_CELLS)
def test_the_order_is_topological(cells: list[tuple[str, set[str], set[str], set[int]]]) -> None:
    dataflow = read(*(_source(number, *cell) for number, cell in enumerate(cells)))
    order = dataflow.order()
    assert sorted(order) == sorted(task.name for task in dataflow.tasks)
    is_cyclic = any(problem.kind == "cycle" and "itself" not in problem.message for problem in dataflow.problems)
    backward = [edge for edge in dataflow.edges if order.index(edge[0]) > order.index(edge[1])]
    assert bool(backward) == is_cyclic
    for name in order:
        assert all(name in dataflow.downstream(other) for other in dataflow.upstream(name))
        if not is_cyclic:
            assert set(dataflow.upstream(name)) <= set(order[: order.index(name)])


@given(_CELLS)
def test_an_edge_is_the_latest_writer(cells: list[tuple[str, set[str], set[str], set[int]]]) -> None:
    """What the edges are, said once more in another way."""
    expected = set()
    tasks = {number for number, (kind, *_) in enumerate(cells) if kind == "task"}
    for number in tasks:
        _, _, used, after = cells[number]
        expected |= {(other, number) for other in after & tasks if other != number}
        for name in used:
            writers = [other for other, cell in enumerate(cells) if name in cell[1] and other != number]
            above = [other for other in writers if other < number]
            meant = above[-1] if above else writers[0] if writers else None
            if meant in tasks:
                expected.add((meant, number))
    dataflow = read(*(_source(number, *cell) for number, cell in enumerate(cells)))
    assert set(dataflow.edges) == {(f"t{one}", f"t{other}") for one, other in expected}


@given(_CELLS, st.permutations(range(8)))
def test_names_of_tasks_do_not_matter(cells: list[tuple[str, set[str], set[str], set[int]]], names: list[int]) -> None:
    """The same notebook with other names of tasks is the same graph with other names."""

    def renamed(text: str) -> str:
        return re.sub(r"\bt(\d)\b", lambda found: f"t{names[int(found[1])]}", text)

    sources = [_source(number, *cell) for number, cell in enumerate(cells)]
    before, after = read(*sources), read(*map(renamed, sources))
    assert {tuple(map(renamed, edge)) for edge in before.edges} == set(after.edges)
    assert sorted(kinds(before)) == sorted(kinds(after))
    assert [task.reads for task in before.tasks] == [task.reads for task in after.tasks]


@given(st.lists(st.text(max_size=60), max_size=3))
def test_nothing_that_stands_in_a_cell_raises(sources: list[str]) -> None:
    mixed = list(itertools.chain(sources, (f"%%task a\n{source}" for source in sources)))
    json.dumps(encode_dataflow(read(*mixed)))
