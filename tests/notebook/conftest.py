"""The fixtures of the notebooks' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import Runtime
from tests.notebook.bench import Bench


@pytest.fixture
def bench(tmp_path: Path, wf_home: Path) -> Iterator[Bench]:
    runtime = Runtime.open(Settings(home=wf_home), role="runner")
    folder = tmp_path / "work"
    folder.mkdir()
    yield Bench(runtime, folder)
    runtime.close()
