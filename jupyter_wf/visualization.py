"""A flow's graph without running it: its function is called, the tasks that it calls are noted down instead.

What stands for a task's value goes wherever values go (attributes, items, calls and arithmetic of it are such again),
up to the point where the flow's own way depends on it: a condition, a loop, a length. There the task needs its
``viz_return_value``.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Iterator, Mapping
from contextvars import copy_context
from enum import Enum
from threading import Thread
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Literal

from jupyter_wf.core.errors import FlowVisualizationError, ParameterError, VisualizationUnsupportedError
from jupyter_wf.engine.annotations import Annotation, quote
from jupyter_wf.engine.recording import RECORDING
from jupyter_wf.graphs import FlowGraph, Node

__all__ = ["Placeholder", "visualize"]

_CONTAINERS = (list, tuple, set, frozenset, dict)
#: Keyword arguments that are for the engine.
_OPTIONS = ("wait_for", "return_state")
#: Objects that are the same one wherever they are met, so that they tell nothing of where a value is from.
_EVERYWHERE = (type(None), bool, Enum, type, FunctionType, BuiltinFunctionType, ModuleType)


def visualize(fn: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> FlowGraph:
    """Return the graph of a flow's function: a node for each call of a task or sub-flow, an edge for each value.

    No task is called and nothing is stored; the rest of the function's body runs as it is. Raises `ParameterError`
    where the arguments do not fit, `VisualizationUnsupportedError` where the body needs a task's value, and
    `FlowVisualizationError` for whatever else it raises.
    """
    try:
        inspect.signature(fn).bind(*args, **kwargs)
    except TypeError as error:
        raise ParameterError(name, f"{error}; give visualize() the flow's arguments") from None
    recorder = _GraphRecorder()
    token = RECORDING.set(recorder)
    try:
        _exhaust(fn(*args, **kwargs))
    except FlowVisualizationError:
        raise
    except Exception as error:
        raise FlowVisualizationError(
            f"the flow {name!r} can't be drawn without running it: {type(error).__name__}: {error}; "
            "where that comes from a task's missing value, give the task viz_return_value=…"
        ) from error
    finally:
        RECORDING.reset(token)
    return recorder.graph(name)


def _exhaust(result: Any) -> None:
    """Carry out what a coroutine or generator function only promised."""
    if inspect.iscoroutine(result):
        _run(result)
    elif inspect.isasyncgen(result):
        _run(_all_of(result))
    elif inspect.isgenerator(result):
        for _ in result:
            pass


async def _all_of(generator: Any) -> None:
    async for _ in generator:
        pass


def _run(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine on an event loop of its own, also below one that runs already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(coroutine)
        return
    errors: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(coroutine)
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=copy_context().run, args=(work,), name="jupyter-wf-visualize", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


class Placeholder:
    """Stands for a value that only a run will bring; knows which nodes of the graph the value is made from."""

    __slots__ = ("_recorder", "_sources")
    _recorder: _GraphRecorder
    _sources: frozenset[int]

    def __init__(self, recorder: _GraphRecorder, sources: Iterable[int]) -> None:
        object.__setattr__(self, "_recorder", recorder)
        object.__setattr__(self, "_sources", frozenset(sources))

    def _derived(self, *others: Any, **more: Any) -> Any:
        return Placeholder(self._recorder, self._recorder.sources_of((self, others, more)))

    def __getattr__(self, name: str) -> Any:
        # What Python and libraries look for is not there.
        if name.startswith("_"):
            raise AttributeError(name)
        return self._derived()

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"<value of {', '.join(self._recorder.names(self._sources))}>"


_DERIVING = """
call getitem eq ne lt le gt ge neg pos abs invert round divmod rdivmod
add sub mul matmul truediv floordiv mod pow lshift rshift and or xor
radd rsub rmul rmatmul rtruediv rfloordiv rmod rpow rlshift rrshift rand ror rxor
"""
_REFUSING = {
    "bool": "a condition on it",
    "iter": "a loop over it",
    "aiter": "a loop over it",
    "reversed": "a loop over it",
    "len": "its length",
    "contains": "looking for something in it",
    "int": "making it a number",
    "float": "making it a number",
    "complex": "making it a number",
    "index": "using it as a number",
}


def _refusal(need: str) -> Callable[..., Any]:
    def refuse(self: Placeholder, *_: Any) -> Any:
        raise VisualizationUnsupportedError(self._recorder.names(self._sources), need)

    return refuse


for _name in _DERIVING.split():
    setattr(Placeholder, f"__{_name}__", Placeholder._derived)
for _name, _need in _REFUSING.items():
    setattr(Placeholder, f"__{_name}__", _refusal(_need))


class _Future(Placeholder):
    """Stands for the future of a submitted task: it has ended, with a placeholder or the given value."""

    __slots__ = ("_value",)

    def __init__(self, recorder: _GraphRecorder, node: int, value: Any) -> None:
        super().__init__(recorder, (node,))
        object.__setattr__(self, "_value", value)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        return self._value

    def wait(self, timeout: float | None = None) -> None:
        pass

    def done(self) -> bool:
        return True

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        callback(self)

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self._value


class _Futures(list[Any]):
    """The futures of a map over what has a known length."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        return [future.result() for future in self]

    def wait(self, timeout: float | None = None) -> None:
        pass


