"""IPython's post-mortem debugger on a failure that this kernel has kept."""

# mypy: disable-error-code="no-untyped-call"
# (IPython's own functions have no types)
from __future__ import annotations

import bdb
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.ipython.failures import Failure
from jupyter_wf.notebook.failures import is_library

__all__ = ["debug"]

_NOTHING = object()


def debug(shell: InteractiveShell, failure: Failure) -> bool:
    """Open the debugger at the user's frame of a failure and return when it is left; False where nobody can type.

    While it is open the notebook's names are what they were when the cell failed; what it had bound is taken back
    again at the end.
    """
    traceback = failure.traceback
    if traceback is None or not _can_ask(shell):
        return False
    debugger = _at_the_users_frame(shell.debugger_cls)()
    with _as_it_was(shell.user_ns, failure):
        debugger.reset()
        try:
            debugger.interaction(None, traceback)
        except bdb.BdbQuit:
            pass
        finally:
            # It holds the frames, and all that these refer to.
            debugger.forget()
    return True


def _can_ask(shell: InteractiveShell) -> bool:
    """Return whether somebody is there to type: a runner's kernel has nobody."""
    get_parent = getattr(shell, "get_parent", None)
    if get_parent is None:
        return True
    return bool((get_parent() or {}).get("content", {}).get("allow_stdin", False))


def _at_the_users_frame(base: type[Any]) -> type[Any]:
    """Return a debugger that begins at the innermost frame that is the user's own, not that of a library."""

    class Debugger(base):  # type: ignore[misc]
        def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
            stack, index = super().get_stack(f, t)
            own = [number for number, (frame, _) in enumerate(stack) if not is_library(frame.f_code)]
            return stack, own[-1] if own else index

    return Debugger


@contextmanager
def _as_it_was(namespace: dict[str, Any], failure: Failure) -> Iterator[None]:
    """Give the names that a cell had bound when it failed their values of then, for the block."""
    before = {name: namespace.get(name, _NOTHING) for name in failure.names}
    namespace.update(failure.names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _NOTHING:
                namespace.pop(name, None)
            else:
                namespace[name] = value
