"""What is called: a task's or flow's function with everything that decides how it is run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_wf.core.errors import ParameterBindError, ParameterError
from jupyter_wf.core.policy import Policy
from jupyter_wf.engine.hooks import Hooks
from jupyter_wf.engine.keeping import Keeping

if TYPE_CHECKING:
    from jupyter_wf.core.models import RunKind
    from jupyter_wf.engine.results import StoredResults

__all__ = ["Callee", "bind", "named", "with_executor"]


class Callee(NamedTuple):
    """A function, and how its calls become runs.

    ``owner`` is the `Task` or `Flow`, as hooks get it. ``positional`` are the parameters' names where all are plain
    ones. ``yields`` tells a generator function. ``make_executor`` gives a flow an executor of its own for one run,
    ``executor``; None is the process's pool. ``persist`` is whether values are kept, None for as the run around says;
    ``keeping`` is how. ``transactional`` are the hooks ``on_commit`` and ``on_rollback``; ``teardown`` is what the
    option of that name was given. ``quiet`` tells that nothing has to be done around the call.

    A named tuple because it is made at import, and copied for every bound method: a dataclass takes four times as long.
    """

    fn: Callable[..., Any]
    name: str
    kind: RunKind
    policy: Policy
    is_async: bool
    yields: bool
    signature: inspect.Signature | None
    positional: tuple[str, ...]
    keeping: Keeping
    source: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    log_prints: bool | None = None
    run_name: str | Callable[..., str] | None = None
    make_executor: Callable[[], Any] | None = None
    executor: Any = None
    results: StoredResults | None = None
    hooks: Hooks | None = None
    transactional: Hooks | None = None
    condition: Callable[..., Any] | None = None
    persist: bool | None = None
    teardown: Any = None
    validates: bool = False
    quiet: bool = False
    owner: Any = None

    @property
    def key(self) -> str:
        """The name under which the calls of this task or flow are counted."""
        return self.name if self.kind == "task" else f"{self.kind} {self.name}"


def bind(callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by parameter name, defaults included for flows.

    Raises `ParameterError` where they don't fit the function.
    """
    names = callee.positional
    # The common case, without the 5 µs of `Signature.bind`: every parameter plain and given by position.
    # (Without names, but not without parameters: not all of them are.)
    signature = callee.signature
    if not kwargs and signature is not None and len(args) == len(names) and (names or not signature.parameters):
        return dict(zip(names, args, strict=True))
    if signature is None:
        return {**{f"arg{i}": value for i, value in enumerate(args)}, **kwargs}
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ParameterBindError(f"{callee.kind} {callee.name!r}", f"{error}; it is {callee.name}{signature}") from None
    if callee.kind == "flow":
        bound.apply_defaults()
    return dict(bound.arguments)


def named(callee: Callee, arguments: Mapping[str, Any]) -> str | None:
    """Return the name that a run is to have by the option ``task_run_name`` or ``flow_run_name``, None without it.

    Raises `ParameterError` for a template that can't be filled in, and for a function that returns no text.
    """
    wanted = callee.run_name
    option = f"{callee.kind}_run_name"
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if "{" not in wanted:
            return wanted
        try:
            return wanted.format(**_with_defaults(callee, arguments))
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            raise ParameterError(option, f"{wanted!r} can't be filled in: {type(error).__name__}: {error}") from None
    takes = "parameters" in inspect.signature(wanted).parameters
    name: object = wanted(parameters=_with_defaults(callee, arguments)) if takes else wanted()
    if not isinstance(name, str) or not name:
        raise ParameterError(option, f"the function {wanted!r:.80} returned {name!r:.80}, not a text")
    return name


def _with_defaults(callee: Callee, arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = () if callee.signature is None else callee.signature.parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return {**defaults, **arguments}


def with_executor(callee: Callee, stack: ExitStack) -> Callee:
    """Return the callee with an executor of this call's own, started on ``stack``, if its flow asks for one."""
    if callee.make_executor is None:
        return callee
    executor = callee.make_executor()
    executor.start(stack)
    return callee._replace(executor=executor)
