"""``import jupyter_wf`` stays light, and gives what it says."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT, Package

#: Each costs tens of milliseconds to seconds at import, which every script that uses a task would pay.
HEAVY = frozenset(
    (
        "IPython",
        "distributed",
        "ipykernel",
        "ipywidgets",
        "jsonschema",
        "jupyter_client",
        "jupyter_events",
        "jupyter_server",
        "nbclient",
        "nbformat",
        "pandas",
        "pydantic",
        "rich",
        "sqlite_utils",
        "strawberry",
        "tornado",
        "zmq",
    )
)


def heavy_after(code: str) -> set[str]:
    """Return which of `HEAVY` a new process has loaded after running ``code``."""
    report = f"{code}\nimport json, sys\nprint(json.dumps([name for name in sys.modules if '.' not in name]))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(done.stdout))


def test_the_probe_sees_a_heavy_import() -> None:
    assert heavy_after("import rich, nbformat") >= {"rich", "nbformat"}


def test_import_is_light() -> None:
    assert heavy_after("import jupyter_wf\nfrom jupyter_wf import flow, task") == set()


@pytest.mark.parametrize("name", sorted(Package(ROOT).modules))
def test_everything_promised_is_there(name: str) -> None:
    if name.endswith("__main__"):
        assert importlib.util.find_spec(name) is not None
        return
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        getattr(module, exported)
