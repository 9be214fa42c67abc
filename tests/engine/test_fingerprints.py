"""Fingerprints: equal for equal content in every process, different for anything else."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import linecache
import math
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy
import pandas
import polars
import pyarrow
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from jupyter_wf import flow, task
from jupyter_wf.engine.fingerprints import Unhashable, code_of, explain, fingerprint, inputs_of, source_of
from tests.architecture.source import ROOT

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(PLAIN, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=10,
)


def canonical(value: Any) -> Any:
    """Return a text that is equal exactly where two values are, with their types."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return kind, sorted((canonical(key), canonical(item)) for key, item in value.items())
    if isinstance(value, frozenset):
        return kind, sorted(map(repr, map(canonical, value)))
    if isinstance(value, list | tuple):
        return kind, [canonical(item) for item in value]
    return kind, repr(value)


@given(VALUES, VALUES)
def test_equal_exactly_for_equal_values(one: Any, other: Any) -> None:
    equal = repr(canonical(one)) == repr(canonical(other))
    assert (fingerprint(one) == fingerprint(other)) == equal
    assert (inputs_of({"x": one}) == inputs_of({"x": other})) == equal
    assert fingerprint(one) == fingerprint(one)


class Colour(Enum):
    RED = 1
    BLUE = 2


class Rights(Flag):
    READ = 1
    WRITE = 2


class Place(NamedTuple):
    x: int
    y: int


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: int = 1
    names: list[str] = []
    _seen: int = pydantic.PrivateAttr(default=0)


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slots:
    __slots__ = ("x", "y")

    def __init__(self, x: int) -> None:
        self.x = x


class MyList(list[int]):
    pass


def add(x: int, y: int = 1) -> int:
    return x + y


