"""A cell's body as a function: what it leaves in the namespace, and what it takes back."""

from __future__ import annotations
import __future__

import ast
import asyncio
import inspect
import pickle
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from jupyter_wf.notebook.cells import (
    CellBody,
    NamespaceGuard,
    compile_body,
    compile_function,
    function_text,
    identifier,
)


def body(source: str, **options: Any) -> CellBody:
    return compile_body(source, filename="<cell>", name="work", **options)


def run(source: str, namespace: dict[str, Any], **options: Any) -> Any:
    """Run a body as a session does: keep what it made when it succeeds, take it back when it fails."""
    made = body(source, **options)
    guard = NamespaceGuard(namespace, made.names)
    try:
        value = made.bind(namespace)()
        value = asyncio.run(value) if made.is_async else value
    except BaseException:
        guard.take_back()
        raise
    guard.keep()
    return value


@pytest.fixture
def namespace() -> Iterator[dict[str, Any]]:
    """A module's namespace, importable, as ``__main__`` is in a kernel."""
    module = type(sys)("a_notebook")
    sys.modules["a_notebook"] = module
    yield module.__dict__
    del sys.modules["a_notebook"]


def test_public_names_stay_private_names_do_not(namespace: dict[str, Any]) -> None:
    namespace.update(a=1, _b="before")
    assert run("_b = a + 1\nc = _b * 2\nc + 1", namespace) == 5
    assert (namespace["c"], namespace["_b"]) == (4, "before")


def test_a_failure_takes_everything_back(namespace: dict[str, Any]) -> None:
    namespace.update(a=1, gone=2)
    with pytest.raises(ZeroDivisionError):
        run("a = 5\nnew = 6\ndel gone\nimport json\n_p = 1\n1 / 0", namespace)
    assert {k: v for k, v in namespace.items() if not k.startswith("__")} == {"a": 1, "gone": 2}


def test_a_global_in_a_function_of_the_body_is_taken_back(namespace: dict[str, Any]) -> None:
    namespace["n"] = 1
    with pytest.raises(ZeroDivisionError):
        run("def bump():\n    global n, _m\n    n += 1\n    _m = 1\nbump()\n1 / 0", namespace)
    assert namespace["n"] == 1
    assert "_m" not in namespace


@pytest.mark.parametrize("head", ["", "exec('')\n"], ids=["as function", "as module"])
def test_functions_see_each_other_and_later_cells(namespace: dict[str, Any], head: str) -> None:
    run(
        head + "def even(n): return True if n == 0 else odd(n - 1)\ndef odd(n): return n and even(n - 1)\nr = even(4)",
        namespace,
    )
    assert namespace["r"] is True
    run(head + "def call(): return later()", namespace)
    namespace["later"] = lambda: "yes"
    assert namespace["call"]() == "yes"
    run(head + "def later(): return 'changed'", namespace)
    assert namespace["call"]() == "changed"


@pytest.mark.parametrize("head", ["", "exec('')\n"], ids=["as function", "as module"])
def test_functions_keep_their_private_names(namespace: dict[str, Any], head: str) -> None:
    run(head + "_cache = {}\ndef put(k): _cache[k] = 1; return len(_cache)\n_other = 1", namespace)
    assert [namespace["put"]("a"), namespace["put"]("b")] == [1, 2]
    assert "_other" not in namespace


def test_a_private_name_read_before_it_is_bound_comes_from_the_namespace(namespace: dict[str, Any]) -> None:
    namespace["_n"] = 1
    assert run("_n += 1\nm = _n\n_n", namespace) == 2
    assert (namespace["m"], namespace["_n"]) == (2, 1)


def test_classes_can_be_pickled(namespace: dict[str, Any]) -> None:
    run(
        "class Point:\n    def __init__(s, x): s.x = x\n    def twin(s): return Point(s.x)\np = Point(3).twin()",
        namespace,
    )
    point = pickle.loads(pickle.dumps(namespace["p"]))
    assert (point.x, type(point)) == (3, namespace["Point"])
    assert namespace["Point"].__qualname__ == "Point"


def test_star_import_and_exec_bind_names_and_are_taken_back(namespace: dict[str, Any]) -> None:
    assert run("from math import *\nexec('z = 3')\npi > z", namespace) is True
    assert namespace["z"] == 3
    with pytest.raises(ZeroDivisionError):
        run("from cmath import *\nexec('z = 4; w = 1')\n1 / 0", namespace)
    assert namespace["z"] == 3
    assert "w" not in namespace
    assert "isclose" in namespace


def test_history_names_are_left_alone(namespace: dict[str, Any]) -> None:
    namespace["_"] = 1
    made = body("exec('_ = 2; _7 = 3; _x = 4')")
    guard = NamespaceGuard(namespace, made.names)
    made.bind(namespace)()
    guard.keep()
    assert (namespace["_"], namespace["_7"], "_x" in namespace) == (2, 3, False)


