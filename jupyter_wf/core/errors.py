"""Every error the package raises on purpose, built from facts; `core.notebook_errors` has one more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "AmbiguousRunId",
    "ArtifactNotFound",
    "CancelledRun",
    "CellLineError",
    "ConcurrencySlotAcquisitionError",
    "CrashedRun",
    "DatabaseDamaged",
    "DatabaseTooNew",
    "FailedRun",
    "FlowPauseTimeout",
    "FlowRunWaitTimeout",
    "FlowVisualizationError",
    "InputRefused",
    "InvalidRequest",
    "InvalidTransition",
    "JupyterWfError",
    "MappingLengthMismatch",
    "MappingMissingIterable",
    "MissingContextError",
    "MissingResult",
    "ParameterBindError",
    "ParameterError",
    "ParameterTypeError",
    "PauseError",
    "RemoteError",
    "RemoteTraceback",
    "RunFinished",
    "RunNotFound",
    "RunnerError",
    "SecretNotFound",
    "StoreError",
    "SuspendedRun",
    "TargetError",
    "TaskTimeout",
    "UnfinishedRun",
    "UpstreamFailed",
    "VariableExists",
    "VisualizationUnsupportedError",
]


class JupyterWfError(Exception):
    """Base of every error that this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Their constructors take facts, not the text that is in `args`.
        return _remake, (type(self), self.args, self.__dict__)


def _remake(kind: type[JupyterWfError], args: tuple[Any, ...], facts: dict[str, Any]) -> JupyterWfError:
    error = kind.__new__(kind, *args)
    # An `OSError` leaves them to its `__init__`.
    error.args = args
    error.__dict__.update(facts)
    return error


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


class RunnerError(JupyterWfError):
    """The process that was to execute a notebook run could not do it; the run is as it was before."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(f"run {run_id} can't be executed: {reason}")
        self.run_id = run_id
        self.reason = reason


class ParameterError(JupyterWfError, TypeError):
    """A parameter has a wrong name, a wrong type, or is missing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"parameter {name!r}: {reason}")
        self.name = name
        self.reason = reason


class ParameterBindError(ParameterError):
    """The arguments of a call do not fit the parameters of its task or flow."""

    def __init__(self, what: str, reason: str) -> None:
        Exception.__init__(self, f"{what}: {reason}")
        self.name = what
        self.reason = reason


class ParameterTypeError(ParameterError):
    """Arguments of a flow do not fit the annotations of its parameters.

    ``problems`` holds (field, reason) for each fault: ``("config.ports[1]", "'x' should be a valid integer …")``.
    """

    def __init__(self, owner: str, problems: Sequence[tuple[str, str]]) -> None:
        Exception.__init__(self, "; ".join(f"parameter {field!r} of {owner}: {reason}" for field, reason in problems))
        self.owner = owner
        self.problems = tuple(problems)
        self.name, self.reason = self.problems[0]

    def __reduce__(self) -> tuple[type[ParameterTypeError], tuple[str, tuple[tuple[str, str], ...]]]:
        return type(self), (self.owner, self.problems)


class MappingLengthMismatch(JupyterWfError, ValueError):
    """The iterables that a task was to be mapped over have different lengths."""

    def __init__(self, task: str, lengths: Mapping[str, int]) -> None:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        super().__init__(f"task {task!r} can't be mapped over iterables of different lengths: {told}")
        self.task = task
        self.lengths = dict(lengths)


class MappingMissingIterable(JupyterWfError, ValueError):
    """A task was to be mapped, but none of its arguments can be iterated over."""

    def __init__(self, task: str, names: Sequence[str]) -> None:
        told = ", ".join(names) or "none at all"
        super().__init__(f"task {task!r} can't be mapped: none of its arguments ({told}) is an iterable to map over")
        self.task = task


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


class ConcurrencySlotAcquisitionError(JupyterWfError):
    """Slots of a limit will never be had: there is no such limit, or it has too few."""

    def __init__(self, names: Sequence[str], reason: str) -> None:
        super().__init__(f"no slots of {', '.join(map(repr, names))}: {reason}")
        self.names = tuple(names)
        self.reason = reason


