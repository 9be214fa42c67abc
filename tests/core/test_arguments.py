"""Arguments: what annotations mean, how texts and JSON values are judged, and what is said about wrong ones."""

from __future__ import annotations

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from jupyter_wf.core.arguments import (
    ANY,
    Argument,
    Arguments,
    materialise,
    parse_assignment,
    parse_type,
    read_text,
    read_value,
    signature_arguments,
    type_of,
)
from jupyter_wf.core.errors import ParameterError


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("int", "2013", 2013),
        ("int", " -7 ", -7),
        ("int", "1_000", 1000),
        ("float", "1", 1.0),
        ("float", "1e-3", 0.001),
        ("bool", "Yes", True),
        ("bool", "0", False),
        ("str", "2013", "2013"),
        ("str", "", ""),
        ("'int'", "3", 3),
        ("None", "null", None),
        ("int | None", "none", None),
        ("Optional[int]", "5", 5),
        ("typing.Union[int, str]", "5", 5),
        ("typing.Union[str, int]", "5", 5),
        ("int | str", "five", "five"),
        ("Literal['a', 'b']", "b", "b"),
        ("Literal[1, 2]", "2", 2),
        ("Annotated[int, 'years']", "5", 5),
        ("list[int]", "[1, 2]", [1, 2]),
        ("list[str]", "('a', 'b')", ["a", "b"]),
        ("Sequence[float]", "[1]", [1.0]),
        ("tuple[int, str]", "[1, 'x']", [1, "x"]),
        ("tuple[int, ...]", "[1, 2, 3]", [1, 2, 3]),
        ("dict[str, int]", '{"a": 1}', {"a": 1}),
        ("dict[int, str]", "{1: 'x'}", {"1": "x"}),
        ("date", "2012-03-04", "2012-03-04"),
        ("datetime.datetime", "2012-03-04 05:06", "2012-03-04T05:06:00"),
        ("pathlib.Path", "a/b", "a/b"),
        ("Any", "[1]", [1]),
        ("SomeClass", "plain text", "plain text"),
        ("Any", "True", True),
    ],
)
def test_a_text_is_read_as_its_annotation_says(annotation: str, text: str, value: object) -> None:
    read = read_text(parse_type(annotation), text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("int", "2013.5"),
        ("int", "0x10"),
        ("int", "1" * 5000),
        ("float", "fast"),
        ("bool", "maybe"),
        ("None", "something"),
        ("int | None", "x"),
        ("Literal['a']", "c"),
        ("list[int]", "[1, 'x']"),
        ("list[int]", "1, 2 3"),
        ("list", '{"a": 1}'),
        ("tuple[int, int]", "[1]"),
        ("dict", "[1]"),
        ("dict[int, str]", '{"x": "y"}'),
        ("date", "4.3.2012"),
        ("list", "b'bytes'"),
    ],
)
def test_a_text_of_another_type_is_refused(annotation: str, text: str) -> None:
    with pytest.raises(ValueError):
        read_text(parse_type(annotation), text)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", True),
        ("int", 1.0),
        ("int", "1"),
        ("float", "1.5"),
        ("float", True),
        ("bool", 1),
        ("str", 5),
        ("Literal[1]", True),
        ("list[int]", [1, "2"]),
        ("dict[str, int]", {"a": "b"}),
        ("int | None", "x"),
        ("date", datetime(2012, 1, 1)),
    ],
)
def test_a_json_value_of_another_type_is_refused(annotation: str, value: object) -> None:
    with pytest.raises(ValueError):
        read_value(parse_type(annotation), value)


def test_values_become_the_objects_they_stand_for() -> None:
    def made(annotation: str, text: str) -> Any:
        kind = parse_type(annotation)
        return materialise(kind, read_text(kind, text))

    assert made("date", "2012-03-04") == date(2012, 3, 4)
    assert made("datetime", "2012-03-04T05:06") == datetime(2012, 3, 4, 5, 6)
    assert made("Path", "a/b") == Path("a/b")
    assert made("set[int]", "[1, 1]") == {1}
    assert made("tuple[int, date]", "[1, '2012-03-04']") == (1, date(2012, 3, 4))
    assert made("dict[int, Path]", "{1: 'x'}") == {1: Path("x")}
    assert made("date | None", "none") is None
    assert math.isnan(made("float", "nan"))


