"""Parameters of flows against their annotations: coerced, refused with the field's name, or left alone."""

from __future__ import annotations

import functools
import inspect
import pickle
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Protocol, TypedDict, Union

import pydantic.v1
import pytest
from pydantic import BaseModel, BeforeValidator, Field, SecretStr, field_validator

from jupyter_wf.core.arguments import signature_arguments
from jupyter_wf.core.errors import ParameterError, ParameterTypeError
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.validation import validate_parameters
from tests.architecture.source import ROOT


class Colour(Enum):
    RED = "#f00"
    BLUE = "#00f"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Model(BaseModel):
    n: int
    ports: list[int] = []


class Old(pydantic.v1.BaseModel):
    n: int


@dataclass
class Point:
    x: int
    y: float = 0.0


class Options(TypedDict):
    n: int
    name: typing.NotRequired[str]


class Thing:
    """A class that pydantic knows nothing of."""


class Special(Thing): ...


@dataclass
class Holder:
    thing: Thing
    n: int


class Named(Protocol):
    def name(self) -> str: ...


def given(annotation: Any, value: Any, name: str = "value") -> Any:
    """What a flow gets for a parameter of this annotation."""

    def fn(**kwargs: Any) -> None: ...

    parameter = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
    signature = inspect.Signature([parameter])
    return validate_parameters(fn, signature, {name: value}, "etl")[name]


def refused(annotation: Any, value: Any, name: str = "n") -> str:
    with pytest.raises(ParameterTypeError) as caught:
        given(annotation, value, name)
    return str(caught.value)


