"""``import jupyter_wf`` stays light, and gives what it says."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import open_store
from tests.architecture.source import ROOT, Package
from tests.benchmarks.workloads import HELLO

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


#: Ours that a plain import and a plain program never need, each with half a millisecond or more to load.
UNNEEDED = frozenset(
    f"jupyter_wf.{name}"
    for name in (
        "core.models",
        "engine.asynchronous",
        "engine.background",
        "engine.cache",
        "engine.capture",
        "engine.fingerprints",
        "engine.limits",
        "engine.mapping",
        "engine.pausing",
        "engine.prints",
        "engine.remote",
        "engine.results",
        "engine.resuming",
        "engine.serving",
        "engine.staging",
        "engine.submit",
        "engine.transaction",
        "engine.validation",
        "executors.base",
        "executors.registry",
        "store.shared",
        "store.sqlite.owners",
        "store.sqlite.results",
        "store.sqlite.rows",
        "store.sqlite.runs",
        "store.sqlite.stream",
        "store.sqlite.work",
    )
)
#: How many modules of ours a plain import may load: each costs a tenth of a millisecond, with nothing in it.
MOST_MODULES = 66
#: Of the standard library: what is slow, and rarely needed.
SLOW = frozenset(
    (
        "asyncio",
        "base64",
        "concurrent",
        "ctypes",
        "email",
        "hashlib",
        "importlib.metadata",
        "multiprocessing",
        "pickle",
        "random",
        "tempfile",
        "unittest",
        "uuid",
        "zipfile",
    )
)
#: Dataclasses take most of a millisecond each to make. Where it can be, a value of the path is a named tuple.
DATACLASSES = {"jupyter_wf.core.states.State"}
IMPORT = "import jupyter_wf\nfrom jupyter_wf import flow, task"


def loaded_after(code: str) -> set[str]:
    """Return the modules that a new process has loaded after running ``code``, which prints nothing itself."""
    report = f"{code}\nimport sys\nloaded = list(sys.modules)\nimport json\nprint(json.dumps(loaded))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def heavy_after(code: str) -> set[str]:
    """Return which of `HEAVY` a new process has loaded after running ``code``."""
    report = f"{code}\nimport json, sys\nprint(json.dumps([name for name in sys.modules if '.' not in name]))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return HEAVY & set(json.loads(done.stdout))


def test_the_probe_sees_a_heavy_import() -> None:
    assert heavy_after("import rich, nbformat") >= {"rich", "nbformat"}


def test_import_is_light() -> None:
    assert heavy_after("import jupyter_wf\nfrom jupyter_wf import flow, task") == set()


def test_the_unneeded_exist() -> None:
    assert set(Package(ROOT).modules) >= UNNEEDED
    assert loaded_after("import jupyter_wf.core.models") & UNNEEDED == {"jupyter_wf.core.models"}


def test_import_loads_little() -> None:
    loaded = loaded_after(IMPORT)
    ours = {name for name in loaded if name.partition(".")[0] == "jupyter_wf"}
    assert "jupyter_wf.tasks" in ours
    assert loaded & UNNEEDED == set()
    assert len(ours) <= MOST_MODULES, sorted(ours)
    assert loaded & SLOW <= loaded_after("pass") & SLOW


def test_import_makes_few_dataclasses() -> None:
    made = "[c for n, m in list(sys.modules.items()) if n.startswith('jupyter_wf') for c in vars(m).values()]"
    report = (
        f"{IMPORT}\nimport sys, json\nmade = {made}\n"
        "print(json.dumps(['.'.join((c.__module__, c.__name__)) for c in made "
        "if isinstance(c, type) and '__dataclass_fields__' in vars(c)]))"
    )
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) == DATACLASSES


def test_a_plain_program_loads_no_more_of_ours(tmp_path: Path) -> None:
    """What was moved off the import has not gone to the first call."""
    program = tmp_path / "hello.py"
    program.write_text(
        HELLO + "    import sys\n    print(*[name for name in sys.modules if name.startswith('jupyter_wf')])\n"
    )
    environ = {**os.environ, "JUPYTER_WF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    # The first program of a home makes the state file, and needs the statements for it.
    open_store(Settings(home=tmp_path / "home")).close()
    done = subprocess.run([sys.executable, program], env=environ, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded == {name for name in loaded_after(IMPORT) if name.startswith("jupyter_wf")}


@pytest.mark.parametrize("name", sorted(Package(ROOT).modules))
def test_everything_promised_is_there(name: str) -> None:
    if name.endswith("__main__"):
        assert importlib.util.find_spec(name) is not None
        return
    module = importlib.import_module(name)
    for exported in getattr(module, "__all__", ()):
        getattr(module, exported)
