"""The side of jupyter_wf that lives in a notebook's kernel: ``%load_ext jupyter_wf``."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.ipython.magics import WorkflowMagics
from jupyter_wf.ipython.session import Session
from jupyter_wf.ipython.wf import WfMagics

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

_sessions: dict[InteractiveShell, Session] = {}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register ``%%task``, ``%%flow`` and ``%wf`` and show runs below their cells; a second call does nothing.

    Raises `StoreError` where the state file can't be used.
    """
    if shell in _sessions:
        return
    session = Session(shell)
    shell.register_magics(WorkflowMagics(shell, session))
    shell.register_magics(WfMagics(shell, session))
    session.open()
    _sessions[shell] = session


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics and the views away again; runs that are open go on."""
    session = _sessions.pop(shell, None)
    if session is None:
        return
    session.close()
    magics = shell.magics_manager.magics
    for kind, name in (("cell", "task"), ("cell", "flow"), ("line", "wf")):
        magics[kind].pop(name, None)