def adder(n: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        return x + n

    return inner


def default(n: int) -> Callable[[int], int]:
    def inner(x: int = n) -> int:
        return x

    return inner


def arrow_slice() -> Any:
    return pyarrow.table({"a": [9, 1, None], "b": ["u", "x", None], "c": [None, [1], []]}).slice(1)


FRAME: dict[str, Any] = {
    "number": [1, 2],
    "text": ["x", None],
    "kind": pandas.Categorical(["u", "v"]),
    "time": pandas.date_range("2026", periods=2, tz="Europe/Berlin"),
    "missing": pandas.array([1, None], dtype="Int64"),
    "arrow": pandas.array([1, None], dtype="int64[pyarrow]"),
    "interval": pandas.interval_range(0, 2).array,
    "sparse": pandas.arrays.SparseArray([0, 1]),
    "period": pandas.period_range("2026", periods=2).array,
    "object": [[1], {"a": {2}}],
}


def frame(**changed: Any) -> pandas.DataFrame:
    return pandas.DataFrame({**FRAME, **changed})


def masked(below: int) -> Any:
    return pandas.arrays.IntegerArray(numpy.array([1, below]), numpy.array([False, True]))


def structured(garbage: int) -> Any:
    raw = numpy.full(2, garbage, dtype="u8").view([("a", "i1"), ("", "V3"), ("b", "f4")])
    array = raw.view(numpy.dtype({"names": ["a", "b"], "formats": ["i1", "f4"], "offsets": [0, 4], "itemsize": 8}))
    array["a"], array["b"] = 1, 2
    return array


#: (a value, an equal one made in another way, one that is not equal)
KINDS: list[tuple[Any, Any, Any]] = [
    (1, 1, True),
    (1, 1, 1.0),
    (0.0, 0.0, -0.0),
    ("ab", "ab", b"ab"),
    (math.nan, float("nan"), math.inf),
    (["a", "bc"], ["a", "bc"], ["ab", "c"]),
    ([1, 2], [1, 2], (1, 2)),
    ([[1], [2]], [[1], [2]], [[1, 2]]),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": [2], "b": 1}),
    ({1: 2, "1": 3}, {"1": 3, 1: 2}, {1: 3, "1": 2}),
    ({3, 1, "x"}, {"x", 1, 3}, frozenset({3, 1, "x"})),
    (OrderedDict(a=1, b=2), OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    (defaultdict(list, a=[1]), defaultdict(list, a=[1]), defaultdict(set, a=[1])),
    (Counter("aab"), Counter("aba"), Counter("ab")),
    (deque([1, 2], 3), deque([1, 2], 3), deque([1, 2], 4)),
    (MyList([1]), MyList([1]), [1]),
    (Place(1, 2), Place(1, 2), (1, 2)),
    (bytearray(b"x"), bytearray(b"x"), b"x"),
    (memoryview(b"abcd")[::2], memoryview(b"axcx")[::2], memoryview(b"ab")),
    (Decimal("1.0"), Decimal("1.0"), Decimal("1.00")),
    (Fraction(1, 2), Fraction(2, 4), Fraction(1, 3)),
    (UUID(int=1), UUID(int=1), UUID(int=2)),
    (range(0, 4), range(4), range(5)),
    (slice(1, 2), slice(1, 2), slice(1, 3)),
    (Path("/a/b"), Path("/a") / "b", Path("/a")),
    (date(2026, 1, 2), date(2026, 1, 2), datetime(2026, 1, 2)),
    (time(1, tzinfo=UTC), time(1, tzinfo=UTC), time(1)),
    (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=ZoneInfo("UTC"))),
    (timedelta(hours=1), timedelta(minutes=60), timedelta(minutes=61)),
    (ZoneInfo("Europe/Berlin"), ZoneInfo.no_cache("Europe/Berlin").__class__("Europe/Berlin"), ZoneInfo("Europe/Rome")),
    (re.compile("a"), re.compile("a"), re.compile("a", re.I)),
    (SimpleNamespace(a=1), SimpleNamespace(a=1), SimpleNamespace(a=2)),
    (ValueError("x"), ValueError("x"), KeyError("x")),
    (list[int], list[int], list[str]),
    (..., ..., None),
    (Colour.RED, Colour(1), Colour.BLUE),
    (Rights.READ | Rights.WRITE, Rights(3), Rights.READ),
    (Model(x=2), Model(x=2), Model(x=3)),
    (Model(x=2, more=1), Model(x=2, more=1), Model(x=2)),
    (Plain(a=[1], b=2), Plain(b=2, a=[1]), Plain(a=[1], b=3)),
    (Slots(1), Slots(1), Slots(2)),
    (Plain, Plain, Slots),
    (add, add, adder),
    (len, len, print),
    (math.sin, math.sin, math.cos),
    (json, json, io),
    (adder(1), adder(1), adder(2)),
    (default(1), default(1), default(2)),
    ("x".upper, "x".upper, "y".upper),
    (Plain(a=1).__init__, Plain(a=1).__init__, Plain(a=2).__init__),
    (functools.partial(add, 1), functools.partial(add, 1), functools.partial(add, 2)),
    (numpy.arange(6), numpy.arange(12)[:6], numpy.arange(6).reshape(2, 3)),
    (numpy.arange(6).reshape(2, 3), numpy.asfortranarray(numpy.arange(6).reshape(2, 3)), numpy.arange(6).reshape(3, 2)),
    (numpy.arange(6)[::2], numpy.array([0, 2, 4]), numpy.array([0, 2, 4], dtype="i4")),
    (numpy.arange(3, dtype=">i4"), numpy.arange(3, dtype=">i4"), numpy.arange(3, dtype="<i4")),
    (numpy.array(3), numpy.array(3), numpy.array([3])),
    (numpy.float32(1), numpy.float32(1), numpy.float64(1)),
    (numpy.zeros((0, 3)), numpy.zeros((0, 3)), numpy.zeros((3, 0))),
    (numpy.array([1, "a", None], dtype=object), numpy.array([1, "a", None], dtype=object), numpy.array([1, "b", None])),
    (
        numpy.array(["2026", "NaT"], "M8[D]"),
        numpy.array(["2026", "NaT"], "M8[D]"),
        numpy.array(["2026", "NaT"], "M8[s]"),
    ),
    (numpy.array(["a", "bc"]), numpy.array(["a", "bc"]), numpy.array(["a", "bd"])),
    (numpy.array([True, False]), numpy.array([1, 0]) > 0, numpy.array([1, 0], "u1")),
    (structured(0), structured(255), structured(0)[:1]),
    (numpy.longdouble(1) / 3, numpy.longdouble(1) / 3, numpy.longdouble(1.0 / 3)),
    (numpy.ma.array([1, 2], mask=[0, 1]), numpy.ma.array([1, 3], mask=[0, 1]), numpy.ma.array([1, 2], mask=[0, 0])),
    (numpy.dtype("f8"), numpy.dtype(float), numpy.dtype("f4")),
    (numpy.sin, numpy.sin, numpy.cos),
    (frame(), frame().copy(), frame(number=[1, 3])),
    *((frame(), frame(**{name: value}), frame(**{name: list(value)[::-1]})) for name, value in FRAME.items()),
    (frame(), frame().rename(columns=str), frame().rename(columns={"number": "n"})),
    (frame(), frame().set_axis([0, 1]), frame().set_axis([1, 0])),
    (pandas.Series([1, 2]), pandas.Series([1, 2], index=[0, 1]), pandas.Series([1, 2], name="x")),
    (pandas.Series(["a", "b"]), pandas.Series(["a", "b"]), pandas.Series(["a", "b"], dtype=object)),
    (pandas.Index([1, 2]), pandas.RangeIndex(1, 3), pandas.Index([1, 2], name="x")),
    (masked(0), masked(7), pandas.array([1, 0], dtype="Int64")),
    (
        pandas.MultiIndex.from_product([[1, 2], ["a"]]),
        pandas.MultiIndex.from_product([[1, 2, 3], ["a"]])[:2],
        pandas.MultiIndex.from_product([[1, 2], ["b"]]),
    ),
    (pandas.Timestamp("2026"), pandas.Timestamp("2026"), pandas.Timestamp("2027")),
    (
        polars.DataFrame({"a": [1, None], "b": ["x", None], "c": [[1], None], "d": [date(2026, 1, 1), None]}),
        polars.DataFrame(
            {"a": [9, 1, None], "b": ["u", "x", None], "c": [[], [1], None], "d": [None, date(2026, 1, 1), None]}
        )[1:],
        polars.DataFrame({"a": [1, 0], "b": ["x", None], "c": [[1], None], "d": [date(2026, 1, 1), None]}),
    ),
    (polars.Series("a", [1.5]), polars.Series("a", [1.5]), polars.Series("b", [1.5])),
    (polars.Series([True, None]), polars.Series([True, None]), polars.Series([True, False])),
    (polars.Series([{"x": 1}]), polars.Series([{"x": 1}]), polars.Series([{"x": 2}])),
    (
        polars.Series([1, 2]),
        polars.concat([polars.Series([1]), polars.Series([2])]),
        polars.Series([1, 2], dtype=polars.Int8),
    ),
    (
        polars.Series(["a"], dtype=polars.Categorical),
        polars.Series(["a"], dtype=polars.Categorical),
        polars.Series(["b"], dtype=polars.Categorical),
    ),
    (
        pyarrow.table({"a": [1, None], "b": ["x", None], "c": [[1], []]}),
        arrow_slice(),
        pyarrow.table({"a": [1, 0], "b": ["x", None], "c": [[1], []]}),
    ),
    (
        pyarrow.chunked_array([[1], [2, 3]]),
        pyarrow.chunked_array([[1, 2], [3]]),
        pyarrow.chunked_array([[1, 2], [4]]),
    ),
    (pyarrow.array([True, None, False])[1:], pyarrow.array([None, False]), pyarrow.array([False, False])),
    (pyarrow.array(["a", "bc"]), pyarrow.array(["", "a", "bc"])[1:], pyarrow.array(["ab", "c"])),
    (pyarrow.array([1.5, None]), pyarrow.array([1.5, None]), pyarrow.array([1.5, math.nan])),
    (pyarrow.array([date(2026, 1, 1)]), pyarrow.array([date(2026, 1, 1)]), pyarrow.array([date(2026, 1, 2)])),
    (pyarrow.array([], pyarrow.string()), pyarrow.array(["a"])[1:], pyarrow.array([], pyarrow.int8())),
    (pyarrow.array(["a"]).dictionary_encode(), pyarrow.array(["b", "a"]).dictionary_encode()[1:], pyarrow.array(["a"])),
    (pyarrow.scalar(1), pyarrow.scalar(1), pyarrow.scalar(2)),
    (
        numpy.array(["2026"], dtype=">M8[s]"),
        numpy.array(["2026"], dtype="<M8[s]"),
        numpy.array(["2026"], dtype="M8[D]"),
    ),
    *(
        (
            pandas.Series(["a", None, "ü", ""], dtype=pandas.StringDtype("pyarrow", na_value=missing)),
            pandas.Series(["a", None, "ü", ""], dtype=pandas.StringDtype("python", na_value=missing)),
            pandas.Series(["a", "", "ü", None], dtype=pandas.StringDtype("pyarrow", na_value=missing)),
        )
        for missing in (pandas.NA, math.nan)
    ),
    (pandas.Series(["u", "a", "bc"])[1:].array, pandas.Series(["a", "bc"]).array, pandas.Series(["ab", "c"]).array),
    (pandas.Series([], dtype="str").array, pandas.Series(["a"])[1:].array, pandas.Series([], dtype="string").array),
    (
        polars.Series(["a", None, "ü"]),
        polars.concat([polars.Series(["a", None]), polars.Series(["ü"])], rechunk=False),
        polars.Series(["a", "", "ü"]),
    ),
    (polars.Series(["a", "bc"]), polars.Series(["u", "a", "bc"])[1:], polars.Series(["ab", "c"])),
    (polars.Series([], dtype=polars.String), polars.Series(["a"])[1:], polars.Series([], dtype=polars.Binary)),
    (pyarrow.int64(), pyarrow.int64(), pyarrow.int32()),
    (pyarrow.schema([("a", pyarrow.int64())]), pyarrow.schema([("a", pyarrow.int64())]), pyarrow.schema([])),
]


@pytest.mark.parametrize(("one", "same", "other"), KINDS, ids=lambda value: type(value).__name__)
def test_kinds_by_content(one: Any, same: Any, other: Any) -> None:
    assert re.fullmatch("[0-9a-f]{64}", fingerprint(one))
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint([one, {"a": one}]) == fingerprint([same, {"a": same}]) != fingerprint([one, {"a": other}])


def test_an_exception_is_the_same_when_its_empty_dictionary_was_looked_at() -> None:
    looked_at = ValueError("x")
    assert looked_at.__dict__ == {}
    assert fingerprint(looked_at) == fingerprint(ValueError("x"))


def circle(value: Any) -> Plain:
    one, two = Plain(value=value), Plain()
    one.two, two.one = two, one  # type: ignore[attr-defined]
    return one


def ring(size: int) -> list[Plain]:
    nodes = [Plain(n=n) for n in range(size)]
    for node in nodes:
        node.others = list(nodes)  # type: ignore[attr-defined]
    return nodes


def test_circles_and_shared_parts() -> None:
    assert fingerprint(circle(1)) == fingerprint(circle(1)) != fingerprint(circle(2))
    inner: list[Any] = [1]
    inner.append(inner)
    outer: list[Any] = [1]
    outer.append(outer)
    assert fingerprint(inner) == fingerprint(outer) != fingerprint([1, [1]])
    part = [{1}]
    assert fingerprint([part, part]) == fingerprint([[{1}], [{1}]])
    many: list[Any] = []
    for _ in range(100):
        many = [many, many]
    assert fingerprint(many) == fingerprint([many[0], many[1]])
    # Everyone knows everyone: there are more ways through it than can be walked.
    assert fingerprint(ring(60)) == fingerprint(ring(60)) != fingerprint(ring(61))


async def never() -> None:
    """Awaited by nobody."""


def test_what_has_no_fingerprint_is_said_in_one_line(tmp_path: Path) -> None:
    coroutine = never()
    database = sqlite3.connect(":memory:")
    with closing(database), socket.socket() as connection, (tmp_path / "x").open("w+") as file:
        for value, reason in (
            (threading.Lock(), "cannot pickle"),
            (Plain(lock=threading.Lock()), "cannot pickle"),
            ((i for i in "x"), "only once"),
            (coroutine, "not awaited"),
            (connection, "belongs to this process"),
            (file, "belongs to this process"),
            (sys._getframe(), "belongs to this process"),
            (polars.LazyFrame(), r"collect\(\)"),
            (database, "cannot pickle 'sqlite3.Connection'"),
            (map(str, database.execute("SELECT 1")), "cannot pickle 'sqlite3.Cursor'"),
            (Figure(), "pass the data"),
            (Figure().add_subplot(), "pass the data"),
        ):
            with pytest.raises(Unhashable, match=rf"^a \w+ has no stable fingerprint \(.*{reason}") as caught:
                fingerprint([value])
            assert "\n" not in str(caught.value)
            with pytest.raises(Unhashable, match=rf"^input 'here': a \w+ has no stable fingerprint \(.*{reason}"):
                inputs_of({"a": 1, "here": value})
    coroutine.close()


class Raises:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def __reduce__(self) -> str:
        raise self._error


class Mute(Exception):
    def __str__(self) -> str:
        raise self


def test_modules_are_known_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, child, other = (ModuleType(name) for name in ("wf_parent", "wf_parent.child", "wf_other"))
    parent.__version__ = "1.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wf_parent", parent)
    before = {module: inputs_of({"m": module}) for module in (parent, child, other)}
    assert len(set(before.values())) == 3
    assert inputs_of({"m": parent}) == before[parent]
    parent.__version__ = "1.1"  # type: ignore[attr-defined]
    assert inputs_of({"m": parent}) != before[parent]
    assert inputs_of({"m": child}) != before[child]
    assert inputs_of({"m": other}) == before[other]

    def never_asked(name: str) -> str:
        raise AssertionError(f"the module was asked for {name}")

    other.__getattr__ = never_asked  # type: ignore[method-assign]
    assert inputs_of({"m": other}) == before[other]


