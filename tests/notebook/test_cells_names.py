"""What the analysis finds in a cell, rule by rule."""

from __future__ import annotations

import sys

import pytest

from jupyter_wf.notebook.names import analyse_source

READS = {
    "y = x + 1": "x",
    "total += 1": "total",
    "x = 1\nprint(x)": "",
    "if c:\n    x = 1\nprint(x)": "c x",
    "if c:\n    x = 1\nelse:\n    x = 2\nprint(x)": "c",
    "if c:\n    raise ValueError\nelse:\n    x = 2\nx": "c",
    "for i in rows:\n    last = i\nlast": "rows",
    "while True:\n    v = step()\n    if v: break\nv": "step",
    "with open(p) as fh, lock:\n    t = fh.read()\nt": "lock p",
    "try:\n    import a\nexcept ImportError as e:\n    a = e\na": "",
    "try:\n    x = f()\nexcept OSError:\n    pass\nx": "f x",
    "try:\n    x = f()\nfinally:\n    done = 1\nx, done": "f",
    "[(w := i) for i in data if i > lim]\nw": "data lim",
    "[i for i in i]": "i",
    "{k: v for k, v in pairs for k in k}": "pairs",
    "list(map(lambda r: r + offset, rows))": "offset rows",
    "key = lambda v: v * scale\nscale = 2\nsorted(rows, key=key)": "rows",
    "key = lambda v: v * scale\nsorted(rows, key=key)\nscale = 2": "rows scale",
    "def clean():\n    return raw.dropna()\nraw = clean()": "raw",
    "def f():\n    return g()\ndef g():\n    return h\nf()": "h",
    "def f(n):\n    return f(n - 1) if n else seed": "seed",
    "def f(x: Frame = default) -> Result:\n    pass": "Frame Result default",
    "@deco\ndef f():\n    global n\n    n += 1": "deco n",
    "def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = y\n    return g": "y",
    "class A(Base, metaclass=M):\n    n = seed\n    m = n\n    def f(s): return A, helper": "Base M helper seed",
    "class A:\n    xs = [1]\n    ys = [x for x in xs]": "",
    "match v:\n    case [a, *b] if a > low:\n        pass\n    case {'k': k, **rest}:\n        pass\na": "a low v",
    "match v:\n    case Point(x=px):\n        r = px\n    case _:\n        r = 0\nr": "Point v",
    "f'{a!r:>{width}}'": "a width",
    "get_ipython().system('ls {folder} $HERE')": "HERE folder",
    "del x\nx": "x",
    "x = 1\ndel x\nprint(x)": "x",
    "a.b = c[d] = e": "a c d e",
    "df['x'] = df.y": "df",
    "async def f():\n    await g()": "g",
    "_tmp = a\nb = _tmp": "a",
    "x = x if cond else other": "cond other x",
    "ok and (m := 1)\nm": "m ok",
}


@pytest.mark.parametrize("source", READS, ids=range(len(READS)))
def test_reads(source: str) -> None:
    assert " ".join(sorted(analyse_source(source).reads)) == READS[source]


WRITES = {
    "a = b = 1": "a b",
    "(a, [b, *c]), d.e, f[0] = v": "a b c",
    "a: int = 1\nb: int": "a",
    "import os.path, numpy as np\nfrom x import y as z": "np os z",
    "for i, (j, k) in v:\n    pass": "i j k",
    "with a as (b, c):\n    pass": "b c",
    "[(w := i) for i in [1]]": "w",
    "[[(w := i) for i in r] for r in [[1]]]": "w",
    "def f(a):\n    b = 1": "f",
    "def f():\n    global g\n    def g(): pass": "f g",
    "class A:\n    def f(self):\n        global h\n        h = 1": "A h",
    "match v:\n case [a, *b]:\n  c = 1\n case {**rest}:\n  0\n case int() as n:\n  0": "a b c n rest",
    "try:\n    pass\nexcept ValueError as e:\n    x = e": "x",
    "_a = 1\nfor _ in v:\n    b = 1": "b",
    "from __future__ import annotations\nx = 1": "x",
    "if (m := f()) and (n := g()):\n    pass": "m n",
    "async with a as b:\n    async for c in d:\n        pass": "b c",
}


@pytest.mark.parametrize("source", WRITES, ids=range(len(WRITES)))
def test_writes(source: str) -> None:
    assert " ".join(sorted(analyse_source(source).writes)) == WRITES[source]


if sys.version_info >= (3, 12):

    def test_type_alias_and_parameters() -> None:
        names = analyse_source("type Rows[T] = list[tuple[T, Key]]\ndef f[U: Bound](x: U) -> V: return W")
        assert names.writes == {"Rows", "f"}
        assert names.reads == {"Key", "V", "W", "Bound"}


def test_kinds_of_names() -> None:
    names = analyse_source("import os\ndef f(): pass\nclass A: pass\nx = 1\nos = 2\ndel gone\n_p = 1")
    assert names.imports == set()
    assert names.definitions == {"f", "A"}
    assert names.deletes == {"gone"}
    assert names.private == {"_p"}
    assert analyse_source("import os").imports == {"os"}


def test_builtins_are_kept_apart() -> None:
    names = analyse_source("print(len(x), id)")
    assert names.reads == {"x"}
    assert names.builtin_reads == {"print", "len", "id"}


def test_handler_names_are_neither_read_nor_written() -> None:
    names = analyse_source("try:\n    f()\nexcept ValueError as err:\n    print(err)")
    assert (names.reads, names.writes, names.handlers) == ({"f"}, set(), {"err"})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("await x", True),
        ("async with a: pass", True),
        ("async for a in b: pass", True),
        ("[i async for i in a]", True),
        ("[await i for i in a]", True),
        ("async def f():\n    await x", False),
        ("f = lambda: (yield)", False),
        ("x = 1", False),
    ],
)
def test_awaits(source: str, expected: bool) -> None:
    assert analyse_source(source).is_async is expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from x import *", True),
        ("exec('a = 1')", True),
        ("get_ipython().run_line_magic('time', 'a = 1')", True),
        ("get_ipython().run_cell_magic('bash', '', 'ls')", True),
        ("get_ipython().system('ls')", False),
        ("x = get_ipython().getoutput('ls')", False),
        ("a.exec('b')", False),
    ],
)
def test_dynamic(source: str, expected: bool) -> None:
    assert analyse_source(source).dynamic is expected


def test_syntax_errors_are_raised() -> None:
    with pytest.raises(SyntaxError):
        analyse_source("x = = 1")
