"""Data frames as Arrow files, which other programs can read too; only those that come back exactly as they were.

Nothing is imported to write one: who has a frame has its library. The files are compressed with zstd: against no
compression that costs a tenth of a second for 100 MB of random numbers, and makes a common frame a third as large;
Parquet was measured at three to six times the time for no smaller files.

What is written of a pandas frame besides its columns (types, index, names) is a JSON text in the file's metadata. A
frame that has anything else is not written here, but pickled: `write_frame` then returns None.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from typing import Any

from jupyter_wf.store.pandas_frames import from_table, to_table
from jupyter_wf.store.pickles import PickleSink
from jupyter_wf.store.serializers import Unstorable

__all__ = ["read_frame", "write_frame"]

_COMPRESSION = "zstd"

_Write = Callable[[Any], None]


class _Out(io.RawIOBase):
    """What the libraries take for a file, over what takes our bytes."""

    def __init__(self, sink: PickleSink) -> None:
        self._sink = sink
        self._size = 0
        self.refused: Unstorable | None = None

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        try:
            size = self._sink.write(data)
        except Unstorable as error:
            # A library may make another error of it.
            self.refused = error
            raise
        self._size += size
        return size


def write_frame(value: Any, sink: PickleSink) -> str | None:
    """Write a data frame to ``sink`` and return its format; None, and nothing written, for anything else.

    Raises `Unstorable` for the sink's reasons.
    """
    # A class of the user's may have anything under this name.
    module: object = type(value).__module__
    package = module.partition(".")[0] if isinstance(module, str) else ""
    prepare = _WRITERS.get(package)
    if prepare is None:
        return None
    out = _Out(sink)
    try:
        write = prepare(value)
        if write is None:
            return None
        write(out)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        # What a library can't write it could not have given back either. Panics of polars are no exceptions.
        sink.rewind()
        if out.refused is not None:
            raise out.refused from None
        return None
    return f"arrow/{package}"


def read_frame(format_: str, file: Any) -> Any:
    """Return the data frame in a binary file; raises whatever its library raises."""
    return _READERS[format_](file)


def _pandas(value: Any) -> _Write | None:
    arrow = sys.modules.get("pyarrow")
    table = None if arrow is None else to_table(sys.modules["pandas"], arrow, value)
    return None if table is None else lambda file: _write_table(arrow, table, file)


def _pyarrow(value: Any) -> _Write | None:
    arrow = sys.modules["pyarrow"]
    if type(value) is not arrow.Table or any("extension<" in str(field.type) for field in value.schema):
        return None
    return lambda file: _write_table(arrow, value, file)


def _write_table(arrow: Any, table: Any, file: Any) -> None:
    options = arrow.ipc.IpcWriteOptions(compression=_COMPRESSION)
    with arrow.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)


def _polars(value: Any) -> _Write | None:
    polars = sys.modules["polars"]
    if type(value) is not polars.DataFrame or not value.width or not all(_is_plain(polars, t) for t in value.dtypes):
        return None
    return lambda file: value.write_ipc(file, compression=_COMPRESSION)


def _is_plain(polars: Any, kind: Any) -> bool:
    if isinstance(kind, polars.List | polars.Array):
        return _is_plain(polars, kind.inner)
    if isinstance(kind, polars.Struct):
        return all(_is_plain(polars, field.dtype) for field in kind.fields)
    # Not objects and categories, whose codes are the process's own, nor what newer versions may bring.
    return kind.is_integer() or kind.is_float() or kind.is_temporal() or kind in (polars.Boolean, polars.String)


def _read_pandas(file: Any) -> Any:
    return from_table(importlib.import_module("pandas"), importlib.import_module("pyarrow"), _read_pyarrow(file))


def _read_pyarrow(file: Any) -> Any:
    arrow = importlib.import_module("pyarrow")
    return importlib.import_module("pyarrow.ipc").open_file(arrow.PythonFile(file, mode="r")).read_all()


def _read_polars(file: Any) -> Any:
    # From memory: what it is given as a file it may map, and read once more when that is no longer what was verified.
    return importlib.import_module("polars").read_ipc(io.BytesIO(file.read()))


_WRITERS: dict[str, Callable[[Any], _Write | None]] = {"pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow}
_READERS: dict[str, Callable[[Any], Any]] = {
    "arrow/pandas": _read_pandas,
    "arrow/polars": _read_polars,
    "arrow/pyarrow": _read_pyarrow,
}
