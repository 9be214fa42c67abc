"""Exceptions by which running work ends its run in another way than by returning or failing.

Like `KeyboardInterrupt` they are no `Exception`, so that ``except Exception`` in the work does not swallow them.
"""

from __future__ import annotations

from typing import Any

from jupyter_wf.core.effects import End, Outcome

__all__ = ["Signal", "SkipRun", "StopFlow", "SuspendRun"]


class Signal(BaseException):
    """Ends the run of the code that raises it."""

    end = End.RAISED

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(*(() if reason is None else (reason,)))
        self.reason = reason

    def outcome(self) -> Outcome:
        """Return the outcome of the call that raised this."""
        return Outcome(self.end, None, self)


class SkipRun(Signal):
    """The run is over and COMPLETED as ``Skipped``; what depends on it is skipped too."""

    end = End.SKIPPED


class StopFlow(Signal):
    """The flow run is over and COMPLETED: nothing is left to be done. ``value`` is what the flow returns."""

    end = End.STOPPED

    def __init__(self, reason: str | None = None, value: Any = None) -> None:
        super().__init__(reason)
        self.value = value

    def outcome(self) -> Outcome:
        """Return the outcome of the call that raised this."""
        return Outcome(End.STOPPED, self.value, self)


class SuspendRun(Signal):
    """The run ends here for now; its next attempt goes on with what had completed."""

    end = End.SUSPENDED
