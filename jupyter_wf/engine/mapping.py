"""`Task.map`: one submitted call for each element, under Prefect's rules."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterable, Mapping
from typing import Any

from jupyter_wf.core.errors import MappingLengthMismatch, MappingMissingIterable
from jupyter_wf.engine.annotations import Annotation, allow_failure, quote, unmapped
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.futures import RunFuture, RunFutureList
from jupyter_wf.engine.submit import submit

__all__ = ["map_calls"]


def map_calls(
    callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, wait_for: Iterable[Any] = ()
) -> RunFutureList[Any]:
    """Submit one call for each element of the iterable arguments, and return the futures in order.

    Every iterable but a text, bytes, a file, a model or a mapping is mapped over; what can't be iterated over, and
    ``unmapped(value)``, goes to every call. A future is waited for and its value mapped over. Raises
    `MappingMissingIterable` where nothing can be mapped over, `MappingLengthMismatch` where lengths differ,
    `ParameterError` for wrong arguments.
    """
    names, values = _by_name(callee, args, kwargs)
    columns: dict[int, list[Any]] = {}
    for number, value in enumerate(values):
        column = _column(value)
        if column is not None:
            columns[number] = column
    if not columns:
        raise MappingMissingIterable(callee.name, [str(name) for name in names])
    lengths = {str(names[number]): len(column) for number, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise MappingLengthMismatch(callee.name, lengths)
    # The edges to what was mapped over stay, though its value is there.
    wait_for = (*wait_for, *(value for value in values if isinstance(value, RunFuture)))
    positional = len(args)
    keys = list(kwargs)
    futures: RunFutureList[Any] = RunFutureList()
    for row in range(next(iter(lengths.values()))):
        each = [columns[number][row] if number in columns else _static(value) for number, value in enumerate(values)]
        called = dict(zip(keys, each[positional:], strict=True))
        futures.append(submit(callee, tuple(each[:positional]), called, wait_for=wait_for))
    return futures


def _by_name(callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[str | int], list[Any]]:
    bind(callee, args, kwargs)
    plain = [p for p in (callee.signature.parameters.values() if callee.signature else ()) if p.kind in _PLAIN]
    names: list[str | int] = [plain[i].name if i < len(plain) else i for i in range(len(args))]
    return [*names, *kwargs], [*args, *kwargs.values()]


#: What can be iterated over, and is one thing all the same.
_WHOLE = (str, bytes, bytearray, Mapping, type, Annotation, io.IOBase)
_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _column(value: Any) -> list[Any] | None:
    """Return the elements to map over, None for what every call gets as it is."""
    if isinstance(value, (unmapped, quote)):
        return None
    if isinstance(value, allow_failure):
        inner = _column(value.value)
        return None if inner is None else [allow_failure(item) for item in inner]
    if isinstance(value, RunFuture):
        value = value.result()
    if isinstance(value, _WHOLE) or hasattr(type(value), "__pydantic_fields__"):
        return None
    try:
        return list(value)
    except TypeError:
        return None


def _static(value: Any) -> Any:
    return value.value if isinstance(value, unmapped) else value
