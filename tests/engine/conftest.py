"""What tests of the engine ask of the store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import Runtime, current_runtime


@pytest.fixture
def runtime() -> Runtime:
    return current_runtime()


@pytest.fixture
def runs() -> Callable[[], list[Run]]:
    """Return a function that lists every run, oldest first."""

    def every() -> list[Run]:
        return list(current_runtime().store.list_runs(RunFilter(oldest_first=True), limit=1000).items)

    return every


@pytest.fixture
def story() -> Callable[[str], list[str]]:
    """Return a function that gives the names of a run's states in order."""

    def states(run_id: str) -> list[str]:
        return [event.payload["name"] for event in current_runtime().store.states(run_id)]

    return states