@pytest.mark.parametrize("error", [ValueError("a\nb"), Mute(), RecursionError(), TypeError("t")])
def test_what_raises_has_no_fingerprint(error: Exception) -> None:
    with pytest.raises(Unhashable) as caught:
        fingerprint(Raises(error))
    assert "\n" not in str(caught.value)


def test_what_is_too_deep_has_no_fingerprint() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with pytest.raises(Unhashable, match="deep"):
        fingerprint(deep)


PROGRAM = """
import sys
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from functools import partial
from jupyter_wf.engine.fingerprints import code_of, fingerprint, inputs_of
{above}
class Colour(Enum):
    RED = "r"
    BLUE = "b"
    def shown(self):
        return self.value.upper()

@dataclass
class Point:
    x: int
    names: set = field(default_factory=lambda: {{"a", "b", "c"}})
    kinds: dict = field(default_factory=dict)
    def far(self):
        return self.x {operator} 10

class Base:
    LIMIT = 10
    SET = {{"p", "q", "r", "s"}}
    @staticmethod
    def helper(x): return x in {{"p", "q", "r"}}
    @classmethod
    def make(cls): return cls()
    @property
    def all(self): return [self]

class Other(Base):
    def __init__(self):
        self.me, self.both = self, (Base(), {{Colour.RED, Colour.BLUE}})

def outer(n):
    def inner(x, y={{"a", "b"}}):
        return x in {{"a", "b", "c", n}}
    return inner

things = [Point(1), Point, Colour.RED, Colour, Other(), Other, outer(2), (lambda x: x in {{"u", "v", "w"}})]
things.append(partial(outer(1), 2))
{more}
print(fingerprint(things), code_of(outer), code_of(things[-2]), inputs_of({{"b": things[0], "a": {{"x", "y"}}}}))
"""
LIBRARIES = """
import datetime, numpy, pandas, polars, pyarrow, pydantic
class Model(pydantic.BaseModel):
    point: Point
    colours: set[Colour]
    @pydantic.field_validator("colours")
    @classmethod
    def check(cls, value): return value
things += [
    Model, Model(point=Point(1), colours={Colour.RED, Colour.BLUE}), numpy.arange(9),
    pandas.DataFrame({"a": ["x", None], "b": [{1}, {"k"}]}),
    polars.DataFrame({"a": [1, None], "b": [{"x": 1}, None]}), pyarrow.table({"a": [1, None], "b": ["x", None]}),
]
"""