class AcquireConcurrencySlotTimeoutError(JupyterWfError, TimeoutError):
    """Slots of a limit were not free in time."""

    def __init__(self, names: Sequence[str], seconds: float) -> None:
        super().__init__(f"no slots of {', '.join(map(repr, names))} were free within {seconds:g} s")
        self.names = tuple(names)
        self.seconds = seconds


class SecretNotFound(JupyterWfError, ValueError):
    """No secret has this name."""

    def __init__(self, name: str, variable: str, trouble: str) -> None:
        super().__init__(f"there is no secret {name!r}: neither {variable} nor {name} is in the environment; {trouble}")
        self.name = name


class ArtifactNotFound(JupyterWfError, LookupError):
    """No artifact has this id."""

    def __init__(self, artifact_id: str) -> None:
        super().__init__(f"no artifact has the id {artifact_id!r:.80}")
        self.artifact_id = artifact_id


class VariableExists(JupyterWfError, ValueError):
    """A variable of this name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a variable {name!r} already; use overwrite=True to replace it")
        self.name = name


class UnfinishedRun(JupyterWfError):
    """The result of a run was asked for before the run ended."""


class FailedRun(JupyterWfError):
    """A run ended FAILED and its own exception is not at hand (another process ran it)."""


class CrashedRun(JupyterWfError):
    """A run ended CRASHED: what executed it is gone."""


class RemoteError(JupyterWfError, RuntimeError):
    """Stands for an exception or a value of another process that can't be brought here.

    ``type_name`` is the name of the exception's class. Its cause is the `RemoteTraceback`.
    """

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message


class RemoteTraceback(JupyterWfError):
    """Where an exception was raised in another process, as text: the cause of that exception here."""

    def __str__(self) -> str:
        return f'\n"""\n{super().__str__().rstrip()}\n"""'


class CancelledRun(JupyterWfError):
    """A run was cancelled."""


class SuspendedRun(JupyterWfError):
    """A flow run was suspended: it has no result yet, and its next attempt will go on with what has completed."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(f"flow run {name!r} is suspended; resume_flow_run({run_id!r}) goes on with it")
        self.run_id = run_id
        self.name = name


class FlowPauseTimeout(JupyterWfError, TimeoutError):
    """A flow run was paused or suspended, and not resumed in time."""

    def __init__(self, run_id: str, name: str, seconds: float) -> None:
        super().__init__(f"flow run {name!r} was not resumed within {seconds:g} s")
        self.run_id = run_id
        self.name = name
        self.seconds = seconds


class FlowRunWaitTimeout(JupyterWfError, TimeoutError):
    """A flow run had not ended when the time to wait for it was up."""

    def __init__(self, run_id: str, state: str, seconds: float) -> None:
        super().__init__(f"flow run {run_id} is still {state} after {seconds:g} s")
        self.run_id = run_id
        self.state = state
        self.seconds = seconds


class InputRefused(JupyterWfError, ValueError):
    """The input with which a run was to be resumed is not what it waits for: it stays paused."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(f"the input is refused, and run {run_id} stays paused: {reason}")
        self.run_id = run_id
        self.reason = reason


class PauseError(JupyterWfError, RuntimeError):
    """Only a flow can be paused or suspended, from its own body; or nobody has answered a request to resume it."""


class MissingContextError(JupyterWfError, RuntimeError):
    """Something that belongs to a run was asked for outside any run."""


class MissingResult(JupyterWfError):
    """A run ended COMPLETED, but its result was not stored."""


class UpstreamFailed(JupyterWfError):
    """A run was not called because something it depends on did not complete."""


class FlowVisualizationError(JupyterWfError):
    """The graph of a flow can't be drawn without running it."""


class VisualizationUnsupportedError(FlowVisualizationError):
    """While a flow is drawn, something needs the value of a task, which is not called.

    ``tasks`` are the names of the tasks whose value is needed.
    """

    def __init__(self, tasks: Sequence[str], need: str) -> None:
        names = ", ".join(map(repr, tasks))
        which = f"the task {names}" if len(tasks) == 1 else f"the tasks {names}"
        super().__init__(
            f"{need} needs the value of {which}, and a flow is drawn without running its tasks: "
            "give the task viz_return_value=…, which then stands for its value"
        )
        self.tasks = tuple(tasks)
        self.need = need


class CellLineError(JupyterWfError):
    """The first line of a ``%%task`` or ``%%flow`` cell is wrong; the message, one line, says what and why."""


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
