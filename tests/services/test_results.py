"""What runs returned, as JSON, without anything being unpickled."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.events import Kept
from jupyter_wf.core.models import Run, StoredResult
from jupyter_wf.core.settings import Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.returned import returned, store_return
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services import results
from jupyter_wf.services.results import environment_of_run, plain_json, plain_result, result_of_run


@pytest.fixture
def runtime(wf_home: Path) -> Iterator[Runtime]:
    runtime = Runtime.open(Settings(home=wf_home), role="python")
    yield runtime
    runtime.close()


def run_with(runtime: Runtime, *values: Any, kept: Kept | None = None) -> Run:
    """Return a run that has completed with the last of the values that were returned."""
    live = runtime.begin("flow", "r", flow_name="n")
    for value in values:
        store_return(runtime, live.id, value)
    live.set_state(StateType.RUNNING)
    live.set_state(StateType.COMPLETED, kept=kept or returned(runtime.store, live.id))
    runtime.journal.flush()
    return runtime.store.get_run(live.id)


@pytest.mark.parametrize("value", [None, 5, "text", {"a": [1, None, 2.5]}, ["x" * 100_000]])
def test_json_is_shown_as_it_is(runtime: Runtime, value: Any) -> None:
    run = run_with(runtime, "the first is replaced", value)
    found = result_of_run(runtime.store, runtime.settings, run)
    assert found is not None and (found["is_json"], found["value"]) == (True, value)
    assert plain_result(runtime.store, runtime.settings, run) == value


class Loud:
    """Says what it is, and must not be made anew."""

    def __repr__(self) -> str:
        return f"<Loud {'x' * 2000}>"

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise AssertionError("it was unpickled")


class Mute:
    """Can't say what it is."""

    def __repr__(self) -> str:
        raise ValueError


def test_of_other_values_type_and_repr_are_shown(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    run, mute = run_with(runtime, Loud()), run_with(runtime, Mute())
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, _explode)
    found = result_of_run(runtime.store, runtime.settings, run)
    assert found is not None and (found["is_json"], found["value"]) == (False, None)
    assert found["type"] == f"{__name__}.Loud" and found["size"] > 0
    assert str(found["repr"]).startswith("<Loud xxx") and len(str(found["repr"])) == 1000
    assert plain_result(runtime.store, runtime.settings, run) == {"type": found["type"], "repr": found["repr"]}
    assert plain_result(runtime.store, runtime.settings, mute)["repr"] == "<its repr raised ValueError>"


def test_where_nobody_said_what_it_is_its_format_is_told(runtime: Runtime) -> None:
    run = run_with(runtime, kept=Kept("pickle", b"nothing that can be read"))
    found = result_of_run(runtime.store, runtime.settings, run)
    assert found == {"is_json": False, "value": None, "type": "a value stored as pickle", "repr": None, "size": 24}


def test_what_is_too_large_is_not_shown(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_with(runtime, "x" * 100_000)
    monkeypatch.setattr(results, "_LARGEST", 1_000)
    found = result_of_run(runtime.store, runtime.settings, run)
    assert found is not None and (found["is_json"], found["type"], found["size"]) == (False, "str", 100_002)


def test_a_file_that_is_gone_is_told(runtime: Runtime) -> None:
    run = run_with(runtime, ["x"] * 100_000)
    for path in runtime.settings.results.rglob("*"):
        if path.is_file():
            path.unlink()
    assert "result" in plain_result(runtime.store, runtime.settings, run)["repr"]


def test_without_a_result_there_is_none(runtime: Runtime) -> None:
    assert result_of_run(runtime.store, runtime.settings, run_with(runtime)) is None
    assert plain_result(runtime.store, runtime.settings, run_with(runtime)) is None


def test_parameters_that_somebody_has_pickled_are_not_read(runtime: Runtime) -> None:
    stored = StoredResult(run_id="r", format="pickle", data=pickle.dumps(Loud()), at=time.time())
    assert plain_json(runtime.blobs, stored) is None
    assert plain_json(runtime.blobs, None) is None


def test_the_packages_of_a_run(runtime: Runtime) -> None:
    run = run_with(runtime)
    for source in (
        {},
        {"environment": 5},
        {"environment": {"digest": "../state"}},
        {"environment": {"digest": "a" * 64}},
    ):
        with pytest.raises(TargetError):
            environment_of_run(runtime.settings, replace(run, source=source))
    path = runtime.settings.environments / f"{'a' * 64}.json"
    path.parent.mkdir()
    path.write_text('{"python": "3.12.0", "packages": {}}')
    assert environment_of_run(runtime.settings, replace(run, source=source))["python"] == "3.12.0"
    path.write_text("{")
    with pytest.raises(TargetError, match="can't be read"):
        environment_of_run(runtime.settings, replace(run, source=source))