def in_a_process(tmp_path: Path, seed: int, more: str = "", above: str = "", operator: str = ">") -> str:
    path = tmp_path / f"program{seed}.py"
    path.write_text(PROGRAM.format(more=more, above=above, operator=operator))
    environment = {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("more", ["", LIBRARIES])
def test_the_same_in_every_process(tmp_path: Path, more: str) -> None:
    first = in_a_process(tmp_path, 1, more)
    assert in_a_process(tmp_path, 2, more) == first
    # Another file, other lines: a cell with another number.
    assert in_a_process(tmp_path, 3, more, above="# a line\nx = 1\n") == first
    assert in_a_process(tmp_path, 4, more, operator="<").split()[0] != first.split()[0]


CELL = """
class Point:
    scale = 2
    def __init__(self, x):
        self.x = x
    def far(self):
        return self.x > 10
def work(x):
    return x + 1
"""


def cell(text: str, number: int) -> dict[str, Any]:
    """Run a text as a kernel does, as the cell with a number."""
    name = f"/tmp/ipykernel_{number}/{number}.py"
    text = "\n" * number + text
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), namespace)
    return namespace


def test_a_cell_that_is_run_again_defines_the_same() -> None:
    one, two = cell(CELL, 1), cell(CELL, 2)
    assert one["Point"] is not two["Point"]
    assert fingerprint(one["Point"]) == fingerprint(two["Point"])
    assert fingerprint(one["Point"](1)) == fingerprint(two["Point"](1)) != fingerprint(one["Point"](2))
    assert code_of(one["work"]) == code_of(two["work"])
    assert source_of(one["work"]) == "def work(x):\n    return x + 1\n"
    for old, new in (("> 10", "> 11"), ("scale = 2", "scale = 3"), ("self.x = x", "self.x = -x"), ("far", "near")):
        assert fingerprint(cell(CELL.replace(old, new), 3)["Point"](1)) != fingerprint(one["Point"](1))
    assert code_of(cell(CELL.replace("x + 1", "x + 2"), 4)["work"]) != code_of(one["work"])


