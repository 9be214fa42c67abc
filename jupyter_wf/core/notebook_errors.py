"""What becomes of a notebook that was called and did not complete."""

from __future__ import annotations

from jupyter_wf.core.errors import JupyterWfError

__all__ = ["NotebookFailed"]


class NotebookFailed(JupyterWfError):
    """A notebook that was called has not completed.

    ``run_id`` is its run, ``executed`` the path of the notebook with its outputs so far, ``cell`` the number of the
    cell that failed as people count (from 1; None where it was none). ``traceback``, as plain text, is a note of the
    exception: Python shows it where the exception is not caught.
    """

    def __init__(
        self, path: str, run_id: str, state: str, reason: str, *, executed: str, cell: int | None, traceback: str
    ) -> None:
        super().__init__(f"the notebook {path} is {state}: {reason} (run {run_id}; its outputs are in {executed})")
        self.path = path
        self.run_id = run_id
        self.state = state
        self.reason = reason
        self.executed = executed
        self.cell = cell
        self.traceback = traceback
        if traceback:
            self.add_note(f"in the notebook:\n{traceback.strip()}")
