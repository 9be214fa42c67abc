"""Functions that users have called when a run enters a state: ``on_running``, ``on_completion`` and their like."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.runs import LiveRun

__all__ = ["HOOKS", "Hook", "Hooks", "awaited", "call_hooks", "finish", "make_hooks"]

Hook = Callable[..., Any]

_BY_TYPE = {
    StateType.RUNNING: "on_running",
    StateType.COMPLETED: "on_completion",
    StateType.FAILED: "on_failure",
    StateType.CRASHED: "on_crashed",
    StateType.CANCELLED: "on_cancellation",
}
#: The hooks by the option's name: called as ``hook(task, task_run, state)`` (``flow, flow_run, state``).
HOOKS = (*_BY_TYPE.values(), "on_late")


class Hooks:
    """The hooks of one task or flow, by the option's name."""

    __slots__ = ("lists",)

    def __init__(self, lists: Mapping[str, list[Hook]]) -> None:
        self.lists = dict(lists)


def make_hooks(options: Mapping[str, Any], names: Iterable[str]) -> Hooks | None:
    """Return the hooks among a decorator's options, None where there is none.

    Raises `ParameterError` for what is not a function or a list of functions.
    """
    lists = {}
    for name in names:
        given = options.get(name)
        if given is None:
            continue
        many = list(given) if isinstance(given, (list, tuple)) else [given]
        for each in many:
            if not callable(each):
                raise ParameterError(name, f"{each!r:.100} is not a function; give one, or a list of them")
        lists[name] = many
    return Hooks(lists) if lists else None


def call_hooks(live: LiveRun, hooks: Hooks, state: State) -> list[Awaitable[Any]]:
    """Call the hooks of a run that has entered ``state``; return what the asynchronous ones want awaited.

    A hook that raises is logged with the run: it does not change its state.
    """
    event = "on_late" if state.name == "Late" else _BY_TYPE.get(state.type)
    waiting: list[Awaitable[Any]] = []
    for hook in hooks.lists.get(event or "", ()):
        try:
            answer = hook(live.callee.owner, live, state)
        except Exception as error:
            _tell(live, hook, error)
            continue
        if inspect.isawaitable(answer):
            waiting.append(_guarded(live, hook, answer))
    return waiting


async def _guarded(live: LiveRun, hook: Hook, answer: Awaitable[Any]) -> None:
    try:
        await answer
    except Exception as error:
        _tell(live, hook, error)


def _tell(live: LiveRun, hook: Hook, error: Exception) -> None:
    name = getattr(hook, "__name__", type(hook).__name__)
    live.log(logging.ERROR, f"the hook {name!r} failed: {describe(error)}")


def finish(live: LiveRun, waiting: Iterable[Awaitable[Any]]) -> None:
    """Have what asynchronous hooks of a synchronous run return awaited, in the portal's event loop."""
    for each in waiting:
        live.runtime.portal.call(awaited, each)


async def awaited(awaitable: Awaitable[Any]) -> Any:
    """Return what ``awaitable`` gives: a portal calls coroutine functions only."""
    return await awaitable
