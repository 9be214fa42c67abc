"""Frames and columns of pandas as tables of Arrow and back, exactly: types, index, names, bits of each number.

Arrow's own conversion is not used, because it makes missing values of NaN, other types of some columns, and a copy of
others. ``pandas`` and ``arrow`` are the modules, given by the caller.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["from_table", "to_table"]

_KEY = b"jupyter_wf"
_UTC = "UTC"

#: How a column's type is told, in JSON. The first item is the kind.
_Told = list[Any]


def to_table(pandas: Any, arrow: Any, value: Any) -> Any:
    """Return a DataFrame or Series as a table, None where it would not come back as it is."""
    if type(value) not in (pandas.DataFrame, pandas.Series) or value.attrs or not value.flags.allows_duplicate_labels:
        return None
    if not len(value):
        # A file without rows does not hold the categories that there are.
        return None
    is_frame = type(value) is pandas.DataFrame
    columns = [value.iloc[:, i].array for i in range(value.shape[1])] if is_frame else [value.array]
    told: dict[str, Any] = {}
    if is_frame:
        labels = value.columns
        if type(labels) is not pandas.Index or not _is_name(labels.name):
            return None
        names = list(labels)
        kind = None if labels.dtype == object else _string(pandas, labels.dtype)
        if not all(type(name) is str for name in names) or (kind is None and labels.dtype != object):
            return None
        told["labels"] = {"name": labels.name, "type": kind}
    else:
        if not _is_name(value.name):
            return None
        names = ["" if value.name is None else value.name]
        told["series"] = {"name": value.name}
    told["index"] = _index(pandas, value.index)
    if told["index"] is None:
        return None
    if "type" in told["index"]:
        columns.append(value.index.array)
        names.append(value.index.name or "index")
    arrays, told["types"] = [], []
    for column in columns:
        found = _column(pandas, arrow, column)
        if found is None:
            return None
        told["types"].append(found[0])
        arrays.append(found[1])
    schema = arrow.schema(
        [arrow.field(name, array.type) for name, array in zip(names, arrays, strict=True)],
        metadata={_KEY: json.dumps(told).encode()},
    )
    return arrow.Table.from_arrays(arrays, schema=schema)


def _is_name(name: Any) -> bool:
    return name is None or type(name) is str


def _index(pandas: Any, index: Any) -> dict[str, Any] | None:
    if not _is_name(index.name):
        return None
    if type(index) is pandas.RangeIndex:
        return {"name": index.name, "range": [index.start, index.stop, index.step]}
    kinds = (pandas.Index, pandas.DatetimeIndex, pandas.TimedeltaIndex, pandas.CategoricalIndex)
    if type(index) not in kinds or getattr(index, "freq", None) is not None:
        return None
    return {"name": index.name, "type": "column"}


def _string(pandas: Any, dtype: Any) -> _Told | None:
    """Tell a type of texts that lie in Arrow's memory, None for any other."""
    if not isinstance(dtype, pandas.StringDtype) or dtype.storage != "pyarrow":
        return None
    told = ["string", dtype.na_value is pandas.NA]
    return told if _made_string(pandas, told) == dtype else None


def _made_string(pandas: Any, told: _Told) -> Any:
    # Before pandas 2.3 there was one missing value only.
    return pandas.StringDtype("pyarrow") if told[1] else pandas.StringDtype("pyarrow", na_value=float("nan"))


def _column(pandas: Any, arrow: Any, array: Any) -> tuple[_Told, Any] | None:
    """Return what tells a column's type, and its values; None for one that would not come back as it is."""
    dtype, kinds = array.dtype, pandas.arrays
    if isinstance(dtype, pandas.StringDtype):
        told = _string(pandas, dtype)
        return None if told is None else (told, arrow.array(array, type=arrow.large_string(), from_pandas=True))
    if isinstance(array, kinds.NumpyExtensionArray):
        if dtype.numpy_dtype.kind not in "biuf" or not dtype.numpy_dtype.isnative or dtype.numpy_dtype.itemsize > 8:
            return None
        return ["numpy"], arrow.array(array.to_numpy(), from_pandas=False)
    if isinstance(array, kinds.DatetimeArray) and array.tz is not None:
        zone = str(array.tz)
        made = pandas.DatetimeTZDtype(dtype.unit, zone)
        if made != dtype or type(made.tz) is not type(array.tz):
            return None
        times = arrow.array(array.asi8.view(f"M8[{dtype.unit}]"))
        return ["zone", zone], times.cast(arrow.timestamp(dtype.unit, _UTC))
    if isinstance(array, kinds.DatetimeArray | kinds.TimedeltaArray):
        return ["numpy"], arrow.array(array.asi8.view(dtype))
    if isinstance(array, kinds.IntegerArray | kinds.FloatingArray | kinds.BooleanArray):
        plain = dtype.numpy_dtype
        data = array.to_numpy(dtype=plain, na_value=plain.type())
        if (data != data).any():
            # NaN that is not missing would come back as missing.
            return None
        return ["masked", str(dtype)], arrow.array(data, mask=array.isna(), from_pandas=False)
    if isinstance(array, pandas.Categorical):
        found = _column(pandas, arrow, array.categories.array)
        if found is None or array.categories.name is not None or type(array.categories) is not pandas.Index:
            return None
        codes = arrow.array(array.codes, mask=array.codes < 0)
        return ["category", bool(array.ordered), found[0]], arrow.DictionaryArray.from_arrays(codes, found[1])
    return None


def from_table(pandas: Any, arrow: Any, table: Any) -> Any:
    """Return the DataFrame or Series of what `to_table` returned."""
    told = json.loads(table.schema.metadata[_KEY])
    columns = [_read(pandas, arrow, kind, table.column(i).combine_chunks()) for i, kind in enumerate(told["types"])]
    index = told["index"]
    if "range" in index:
        rows = pandas.RangeIndex(*index["range"], name=index["name"])
    else:
        rows = pandas.Index(columns.pop(), name=index["name"])
    if "series" in told:
        return pandas.Series(columns[0], index=rows, name=told["series"]["name"])
    labels = told["labels"]
    dtype = object if labels["type"] is None else _made_string(pandas, labels["type"])
    frame = pandas.DataFrame(dict(enumerate(columns)), index=rows)
    frame.columns = pandas.Index(table.column_names[: len(columns)], dtype=dtype, name=labels["name"])
    return frame


def _read(pandas: Any, arrow: Any, told: _Told, array: Any) -> Any:
    kind = told[0]
    if kind == "numpy":
        return array.to_numpy(zero_copy_only=False, writable=True)
    if kind == "zone":
        times = array.cast(arrow.timestamp(array.type.unit)).to_numpy(zero_copy_only=False)
        return pandas.DatetimeIndex(times).tz_localize(_UTC).tz_convert(told[1]).array
    if kind == "masked":
        return pandas.api.types.pandas_dtype(told[1]).__from_arrow__(array)
    if kind == "category":
        categories = pandas.Index(_read(pandas, arrow, told[2], array.dictionary))
        codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False, writable=True)
        return pandas.Categorical.from_codes(codes, categories=categories, ordered=told[1])
    return _made_string(pandas, told).__from_arrow__(array)
