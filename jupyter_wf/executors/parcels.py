"""What goes over the line: calls there, outcomes back, as pickles.

A worker's values may be of classes that came to it by value; cloudpickle knows them again when they return.
"""

from __future__ import annotations

import inspect
import pickle
import traceback
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from typing import Any

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import RemoteError, RemoteTraceback
from jupyter_wf.core.signals import Signal
from jupyter_wf.executors.base import Around, Call, Log, end_of

__all__ = ["answer", "pack_call", "pack_error", "pack_value", "undecorated", "unpack_outcome"]

#: Kinds that pickle writes alike in every process.
_PLAIN = frozenset((type(None), bool, int, float, str, bytes))
_LONGEST_MESSAGE = 2_000

#: What a worker calls: the function, its arguments, and what makes its surroundings.
_Unpacked = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Around | None]


def undecorated(module: str, qualname: str) -> Any:
    """Return the function that is decorated under this name. Raises `ImportError` or `AttributeError` without one."""
    found = reduce(getattr, qualname.split("."), import_module(module))
    inner = getattr(found, "fn", None) or getattr(found, "__wrapped__", None)
    return inner or found


def _dumps(value: Any) -> bytes:
    if type(value) in _PLAIN:
        return pickle.dumps(value, 5)
    # 40 ms that a worker does not need whose functions can be imported and whose values are plain.
    from jupyter_wf.executors.pickling import dumps

    return dumps(value)


def pack_call(call: Call) -> bytes:
    """Return what a worker needs of ``call``.

    Raises `TypeError`, naming the argument, where a part of it can't be pickled.
    """
    try:
        return _dumps((call.fn, call.args, dict(call.kwargs), call.around))
    except Exception as error:
        part, value = _broken_part(call)
        raise TypeError(
            f"{part} of {call.name or 'the call'} (a {type(value).__qualname__}) can't be sent to a worker process: "
            f"{_told(error)}"
        ) from error


def _broken_part(call: Call) -> tuple[str, Any]:
    for part, value in (*_named(call), ("the function", call.fn), ("the context", call.around)):
        try:
            _dumps(value)
        except Exception:
            return part, value
    return "a part", call.args


def _named(call: Call) -> list[tuple[str, Any]]:
    arguments: dict[Any, Any]
    try:
        arguments = inspect.signature(call.fn).bind(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):
        arguments = {**dict(enumerate(call.args)), **call.kwargs}
    return [(f"argument {name!r}", value) for name, value in arguments.items()]


def answer(parcel: bytes | bytearray, log: Log) -> bytes:
    """Make the call in ``parcel``, whose log lines go to ``log``, and return how it ended, packed; raises nothing."""
    try:
        parts: _Unpacked = pickle.loads(parcel)
        fn, args, kwargs, around = parts
        name = getattr(fn, "__name__", type(fn).__name__)
        value = fn(*args, **kwargs) if around is None else around(log, fn, args, kwargs)
        return pack_value(value, name)
    except BaseException as error:
        return pack_error(error)


def pack_value(value: Any, name: str = "the call") -> bytes:
    """Return the outcome of a call that returned ``value``; of one that raised, where it can't be pickled."""
    try:
        if type(value) in _PLAIN:
            return b"v" + pickle.dumps(value, 5)
        return b"v" + _dumps(value)
    except Exception as error:
        kind = type(value).__qualname__
        wrong = TypeError(f"the value of {name} (a {kind}) can't be sent back by its worker process: {_told(error)}")
        wrong.__cause__ = error
        return pack_error(wrong)


def pack_error(error: BaseException, end: End | None = None) -> bytes:
    """Return the outcome of a call that raised ``error``; ``end`` is what `end_of` makes of it when None."""
    story = (type(error).__qualname__, _told(error, with_type=False), _traceback(error))
    return b"r" + pickle.dumps(((end or end_of(error)).value, _dumped_error(error), *story), 5)


def _dumped_error(error: BaseException) -> bytes | None:
    """Return a pickle that is known to give the exception back, or None."""
    for candidate in (error, _Rebuilt(error)):
        try:
            data = _dumps(candidate)
            if isinstance(pickle.loads(data), BaseException):
                return data
        except Exception:
            continue
    return None


class _Rebuilt:
    """Pickled in place of an exception whose constructor takes something else than its ``args``."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self._error), self._error.args, self._error.__dict__)


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], facts: dict[str, Any]) -> BaseException:
    error = kind.__new__(kind, *args)
    # An `OSError` leaves them to its `__init__`.
    error.args = args
    error.__dict__.update(facts)
    return error


def unpack_outcome(payload: bytearray) -> Outcome:
    """Return the outcome that a worker sent. An exception has `RemoteTraceback`, the worker's frames, as its cause.

    One that can't be unpickled here is a `RemoteError`, as is a value.
    """
    view = memoryview(payload)
    if payload.startswith(b"v"):
        try:
            return Outcome(End.RETURNED, pickle.loads(view[1:]))
        except Exception as error:
            lost = RemoteError(type(error).__qualname__, f"the returned value can't be read: {_told(error)}")
            lost.__cause__ = error
            return Outcome(End.RAISED, None, lost)
    end, data, kind, message, frames = pickle.loads(view[1:])
    raised = _loaded_error(data) or RemoteError(kind, message)
    raised.__cause__ = RemoteTraceback(frames)
    if isinstance(raised, Signal):
        return raised.outcome()
    return Outcome(End(end), None, raised)


def _loaded_error(data: bytes | None) -> BaseException | None:
    try:
        error = pickle.loads(data) if data is not None else None
    except Exception:
        return None
    return error if isinstance(error, BaseException) else None


def _told(error: BaseException, *, with_type: bool = True) -> str:
    try:
        text = str(error)[:_LONGEST_MESSAGE]
    except Exception as broken:
        text = f"<its text can't be shown: {type(broken).__name__}>"
    return f"{type(error).__qualname__}: {text}" if with_type and text else text or type(error).__qualname__


def _traceback(error: BaseException) -> str:
    """Return the traceback as text, from the user's first frame on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").startswith("jupyter_wf."):
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))
    except Exception as broken:
        return f"{type(error).__qualname__}: <the traceback can't be shown: {type(broken).__name__}>\n"