def test_yaml_dates_are_taken() -> None:
    assert read_value(parse_type("date"), date(2012, 3, 4)) == "2012-03-04"


def test_a_default_suggests_its_type() -> None:
    assert [type_of(v).kind for v in (1, True, 1.5, "x", [], {}, (), None, object())] == [
        "int", "bool", "float", "str", "list", "dict", "list", "any", "any",
    ]  # fmt: skip


ARGUMENTS = Arguments(
    owner="the flow 'f'",
    items=(Argument(name="year", type=parse_type("int"), required=True), Argument(name="city", type=parse_type("str"))),
)


@pytest.mark.parametrize(
    ("values", "texts", "message"),
    [
        (
            {},
            {"yaer": "1"},
            "parameter 'yaer': the flow 'f' has no such parameter; did you mean 'year'? known: year, city",
        ),
        ({}, {"zzz": "1"}, "parameter 'zzz': the flow 'f' has no such parameter; known: year, city"),
        ({}, {"year": "soon"}, "parameter 'year': expects int, got 'soon'"),
        ({"year": "2013"}, {}, "parameter 'year': expects int, got '2013'"),
        ({}, {"city": "x"}, "parameter 'year': the flow 'f' needs it (int); give it with -p year=…"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values: dict[str, Any], texts: dict[str, str], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        ARGUMENTS.bind(values, texts)
    assert str(caught.value) == message


def test_a_text_wins_over_a_value() -> None:
    assert ARGUMENTS.bind({"year": 2012, "city": "Oslo"}, {"year": "2013"}) == {"year": 2013, "city": "Oslo"}


def test_without_arguments_the_message_says_so() -> None:
    with pytest.raises(ParameterError, match="takes no parameters"):
        Arguments(owner="the notebook").bind({"a": 1})


def test_signatures() -> None:
    def function(a: int, b: Optional[float] = None, *args: int, c="x", d: Literal["q"] = "q", **rest: Any) -> None:  # type: ignore[no-untyped-def]  # noqa: UP045
        """Has one of each."""

    arguments = signature_arguments(function, "f")
    assert [(item.name, str(item.type), item.required, item.default) for item in arguments.items] == [
        ("a", "int", True, None),
        ("b", "float | None", False, "None"),
        ("c", "str", False, "'x'"),
        ("d", "one of 'q'", False, "'q'"),
    ]
    assert arguments.open_ended
    assert arguments.bind({}, {"a": "1", "unknown": "[2]"}) == {"a": 1, "unknown": [2]}


def test_signatures_with_real_annotations() -> None:
    namespace: dict[str, Any] = {}
    exec(
        "import datetime, typing\ndef f(a: datetime.date, b: list[int], c: typing.Optional[str] = None): ...", namespace
    )
    kinds = [str(item.type) for item in signature_arguments(namespace["f"], "f").items]
    assert kinds == ["date", "list[int]", "str | None"]


def test_assignments() -> None:
    assert parse_assignment("a=b=c") == ("a", "b=c")
    assert parse_assignment(" a =") == ("a", "")
    with pytest.raises(ParameterError, match="write it as name=value"):
        parse_assignment("year")
    with pytest.raises(ParameterError, match="must be a Python name"):
        parse_assignment("my year=3")


@pytest.mark.parametrize("annotation", ["", "][", "int[", "x" * 10_000, "(" * 500, "list[int, int, int]", "Literal[x]"])
def test_odd_annotations_take_any_value_or_a_list(annotation: str) -> None:
    assert parse_type(annotation) == ANY or parse_type(annotation).kind == "list"