class TestInputs:
    def test_short_plain_values_are_seen(self) -> None:
        text = inputs_of({"b": "ü", "a": 1, "c": None, "d": 1.5, "e": True, "f": -(2**63)})
        assert text == '{"a":1,"b":"ü","c":null,"d":1.5,"e":true,"f":-9223372036854775808}'
        assert inputs_of({}) == "{}"
        assert list(json.loads(inputs_of({'a "quoted"\n name': 1}))) == ['a "quoted"\n name']

    @pytest.mark.parametrize("value", [[1], {"#": "0" * 16}, "x" * 201, "\ud800", 2**63, math.nan, {1}, b"x"])
    def test_anything_else_is_hashed(self, value: Any) -> None:
        found = json.loads(inputs_of({"x": value}).encode())
        assert re.fullmatch("[0-9a-f]{16}", found["x"]["#"])

    @pytest.mark.parametrize("name", ["password", "api_key", "github_token"])
    def test_secrets_are_never_seen(self, name: str) -> None:
        assert "1234" not in inputs_of({name: "1234", "x": {name: "1234"}})
        assert inputs_of({name: "1234"}) != inputs_of({name: "1235"})

    def test_the_order_of_names_does_not_count(self) -> None:
        assert inputs_of({"a": 1, "b": 2}) == inputs_of({"b": 2, "a": 1})


