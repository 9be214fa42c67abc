"""The fixtures of the services' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import Runtime
from tests.services.agents import Yard
from tests.services.desk import Desk


@pytest.fixture
def desk(wf_home: Path, tmp_path: Path) -> Iterator[Desk]:
    runtime = Runtime.open(Settings(home=wf_home), role="server")
    folder = tmp_path / "work"
    folder.mkdir()
    yield Desk(runtime, folder)
    runtime.close()


@pytest.fixture
def yard(wf_home: Path, tmp_path: Path) -> Iterator[Yard]:
    folder = tmp_path / "work"
    folder.mkdir()
    yard = Yard(wf_home, folder)
    yield yard
    yard.clear()
