"""Arrays and tables by content: numpy, pandas, polars, arrow. None is imported: who has such a value has the library.

Two values that their library calls equal have the same parts, however they lie in memory (strides, chunks, slices, the
garbage below missing values).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from struct import unpack_from
from typing import Any

from jupyter_wf.engine.parts import Parts, Unhashable, name_of

__all__ = ["library_parts"]

#: How many items of an array that is not in one piece are brought together at a time.
_ITEMS = 1 << 20


def library_parts(value: Any) -> Parts | None:
    """Return what an array, table, column or scalar of a known library consists of; None for anything else."""
    for cls in type(value).__mro__[:-1]:
        take = _LIBRARIES.get(cls.__module__.partition(".")[0])
        if take is not None:
            return take(value)
    return None


def _numpy(value: Any) -> Parts | None:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.ndarray | numpy.generic):
        return name_of(type(value)), _array(numpy, value)
    return None


def _array(numpy: Any, value: Any) -> Iterator[Any]:
    if isinstance(value, numpy.ma.MaskedArray):
        yield numpy.ma.getmaskarray(value)
        value = value.filled(value.dtype.type())
    array = numpy.asarray(value)
    if array.dtype.kind in "mM" and not array.dtype.isnative:
        # Pickles of times do not keep the order of their bytes.
        array = array.astype(array.dtype.newbyteorder("="))
    dtype = array.dtype
    yield list(array.shape)
    if dtype.names is not None:
        # Field by field: between fields there may be garbage.
        yield list(dtype.names)
        for name in dtype.names:
            yield array[name]
        return
    yield dtype.str if dtype.kind != "T" else "T"
    if dtype.hasobject or dtype.kind == "T":
        yield array.reshape(-1).tolist()
    elif dtype.kind in "fc" and dtype.itemsize // (1 + (dtype.kind == "c")) > 8:
        yield from _long(numpy, array)
    elif array.flags.c_contiguous:
        yield _bytes(numpy, array)
    else:
        for chunk in numpy.nditer(array, ("external_loop", "buffered", "zerosize_ok"), order="C", buffersize=_ITEMS):
            yield _bytes(numpy, numpy.ascontiguousarray(chunk))


def _bytes(numpy: Any, array: Any) -> memoryview:
    return memoryview(array.reshape(-1).view(numpy.uint8)) if array.dtype.itemsize else memoryview(b"")


def _long(numpy: Any, array: Any) -> Iterator[Any]:
    """Split numbers of more than 64 bits, which have garbage in them, into two that have none."""
    half = numpy.complex128 if array.dtype.kind == "c" else numpy.float64
    with numpy.errstate(all="ignore"):
        high = array.astype(half)
        rest = (array - high).astype(half)
    yield high
    yield numpy.where(numpy.isnan(rest), 0, rest)


def _pandas(value: Any) -> Parts | None:
    pandas = sys.modules["pandas"]
    word = name_of(type(value))
    if isinstance(value, pandas.DataFrame):
        columns = (part for i in range(value.shape[1]) for part in _column(pandas, value.iloc[:, i].array))
        return word, chain((value.index, value.columns), columns)
    if isinstance(value, pandas.Series):
        return word, chain((value.name, value.index), _column(pandas, value.array))
    if isinstance(value, pandas.MultiIndex):
        levels = (part for i in range(value.nlevels) for part in _column(pandas, value.get_level_values(i).array))
        return word, chain((list(value.names),), levels)
    if isinstance(value, pandas.Index):
        # A range is equal to the index of its numbers.
        kind = pandas.Index if isinstance(value, pandas.RangeIndex) else type(value)
        return name_of(kind), chain((value.name,), _column(pandas, value.array))
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return word, _column(pandas, value)
    return None


def _column(pandas: Any, array: Any) -> Iterator[Any]:
    numpy, kinds = sys.modules["numpy"], pandas.arrays
    plain = getattr(array.dtype, "numpy_dtype", None)
    if plain is not None and not plain.isnative:
        # Pickles of an index do not keep the order of bytes.
        array = kinds.NumpyExtensionArray(array.to_numpy().astype(plain.newbyteorder("=")))
    yield str(array.dtype)
    yield len(array)
    if isinstance(array.dtype, pandas.StringDtype):
        yield from _pandas_texts(numpy, array)
    elif isinstance(array, kinds.NumpyExtensionArray):
        yield from _array(numpy, array.to_numpy())
    elif isinstance(array, pandas.Categorical):
        yield array.ordered
        yield array.categories
        yield from _array(numpy, array.codes)
    elif isinstance(array, kinds.DatetimeArray | kinds.TimedeltaArray | kinds.PeriodArray):
        yield from _array(numpy, array.asi8)
    elif isinstance(array, kinds.IntegerArray | kinds.FloatingArray | kinds.BooleanArray):
        plain = array.dtype.numpy_dtype
        yield from _array(numpy, array.isna())
        yield from _array(numpy, array.to_numpy(dtype=plain, na_value=plain.type()))
    elif isinstance(array, kinds.IntervalArray):
        yield from (array.left, array.right)
    elif isinstance(array, kinds.SparseArray):
        yield from _array(numpy, array.to_dense())
    elif isinstance(array.dtype, pandas.ArrowDtype):
        yield from _arrow_column(sys.modules["pyarrow"], array.__arrow_array__())
    else:
        yield list(array)


def _pandas_texts(numpy: Any, array: Any) -> Iterator[Any]:
    """Split texts, wherever they lie, into what `_arrow_texts` gives."""
    arrow = sys.modules.get("pyarrow")
    if array.dtype.storage != "python" and arrow is not None:
        column = array.__arrow_array__()
        yield from _arrow_texts(arrow, column.combine_chunks() if isinstance(column, arrow.ChunkedArray) else column)
        return
    missing = array.isna()
    texts = [text.encode("utf-8", "surrogatepass") for text in array.to_numpy(dtype=object, na_value="")]
    yield _bytes(numpy, missing) if missing.any() else None
    yield _bytes(numpy, numpy.array([len(text) for text in texts], dtype=numpy.int64))
    yield memoryview(b"".join(texts))


def _polars(value: Any) -> Parts | None:
    polars = sys.modules["polars"]
    if isinstance(value, polars.DataFrame):
        return "polars.DataFrame", (part for column in value for part in _series(polars, column))
    if isinstance(value, polars.Series):
        return "polars.Series", _series(polars, value)
    if isinstance(value, polars.LazyFrame):
        raise Unhashable(value, "it is a plan, and what it reads may change: pass what collect() returns")
    return None


def _series(polars: Any, series: Any) -> Iterator[Any]:
    dtype = series.dtype
    yield series.name
    yield repr(dtype)
    yield len(series)
    if isinstance(dtype, polars.Categorical | polars.Enum):
        series = series.cast(polars.String)
    if series.dtype == polars.String:
        yield from _list_or_buffer(series.is_null().cast(polars.UInt8)) if series.null_count() else (None,)
        texts = series.fill_null("")
        yield from _list_or_buffer(texts.str.len_bytes())
        yield texts.str.join("")[0] if len(texts) else ""
        return
    plain = series.cast(polars.UInt8) if dtype == polars.Boolean else series.to_physical()
    if plain.dtype.is_numeric() and not plain.dtype.is_decimal() and plain.dtype != polars.Int128:
        yield from _list_or_buffer(series.is_null().cast(polars.UInt8)) if series.null_count() else (None,)
        yield from _list_or_buffer(plain.fill_null(0))
    else:
        yield series.to_list()


def _list_or_buffer(series: Any) -> Iterator[Any]:
    try:
        array = series.to_numpy()
    except ModuleNotFoundError:
        # Polars does without numpy, but only numpy shows its memory.
        yield series.to_list()
    else:
        yield from _array(sys.modules["numpy"], array)


def _arrow(value: Any) -> Parts | None:
    arrow = sys.modules["pyarrow"]
    if isinstance(value, arrow.Table | arrow.RecordBatch):
        columns = (part for column in value.columns for part in _arrow_column(arrow, column))
        return name_of(type(value)), chain((list(value.schema.names),), columns)
    if isinstance(value, arrow.ChunkedArray | arrow.Array):
        kind = "ChunkedArray" if isinstance(value, arrow.ChunkedArray) else "Array"
        return f"pyarrow.{kind}", _arrow_column(arrow, value)
    if isinstance(value, arrow.Scalar):
        return "pyarrow.Scalar", (str(value.type), value.as_py())
    if isinstance(value, arrow.Schema):
        return "pyarrow.Schema", ([str(field) for field in value],)
    if isinstance(value, arrow.DataType | arrow.Field):
        return name_of(type(value)), (str(value),)
    if isinstance(value, arrow.Buffer):
        return "pyarrow.Buffer", (memoryview(value),)
    return None


def _arrow_column(arrow: Any, column: Any) -> Iterator[Any]:
    types = arrow.types
    yield str(column.type)
    yield len(column)
    array = column.combine_chunks() if isinstance(column, arrow.ChunkedArray) else column
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if types.is_boolean(kind):
        array = array.cast(arrow.uint8())
        kind = array.type
    whole = _WHOLE.get(kind.bit_width) if _is_fixed(types, kind) else None
    if whole is not None:
        yield _arrow_nulls(arrow, array)
        yield _arrow_numbers(array.view(getattr(arrow, whole)()).fill_null(0))
    elif types.is_string(kind) or types.is_large_string(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        yield from _arrow_texts(arrow, array)
    else:
        yield array.to_pylist()


def _arrow_texts(arrow: Any, array: Any) -> Iterator[Any]:
    """Split texts (or bytes) into which are missing, the length of each, and all of them in one."""
    texts = array.cast(arrow.large_binary()).fill_null(b"")
    yield _arrow_nulls(arrow, array)
    yield _arrow_numbers(arrow.compute.binary_length(texts))
    offsets = texts.buffers()[1]
    first, last = (unpack_from("=q", offsets, 8 * (texts.offset + i))[0] if len(texts) else 0 for i in (0, len(texts)))
    yield memoryview(texts.buffers()[2] or b"")[first:last]


#: Integers by their width in bits.
_WHOLE = {8: "int8", 16: "int16", 32: "int32", 64: "int64"}


def _is_fixed(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_temporal(kind)) and not (
        types.is_interval(kind)
    )


def _arrow_nulls(arrow: Any, array: Any) -> Any:
    return _arrow_numbers(array.is_null().cast(arrow.uint8())) if array.null_count else None


def _arrow_numbers(array: Any) -> memoryview:
    size = array.type.bit_width // 8
    return memoryview(array.buffers()[1] or b"")[array.offset * size : (array.offset + len(array)) * size]


def _matplotlib(value: Any) -> Parts | None:
    artist = sys.modules.get("matplotlib.artist")
    if artist is not None and isinstance(value, artist.Artist):
        # It counts what is drawn, and so changes when it is looked at.
        raise Unhashable(value, "a drawing changes when it is shown: pass the data that it is made of")
    return None


_LIBRARIES: dict[str, Callable[[Any], Parts | None]] = {
    "matplotlib": _matplotlib,
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "pyarrow": _arrow,
}
