"""The settings that every process shares; whoever starts a process reads them from its environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "EXTRA_LOGGERS_VARIABLE",
    "HOME_VARIABLE",
    "PARENT_VARIABLE",
    "SERVICES_VARIABLE",
    "Settings",
    "are_services_wanted",
]

#: Names of further loggers, separated by commas, whose records go to the run that they are made in.
EXTRA_LOGGERS_VARIABLE = "JUPYTER_WF_LOGGING_EXTRA_LOGGERS"
#: The folder of the state file, runs and results.
HOME_VARIABLE = "JUPYTER_WF_HOME"
#: In a runner's kernel: the id of the flow run that the kernel's tasks belong to.
PARENT_VARIABLE = "JUPYTER_WF_PARENT_RUN"
#: ``0`` keeps Jupyter servers from starting the scheduler and an agent.
SERVICES_VARIABLE = "JUPYTER_WF_SERVICES"
_NO = frozenset(("0", "false", "no", "off"))


class Settings(NamedTuple):
    """Where the state lives and how the journal and its readers pace themselves.

    ``home`` is made with mode 0700. ``journal_interval`` is how long (seconds) the journal gathers before it commits.
    ``tail_interval`` is how often (seconds) another process's commits are looked for. ``journal_limit`` is how many
    entries may wait before producers wait too. ``threads`` is the size of the thread executor's pool.
    """

    home: Path
    journal_interval: float = 0.004
    tail_interval: float = 0.03
    journal_limit: int = 50_000
    threads: int = 32

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / "state.db"

    @property
    def runs(self) -> Path:
        """The folder that holds one folder for each headless run."""
        return self.home / "runs"

    @property
    def results(self) -> Path:
        """The folder of results that are too large for the state file."""
        return self.home / "results"

    @property
    def snapshots(self) -> Path:
        """The folder of notebooks as they were when they were run."""
        return self.home / "snapshots"

    @property
    def environments(self) -> Path:
        """The folder of lists of installed packages."""
        return self.home / "environments"

    @property
    def agents(self) -> Path:
        """The folder of what agents print."""
        return self.home / "agents"


def are_services_wanted(environ: Mapping[str, str]) -> bool:
    """Return whether the environment lets Jupyter servers start services, which `SERVICES_VARIABLE` may deny."""
    return environ.get(SERVICES_VARIABLE, "").strip().lower() not in _NO
