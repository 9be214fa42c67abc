"""The harness for tests of flows, as a block, as a decorator, and as pytest fixtures."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from jupyter_wf import flow, task
from jupyter_wf.artifacts import create_markdown_artifact
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE
from jupyter_wf.engine.context import ROOT_VARIABLE, Ambient, ambient_parent, current_run, set_ambient_parent
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.testing import Harness, wf_harness
from jupyter_wf.variables import Variable

ROOT = Path(__file__).resolve().parents[2]


@task
def double(number: int) -> int:
    return number * 2


@flow
def pipeline(number: int) -> int:
    return double(number) + double.submit(number).result()


@flow
async def async_pipeline(number: int) -> int:
    return double(number)


def names() -> list[str | None]:
    return [run.flow_name for run in current_runtime().store.list_runs().items if run.kind == "flow"]


def test_what_runs_inside_is_kept_apart_and_thrown_away(wf_home: Path) -> None:
    Variable.set("outside", 1)
    before = current_runtime()
    with wf_harness() as harness:
        assert harness.home != wf_home
        assert pipeline(3) == 12
        assert (Variable.get("outside"), names()) == (None, ["pipeline"])
        assert len(harness.store.list_runs().items) == 3
        inside, home = current_runtime(), harness.home
        assert inside is not before and inside.settings.home == home and home.is_dir()
        Variable.set("inside", 1)
    assert current_runtime() is before and not before.closed
    assert inside.closed and not home.exists() and not home.parent.exists()
    with pytest.raises(StoreError):
        inside.store.last_seq()
    assert (Variable.get("outside"), Variable.get("inside"), names()) == (1, None, [])
    assert os.environ[HOME_VARIABLE] == str(wf_home)
    with pytest.raises(RuntimeError, match="not in use"):
        _ = harness.home
    with pytest.raises(RuntimeError, match="not in use"):
        _ = harness.store


def test_nothing_is_made_where_nothing_runs() -> None:
    with wf_harness() as harness:
        assert not harness.home.exists()


def test_the_environment_of_before_is_back_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv(PARENT_VARIABLE, "a-run")
    monkeypatch.setenv(ROOT_VARIABLE, "a-root")
    with pytest.raises(ZeroDivisionError), wf_harness():
        assert ambient_parent() is None and HOME_VARIABLE in os.environ
        pipeline(1)
        _ = 1 / 0
    assert HOME_VARIABLE not in os.environ
    assert ambient_parent() == Ambient("a-run", "a-root")


def test_a_harness_inside_a_run_begins_new_trees() -> None:
    @flow
    def outer() -> None:
        run = current_run()
        with wf_harness() as harness:
            assert current_run() is None
            assert pipeline(1) == 4
            (root,) = (each for each in harness.store.list_runs().items if each.kind == "flow")
            assert root.parent_id is None
        assert current_run() is run

    outer()
    assert names() == ["outer"]
    set_ambient_parent("somebody", "else")
    try:
        with wf_harness():
            assert ambient_parent() is None
        assert ambient_parent() == Ambient("somebody", "else")
    finally:
        set_ambient_parent(None)


def test_harnesses_nest_but_one_is_used_once_at_a_time() -> None:
    with wf_harness() as outer:
        pipeline(1)
        with wf_harness() as inner:
            async_result = asyncio.run(async_pipeline(2))
            assert (async_result, names(), inner.home != outer.home) == (4, ["async_pipeline"], True)
        assert names() == ["pipeline"]
        with pytest.raises(RuntimeError, match="in use"), outer:
            raise AssertionError
    with outer:
        assert names() == []


def test_what_still_runs_is_waited_for() -> None:
    go, done = threading.Event(), []

    @task
    def slow() -> None:
        assert go.wait(30)
        done.append(True)

    with wf_harness():
        slow.submit()
        go.set()
    assert done == [True]


def test_as_a_decorator() -> None:
    @wf_harness()
    def sync_test(number: int) -> list[str | None]:
        """Run a flow."""
        assert pipeline(number) == 4 * number
        return names()

    @wf_harness()
    async def async_test() -> list[str | None]:
        await async_pipeline(1)
        return names()

    for number in (1, 2):
        assert sync_test(number) == ["pipeline"], "each call has state of its own"
    assert asyncio.run(async_test()) == ["async_pipeline"]
    assert (sync_test.__name__, sync_test.__doc__) == ("sync_test", "Run a flow.")
    assert names() == []


def test_processes_that_are_started_inside_share_the_state() -> None:
    code = "from jupyter_wf.variables import Variable; Variable.set('from_child', 5)"
    with wf_harness():
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
        assert Variable.get("from_child") == 5
        assert create_markdown_artifact("text")
    assert Variable.get("from_child") is None


TESTS = """
from jupyter_wf import flow
from jupyter_wf.variables import Variable

@flow
def pipeline():
    return 1

def count(harness):
    return len(harness.store.list_runs().items)

def test_one(wf_harness):
    assert pipeline() == 1 and count(wf_harness) == 1

def test_two(wf_harness):
    assert count(wf_harness) == 0
    assert pipeline() == 1 and count(wf_harness) == 1

def test_shared_one(wf_harness_session):
    assert pipeline() == 1 and count(wf_harness_session) == 1

def test_shared_two(wf_harness_session):
    assert pipeline() == 1 and count(wf_harness_session) == 2

def test_inside(wf_harness_session, wf_harness):
    assert wf_harness_session.home != wf_harness.home
    assert count(wf_harness) == 0
"""
LIGHT = """
import sys
def test_light():
    loaded = {name for name in sys.modules if name.startswith("jupyter_wf.")}
    assert loaded <= {"jupyter_wf._version", "jupyter_wf.pytest_plugin"}, loaded
"""


def run_pytest(folder: Path, text: str) -> str:
    """Run a test file in a pytest of its own, with warnings as errors, and return what it says."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(text)
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-W", "error", "-m", "pytest", "-p", "jupyter_wf.pytest_plugin", "-q", str(folder)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_fixtures(tmp_path: Path, wf_home: Path) -> None:
    assert "5 passed" in run_pytest(tmp_path, TESTS)
    assert not wf_home.exists(), "nothing went to the state of whoever runs the tests"


def test_the_plugin_costs_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    assert "1 passed" in run_pytest(tmp_path, LIGHT)


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    plugins = project["entry-points"]["pytest11"]
    assert plugins == {"jupyter_wf": "jupyter_wf.pytest_plugin"}
    assert {"wf_harness", "wf_harness_session"} <= set(import_module(plugins["jupyter_wf"]).__all__)
    assert isinstance(wf_harness(), Harness)
