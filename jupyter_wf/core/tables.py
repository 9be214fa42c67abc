"""Tables to be looked at: rows of JSON values, from what programs hold tables in. No package of theirs is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.parameters import MASK, recordable

__all__ = ["MOST_ROWS", "table_data"]

#: What comes after is only counted.
MOST_ROWS = 10_000
_LONGEST_TEXT = 10_000
_KINDS = (
    "give a list of dicts, a dict of lists, a list of lists, or a DataFrame of pandas or polars (or an arrow table)"
)


def table_data(table: Any) -> dict[str, Any]:
    """Return ``{"columns": [text, …], "rows": [[value, …], …], "total": number of rows}``.

    ``table`` is a list of dicts (columns in the order of their first appearance), a dict of lists (shorter ones are
    filled with None), a list of lists, or a DataFrame of pandas or polars, or an arrow table; an index of pandas that
    is more than a count becomes columns. At most 10,000 rows are taken. Cells become JSON values: what JSON does not
    know is written out, NaN is None. Raises `InvalidRequest` for anything else.
    """
    if isinstance(table, Mapping):
        columns, rows, total = _from_columns(table)
    elif isinstance(table, (list, tuple)):
        columns, rows, total = _from_rows(table)
    elif _has(table, "iloc", "to_dict"):
        columns, rows, total = _from_pandas(table)
    elif _has(table, "rows", "height", "columns"):
        columns, rows, total = list(table.columns), table.head(MOST_ROWS).rows(), table.height
    elif _has(table, "column_names", "to_pydict"):
        columns, total = list(table.column_names), table.num_rows
        # By its columns, because names may be there twice.
        rows = list(zip(*(column.to_pylist() for column in table.slice(0, MOST_ROWS).columns), strict=True))
    else:
        raise InvalidRequest("table", f"a {type(table).__module__}.{type(table).__qualname__}", _KINDS)
    return {
        "columns": [str(name) for name in columns],
        "rows": [[_cell(value) for value in row] for row in rows],
        "total": total,
    }


def _has(table: Any, *names: str) -> bool:
    # Of the type: the attributes of a lazy frame are not to be worked out.
    return all(hasattr(type(table), name) for name in names)


def _from_columns(table: Mapping[Any, Any]) -> tuple[Sequence[Any], Iterable[Sequence[Any]], int]:
    columns = {}
    for name, values in table.items():
        if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
            raise InvalidRequest("table", {name: values}, f"a column must be a list of values; {_KINDS}")
        columns[name] = list(values)
    total = max(map(len, columns.values()), default=0)
    many = range(min(total, MOST_ROWS))
    rows = [[values[index] if index < len(values) else None for values in columns.values()] for index in many]
    return list(columns), rows, total


def _from_rows(table: Sequence[Any]) -> tuple[Sequence[Any], Iterable[Sequence[Any]], int]:
    shown = table[:MOST_ROWS]
    if all(isinstance(row, Mapping) for row in shown):
        columns = list(dict.fromkeys(name for row in shown for name in row))
        return columns, [[row.get(name) for name in columns] for row in shown], len(table)
    for row in shown:
        if not isinstance(row, (list, tuple)):
            raise InvalidRequest("table", row, f"each row must be a dict, or each a list; {_KINDS}")
    width = max(map(len, shown), default=0)
    return range(width), [[*row, *[None] * (width - len(row))] for row in shown], len(table)


def _from_pandas(table: Any) -> tuple[Sequence[Any], Iterable[Sequence[Any]], int]:
    shown = table.iloc[:MOST_ROWS]
    split = shown.to_dict(orient="tight")
    columns = [" / ".join(map(str, name)) if isinstance(name, tuple) else name for name in split["columns"]]
    if type(table.index).__name__ == "RangeIndex":
        return columns, split["data"], len(table)
    names = ["" if name is None else name for name in table.index.names]
    keys = [key if isinstance(key, tuple) else (key,) for key in split["index"]]
    rows = [[*key, *row] for key, row in zip(keys, split["data"], strict=True)]
    return [*names, *columns], rows, len(table)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 0) == 0:
        # A scalar of numpy.
        value = value.item()
    if isinstance(value, int) and abs(value) < 2**53:
        return int(value)
    if isinstance(value, float):
        return float(value) if isfinite(value) else None if value != value else str(value)
    if isinstance(value, (list, tuple, dict)) or recordable(value) == MASK:
        return recordable(value)
    return _text(value)


def _text(value: Any) -> str | None:
    try:
        text = str(value)
    except Exception as error:
        return f"<{type(value).__qualname__}: {type(error).__name__}>"
    if text in ("NaT", "<NA>"):
        return None
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"
