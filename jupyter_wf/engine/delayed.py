"""What a background task leaves in the store for whoever serves it: which task it is a call of, and its arguments."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MethodType
from typing import Any

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.models import Run
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.host import Host
from jupyter_wf.store.blobs import Payload, check_storable

__all__ = ["TASK_KEY", "is_of_object", "is_same_task", "keep_call", "take_call", "task_key"]

#: Under which name a run's source tells its task's key.
TASK_KEY = "task_key"
_KEY = "delayed/"
_NOTHING = Payload("json", b"null")


def task_key(callee: Callee) -> str:
    """Return what tells a task from others of the same name: ``package.module.function``.

    The module of a script is its file's name, which is also what it is imported by; functions of notebooks and prompts
    have none.
    """
    name = getattr(callee.fn, "__qualname__", callee.name)
    module = sys.modules.get(getattr(callee.fn, "__module__", None) or "")
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if spec is not None and "." in spec.name:
        # Also where it is executed as `python -m package.module`.
        return f"{spec.name}.{name}"
    return name if file is None else f"{Path(file).stem}.{name}"


def is_same_task(one: str, other: str) -> bool:
    """Return whether two keys may be of the same task.

    A module that was executed as a script does not know the package that it is in, and a notebook is in none.
    """
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def is_of_object(callee: Callee) -> bool:
    """Return whether it is a method bound to an object, which is then an argument of the call."""
    return isinstance(callee.fn, MethodType) and not isinstance(callee.fn.__self__, type)


def keep_call(
    host: Host, run_id: str, callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], arguments: Mapping[str, Any]
) -> ResultStored:
    """Return what stores the arguments of a call; ``arguments`` are the same by name.

    Raises `MissingResult`, which names the argument, where one can't be stored.
    """
    if is_of_object(callee):
        args = (callee.fn.__self__, *args)  # type: ignore[attr-defined]
        arguments = {"self": args[0], **arguments}
    try:
        payload = host.blobs.keep((args, kwargs), "pickle")
    except MissingResult:
        for name, value in {**kwargs, **arguments}.items():
            _refuse_unstorable(callee, name, value)
        raise
    return ResultStored(run_id, time.time(), _KEY + run_id, None, payload.format, payload.data)


def _refuse_unstorable(callee: Callee, name: str, value: Any) -> None:
    try:
        check_storable(value, "pickle")
    except MissingResult as error:
        raise MissingResult(f"argument {name!r} of the background task {callee.name!r}: {error}") from error


def take_call(host: Host, run: Run) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a run that is about to begin; the store forgets them: there may be secrets among them.

    What was too large for the state file stays in its file. Raises `MissingResult` where they can't be read.
    """
    stored = host.store.find_result(_KEY + run.id, time.time())
    if stored is None:
        raise MissingResult(f"the arguments of task run {run.name!r} are not there any more")
    host.journal.append(ResultStored(run.id, time.time(), _KEY + run.id, 0.0, _NOTHING.format, _NOTHING.data))
    args, kwargs = host.blobs.load(Payload(stored.format, stored.data))
    return args, kwargs
