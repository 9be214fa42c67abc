"""Changes in place: which code is seen to make them, and what is said about them."""

from __future__ import annotations

import ast

import pytest

from jupyter_wf.notebook.mutations import mutated
from tests.notebook.test_dataflow import kinds, read

CHANGES = [
    "x['a'] = 1",
    "x['a'], b = 1, 2",
    "[*x.rest, b] = v",
    "x.loc[x.a > 1, 'b'] = 0",
    "x[0] += 1",
    "x.n += 1",
    "x.name = 'n'",
    "x.shape: tuple = (1, 2)",
    "del x['a']",
    "del b, x.n",
    "for x['i'] in v: pass",
    "with f() as x.handle: pass",
    "x.append(1)",
    "x['rows'].append(1)",
    "x.extend(v)",
    "x.insert(0, 1)",
    "x.remove(1)",
    "x.sort()",
    "x.sort(key=len, reverse=True)",
    "x.sort(-1)",
    "x.reverse()",
    "x.clear()",
    "x.update(a=1)",
    "x.add(1)",
    "x.discard(1)",
    "x.fill(0)",
    "b = x.pop()",
    "b = x.setdefault('a', [])",
    "print(x.popitem())",
    "x.drop(columns='a', inplace=True)",
    "b = x.fillna(0, inplace=True)",
    "x['a'].fillna(0, inplace=True)",
    "random.shuffle(x)",
    "rng.shuffle(x)",
    "heapq.heappush(x, 1)",
    "b = heappop(x)",
    "insort(x, 3)",
    "setattr(x, 'a', 1)",
    "np.fill_diagonal(x, 0)",
    "if a:\n    while b:\n        x['a'] = 1",
    "def f():\n    x.append(1)",
    "def f():\n    def g(): x['a'] = 1\n    return g",
    "f = lambda: x.pop()",
    "class A:\n    def f(self): x['a'] = 1",
    "class A:\n    x['a'] = 1",
    "b = [x.pop() for _ in v]",
    "b = {k: x.setdefault(k, 1) for k in v}",
    "async def f():\n    x.append(1)",
]


@pytest.mark.parametrize("code", CHANGES)
def test_changes_are_seen(code: str) -> None:
    assert list(mutated(ast.parse(code).body, {"x"})) == ["x"]


@pytest.mark.parametrize(
    "code",
    [
        "x = 1",
        "x += 1",
        "b = x['a']",
        "b[x] = 1",
        "b[x['i']] = x.n",
        "b = x.append(v)",
        "b = x.sort('day')",
        "x.sort('day')",
        "x.sort(by)",
        "b = x.update(v)",
        "b = x.add(1)",
        "x.copy()['a'] = 1",
        "f(x)['a'] = 1",
        "x.copy().append(1)",
        "x.drop(columns='a')",
        "x.drop(columns='a', inplace=False)",
        "x.drop(columns='a', inplace=flag)",
        "a, b = shuffle(x, y)",
        "random.shuffle(b)",
        "b.append(x)",
        "x.a: int",
        "def f(x): x['a'] = 1",
        "def f():\n    x = []\n    x.append(1)",
        "f = lambda x: x.pop()",
        "b = [x.pop() for x in v]",
        "class A:\n    def f(self, x): x.append(1)",
        "def f():\n    x = {}\n    def g(): x['a'] = 1",
        "print(x.n, *x)",
    ],
)
def test_what_is_no_change(code: str) -> None:
    assert mutated(ast.parse(code).body, {"x"}) == {}


def test_the_first_place_is_told() -> None:
    assert mutated(ast.parse("y = 1\nx['a'] = 1\nx['b'] = 2").body, {"x"}) == {"x": (2, "x['a'] = 1")}
    long = mutated(ast.parse("x['a'] = [" + "'text', " * 50 + "]").body, {"x"})["x"][1]
    assert len(long) == 60 and long.endswith("…")


@pytest.mark.parametrize("code", [code for code in CHANGES if "await" not in code])
def test_a_change_of_another_tasks_output_is_warned_about(code: str) -> None:
    assert kinds(read("%%task a\nx = []", f"%%task c\n_y = 1\n{code}")) == [(1, "mutation")]


def test_what_the_warning_says() -> None:
    message = read("", "%%task load\nx = []", "%%task add-more\nn = 1\nx.append(3)").problems[0].message
    for part in ("'add-more' (cell 3)", "'x' of task 'load' (cell 2)", "line 3 (x.append(3))", "x_add_more = x.copy()"):
        assert part in message


def test_it_is_warned_once_for_each_cell_and_name() -> None:
    dataflow = read(
        "%%task a\nx = []\nz = {}",
        "%%task b\nx.append(1)\nx.append(2)\nz['k'] = 1\ndel z['k']",
        "%%task c\nx.append(1)",
    )
    assert kinds(dataflow) == [(1, "mutation"), (1, "mutation"), (2, "mutation")]


@pytest.mark.parametrize(
    "sources",
    [
        # Its own values, those of plain cells, and copies.
        ["%%task a\nx = []\nx.append(1)"],
        ["x = []", "%%task a\nx.append(1)"],
        ["%%task a\nx = []", "x = []", "%%task b\nx.append(1)"],
        ["%%task a\nx = []", "%%task b\n_x = x.copy()\n_x.append(1)"],
        ["%%task a\nx = []", "%%task b\nx_b = [*x]\nx_b.append(1)"],
        # Ordinary cells stay ordinary.
        ["%%task a\nx = []", "x.append(1)"],
        ["%%task a\nimport x\ndef f(): pass", "%%task b\nx.option = 1\nf.cache = {}"],
    ],
)
def test_what_is_not_warned_about(sources: list[str]) -> None:
    assert read(*sources).problems == ()


def test_a_change_by_a_function_of_another_cell_is_seen() -> None:
    dataflow = read("def add(n):\n    rows.append(n)", "%%task a\nrows = []", "%%task b\nadd(3)")
    assert kinds(dataflow) == [(2, "mutation")]
    assert "by calling 'add' of cell 1" in dataflow.problems[0].message
