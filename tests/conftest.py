"""What every test gets: a state folder of its own, and no runtime left over from the one before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE, SERVICES_VARIABLE

# No server of a test starts a scheduler or an agent, unless the test asks for it; fixtures of modules come before
# those of tests.
os.environ[SERVICES_VARIABLE] = "0"

# The same examples each time, so that a change is judged by what it changed; JUPYTER_WF_EXPLORE=1 looks for new ones.
# No deadlines: how long something takes says more about the machine.
hypothesis.settings.register_profile(
    "jupyter_wf",
    deadline=None,
    derandomize=not os.environ.get("JUPYTER_WF_EXPLORE"),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("jupyter_wf")


@pytest.fixture(autouse=True)
def wf_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the test away from the user's state and settings; yield the folder that stands in for `JUPYTER_WF_HOME`."""
    home = tmp_path / "wf-home"
    monkeypatch.setenv(HOME_VARIABLE, str(home))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv(SERVICES_VARIABLE, "0")
    for variable in (PARENT_VARIABLE, "JUPYTER_WF_ROOT_RUN"):
        monkeypatch.delenv(variable, raising=False)
    yield home
    context = sys.modules.get("jupyter_wf.engine.context")
    if context is not None:
        # What a test has said of the ambient parent is not for the next one.
        context._place.said = False
    runtime = sys.modules.get("jupyter_wf.engine.runtime")
    if runtime is not None:
        left = runtime.set_runtime(None)
        if left is not None:
            left.close()


@pytest.fixture(scope="session", autouse=True)
def _cluster_of_the_session() -> Iterator[None]:
    """End the Dask cluster that some tests share, if one of them has started it."""
    yield
    clusters = sys.modules.get("tests.clusters")
    if clusters is not None:
        clusters.end()
