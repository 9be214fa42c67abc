"""What is kept of a failure: the user's frames, and what their variables were, as short texts without secrets."""

from __future__ import annotations

import collections
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pandas
import polars
import pytest

from jupyter_wf.core.secrets import forget_secrets, remember_secret
from jupyter_wf.notebook import failures
from jupyter_wf.notebook.failures import brief, frames_of, remember_names, remembered_names, user_traceback


def raised(work: Callable[[], Any]) -> BaseException:
    """Return what ``work`` raises."""
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")


def locals_of(**values: Any) -> dict[str, str]:
    """Return what is told of a frame that has ``values`` as its variables."""
    source = f"def failing({', '.join(values)}):\n    raise ValueError('here')\n"
    scope: dict[str, Any] = {"__name__": "mine"}
    exec(compile(source, "mine.py", "exec"), scope)
    told = frames_of(raised(lambda: scope["failing"](**values)))[-1]
    assert (told["function"], told["line"], told["file"]) == ("failing", 2, "mine.py")
    return told["locals"]


def test_the_frames_of_the_user() -> None:
    def outer() -> None:
        count = 3
        inner(count)

    def inner(number: int) -> None:
        json.loads("{" * number)

    frames = frames_of(raised(outer))
    assert [frame["function"].rpartition(".")[2] for frame in frames][-2:] == ["outer", "inner"]
    assert frames[-1]["source"] == 'json.loads("{" * number)'
    assert frames[-1]["locals"] == {"number": "3"}
    assert frames[-2]["locals"]["count"] == "3"
    assert all("json/" not in frame["file"] for frame in frames)
    assert json.loads(json.dumps(frames)) == frames


def test_frames_of_a_library_where_there_are_no_others() -> None:
    error = raised(lambda: json.loads("{"))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert "json/" in frames_of(error)[0]["file"]
    assert frames_of(ValueError("never raised")) == []


def test_at_most_the_innermost_frames() -> None:
    def deep(left: int) -> None:
        if left == 0:
            raise ValueError
        deep(left - 1)

    frames = frames_of(raised(lambda: deep(40)))
    assert len(frames) == 20
    assert frames[-1]["locals"]["left"] == "0"


def test_values_are_short() -> None:
    told = locals_of(
        text="x" * 1000,
        many=list(range(10_000)),
        number=10**5000,
        deep=[[[[[[1]]]]]],
        plain=1.5,
        none=None,
        by={1: "a"},
    )
    assert all(len(text) <= 300 for text in told.values())
    assert told["many"].startswith("[0, 1, 2")
    assert told["number"].startswith("<int of")
    assert (told["plain"], told["none"], told["by"]) == ("1.5", "None", "{1: 'a'}")


def test_tables_and_arrays_are_told_by_their_shape() -> None:
    frame = pandas.DataFrame({"day": [1, 2], "sum": [0.5, 1.5]})
    told = locals_of(
        frame=frame,
        array=numpy.zeros((3, 1000)),
        lazy=polars.DataFrame({"a": [1]}),
        inside={"frame": frame},
        one=frame["day"],
    )
    assert told["frame"].startswith("pandas")
    assert "2 × 2, columns day, sum" in told["frame"]
    assert told["array"] == "numpy.ndarray of 3 × 1,000, float64"
    assert "1 × 1, columns a" in told["lazy"]
    assert "of 2 × 2" in told["inside"]
    assert "of 2, int64" in told["one"]


def test_what_is_no_data_is_left_out() -> None:
    told = locals_of(module=json, function=len, kind=dict, lambda_=lambda: 1, _private=1, data=1)
    assert told == {"data": "1"}


def test_at_most_fifty_names() -> None:
    def failing() -> None:
        scope = {f"v{n}": n for n in range(70)}
        exec(compile("def many(" + ", ".join(scope) + "):\n    raise ValueError", "mine.py", "exec"), scope)
        scope["many"](*range(70))  # type: ignore[operator]

    frame = frames_of(raised(failing))[-1]
    assert (len(frame["locals"]), frame["more"]) == (50, 20)


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Recurses:
    def __repr__(self) -> str:
        return repr(self)


class Exits:
    def __repr__(self) -> str:
        raise SystemExit