def first(x: int) -> int:
    # a comment
    return helper(x)


def helper(x: int) -> int:
    return x


class Callables:
    def __call__(self, x: int) -> int:
        return x

    def method(self, x: int) -> int:
        return x + 1

    @staticmethod
    def static(x: int) -> int:
        return x + 2

    @classmethod
    def of_class(cls, x: int) -> int:
        return x + 3

    def __private(self) -> int:
        return self.__private()

    def with_super(self) -> int:
        return super().__hash__()


def decorated(function: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(function)
    def wrapper(x: int) -> int:
        return function(x)

    return wrapper


@decorated
@decorated
def second(x: int) -> int:
    return x - 1


async def waits(x: int) -> int:
    await asyncio.sleep(0)
    return x


class TestCode:
    def test_the_text_stands_for_a_function(self) -> None:
        assert source_of(first) == "def first(x: int) -> int:\n    # a comment\n    return helper(x)\n"
        assert source_of(second) == "def second(x: int) -> int:\n    return x - 1\n"
        assert source_of(adder(1)) == "def inner(x: int) -> int:\n    return x + n\n"
        assert source_of(waits).startswith("async def waits(")
        assert source_of(Callables.with_super) == "def with_super(self) -> int:\n    return super().__hash__()\n"
        assert source_of(Callables._Callables__private).startswith("def __private(self)")  # type: ignore[attr-defined]
        assert source_of(len) == "builtins.len"

    def test_each_callable_has_a_code(self) -> None:
        made = Callables()
        things: list[Any] = [
            first,
            second,
            waits,
            made,
            made.method,
            made.static,
            made.of_class,
            len,
            math.sin,
            Callables,
        ]
        things += [lambda x: x, lambda x: x + 1, adder(1), functools.partial(add, 1), Plain, str, str.upper, "x".upper]
        codes = [code_of(thing) for thing in things]
        assert all(re.fullmatch("[0-9a-f]{16}", code) for code in codes)
        assert len(set(codes)) == len(codes) - 1  # str.upper and "x".upper
        assert code_of(functools.partial(first)) == code_of(first) == code_of(decorated(first))
        assert code_of(adder(1)) == code_of(adder(2))
        assert code_of(Callables().method) == code_of(Callables.method)
        assert code_of(Callables.static) == code_of(Callables.__dict__["static"])

    def test_it_never_raises(self) -> None:
        class Strange:
            def __getattr__(self, name: str) -> Any:
                raise RuntimeError(name)

        loop = decorated(first)
        loop.__wrapped__ = loop  # type: ignore[attr-defined]
        for thing in (None, 1, "x", Strange(), object(), loop, json, Plain()):
            assert re.fullmatch("[0-9a-f]{16}", code_of(thing))  # type: ignore[arg-type]

    def test_tasks_and_flows_are_known_by_their_function(self) -> None:
        one, two, other = task(first), task(retries=3)(first), task(helper)
        assert fingerprint(one) == fingerprint(two) != fingerprint(other)
        assert fingerprint(flow(first)) == fingerprint(flow(first))

    def test_a_file_that_was_changed_does_not_stand_for_what_was_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "module.py"

        def load(text: str) -> Any:
            path.write_text(text)
            namespace: dict[str, Any] = {"__name__": "module"}
            exec(compile(text, str(path), "exec"), namespace)
            return namespace["work"]

        work = load("def work(x):\n    return x + 1\n")
        path.write_text("def work(x):\n    return x - 1\n")
        stale = code_of(work)
        assert source_of(work) != "def work(x):\n    return x - 1\n"
        assert stale != code_of(load("def work(x):\n    return x - 1\n"))
        path.write_text("")
        assert stale == code_of(work)

    def test_indentation_and_decorators_do_not_count(self) -> None:
        plain = cell("def work(x):\n    return x + 1\n", 10)["work"]
        inside = cell("def deco(f): return f\nif 1:\n    @deco\n    @deco\n    def work(x):\n        return x + 1\n", 5)
        assert code_of(plain) == code_of(inside["work"])
        assert code_of(cell("def work(x):\n    return x  + 1\n", 4)["work"]) != code_of(inside["work"])

    def test_without_a_text_the_instructions_stand_for_it(self) -> None:
        def made(text: str) -> Any:
            namespace: dict[str, Any] = {}
            exec(text, namespace)
            return namespace["work"]

        nested = "def work(x):\n    def inner(y):\n        return y in {'a', 'b', %s}\n    return inner(x)\n"
        assert code_of(made(nested % 1)) == code_of(made("\n\n" + nested % 1)) != code_of(made(nested % 2))
        assert code_of(made(nested % 1)) != code_of(made(nested % 1.0))
        assert len({code_of(function) for function in (lambda x: x + 1, lambda x: x + 2, lambda y: y + 1)}) == 3


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (("c", '{"a":1}'), ("c", '{"a":1}'), "nothing changed"),
        (("c", '{"a":1}'), ("d", '{"a":1}'), "source changed"),
        (("c", '{"a":1,"df":{"#":"0"}}'), ("c", '{"a":1,"df":{"#":"1"}}'), "input 'df' changed"),
        (("c", '{"a":1,"b":2}'), ("c", '{"a":2,"b":3}'), "inputs 'a' and 'b' changed"),
        (("c", '{"a":1,"b":2,"c":3}'), ("c", '{"a":2,"b":3,"c":4}'), "inputs 'a', 'b' and 'c' changed"),
        (("c", '{"a":1}'), ("d", '{"a":1.0}'), "source changed, input 'a' changed"),
        (("c", '{"a":1}'), ("c", '{"a":true}'), "input 'a' changed"),
        (("c", '{"a":1}'), ("c", '{"b":1}'), "input 'b' new, input 'a' gone"),
        (("c", "broken"), ("c", "{}"), "inputs changed"),
        ((None, None), ("c", "{}"), "nothing changed"),
    ],
)
def test_what_changed_is_said(before: tuple[Any, Any], now: tuple[Any, Any], said: str) -> None:
    assert explain(*before, *now) == said