STATEMENTS = [
    ("a: int = 1\nb: str\na", 1),
    ("global a\na = 2\nif a:\n    global b\n    b = 3\na + b", 5),
    ("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    a = str(e)\na", "division by zero"),
    ("match [1, 2, 3]:\n    case [a, *b]:\n        pass\n(a, b)", (1, [2, 3])),
    ("a = [(b := i) for i in range(3)]\nb", 2),
    ("class A:\n    a = 1\n    b = [a for _ in 'x']\nA.a", NameError),
    ("from __future__ import annotations\ndef f(x: Missing): return x\nf(1)", 1),
    ("for a in range(3): pass\ndel a\n'a' in globals()", False),
    ("_f = lambda n: n and 1 + _f(n - 1)\n_f(3)", 3),
    ("a = 1", None),
    ("", None),
    ("import os.path as p\np.basename('a/b')", "b"),
    ("with __import__('io').StringIO('x') as a:\n    b = a.read()\nb", "x"),
]


@pytest.mark.parametrize(("source", "expected"), STATEMENTS, ids=range(len(STATEMENTS)))
@pytest.mark.parametrize("head", ["", "exec('')\n"], ids=["as function", "as module"])
def test_statements_do_what_they_do_in_a_cell(
    namespace: dict[str, Any], source: str, expected: object, head: str
) -> None:
    if source.startswith("from __future__"):
        first, _, rest = source.partition("\n")
        source = f"{first}\n{head}{rest}"
    else:
        source = head + source
    if isinstance(expected, type):
        with pytest.raises(expected):
            run(source, namespace)
    else:
        assert run(source, namespace) == expected


def test_a_missing_name_is_a_name_error(namespace: dict[str, Any]) -> None:
    with pytest.raises(NameError, match="nowhere"):
        run("x = nowhere\n", namespace)
    with pytest.raises(NameError, match="later"):
        run("x = later\nlater = 1", namespace)


@pytest.mark.parametrize("source", ["return 1", "yield 1", "def f(:", "x = 1\n  y = 2", "nonlocal a", "break"])
def test_syntax_errors_are_those_of_a_module(source: str) -> None:
    with pytest.raises(SyntaxError) as caught:
        body(f"# head\n{source}")
    assert caught.value.filename == "<cell>"
    assert caught.value.lineno == (3 if source.startswith("x") else 2)


@pytest.mark.parametrize("head", ["", "exec('')\n"], ids=["as function", "as module"])
def test_await_at_the_top_level(namespace: dict[str, Any], head: str) -> None:
    source = (
        head
        + "import asyncio\nawait asyncio.sleep(0)\nasync def f(): return 2\nx = [await f() for _ in '12']\nawait f()"
    )
    assert body(source).is_async
    assert run(source, namespace) == 2
    assert namespace["x"] == [2, 2]


@pytest.mark.parametrize(("head", "line"), [("", 4), ("exec('')\n", 5)], ids=["as function", "as module"])
def test_tracebacks_name_the_cells_lines(namespace: dict[str, Any], head: str, line: int) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run(f"# %%task work\n{head}def f():\n    return 1\nf() / 0", namespace)
    frame = next(f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == "<cell>")
    assert frame.lineno == line


@pytest.mark.parametrize(
    ("show", "source", "expected"),
    [
        ("last_expr", "a = 1", None),
        ("last_expr_or_assign", "a = 1", 1),
        ("last_expr_or_assign", "a = 1\na += 1", 2),
        ("none", "1", None),
    ],
)
def test_what_is_shown(namespace: dict[str, Any], show: str, source: str, expected: object) -> None:
    assert run(source, namespace, show=show) == expected


def test_a_transformer_of_the_syntax_tree_is_applied(namespace: dict[str, Any]) -> None:
    class Double(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.copy_location(ast.Constant(node.value * 2), node)

    assert run("21", namespace, transform=Double().visit) == 42


def test_earlier_future_imports_hold(namespace: dict[str, Any]) -> None:
    run("def f(x: Missing): pass", namespace, flags=__future__.annotations.compiler_flag)
    assert namespace["f"].__annotations__ == {"x": "Missing"}


def test_a_function_cell(namespace: dict[str, Any]) -> None:
    namespace["k"] = 10
    text = function_text("clean(a, b=k)", 'c = """x\ny"""\n\nif a:\n    c = a + b\nc')
    assert text.split("\n")[:3] == ["def clean(a, b=k):", '    c = """x', 'y"""']
    clean = compile_function(text, filename="<cell>")(namespace)
    assert (clean(1), clean(0), clean(1, 2)) == (11, "x\ny", 3)
    assert (clean.__qualname__, clean.__module__, "clean" in namespace) == ("clean", "a_notebook", False)
    assert str(inspect.signature(clean)) == "(a, b=10)"


def test_a_function_cell_with_a_named_result(namespace: dict[str, Any]) -> None:
    text = function_text("f(a)", "out = a * 2\nprint", returns="out")
    assert compile_function(text, filename="<cell>")(namespace)(4) == 8
    text = function_text("f()", "# nothing but a comment")
    assert compile_function(text, filename="<cell>")(namespace)() is None


def test_an_async_function_cell(namespace: dict[str, Any]) -> None:
    text = function_text("f(a)", "import asyncio\nawait asyncio.sleep(0)\na + 1", is_async=True)
    assert asyncio.run(compile_function(text, filename="<cell>")(namespace)(1)) == 2


def test_identifiers() -> None:
    assert [identifier(name) for name in ("load", "load-data", "2nd", "class")] == [
        "load",
        "load_data",
        "_2nd",
        "_class",
    ]
