"""What `run_deployment` gives: runs that have ended for good, with their results; and what it refuses."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow
from jupyter_wf.core.errors import InvalidRequest, MissingResult, ParameterError
from jupyter_wf.deployments import deploy, run_deployment
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.flow_runs import wait_for_flow_run
from tests.notebook.making import write_notebook
from tests.public.test_deployments import serving


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "report.ipynb", "1")


def test_a_run_that_is_tried_again_has_not_ended(runtime: Runtime) -> None:
    tries: list[int] = []

    @flow
    def third_time(good: int = 3) -> str:
        tries.append(len(tries))
        if len(tries) < good:
            raise ValueError("not yet")
        return "done"

    with serving(runtime, third_time, policies={"retries": 2}):
        run = run_deployment("third_time/here", timeout=60)
        assert (run.state.name, run.attempt, run.state.result()) == ("Completed", 3, "done")
        tries.clear()
        run = run_deployment("third_time/here", {"good": 9}, timeout=60)
        assert (run.state.name, run.attempt) == ("Failed", 3)
        tries.clear()
        run = asyncio.run(_awaited("third_time/here"))
        assert (run.state.name, run.attempt) == ("Completed", 3)


async def _awaited(name: str) -> Any:
    return await run_deployment(name, timeout=60)


def test_the_result_is_in_the_state(runtime: Runtime) -> None:
    class Sea:
        """Nothing that could be stored as JSON."""

        def __reduce__(self) -> Any:
            raise TypeError("not this one")

    @flow
    def double(n: Any = None) -> Any:
        return Sea() if n == "sea" else n and n * 2

    with serving(runtime, double):
        run = run_deployment("double/here", {"n": [1, 2]}, timeout=60)
        assert run.state.result() == [1, 2, 1, 2]
        assert wait_for_flow_run(run.id).state.result() == [1, 2, 1, 2]
        assert run_deployment("double/here", timeout=60).state.result() is None
        with pytest.raises(MissingResult, match="not stored"):
            run_deployment("double/here", {"n": "sea"}, timeout=60).state.result()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"poll_interval": "fast"}, "poll_interval"),
        ({"scheduled_time": "tomorrow"}, "scheduled_time"),
        ({"parameters": [1]}, "parameters"),
        ({"parameters": {1: 2}}, "parameters"),
        ({"tags": "db"}, "tags"),
        ({"tags": 5}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"flow_run_name": 5}, "flow_run_name"),
        ({"flow_run_name": "a\x1b[31m"}, "flow_run_name"),
        ({"flow_run_name": ""}, "flow_run_name"),
        ({"idempotency_key": 5}, "idempotency_key"),
    ],
    ids=repr,
)
def test_what_can_not_be_is_refused_before_a_run_is_made(
    given: dict[str, Any], field: str, notebook: Path, runtime: Runtime
) -> None:
    deploy(notebook, "nightly")
    with pytest.raises((ParameterError, InvalidRequest), match=field):
        run_deployment("report/nightly", **{"timeout": 0, **given})
    assert not runtime.store.list_runs(limit=10).items


def test_a_moment_without_a_zone_is_local(notebook: Path, runtime: Runtime) -> None:
    deploy(notebook, "nightly")
    at = datetime(2030, 1, 1, 6)
    run = run_deployment("nightly", scheduled_time=at, timeout=0, tags=("db",), flow_run_name="a/b c")
    queued = runtime.store.queue.get(run.id)
    assert queued is not None and queued.due_at == at.timestamp()
    assert (run.tags, run.name) == (("db",), "a/b c")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"parameters": 5}, "parameters"),
        ({"parameters": [("rows", 1)]}, "parameters"),
        ({"tags": 5}, "tags"),
        ({"tags": "db"}, "tags"),
        ({"paused": "yes"}, "paused"),
    ],
    ids=repr,
)
def test_a_deployment_is_not_changed_by_what_can_not_be(
    given: dict[str, Any], field: str, notebook: Path, runtime: Runtime
) -> None:
    with pytest.raises((ParameterError, InvalidRequest), match=field):
        deploy(notebook, "nightly", **given)
    before = deploy(notebook, "nightly")
    with pytest.raises((ParameterError, InvalidRequest), match=field):
        deploy(notebook, "nightly", **given)
    assert runtime.store.deployments.find("report/nightly") == before


def test_an_argument_that_there_is_not_is_named_as_one(notebook: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"image='x': .*no such argument or policy") as caught:
        deploy(notebook, "nightly", image="x")  # type: ignore[call-arg]
    assert caught.value.name == "image"
    with pytest.raises(InvalidRequest, match="did you mean 'retries'"):
        deploy(notebook, "nightly", retry=2)  # type: ignore[call-arg]
    with pytest.raises(InvalidRequest, match="did you mean 'schedules'"):
        deploy(notebook, "nightly", schedule="x")  # type: ignore[call-arg]
