"""The side of jupyter_wf that lives in a notebook's kernel: ``%load_ext jupyter_wf``."""

from __future__ import annotations

from collections.abc import Callable

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.ipython.completion import offer_completions
from jupyter_wf.ipython.magics import WorkflowMagics
from jupyter_wf.ipython.session import Session
from jupyter_wf.ipython.wf import WfMagics

__all__ = ["load_ipython_extension", "unload_ipython_extension"]

#: The session of each shell, with what takes its completions away again.
_sessions: dict[InteractiveShell, tuple[Session, Callable[[], None]]] = {}


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
    _sessions[shell] = session, offer_completions(shell, session)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics and the views away again; runs that are open go on."""
    known = _sessions.pop(shell, None)
    if known is None:
        return
    session, withdraw = known
    withdraw()
    session.close()
    magics = shell.magics_manager.magics
    for kind, name in (("cell", "task"), ("cell", "flow"), ("line", "wf")):
        magics[kind].pop(name, None)