class _Awaitable(Coroutine[Any, Any, Any]):
    """What the call of an async task returns: a coroutine for asyncio, but none that wants to be awaited.

    That of a task which is an async generator, too.
    """

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from ()
        return self._value

    def send(self, value: Any) -> Any:
        raise StopIteration(self._value)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Give out the values that an async generator would."""
        for value in self._value:
            yield value

    def throw(self, *error: Any) -> Any:
        raise error[0]

    def close(self) -> None:
        pass


class _GraphRecorder:
    """Notes the calls of a flow's body as the nodes and edges of its graph."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []
        self._edges: list[tuple[int, int]] = []
        self._calls: dict[str, int] = {}
        #: Values given for tasks, by identity; kept, so that no other object gets theirs.
        self._given: dict[int, tuple[Any, int]] = {}

    def record(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        kind: Literal["task", "flow"] = "task",
        how: Literal["call", "submit", "map"] = "call",
        is_async: bool = False,
        viz_return_value: Any = None,
    ) -> Any:
        """Note a call down and return what stands for its outcome; a map is one node, whatever number it makes."""
        passed: Any = (args, kwargs)
        count: int | None = 1
        if how == "map":
            mapped: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
            passed = {key: list(value) if isinstance(value, Iterator) else value for key, value in mapped.items()}
            count = _length(value for key, value in passed.items() if key not in _OPTIONS)
        number = self._calls.get(name, 0)
        self._calls[name] = number + 1
        node = len(self._nodes)
        self._nodes.append(Node(id=node, name=f"{name}-{number}", kind=kind, count=count))
        self._edges.extend((source, node) for source in self.sources_of(passed))

        def outcome() -> Any:
            return Placeholder(self, (node,)) if viz_return_value is None else self._own(viz_return_value, node)

        if how == "map":
            if count is None:
                return _Future(self, node, Placeholder(self, (node,)))
            return _Futures(_Future(self, node, outcome()) for _ in range(count))
        if how == "submit":
            return _Future(self, node, outcome())
        value = Placeholder(self, (node,)) if kwargs.get("return_state") else outcome()
        return _Awaitable(value) if is_async else value

    def _own(self, value: Any, node: int) -> Any:
        """Return the value given for a task, as a copy where that can be made: that one is from this call alone."""
        value = _twin(value)
        items: Iterable[Any] = value.values() if type(value) is dict else value if type(value) in _CONTAINERS else ()
        for one in (value, *items):
            if not _is_everywhere(one):
                self._given[id(one)] = (one, node)
        return value

    def sources_of(self, value: Any) -> set[int]:
        """Return the nodes whose values are in ``value``, at any depth."""
        found: set[int] = set()
        self._look(value, found, set())
        return found

    def _look(self, value: Any, found: set[int], seen: set[int]) -> None:
        if isinstance(value, Placeholder):
            found |= value._sources
            return
        given = self._given.get(id(value))
        if given is not None:
            found.add(given[1])
        if id(value) in seen:
            return
        parts = _parts(value)
        if parts:
            seen.add(id(value))
            for part in parts:
                self._look(part, found, seen)

    def names(self, nodes: Iterable[int]) -> list[str]:
        """Return the names of the tasks behind some nodes, without the numbers of their calls."""
        return list(dict.fromkeys(self._nodes[node].name.rpartition("-")[0] for node in sorted(nodes)))

    def graph(self, name: str) -> FlowGraph:
        """Return what was noted down."""
        return FlowGraph(name, tuple(self._nodes), tuple(self._edges))


def _parts(value: Any) -> list[Any]:
    """Return what is inside a container, a mark such as ``unmapped``, a dataclass, a model or an attrs object."""
    kind = type(value)
    if isinstance(value, Annotation):
        return [] if isinstance(value, quote) else [value.value]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, _CONTAINERS):
        return list(value)
    for mark in ("__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__"):
        if hasattr(kind, mark):
            fields = getattr(kind, mark)
            names = fields if isinstance(fields, Mapping) else [field.name for field in fields]
            return [getattr(value, name) for name in names if hasattr(value, name)]
    return []


class _Digit(int):
    """A small number that is an object of its own; Python has each of them once only."""


class _Letter(str):
    """A text of one character, or none, that is an object of its own."""

    __slots__ = ()


def _twin(value: Any) -> Any:
    """Return an equal value that is another object, items of a list and the like included; itself where it can't."""
    kind = type(value)
    if kind is dict:
        return {key: _twin(item) for key, item in value.items()}
    if kind in _CONTAINERS:
        return kind(map(_twin, value))
    if kind is str and len(value) <= 1:
        return _Letter(value)
    if kind is int and -5 <= value <= 256:
        return _Digit(value)
    if kind is str:
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    if kind is int:
        return int.from_bytes(value.to_bytes(value.bit_length() // 8 + 1, signed=True), signed=True)
    if kind is bytes:
        return bytes(bytearray(value))
    if kind is float:
        return float.fromhex(value.hex())
    try:
        return copy.copy(value)
    except Exception:
        return value


def _is_everywhere(value: Any) -> bool:
    small = type(value) is int and -5 <= value <= 256
    return isinstance(value, _EVERYWHERE) or small or (type(value) in (str, bytes, tuple) and len(value) <= 1)


def _length(values: Iterable[Any]) -> int | None:
    """Return how many calls a map over these arguments makes; None where a task's value decides it."""
    known: int | None = 1
    for value in values:
        if isinstance(value, Placeholder):
            known = None
        elif not isinstance(value, str | bytes | Mapping | Annotation) and hasattr(value, "__len__"):
            return len(value)
    return known
