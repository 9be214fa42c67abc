"""The first line of a cell."""

from __future__ import annotations

import pytest

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.heads import Head, split_head


@pytest.mark.parametrize(
    ("line", "head"),
    [
        ("load", Head(name="load")),
        ("  load-data.2  ", Head(name="load-data.2")),
        ("load --retries 2", Head(name="load", options=" --retries 2")),
        ("f()", Head(name="f", parameters="")),
        ("f(a, b=2) -> out", Head(name="f", parameters="a, b=2", returns="out")),
        ("f(a)->out --retries 2", Head(name="f", parameters="a", returns="out", options=" --retries 2")),
        ("f(a=')', *, b=(1, [2]), **c) --x", Head(name="f", parameters="a=')', *, b=(1, [2]), **c", options=" --x")),
        (r"f(a='\')', b: 'x' = 1)", Head(name="f", parameters=r"a='\')', b: 'x' = 1")),
        ("größe", Head(name="größe")),
    ],
)
def test_heads(line: str, head: Head) -> None:
    assert split_head("task", line) == head


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "needs a name first"),
        ("--retries 2", "needs a name first"),
        ("2x", "bad task name '2x'"),
        ("a/b", "bad task name 'a/b'"),
        ("load -> out", "goes with a parameter list"),
        ("a-b(x)", "needs a Python identifier"),
        ("class(x)", "needs a Python identifier"),
        ("f(a, b", "no closing parenthesis"),
        ("f(a b)", "bad parameter list (a b)"),
        ("f(b=1, a)", "bad parameter list"),
        ("f(a) -> 2", "bad result name '2'"),
        ("f(a) ->", "bad result name ''"),
        ("f(a) -> if", "bad result name 'if'"),
    ],
)
def test_bad_heads_are_one_line(line: str, message: str) -> None:
    with pytest.raises(CellLineError) as caught:
        split_head("task", line)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
