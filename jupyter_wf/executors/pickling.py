"""Pickles for another process: by reference what it can import, by value what lives in ``__main__`` or a notebook."""

from __future__ import annotations

import io
import sys
from types import FunctionType
from typing import Any

import cloudpickle

from jupyter_wf.executors.parcels import undecorated

__all__ = ["dumps"]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Cloudpickle's, which also refers to functions that a decorator has replaced by an object of its own.

    By value, as cloudpickle would send them, such a function would get a copy of its module's globals.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how ``obj`` is pickled: asked by pickle for everything that is not built in."""
        if type(obj) is FunctionType and _is_replaced(obj):
            return undecorated, (obj.__module__, obj.__qualname__)
        return super().reducer_override(obj)


def _is_replaced(fn: FunctionType) -> bool:
    """Return whether the name of ``fn`` stands for an object that holds ``fn``, in a module that can be imported."""
    module = sys.modules.get(fn.__module__ or "")
    if module is None or module.__name__ == "__main__" or module.__spec__ is None:
        return False
    found: Any = module
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not fn and (getattr(found, "fn", None) is fn or getattr(found, "__wrapped__", None) is fn)


def dumps(value: Any) -> bytes:
    """Return ``value`` as a pickle. Raises whatever the pickling of a part of it raises."""
    file = io.BytesIO()
    _Pickler(file, protocol=5).dump(value)
    return file.getvalue()
