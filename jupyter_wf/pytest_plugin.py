"""The pytest plugin: the fixtures ``wf_harness`` and ``wf_harness_session``. Loading it imports nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jupyter_wf.testing import Harness

__all__ = ["wf_harness", "wf_harness_session"]


@pytest.fixture
def wf_harness() -> Iterator[Harness]:
    """Keep the runs of one test in state of its own, which is thrown away after it (`jupyter_wf.testing`)."""
    from jupyter_wf.testing import Harness

    with Harness() as harness:
        yield harness


@pytest.fixture(scope="session")
def wf_harness_session() -> Iterator[Harness]:
    """Keep the runs of all tests in state that they share, which is thrown away at the end of the session."""
    from jupyter_wf.testing import Harness

    with Harness() as harness:
        yield harness
