"""Every error the package raises on purpose, built from facts, and the one table of their HTTP status."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "HTTP_STATUS",
    "AmbiguousRunId",
    "CancelledRun",
    "CrashedRun",
    "DatabaseDamaged",
    "DatabaseTooNew",
    "FailedRun",
    "InvalidRequest",
    "InvalidTransition",
    "JupyterWfError",
    "MissingContextError",
    "MissingResult",
    "ParameterError",
    "RunFinished",
    "RunNotFound",
    "StoreError",
    "TargetError",
    "TaskTimeout",
    "UnfinishedRun",
    "UpstreamFailed",
    "http_status",
]


class JupyterWfError(Exception):
    """Base of every error that this package raises on purpose."""


class RunNotFound(JupyterWfError):
    """No run has this id, nor an id that begins with it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}; 'jupyter wf runs' lists what there is")
        self.run_id = run_id


class AmbiguousRunId(JupyterWfError):
    """A shortened id fits more than one run.

    ``matches`` holds a few of the ids that fit.
    """

    def __init__(self, prefix: str, matches: Sequence[str]) -> None:
        shown = ", ".join(matches)
        super().__init__(f"the id {prefix!r} fits more than one run ({shown}); give more characters")
        self.prefix = prefix
        self.matches = tuple(matches)


class InvalidTransition(JupyterWfError):
    """A run was asked to go from one state to another that the table does not allow."""

    def __init__(self, run: str, old: str, new: str, story: Sequence[str] = ()) -> None:
        past = f"; so far: {' → '.join(story)}" if story else ""
        super().__init__(f"run {run} cannot go from {old} to {new}{past}")
        self.run = run
        self.old = old
        self.new = new
        self.story = tuple(story)


class RunFinished(JupyterWfError):
    """A request came for a run that has already ended (or, for a retry, one that has not failed)."""

    def __init__(self, run_id: str, state: str, asked: str) -> None:
        super().__init__(f"run {run_id} is {state}: it can't be {asked}")
        self.run_id = run_id
        self.state = state
        self.asked = asked


class ParameterError(JupyterWfError, TypeError):
    """A parameter has a wrong name, a wrong type, or is missing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"parameter {name!r}: {reason}")
        self.name = name
        self.reason = reason


class TargetError(JupyterWfError):
    """What was asked to run cannot be found or is not a flow or notebook."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"{target!r}: {reason}")
        self.target = target
        self.reason = reason


class InvalidRequest(JupyterWfError, ValueError):
    """A value that came from outside (query, body, cursor, option) is not usable."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(f"{name}={value!r:.200}: {reason}")
        self.name = name
        self.value = value
        self.reason = reason


class TaskTimeout(JupyterWfError, TimeoutError):
    """A task or flow took longer than its ``timeout_seconds``."""

    def __init__(self, what: str = "run", seconds: float = 0.0) -> None:
        super().__init__(f"{what} exceeded its time-out of {seconds:g} s")
        self.what = what
        self.seconds = seconds


class UnfinishedRun(JupyterWfError):
    """The result of a run was asked for before the run ended."""


class FailedRun(JupyterWfError):
    """A run ended FAILED and its own exception is not at hand (another process ran it)."""


class CrashedRun(JupyterWfError):
    """A run ended CRASHED: what executed it is gone."""


class CancelledRun(JupyterWfError):
    """A run was cancelled."""


class MissingContextError(JupyterWfError, RuntimeError):
    """Something that belongs to a run was asked for outside any run."""


class MissingResult(JupyterWfError):
    """A run ended COMPLETED, but its result was not stored."""


class UpstreamFailed(JupyterWfError):
    """A run was not called because something it depends on did not complete."""


class StoreError(JupyterWfError):
    """The state file cannot be read or written."""


class DatabaseDamaged(StoreError):
    """The state file is not a sound database of ours; nothing was changed in it."""

    def __init__(self, path: str, reason: str, backup: str | None = None) -> None:
        help_ = f"; the newest backup is {backup}" if backup else "; move it away to begin anew, or restore a backup"
        super().__init__(f"the state file {path} can't be used: {reason}{help_}")
        self.path = path
        self.reason = reason
        self.backup = backup


class DatabaseTooNew(StoreError):
    """A newer release of jupyter_wf made the state file; this one must not write to it."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(
            f"the state file {path} has schema {found}, this release knows up to {known}: update jupyter_wf, "
            "or set JUPYTER_WF_HOME to another folder"
        )
        self.path = path
        self.found = found
        self.known = known


#: Which HTTP status answers which error. The first class that fits wins.
HTTP_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (RunNotFound, 404),
    (AmbiguousRunId, 409),
    (RunFinished, 409),
    (InvalidTransition, 409),
    (ParameterError, 422),
    (TargetError, 404),
    (InvalidRequest, 400),
    (StoreError, 503),
    (JupyterWfError, 400),
)


def http_status(error: Exception) -> int:
    """Return the HTTP status (an int from 400 to 599) that answers ``error``; 500 for a foreign one."""
    return next((status for cls, status in HTTP_STATUS if isinstance(error, cls)), 500)
