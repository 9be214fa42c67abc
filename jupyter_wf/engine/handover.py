"""What a root flow run leaves, so that a later process can go on with it: where its flow is, and its arguments."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.parameters import exact_json, is_secret
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.entrypoints import entrypoint_of
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.store.blobs import Payload

if TYPE_CHECKING:
    from jupyter_wf.core.models import Run

__all__ = ["changed_call", "keep_arguments", "kept_arguments", "log_lines", "whereabouts"]

_KEY = "arguments/"
_known: WeakKeyDictionary[Any, Mapping[str, Any]] = WeakKeyDictionary()


def whereabouts(callee: Callee) -> Mapping[str, Any]:
    """Return what is stored as the source of a root run: the callee's own facts, and the entrypoint where it has one.

    Worked out at the flow's first call, when its module has been executed.
    """
    owner = callee.owner
    found = None if owner is None else _known.get(owner)
    if found is None:
        entrypoint = entrypoint_of(callee.fn if owner is None else owner)
        found = callee.source if entrypoint is None else {"entrypoint": entrypoint, **callee.source}
        if owner is not None:
            _known[owner] = found
    return found


def keep_arguments(
    host: Host, run_id: str | None, callee: Callee, arguments: Mapping[str, Any]
) -> tuple[str, Sequence[str]]:
    """Store the arguments of a root flow run that its recorded parameters don't tell exactly; return the run's id.

    Done before the run is created, so that whoever sees the run finds them. Those whose name says that they are secret
    are left out. Returns too the lines for the run's log about those that can't be stored (see `log_lines`). Without
    ``run_id`` the id is a new one.
    """
    run_id = run_id or new_id()
    told = {name: value for name, value in arguments.items() if not is_secret(name) or _is_default(callee, name, value)}
    lines: list[str] = []
    try:
        payload = host.blobs.keep(told)
    except MissingResult:
        payload = host.blobs.keep({name: told[name] for name in told if _can_be_kept(host, name, told[name], lines)})
    host.journal.append(ResultStored(run_id, time.time(), _KEY + run_id, None, *payload))
    return run_id, lines


def log_lines(live: LiveRun, lines: Iterable[str]) -> None:
    """Write lines to the log of a run, for those who look for details."""
    for line in lines:
        live.log(logging.DEBUG, line)


def _is_default(callee: Callee, name: str, value: Any) -> bool:
    parameter = None if callee.signature is None else callee.signature.parameters.get(name)
    return parameter is not None and parameter.default is value


def _can_be_kept(host: Host, name: str, value: Any, lines: list[str]) -> bool:
    try:
        host.blobs.keep(value)
    except MissingResult as error:
        lines.append(f"to be resumed in another process the run will need {name!r} again: {error}")
        return False
    return True


def kept_arguments(host: Host, run: Run) -> dict[str, Any]:
    """Return the arguments that a run was called with, by parameter; what was not kept is missing.

    Raises `MissingResult` where they can't be read.
    """
    stored = host.store.find_result(_KEY + run.id, time.time())
    if stored is not None:
        arguments: dict[str, Any] = host.blobs.load(Payload(stored.format, stored.data))
        return arguments
    return dict(run.parameters) if exact_json(run.parameters) is not None else {}


def changed_call(
    callee: Callee, recorded: Iterable[str], kept: Mapping[str, Any], changed: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of a call with the arguments ``kept``, some of them ``changed``.

    ``recorded`` are the names of all the arguments that there were. Raises `ParameterError` for a parameter that there
    is not, and for one that has no value.
    """
    signature = callee.signature
    lost = [name for name in recorded if name not in kept and name not in changed]
    if lost:
        why = "is a secret, so it was not stored" if is_secret(lost[0]) else "could not be stored"
        raise ParameterError(lost[0], f"its value {why}: give it again, as {lost[0]}=…")
    if signature is None:
        return (), {**kept, **changed}
    arguments, more = dict(kept), dict(changed)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments[parameter.name] = more = {**arguments.get(parameter.name, {}), **more}
        elif parameter.name in more:
            arguments[parameter.name] = more.pop(parameter.name)
    takes_more = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    if more and not takes_more:
        name = next(iter(more))
        raise ParameterError(name, f"there is no such parameter; it is {callee.name}{signature}")
    known = {name: value for name, value in arguments.items() if name in signature.parameters}
    bound = inspect.BoundArguments(signature, known)
    return bound.args, bound.kwargs
