"""Arrays and frames come back exactly, whatever is in them, in the form that fits; so does everything else."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import polars.testing
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.engine.fingerprints import fingerprint
from jupyter_wf.store import frames
from jupyter_wf.store.blobs import INLINE_LIMIT, Blobs
from tests.architecture.source import ROOT


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(tmp_path_factory.mktemp("kept") / "results")


TEXTS = st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
NAMES = st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=3)
MOMENTS = st.integers(-(2**40), 2**40) | st.just(-(2**63))
TYPES = ("bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c16", ">i4", ">f8")
UNITS = ("s", "ms", "us", "ns")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "+03:00")


def bits(count: int, dtype: str) -> st.SearchStrategy[Any]:
    """Return arrays of any bits: every NaN there is, negative zero, denormal numbers."""
    size = count * numpy.dtype(dtype).itemsize
    if dtype == "bool":
        return st.lists(st.booleans(), min_size=count, max_size=count).map(lambda v: numpy.array(v, dtype=bool))
    return st.binary(min_size=size, max_size=size).map(lambda data: numpy.frombuffer(data, dtype=dtype).copy())


def masked(draw: Any, count: int) -> Any:
    kind = draw(st.sampled_from(("Int8", "UInt64", "Int64", "boolean", "Float32", "Float64")))
    dtype = pandas.api.types.pandas_dtype(kind)
    data = draw(bits(count, dtype.numpy_dtype.str if kind != "boolean" else "bool"))
    mask = numpy.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    return dtype.construct_array_type()(data, mask)


def category(draw: Any, count: int) -> Any:
    values = draw(st.sampled_from((["b", "a", "ü"], [3, 1, 2], [True, False], [2.5, -0.0])))
    codes = draw(st.lists(st.integers(-1, len(values) - 1), min_size=count, max_size=count))
    kind = object if draw(st.booleans()) else None
    return pandas.Categorical.from_codes(codes, pandas.Index(values, dtype=kind), ordered=draw(st.booleans()))


@st.composite
def columns(draw: Any, count: int) -> Any:
    """Draw a column of a kind that pandas has, with ``count`` rows."""
    kind = draw(st.sampled_from(("numpy", "time", "zone", "texts", "masked", "category", "objects", "arrow", "period")))
    if kind == "numpy":
        return draw(bits(count, draw(st.sampled_from([kind for kind in TYPES if not kind.startswith(">")]))))
    if kind in ("time", "zone"):
        moments = numpy.array(draw(st.lists(MOMENTS, min_size=count, max_size=count)), dtype="i8")
        unit = draw(st.sampled_from(UNITS))
        if kind == "zone":
            index = pandas.DatetimeIndex(moments.view(f"M8[{unit}]")).tz_localize("UTC")
            return index.tz_convert(draw(st.sampled_from(ZONES))).array
        return moments.view(f"{draw(st.sampled_from('Mm'))}8[{unit}]")
    if kind == "texts":
        texts = draw(st.lists(TEXTS, min_size=count, max_size=count))
        return pandas.array(texts, dtype=draw(st.sampled_from(("str", "string", "string[python]"))))
    if kind == "masked":
        return masked(draw, count)
    if kind == "category":
        return category(draw, count)
    if kind == "arrow":
        numbers = draw(st.lists(st.none() | st.integers(-9, 9), min_size=count, max_size=count))
        return pandas.array(numbers, dtype=pandas.ArrowDtype(pyarrow.int16()))
    if kind == "period":
        return pandas.period_range("2026", periods=count, freq="M").array
    mixed = numpy.empty(count, dtype=object)
    mixed[:] = draw(st.lists(TEXTS | st.integers() | st.floats() | st.just(pandas.NA), min_size=count, max_size=count))
    return mixed


@st.composite
def indexes(draw: Any, count: int) -> Any:
    kind = draw(st.sampled_from(("range", "column", "freq", "many")))
    name = draw(NAMES)
    if kind == "range":
        start, step = draw(st.integers(-5, 5)), draw(st.sampled_from((1, 2, -3)))
        return pandas.RangeIndex(start, start + step * count, step, name=name)
    if kind == "freq":
        return pandas.date_range("2026", periods=count, freq=draw(st.sampled_from(("D", "h", "MS"))), name=name)
    if kind == "many":
        return pandas.MultiIndex.from_arrays([range(count), ["x"] * count], names=[name, "y"])
    values = draw(columns(count))
    if getattr(values, "dtype", None) == numpy.float16:
        values = values.astype("f4")
    return pandas.Index(values, name=name)


@st.composite
def pandas_frames(draw: Any) -> Any:
    count, width = draw(st.integers(0, 5)), draw(st.integers(0, 4))
    data = [pandas.Series(draw(columns(count))) for _ in range(width)]
    index = draw(indexes(count))
    frame = pandas.DataFrame(dict(enumerate(data)), index=pandas.RangeIndex(count))
    frame.index = index
    labels = draw(st.sampled_from(("texts", "objects", "numbers", "mixed")))
    if labels in ("texts", "objects"):
        names = draw(st.lists(TEXTS.filter(lambda text: text is not None), min_size=width, max_size=width))
        kind = "str" if labels == "texts" else object
        frame.columns = pandas.Index(names, dtype=kind, name=draw(NAMES))
    elif labels == "mixed":
        frame.columns = pandas.Index([*range(width - 1), "a"][:width] if width else [], dtype=object)
    if draw(st.integers(0, 9)) == 0:
        frame.attrs["unit"] = "m"
    if draw(st.integers(0, 4)) == 0:
        frame = frame.iloc[::2]
    return frame


def check_frame(one: Any, other: Any) -> None:
    """Assert that two frames are equal in everything that pandas can tell apart."""
    assert type(one) is type(other)
    assert one.attrs == other.attrs
    assert one.flags == other.flags
    assert fingerprint(one) == fingerprint(other)
    assert_equal = pandas.testing.assert_series_equal
    if isinstance(one, pandas.DataFrame):
        assert_equal = pandas.testing.assert_frame_equal
        assert type(one.columns) is type(other.columns)
        assert one.columns.dtype == other.columns.dtype
    assert_equal(one, other, check_exact=True, check_freq=True)
    assert type(one.index) is type(other.index)
    assert getattr(one.index, "freq", None) == getattr(other.index, "freq", None)


@given(frame=pandas_frames(), data=st.data())
def test_every_pandas_frame_comes_back(blobs: Blobs, frame: Any, data: st.DataObject) -> None:
    before = fingerprint(frame)
    payload = blobs.keep(frame)
    assert fingerprint(frame) == before
    check_frame(frame, blobs.load(payload))
    if frame.shape[1]:
        column = frame.iloc[:, data.draw(st.integers(0, frame.shape[1] - 1))]
        check_frame(column, blobs.load(blobs.keep(column)))


@given(count=st.integers(0, 6), data=st.data(), dtype=st.sampled_from(TYPES))
def test_every_array_comes_back(blobs: Blobs, count: int, data: st.DataObject, dtype: str) -> None:
    for array in (
        data.draw(bits(count, dtype)),
        data.draw(bits(count * 3, dtype)).reshape(3, count).T,
        data.draw(arrays.arrays(data.draw(arrays.scalar_dtypes()), arrays.array_shapes(min_dims=0, min_side=0))),
        data.draw(arrays.arrays(object, count, elements=st.text() | st.none() | st.integers())),
    ):
        back = blobs.load(blobs.keep(array))
        # In pickles of numpy, times are in this machine's order of bytes.
        assert back.dtype == (array.dtype.newbyteorder("=") if array.dtype.kind in "mM" else array.dtype)
        assert back.shape == array.shape
        assert back.astype(array.dtype).tobytes() == array.tobytes() or array.dtype.hasobject
        assert fingerprint(back) == fingerprint(array)


POLARS: dict[Any, st.SearchStrategy[Any]] = {
    polars.Int8: st.integers(-128, 127),
    polars.UInt64: st.integers(0, 2**64 - 1),
    polars.Int128: st.integers(-(2**127), 2**127 - 1),
    polars.Float32: st.floats(width=32),
    polars.Float64: st.floats(),
    polars.Boolean: st.booleans(),
    polars.String: st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    polars.Binary: st.binary(max_size=20),
    polars.Date: st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    polars.Time: st.times(),
    polars.Datetime("us"): st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    polars.Datetime("ms", "Europe/Berlin"): st.datetimes(timezones=st.just(UTC)).filter(lambda t: 1 < t.year < 9999),
    polars.Duration("ns"): st.timedeltas(timedelta(-9999), timedelta(9999)),
    polars.Categorical: st.sampled_from("abc"),
    polars.Enum(["x", "y"]): st.sampled_from("xy"),
    polars.Decimal(12, 2): st.decimals(-9999, 9999, places=2),
    polars.List(polars.Int16): st.lists(st.none() | st.integers(-9, 9), max_size=3),
    polars.Array(polars.Float64, 2): st.lists(st.floats(), min_size=2, max_size=2),
    polars.Struct({"a": polars.Int8, "b": polars.List(polars.String)}): st.fixed_dictionaries(
        {"a": st.none() | st.integers(-9, 9), "b": st.lists(st.text("ab"), max_size=2)}
    ),
    polars.Null: st.none(),
}


@st.composite
def polars_frames(draw: Any) -> Any:
    count = draw(st.integers(0, 5))
    kinds = draw(st.lists(st.sampled_from([*POLARS]), max_size=4))
    columns = {
        f"{i} {draw(NAMES)}": polars.Series(
            draw(st.lists(st.none() | POLARS[kind], min_size=count, max_size=count)), dtype=kind
        )
        for i, kind in enumerate(kinds)
    }
    return polars.DataFrame(columns)


@given(frame=polars_frames(), cut=st.booleans())
def test_every_polars_frame_comes_back(blobs: Blobs, frame: Any, cut: bool) -> None:
    if cut:
        frame = polars.concat([frame, frame.reverse()], rechunk=False)[1:4]
    back = blobs.load(blobs.keep(frame))
    polars.testing.assert_frame_equal(back, frame, check_exact=True)
    assert back.schema == frame.schema
    assert fingerprint(back) == fingerprint(frame)
    for column in frame:
        assert fingerprint(blobs.load(blobs.keep(column))) == fingerprint(column)


@given(frame=polars_frames(), metadata=st.none() | st.dictionaries(st.text("ab", min_size=1), st.text("ab")))
def test_every_arrow_table_comes_back(blobs: Blobs, frame: Any, metadata: dict[str, str] | None) -> None:
    # What polars itself can't make a table of: numbers of 128 bits, and names with a NUL.
    table = frame.drop([c.name for c in frame if c.dtype == polars.Int128 or "\0" in c.name]).to_arrow()
    table = pyarrow.concat_tables([table, table])[1:].replace_schema_metadata(metadata)
    for value in (table, *table.columns, *table.combine_chunks().to_batches()):
        back = blobs.load(blobs.keep(value))
        assert type(back) is type(value)
        assert fingerprint(back) == fingerprint(value)
    back = blobs.load(blobs.keep(table))
    assert back.schema.equals(table.schema, check_metadata=True)


COMMON = pandas.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [0.5, math.nan, -0.0],
        "name": ["a", None, "ü"],
        "day": pandas.to_datetime(["2026-01-01", None, "2026-03-01"]),
        "at": pandas.to_datetime(["2026-01-01", None, "2026-03-01"], utc=True),
        "kind": pandas.Categorical(["u", "v", "u"]),
        "ok": [True, False, True],
        "maybe": pandas.array([1, None, 3], dtype="Int64"),
    },
)


@pytest.mark.parametrize(
    ("value", "format_"),
    [
        (COMMON, "arrow/pandas"),
        (COMMON[COMMON.n > 1], "arrow/pandas"),
        (COMMON.set_index("day"), "arrow/pandas"),
        (COMMON.set_index("name"), "arrow/pandas"),
        (COMMON["x"], "arrow/pandas"),
        (COMMON[:0], "pickle"),
        (polars.DataFrame({"n": [1, None], "name": ["a", None]}), "arrow/polars"),
        (pyarrow.table({"n": [1, None], "name": ["a", None]}), "arrow/pyarrow"),
        (COMMON.assign(parts=[[1], (2,), {3}]), "pickle"),
        (COMMON.set_index(["n", "ok"]), "pickle"),
        (pandas.DataFrame({"a": [1]}).T, "pickle"),
        (pandas.DataFrame({"a": [1, 2]}, index=pandas.date_range("2026", periods=2)), "pickle"),
        (polars.Series([1]), "pickle"),
        (numpy.arange(3), "pickle"),
        ([COMMON], "pickle"),
    ],
)
def test_which_frames_are_written_as_arrow(blobs: Blobs, value: Any, format_: str) -> None:
    payload = blobs.keep(value)
    assert payload.format == format_
    assert fingerprint(blobs.load(payload)) == fingerprint(value)
    assert blobs.keep(value, "pickle").format == "pickle"


class Own(pandas.DataFrame):
    """A frame with something of its own."""

    _metadata = ["unit"]  # noqa: RUF012

    @property
    def _constructor(self) -> Callable[..., Own]:
        return Own


def test_a_frame_of_another_class_keeps_it(blobs: Blobs) -> None:
    own = Own({"a": [1]})
    own.unit = "m"
    payload = blobs.keep(own)
    back = blobs.load(payload)
    assert payload.format == "pickle"
    assert type(back) is Own
    assert back.unit == "m"


def test_what_pandas_alone_knows_of_a_frame_is_kept(blobs: Blobs) -> None:
    noted = pandas.DataFrame({"a": [1]})
    noted.attrs["unit"] = "m"
    strict = pandas.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    for frame in (noted, strict, noted["a"], strict["a"]):
        check_frame(frame, blobs.load(blobs.keep(frame)))


def test_numbers_in_the_other_order_of_bytes(blobs: Blobs) -> None:
    other = pandas.Series([1, 2], dtype=">i4", index=pandas.Index([3.5, 4.5], dtype=">f8"))
    for value in (other, other.to_frame("a"), other.index, other.iloc[::2]):
        # Pickles of pandas do not always keep the order, but the numbers.
        back = blobs.load(blobs.keep(value))
        assert type(back) is type(value)
        assert back.equals(value)
        assert fingerprint(back) == fingerprint(value)


def test_a_frame_that_came_back_can_be_changed(blobs: Blobs) -> None:
    count = 20_000
    frame = pandas.DataFrame({"a": numpy.arange(count), "b": numpy.random.default_rng(0).normal(size=count)})
    payload = blobs.keep(frame)
    assert payload.format == "file:arrow/pandas"
    back = blobs.load(payload)
    back.loc[0, "a"] = 7
    back["b"] += 1
    back.index.name = "row"
    assert back.to_numpy(copy=True).flags.writeable
    column = blobs.load(blobs.keep(frame["b"]))
    column.iloc[0] = 2
    array = blobs.load(blobs.keep(frame["b"].to_numpy(copy=True)))
    array[0] = 2
    assert fingerprint(blobs.load(payload)) == fingerprint(frame)


def test_large_frames_are_compressed_files_that_other_programs_read(blobs: Blobs) -> None:
    frame = pandas.DataFrame({"n": numpy.arange(100_000) % 1000, "name": [f"name {i % 50}" for i in range(100_000)]})
    payload = blobs.keep(frame)
    digest = payload.data[:64].decode()
    path = blobs.folder / digest[:2] / digest
    assert blobs.keep(frame) == payload
    assert path.stat().st_size < frame.memory_usage(deep=True).sum() / 5
    assert polars.read_ipc(path.read_bytes())["name"].to_list() == frame["name"].to_list()
    assert fingerprint(blobs.load(payload)) == fingerprint(frame)


def test_a_frame_that_its_library_cannot_write_is_pickled(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pandas.DataFrame({"n": numpy.random.default_rng(0).normal(size=INLINE_LIMIT)})

    def fail(arrow: Any, table: Any, file: Any) -> None:
        file.write(os.urandom(INLINE_LIMIT * 2))
        raise pyarrow.ArrowInvalid("not this one")

    monkeypatch.setattr(frames, "_write_table", fail)
    payload = blobs.keep(frame)
    assert payload.format == "file:pickle"
    check_frame(frame, blobs.load(payload))


def test_a_frame_that_is_too_large_is_refused(blobs: Blobs) -> None:
    noise = numpy.random.default_rng(0).normal(size=50_000)
    for frame in (pandas.DataFrame({"n": noise}), polars.DataFrame({"n": noise}), pyarrow.table({"n": noise}), noise):
        with pytest.raises(MissingResult, match=r"too large to be stored: at least [\d,]+ bytes, of at most 200,000"):
            blobs.keep(frame, largest=200_000)
    assert not list(blobs.folder.glob("*.part"))


def test_nothing_is_imported_to_write(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from jupyter_wf.store.blobs import Blobs
blobs = Blobs(Path(sys.argv[1]) / "results")
blobs.keep((1, 2))
assert not {"numpy", "pandas", "polars", "pyarrow"} & set(sys.modules)
import polars
blobs.keep(polars.DataFrame({"a": [1]}))
assert not {"pandas", "pyarrow"} & set(sys.modules)
import numpy
blobs.keep(numpy.arange(3))
assert not {"pandas", "pyarrow"} & set(sys.modules)
import pyarrow
blobs.keep(pyarrow.schema([]).empty_table())
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)


def test_frames_come_back_in_a_process_that_has_imported_nothing(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "results")
    for i, value in enumerate((COMMON, polars.DataFrame({"a": [1]}), pyarrow.table({"a": ["x"]}))):
        payload = blobs.keep(value)
        (tmp_path / f"{i}").write_bytes(payload.format.encode() + b" " + payload.data)
        (tmp_path / f"{i}.print").write_text(fingerprint(value))
    code = """
import os
import sys
from pathlib import Path
from jupyter_wf.engine.fingerprints import fingerprint
from jupyter_wf.store.blobs import Blobs, Payload
here = Path(sys.argv[1])
for i in range(3):
    format_, _, data = (here / f"{i}").read_bytes().partition(b" ")
    value = Blobs(here / "results").load(Payload(format_.decode(), data))
    assert fingerprint(value) == (here / f"{i}.print").read_text()
# The packages' own threads now and then abort an interpreter that ends.
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)