class NoText:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("value", "end"),
    [
        (Raises(), "Raises: its repr raised RuntimeError"),
        (Recurses(), "Recurses: its repr raised RecursionError"),
        (Exits(), "Exits: its repr raised SystemExit"),
        (NoText(), "NoText: its repr raised TypeError"),
        ([1, Raises()], "list: its repr raised RuntimeError"),
    ],
)
def test_a_repr_that_raises(value: Any, end: str) -> None:
    assert locals_of(value=value, other=1)["value"].endswith(end)


def test_a_repr_that_does_not_return_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, begun = threading.Event(), threading.Event()

    class Slow:
        def __repr__(self) -> str:
            begun.set()
            go_on.wait(30)
            return "late"

    def failing(before: int, slow: Slow, after: int) -> None:
        raise ValueError

    try:
        error = raised(lambda: failing(1, Slow(), 2))
        told = frames_of(error, patience=0.2)[-1]["locals"]
        assert begun.is_set()
        assert told["before"] == "1"
        assert told["slow"].endswith("Slow: not told in time")
        assert told["after"] == "int: not told in time"
    finally:
        go_on.set()
    for thread in threading.enumerate():
        if thread.name == "jupyter-wf-locals":
            thread.join(30)


@pytest.fixture
def secrets() -> Iterator[None]:
    remember_secret("correct horse")
    yield
    forget_secrets()


class Config:
    def __repr__(self) -> str:
        return "Config(user='me', password='hunter2', api_key=abc123, port=1)"


def test_secrets_are_masked(secrets: None) -> None:
    told = locals_of(
        password="hunter2",
        config={"user": "me", "token": "abc", "nested": {"secret": [1, 2]}},
        told="it is correct horse!",
        named=Config(),
    )
    assert told["password"] == "***"
    assert told["config"] == "{'user': 'me', 'token': ***, 'nested': {'secret': ***}}"
    assert told["told"] == "'it is ***!'"
    assert told["named"] == "Config(user='me', password=***, api_key=***, port=1)"


def test_a_secret_is_masked_under_other_names_too() -> None:
    told = locals_of(api_token="s3cr3t-value", header="Bearer s3cr3t-value", pin_secret="12", count=12)
    assert told == {"api_token": "***", "header": "'Bearer ***'", "pin_secret": "***", "count": "12"}


def test_a_secret_in_the_line_of_code_is_masked() -> None:
    def failing() -> None:
        raise ValueError({"password": "hunter2"})

    frame = frames_of(raised(failing))[-1]
    assert frame["source"] == 'raise ValueError({"password": ***})'


def test_texts_that_cant_be_stored_as_they_are() -> None:
    told = locals_of(lone="\ud800", control="\x1b[31m\x00", wide="😀" * 400)
    assert json.dumps(told).encode()
    "".join(told.values()).encode("utf-8")
    assert len(told["wide"]) <= 300


def test_names_of_a_notebook_that_the_code_uses() -> None:
    scope: dict[str, Any] = {"__name__": "__main__", "factor": 3, "unused": 1, "json": json}
    exec(compile("def cell():\n    global made\n    made = factor * 2\n    json.loads('{')", "<cell>", "exec"), scope)
    error = raised(scope["cell"])
    assert frames_of(error)[-1]["locals"] == {"made": "6", "factor": "3"}
    del scope["made"]
    remember_names(error, {"made": 6})
    assert frames_of(error)[-1]["locals"] == {"made": "6", "factor": "3"}
    top = raised(lambda: exec(compile("other = factor\nother / 0", "<cell>", "exec"), scope))
    assert frames_of(top)[-1]["locals"] == {"other": "3", "factor": "3"}


def test_remembered_names_stay_in_the_process() -> None:
    error = ValueError("x")
    remember_names(error, {})
    assert vars(error) == {}
    remember_names(error, {"lock": threading.Lock()})
    assert list(remembered_names(error)) == ["lock"]
    copy = pickle.loads(pickle.dumps(error))
    assert remembered_names(copy) == {}


def test_the_users_traceback_is_one_of_its_own() -> None:
    error = raised(lambda: json.loads("{"))
    before = user_traceback(error)
    error.__traceback__ = None
    assert before is not None
    assert before.tb_frame.f_code.co_name == "raised"
    assert user_traceback(error) is None


def test_one_value_in_short() -> None:
    assert brief("token", "abc") == "***"
    assert brief("rows", collections.deque([1])) == "deque([1])"
    assert brief("rows", Raises()).endswith("raised RuntimeError")
    assert failures.brief("n", 5) == "5"
