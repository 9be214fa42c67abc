"""The inline executor: submitted work is done at once, in the caller's thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

from jupyter_wf.core.effects import Outcome
from jupyter_wf.executors.base import Call, execute

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """For debugging and for tests: the order of submission is the order of execution."""

    name = "inline"
    remote = False

    def __init__(self) -> None:
        self._closed = False

    def start(self, exit_stack: ExitStack) -> None:
        """Register the shutdown; nothing has to be made ready."""
        exit_stack.callback(self._shut_down)

    def spawn(self, work: Callable[[], Any]) -> None:
        """Do ``work`` now."""
        if self._closed:
            raise RuntimeError("the inline executor has been shut down")
        work()

    def run(self, call: Call) -> Outcome:
        """Execute ``call`` right here."""
        return execute(call)

    def waiting(self) -> AbstractContextManager[None]:
        """Nobody else could work meanwhile."""
        return nullcontext()

    def _shut_down(self) -> None:
        self._closed = True
