"""A Jupyter kernel provisioner that makes the kernel of this very interpreter out of a fork, where there is one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from jupyter_wf.notebook.forking import take_fork

__all__ = ["ForkProvisioner", "can_be_forked"]

_LAUNCHERS = ("ipykernel_launcher", "ipykernel")
#: Changes nothing that code can see.
_HARMLESS = ("-Xfrozen_modules=off",)
#: An interpreter, or the system's loader, reads these when it starts, and never again.
_AT_START = ("PYTHON", "LD_")


class ForkProvisioner(LocalProvisioner):
    """Jupyter's local provisioner, which starts a new process, except where a fork will do.

    It will where the kernelspec asks for ipykernel in this interpreter and nothing else, and `prepare_fork` was called
    early enough. Known to Jupyter as ``jupyter-wf-fork``.
    """

    #: Whether forks are used at all.
    forks = hasattr(os, "fork")

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the kernel; see `LocalProvisioner.launch_kernel`. Raises `OSError`."""
        environ = kwargs.get("env") or os.environ
        process = take_fork() if self.forks and can_be_forked(cmd, environ) else None
        if process is None:
            return await super().launch_kernel(cmd, **kwargs)
        folder = str(kwargs.get("cwd") or os.getcwd())
        if not os.path.isdir(folder):
            process.discard()
            raise FileNotFoundError(f"no such folder: {folder!r}")
        process.become(cmd, folder=folder, environ=environ)
        # It leads a group of its own, as a kernel that was started does.
        self.process, self.pid, self.pgid = process, process.pid, process.pid  # type: ignore[assignment]
        self.cwd = folder
        return self.connection_info


def can_be_forked(command: Sequence[str], environ: Mapping[str, str] | None = None) -> bool:
    """Return whether a kernel's command is what a fork of this process can stand for.

    ``environ`` is the environment that the kernel would have: what an interpreter reads of it only when it starts must
    not differ from this process's.
    """
    if "-m" not in command or "ipykernel.kernelapp" not in sys.modules:
        return False
    at = command.index("-m")
    if not _is_this_python(command[0]) or any(option not in _HARMLESS for option in command[1:at]):
        return False
    launched = command[at + 1] if len(command) > at + 1 else ""
    return launched in _LAUNCHERS and _said(environ or os.environ) == _said(os.environ)


def _is_this_python(executable: str) -> bool:
    """Return whether a command's first word is the interpreter that runs here."""
    return os.path.abspath(executable) == os.path.abspath(sys.executable)


def _said(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START)}
