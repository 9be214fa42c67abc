"""What an executor is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

from jupyter_wf.core.effects import Outcome

__all__ = ["Call", "Executor"]

#: A call with its arguments bound. It never raises: what happened is in its outcome.
Call = Callable[[], Outcome]


class Executor(Protocol):
    """Runs submitted work.

    Two questions are kept apart: on which thread the *driver* of a submitted task goes on (`spawn`), and where the
    user's *call* is executed (`run`): in the driver's thread, in another process, on another machine.
    """

    name: str

    def start(self, exit_stack: ExitStack) -> None:
        """Make ready; what has to be undone is left on ``exit_stack``. Called once, before anything else."""

    def spawn(self, work: Callable[[], Any]) -> None:
        """Have ``work`` called soon, on a thread of the executor, and return at once. ``work`` does not raise."""

    def run(self, call: Call) -> Outcome:
        """Execute ``call`` and return its outcome; called on a thread that `spawn` provided."""

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which the calling thread counts as idle.

        If it is one of the executor's, it gives its place to other work, so that tasks that wait for tasks can't block
        one another for ever.
        """
