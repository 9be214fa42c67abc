"""Pickles: by the standard library where everything can be imported by name, by cloudpickle otherwise.

Only processes that execute the user's own runs import this: reading a pickle runs code of the pickle's choice.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, Protocol

from jupyter_wf.store.serializers import Unstorable

__all__ = ["PickleSink", "class_of_main", "read_pickle", "write_pickle"]

_PROTOCOL = 5


class PickleSink(Protocol):
    """What a pickle is written to. Both methods may raise `Unstorable`."""

    def write(self, data: Any, /) -> int:
        """Take bytes (or a buffer that is only good during the call); return how many there were."""
        ...  # pragma: no cover

    def rewind(self) -> None:
        """Forget what was written."""
        ...  # pragma: no cover


class _NotImportable(Exception):
    """Met something of ``__main__``, which another process can't import."""


class _ByName(pickle.Pickler):
    """The standard pickler; it gives up at functions and classes that were defined in a notebook or script."""

    def reducer_override(self, obj: Any) -> Any:
        if (type(obj) is FunctionType or isinstance(obj, type)) and obj.__module__ == "__main__":
            raise _NotImportable
        return NotImplemented


def write_pickle(value: Any, sink: PickleSink) -> None:
    """Write the pickle of ``value`` to ``sink``.

    Raises `Unstorable` for the sink's reasons; for the value's reasons, whatever pickling it raises.
    """
    cloudpickle = sys.modules.get("cloudpickle")
    if cloudpickle is None or not cloudpickle.list_registry_pickle_by_value():
        try:
            _ByName(sink, _PROTOCOL).dump(value)
        except Unstorable:
            raise
        except Exception:
            # What the standard pickler can't do (local functions and classes, modules) the other one may.
            sink.rewind()
        else:
            return
    _by_value()(sink, _PROTOCOL).dump(value)


@cache
def _by_value() -> Callable[..., Any]:
    # 25 ms that values of importable types do not pay.
    import cloudpickle

    class ByValue(cloudpickle.Pickler):  # type: ignore[misc]
        """Cloudpickle's pickler, with classes of ``__main__`` as `class_of_main` reads them."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, type) and obj.__module__ == "__main__" and _in_main(obj.__qualname__) is obj:
                return class_of_main, (obj.__qualname__, cloudpickle.dumps(obj, _PROTOCOL))
            return super().reducer_override(obj)

    return ByValue


def _in_main(qualname: str) -> Any:
    found: Any = sys.modules.get("__main__")
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def class_of_main(qualname: str, by_value: bytes) -> Any:
    """Return the class that ``__main__`` has under a name, else the one that was pickled with the value.

    So a value that another kernel stored is an instance of the class that the notebook defines in this one: ``==`` of
    dataclasses, ``is`` of enum members and ``isinstance`` hold. Named in pickles: it must stay where it is.
    """
    live = _in_main(qualname)
    if isinstance(live, type) and live.__module__ == "__main__":
        return live
    return pickle.loads(by_value)


def read_pickle(source: Any) -> Any:
    """Return the value of a pickle that ``source`` (a binary file) holds; raises whatever its code raises."""
    return pickle.load(source)
