"""How a notebook run or one of its cells ended: what the kernel's answer to a cell means for the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError

from jupyter_wf.core.models import RunError
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.notebook.steps import Step
from jupyter_wf.notebook.streams import plain_text

__all__ = [
    "STOPPED",
    "Outcome",
    "close_cell",
    "dead_kernel",
    "failure",
    "failure_of_task",
    "show_stop",
    "stop_told",
    "tolerated",
]

#: The name of the state of a run that has ended early, by will.
STOPPED = "Stopped"
#: What `SystemExit` says of an exit without an error.
_FINE = ("", "0", "None")
_LONGEST = 500
#: The hint that IPython prints below the error of `sys.exit`.
_HINT = "To exit: use 'exit', 'quit', or Ctrl-D."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a notebook run or one of its cells ended. ``name`` is the state's, that of its type when None."""

    type: StateType
    message: str | None = None
    error: RunError | None = None
    name: str | None = None

    @property
    def stops(self) -> bool:
        """Whether the run ends here although nothing went wrong."""
        return self.name == STOPPED


def stop_told(reply: Mapping[str, Any]) -> str | None:
    """Return why a cell has ended the run early, None where it has not.

    ``reply`` is the content of the kernel's answer. `sys.exit(0)`, ``exit()`` and `%wf stop` do it.
    """
    if reply.get("status") != "error":
        asked = any(item.get("source") == "ask_exit" for item in reply.get("payload") or () if isinstance(item, dict))
        return "exit() was called" if asked else None
    name, value = reply.get("ename"), str(reply.get("evalue") or "")
    if name == "SystemExit" and value in _FINE:
        return "sys.exit() was called"
    if name == "StopFlow":
        return value or "nothing is left to be done"
    return None


def show_stop(outputs: list[Any], reason: str) -> None:
    """Leave in a cell's outputs a line that the run ended there, instead of an error."""
    kept: list[Any] = []
    for output in outputs:
        text = output.get("text", "")
        if output["output_type"] == "error":
            continue
        if _HINT in text:
            # It may stand behind what the cell itself has printed to stderr.
            text = "".join(line for line in text.splitlines(keepends=True) if _HINT not in line)
            if not text:
                continue
            output = {**output, "text": text}
        kept.append(output)
    told = {"text/plain": f"The run was stopped here: {reason}"}
    kept.append({"output_type": "display_data", "data": told, "metadata": {}})
    outputs[:] = [nbformat.from_dict(output) for output in kept]  # type: ignore[no-untyped-call]


def tolerated(reply: Mapping[str, Any]) -> str | None:
    """Return what is said of a cell whose error its tag allows."""
    return f"raised {reply.get('ename')}, which its tag allows" if reply.get("status") == "error" else None


def failure(step: Step, error: CellExecutionError) -> Outcome:
    """Return the end of a run whose cell raised an error."""
    record = RunError(type=error.ename, message=error.evalue, traceback=plain_text(error.traceback))
    message = f"cell {step.index + 1}: {error.ename}: {error.evalue}"
    return Outcome(type=StateType.FAILED, message=message[:_LONGEST], error=record)


def failure_of_task(reply: Mapping[str, Any], cell: int | None) -> Outcome:
    """Return the end of a run in which something failed that nobody has waited for; ``cell`` is that of its task."""
    name, value = str(reply.get("ename")), str(reply.get("evalue"))
    lines: Sequence[Any] = reply.get("traceback") or ()
    record = RunError(type=name, message=value, traceback=plain_text("\n".join(map(str, lines))))
    where = "after the last cell" if cell is None else f"cell {cell + 1}"
    return Outcome(type=StateType.FAILED, message=f"{where}: {name}: {value}"[:_LONGEST], error=record)


def dead_kernel(reason: str) -> Outcome:
    """Return the end of a run whose kernel is gone; ``reason`` says how its process ended."""
    message = f"the kernel died: {reason}"
    return Outcome(type=StateType.CRASHED, message=message, error=RunError(type="DeadKernelError", message=message))


def close_cell(run: LiveRun, outcome: Outcome) -> None:
    """Bring the run of a plain cell to its end."""
    if not run.is_open:
        return
    message = outcome.message
    if outcome.error is not None and outcome.type is StateType.FAILED:
        message = f"{outcome.error.type}: {outcome.error.message}"[:_LONGEST]
    if outcome.stops:
        message = f"stopped the run: {outcome.message}"
    run.set_state(outcome.type, None, message, error=outcome.error)
