"""What an executor is, and the call that it is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple, Protocol

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.signals import Signal

__all__ = ["Around", "Call", "Executor", "Log", "end_of", "execute"]

#: Takes a log line of the run: the level (a number of the standard library's logging), the text, the logger's name.
Log = Callable[[int, str, str], Any]
#: Makes the call where it is executed: is given where log lines go, the function and its arguments.
Around = Callable[[Log, Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], Any]


def _no_log(level: int, message: str, logger: str) -> None:
    """Drop a log line that no run wants."""


class Call(NamedTuple):
    """One call of the user's function, for the run ``run_id`` in the tree of ``root_id``.

    ``name`` is the run's, for messages. ``log`` takes the log lines that come from where the call is executed; it may
    be called on any thread. ``around`` is what is called there in place of the function: it has to be picklable, and
    makes the surroundings that the function finds (None: the function is called as it is).
    """

    fn: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    run_id: str = ""
    root_id: str = ""
    name: str = ""
    log: Log = _no_log
    around: Around | None = None


class Executor(Protocol):
    """Runs submitted work.

    Two questions are kept apart: on which thread the *driver* of a submitted task goes on (`spawn`), and where the
    user's *call* is executed (`run`): in the driver's thread, in another process, on another machine.
    """

    name: str
    #: Whether `run` executes calls elsewhere. Where it does not, the driver may as well call the function itself.
    #: (One whose attribute ``far`` is true executes them where the store of this process can't be opened.)
    remote: bool

    def start(self, exit_stack: ExitStack) -> None:
        """Make ready; what has to be undone is left on ``exit_stack``. Called once, before anything else."""

    def spawn(self, work: Callable[[], Any]) -> None:
        """Have ``work`` called soon, on a thread of the executor, and return at once. ``work`` does not raise.

        Raises `RuntimeError` after the executor was shut down.
        """

    def run(self, call: Call) -> Outcome:
        """Execute ``call``, wait for its end and return its outcome; called on any thread.

        Whatever the function raises is part of the outcome. An exception that is raised in the calling thread
        meanwhile, to interrupt it, stops the call, wherever it is executed, and goes on to the caller.
        """

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which the calling thread counts as idle.

        If it is one of the executor's, it gives its place to other work, so that tasks that wait for tasks can't block
        one another for ever.
        """


def end_of(error: BaseException) -> End:
    """Return how a call ended that raised ``error``."""
    if isinstance(error, Exception):
        return End.RAISED
    if isinstance(error, Signal):
        return error.end
    # Looked up, because importing asyncio costs 30 ms; nobody can have raised its error who has not imported it.
    asyncio = sys.modules.get("asyncio.exceptions")
    if isinstance(error, KeyboardInterrupt) or (asyncio is not None and isinstance(error, asyncio.CancelledError)):
        return End.CANCELLED
    return End.CRASHED


def execute(call: Call) -> Outcome:
    """Execute ``call`` in the calling thread: what `Executor.run` does where it is not remote."""
    try:
        if call.around is None:
            return Outcome(End.RETURNED, call.fn(*call.args, **call.kwargs))
        return Outcome(End.RETURNED, call.around(call.log, call.fn, call.args, call.kwargs))
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit) as error:
        return Outcome(end_of(error), None, error)
    except Signal as signal:
        return signal.outcome()
    except BaseException as error:
        # Any other is an interrupt of this thread; asyncio's is the one that functions raise themselves.
        if end_of(error) is End.CANCELLED:
            return Outcome(End.CANCELLED, None, error)
        raise
