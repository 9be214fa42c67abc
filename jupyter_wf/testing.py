"""Tests of flows: state of their own, thrown away afterwards.

``with wf_harness(): my_flow()``, ``@wf_harness()`` before a test, or the pytest fixtures ``wf_harness`` (for each test)
and ``wf_harness_session`` (one for all), which pytest finds where this package is installed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE
from jupyter_wf.engine.context import CURRENT, ROOT_VARIABLE, ambient_parent, set_ambient_parent
from jupyter_wf.engine.runtime import current_runtime, set_runtime
from jupyter_wf.store.base import Store

__all__ = ["Harness", "wf_harness"]

F = TypeVar("F", bound=Callable[..., Any])


class Harness:
    """A block, or the calls of a decorated function, in which runs, artifacts, variables and limits are kept apart.

    State file, results and logs are in a temporary folder, also for processes that are started inside. At the end what
    still runs is waited for, the runtime is closed, the folder is removed, and the runtime and the environment
    variables of before are back. Harnesses may be nested; one holds for the whole process, not only for its thread.
    """

    def __init__(self) -> None:
        self._exit = ExitStack()
        self._home: Path | None = None

    @property
    def home(self) -> Path:
        """The temporary folder, for as long as the block lasts. Raises `RuntimeError` outside of it."""
        if self._home is None:
            raise RuntimeError("the harness is not in use: its folder is there inside the 'with' block only")
        return self._home

    @property
    def store(self) -> Store:
        """The store, to look at what was recorded. Raises `RuntimeError` outside of the block."""
        _ = self.home
        return current_runtime().store

    def __enter__(self) -> Harness:
        if self._home is not None:
            raise RuntimeError("this harness is in use; call wf_harness() again for another one")
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jupyter-wf-", ignore_cleanup_errors=True))
            home = Path(folder) / "home"
            _set_variables(stack, {HOME_VARIABLE: str(home), PARENT_VARIABLE: None, ROOT_VARIABLE: None})
            _leave_runs(stack)
            stack.callback(_put_back, set_runtime(None))
            self._exit = stack.pop_all()
            self._home = home
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._home = None
        self._exit.close()

    def __call__(self, fn: F) -> F:
        """Return ``fn``, a function or coroutine function, with a harness of its own around each call."""
        if iscoroutinefunction(fn):

            @wraps(fn)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with Harness():
                    return await fn(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            with Harness():
                return fn(*args, **kwargs)

        return called  # type: ignore[return-value]


def wf_harness() -> Harness:
    """Return a harness: state that is thrown away at the end of the ``with`` block, or of each decorated call."""
    return Harness()


def _set_variables(stack: ExitStack, values: dict[str, str | None]) -> None:
    """Set environment variables (None: remove) until the stack is left."""
    for name, value in values.items():
        stack.callback(_set_variable, name, os.environ.get(name))
        _set_variable(name, value)


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _leave_runs(stack: ExitStack) -> None:
    """Have the calling code belong to no run until the stack is left: what begins in the harness is a root."""
    around = CURRENT.get()
    if around is not None:
        # Set, not reset by a token: a fixture may end in another context than the one it began in.
        CURRENT.set(None)
        stack.callback(CURRENT.set, around)
    ambient = ambient_parent()
    if ambient is not None:
        set_ambient_parent(None)
        stack.callback(set_ambient_parent, ambient.run_id, ambient.root_id)


def _put_back(before: Any) -> None:
    """Make ``before`` the runtime again, and close the one that the harness has had."""
    mine = set_runtime(before)
    if mine is not None and mine is not before:
        mine.close()