def call(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Bind as a flow does, then validate."""
    signature = inspect.signature(fn)
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return validate_parameters(fn, signature, bound.arguments, "etl")


THING = Thing()
SPECIAL = Special()


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (int, "1", 1),
        (int, True, 1),
        (int, 2.0, 2),
        (float, 1, 1.0),
        (float, "1.5", 1.5),
        (bool, "yes", True),
        (str, "x", "x"),
        (bytes, "x", b"x"),
        (None, None, None),
        (Any, "1", "1"),
        (object, THING, THING),
        (datetime, "2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        (date, "2026-01-02", date(2026, 1, 2)),
        (date, datetime(2026, 1, 2), date(2026, 1, 2)),
        (timedelta, 90, timedelta(seconds=90)),
        (Path, "a/b", Path("a/b")),
        (uuid.UUID, "00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        (Thing, SPECIAL, SPECIAL),
        (list[Thing], [THING], [THING]),
        (list, (1, 2), [1, 2]),
        (tuple, [1, 2], (1, 2)),
        (set, [1, 1], {1}),
        (list[int], ["1", 2], [1, 2]),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (tuple[int, ...], ["1", 2], (1, 2)),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[int, str], ["1", "a"], (1, "a")),
        (frozenset[str], ["a"], frozenset("a")),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (dict[str, list[int]], {"a": ["1"]}, {"a": [1]}),
        (Sequence[int], ["1"], [1]),
        (Mapping[str, int], {"a": "1"}, {"a": 1}),
        (int | None, "3", 3),
        (Optional[int], None, None),  # noqa: UP045
        (Model | None, None, None),
        (float | None, 1, 1.0),
        (Union[int, str], "3", "3"),  # noqa: UP007
        (int | list[int], ["3"], [3]),
        (dict[str, float] | dict[str, int], {"a": 1}, {"a": 1}),
        (Literal["a", 1], 1, 1),
        (Colour, Colour.RED, Colour.RED),
        (Colour, "#f00", Colour.RED),
        (Colour, "RED", Colour.RED),
        (Colour | None, "BLUE", Colour.BLUE),
        (list[Colour], ["RED", "#00f", Colour.RED], [Colour.RED, Colour.BLUE, Colour.RED]),
        (Annotated[Colour, "a remark"], "RED", Colour.RED),
        (Level, 2, Level.HIGH),
        (Level, "HIGH", Level.HIGH),
        (Model, {"n": "1"}, Model(n=1)),
        (list[Model], [{"n": 1}], [Model(n=1)]),
        (Point, {"x": "1"}, Point(1)),
        (Holder, {"thing": THING, "n": "1"}, Holder(THING, 1)),
        (Options, {"n": "1"}, {"n": 1}),
        (Options | None, {"n": "1", "name": "x"}, {"n": 1, "name": "x"}),
        (Annotated[int, Field(gt=0)], "3", 3),
        (Annotated[int, Field(alias="other")], "3", 3),
        (Annotated[str, BeforeValidator(str.strip)], " a ", "a"),
    ],
)
def test_values_are_coerced_as_pydantic_does(annotation: Any, value: Any, expected: Any) -> None:
    got = given(annotation, value)
    assert got == expected
    assert type(got) is type(expected)
    # Again, with what was built the first time; and the quick way gives what pydantic gives.
    assert given(annotation, got) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (
            int,
            "abc",
            "parameter 'n' of flow 'etl': 'abc' should be a valid integer, unable to parse string as an integer",
        ),
        (int, 1.5, "(int_from_float)"),
        (int, None, "None should be a valid integer (int_type)"),
        (str, 1, "1 should be a valid string (string_type)"),
        (Literal["a", "b"], "c", "'c' should be 'a' or 'b' (literal_error)"),
        (Colour, "GREEN", "'GREEN' should be '#f00' or '#00f' (enum)"),
        (Annotated[int, Field(gt=0)], 0, "0 should be greater than 0 (greater_than)"),
        (list[int], [1, "x"], "parameter 'n[1]' of flow 'etl': 'x' should be a valid integer"),
        (Model, {}, "parameter 'n.n' of flow 'etl': field required (missing)"),
        (Model, {"n": 1, "ports": [1, "x"]}, "parameter 'n.ports[1]' of flow 'etl': 'x' should be"),
        (dict[str, Point], {"a": {"x": "?"}}, "parameter 'n.a.x' of flow 'etl': '?' should be"),
        (
            int | list[int],
            "x",
            "'x' should be a valid integer, unable to parse string as an integer (int_parsing), or should",
        ),
        (Thing, 1, "1 should be an instance of Thing (is_instance_of)"),
        (int, THING, "test_validation.Thing> should be a valid integer (int_type)"),
        (date, datetime(2026, 1, 2, 3), "(date_from_datetime_inexact)"),
        (Annotated[str, Field(gt=3)], "x", "gt"),
        (float, 10**400, "should be a"),
    ],
)
def test_what_does_not_fit_is_named(annotation: Any, value: Any, message: str) -> None:
    said = refused(annotation, value)
    assert message in said
    assert "\n" not in said and "http" not in said


def test_every_problem_is_named_and_the_error_can_travel() -> None:
    def fn(a: int, b: list[int], c: str) -> None: ...

    with pytest.raises(ParameterTypeError) as caught:
        call(fn, "x", [1, "y", "z"], "fine")
    error = pickle.loads(pickle.dumps(caught.value))
    assert [field for field, _ in error.problems] == ["a", "b[1]", "b[2]"]
    assert isinstance(error, ParameterError) and isinstance(error, TypeError)
    assert str(error) == str(caught.value)
    assert (error.name, error.owner) == ("a", "flow 'etl'")


def test_secrets_are_masked() -> None:
    class Login(BaseModel):
        api_key: int
        user: str

        @field_validator("api_key", mode="before")
        @classmethod
        def short(cls, value: Any) -> Any:
            if value == "hunter2":
                raise ValueError(f"{value} is too short")
            return value

    assert refused(int, "hunter3", "password") == (
        "parameter 'password' of flow 'etl': *** should be a valid integer, "
        "unable to parse string as an integer (int_parsing)"
    )
    for said in (
        refused(Login, {"api_key": "hunter2", "user": "u"}),
        refused(Login, {"api_key": "hunter3", "user": 1}),
        refused(SecretStr, 2222),
        refused(int, {"token": "hunter4"}),
    ):
        assert "hunter" not in said and "2222" not in said and "***" in said


def test_texts_as_annotations_are_resolved_where_they_can_be() -> None:
    class Local(BaseModel):
        n: int

    def closes_over(x: Local) -> type:
        return Local

    def does_not(x: Local, n: int) -> None: ...  # its annotations are texts, and Local is no name of its own

    def remark(x: "a text for people", n: "list[Model]") -> None: ...  # type: ignore  # noqa: F722, UP037

    assert call(closes_over, {"n": "1"})["x"] == Local(n=1)
    assert call(does_not, {"n": "1"}, "2") == {"x": {"n": "1"}, "n": 2}
    assert call(remark, {"n": "1"}, [{"n": "2"}]) == {"x": {"n": "1"}, "n": [Model(n=2)]}


def test_all_kinds_of_parameters() -> None:
    def fn(a: int, /, b: int, *rest: int, c: int = "5", d: int = "5", **more: float) -> None: ...  # type: ignore

    assert call(fn, "1", "2", "3", "4", d="7", e="8") == {
        "a": 1, "b": 2, "rest": (3, 4), "c": "5", "d": 7, "more": {"e": 8.0},
    }  # fmt: skip
    with pytest.raises(ParameterTypeError) as caught:
        call(fn, 1, 2, 3, "x", e="y")
    assert [field for field, _ in caught.value.problems] == ["rest[1]", "e"]

    def unpacked(**more: typing.Unpack[Options]) -> None: ...

    assert call(unpacked, n="1") == {"more": {"n": 1}}
    with pytest.raises(ParameterTypeError, match="parameter 'n' of flow 'etl': field required"):
        call(unpacked, name="x")


def test_names_that_pydantic_uses_itself() -> None:
    def fn(
        copy: int, json: int, schema: int, model_config: int, model_fields: int, value: int, self: int, _x: int
    ) -> None: ...

    assert list(call(fn, *"12345678").values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(ParameterTypeError, match="'model_config' of flow"):
        call(fn, 1, 1, 1, "x", 1, 1, 1, 1)


def test_a_field_as_default() -> None:
    def fn(
        n: int = Field(default=3, gt=0),
        m: int = Field(gt=0),
        k: list[int] = Field(default_factory=list),  # noqa: B008
    ) -> None: ...

    assert call(fn, m="4") == {"n": 3, "m": 4, "k": []}
    assert call(fn, "5", "4") == {"n": 5, "m": 4, "k": []}
    with pytest.raises(
        ParameterTypeError, match=r"'n' of flow 'etl': 0 should be greater.*'m' of flow 'etl': field required"
    ):
        call(fn, 0)


class Work:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def method(self, n: int) -> None: ...

    @classmethod
    def of_class(cls, n: int) -> None: ...

    @staticmethod
    def static(n: Model) -> None: ...

    def __call__(self, n: Model) -> None: ...


@pytest.mark.parametrize("fn", [Work().method, Work.of_class, functools.partial(Work().method)])
def test_methods_and_partials(fn: Callable[..., Any]) -> None:
    assert call(fn, "2") == {"n": 2}


def test_other_callables() -> None:
    class Slotted:  # no weak reference to it
        __slots__ = ()

        def __call__(self, n: Model) -> None: ...

    for fn in (Work.static, Work(), Slotted(), functools.wraps(Work.static)(lambda n: None)):
        assert call(fn, {"n": "2"}) == {"n": Model(n=2)}
    assert call(Work, "2") == {"n": 2}


def test_futures_states_and_old_models_are_left_alone() -> None:
    from jupyter_wf.engine.futures import RunFuture

    future: Any = object.__new__(RunFuture)
    state = State(type=StateType.COMPLETED, name="Completed")
    loop: list[Any] = [future]
    loop.append(loop)
    for value in (future, [1, future], {"a": (future,)}, loop, state):
        assert given(list[int], value) is value
    old = Old(n=1)
    assert given(Old, old) is old
    assert given(list[Old], ["x"]) == ["x"]
    assert given(int, old) is old


def test_what_pydantic_has_no_schema_of_is_left_alone() -> None:
    assert given(Named, 3) == 3
    numbers: Iterator[int] = iter([1])
    assert list(given(Iterator[int], numbers)) == [1]


def test_containers_are_the_flows_own_and_objects_are_not_copied() -> None:
    for annotation, value in ((list, [1]), (list[int], [1]), (list[int], ["1"]), (dict[str, Any], {"a": 1})):
        assert given(annotation, value) is not value
    for annotation, value in ((Thing, THING), (Model, Model(n=1)), (Point, Point(1)), (Any, [1])):
        assert given(annotation, value) is value
    row = [THING]
    assert given(list[list[Any]], [row])[0][0] is THING
    long = ["1"] * 10_001
    assert given(list[int], long) == [1] * 10_001
    assert given(list[int], list(range(10_001))) == list(range(10_001))
    assert given(dict[int, int], {n: n for n in range(10_001)})[10_000] == 10_000


def test_an_enum_of_the_command_line_arrives_as_one() -> None:
    def paint(colour: Colour, level: Level = Level.LOW, more: list[Colour] | None = None) -> None: ...

    arguments = signature_arguments(paint, "the flow 'paint'")
    texts = {"colour": "RED", "level": "2", "more": '["BLUE", "#f00"]'}
    called = arguments.materialise(arguments.bind({}, texts))
    assert call(paint, **called) == {"colour": Colour.RED, "level": Level.HIGH, "more": [Colour.BLUE, Colour.RED]}


def test_most_calls_never_import_pydantic() -> None:
    program = """
import inspect, sys
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional
from jupyter_wf.engine.validation import validate_parameters

class Colour(Enum):
    RED = 1

@dataclass
class Point:
    x: int

class Thing: ...
class Special(Thing): ...

def fn(a, b: Any, c: int, d: float, e: "str | None", f: list[int], g: dict[str, Any], h: tuple[int, ...], i: Path,
       j: datetime, k: Colour, l: Point, m: Thing, n: Literal["x"], o: Optional[list[str]], p: dict[str, list[float]],
       q: tuple[int, str], r: float | None, s: "NotThere", *rest: int, t: int = "default", **more: str): ...

signature = inspect.signature(fn)
values = (1, 2, 3, 4, None, [5], {"a": 6}, (7, 8), Path("x"), datetime.now(), Colour.RED, Point(1), Special(), "x",
          ["y"], {"z": [1, 2.5]}, (1, "a"), 1, 9, 10, 11)
bound = signature.bind(*values, more="12")
bound.apply_defaults()
taken = validate_parameters(fn, signature, bound.arguments, "etl")
assert (taken["d"], taken["r"], taken["p"]) == (4.0, 1.0, {"z": [1.0, 2.5]}) and type(taken["d"]) is float
assert {name: value for name, value in taken.items() if name not in "drp"} == {
    name: value for name, value in bound.arguments.items() if name not in "drp"
}
print("pydantic" in sys.modules)
bound.arguments["c"] = "3"
assert validate_parameters(fn, signature, bound.arguments, "etl")["c"] == 3
print("pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")
