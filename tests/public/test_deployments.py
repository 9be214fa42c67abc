"""`jupyter_wf.deployments`, `Flow.deploy` and `Flow.serve`: Prefect's names, over notebooks and flows."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from jupyter_wf import flow
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import InvalidRequest, ParameterError, TargetError
from jupyter_wf.core.models import Run
from jupyter_wf.core.scheduling_errors import AmbiguousDeployment, DeploymentNotFound, ScheduleError
from jupyter_wf.deployments import (
    delete_deployment,
    deploy,
    pause_deployment,
    run_deployment,
    unpause_deployment,
)
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.flows import Flow
from jupyter_wf.schedules import Cron, Interval
from jupyter_wf.services.flow_serving import FlowServer
from tests.notebook.making import code, write_notebook
from tests.waiting import until

FLOWS = """
from jupyter_wf import flow

@flow
def etl(rows: int, day: str = "mon"):
    "Load what is new."
    return rows

@flow(name="sums")
def add(a, b=2, /, c: int = 3, **more):
    return a + b + c
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    return write_notebook(tmp_path / "report.ipynb", code("rows: int = 3\nday = 'mon'", "parameters"), "print(rows)")


@pytest.fixture
def flows(tmp_path: Path) -> Path:
    (tmp_path / "flows_of_test.py").write_text(FLOWS)
    return tmp_path / "flows_of_test.py"


@contextmanager
def serving(runtime: Runtime, served: Flow[..., Any], name: str = "here", **given: Any) -> Iterator[FlowServer]:
    """Serve a flow on a thread for the block."""
    server = FlowServer(runtime, served, {"name": name, **given}, limit=2)
    thread = threading.Thread(target=lambda: server.serve(pause=True))
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


# -- deploy ------------------------------------------------------------------------------------------------------------


def test_a_notebook_is_deployed(notebook: Path, runtime: Runtime) -> None:
    made = deploy(
        str(notebook),
        name="nightly",
        schedules=[Cron("0 6 * * 1-5", timezone="Europe/Oslo", slug="work", parameters={"rows": 9})],
        interval=timedelta(minutes=15),
        parameters={"rows": 7},
        tags=["daily"],
        work_pool="big",
        priority=3,
        timeout="1h",
        output="out/{name}.ipynb",
    )
    assert isinstance(made, Deployment)
    assert runtime.store.deployments.find("report/nightly") == made
    assert (made.kind, made.target, made.pool, made.tags, made.priority) == (
        "notebook",
        str(notebook),
        "big",
        ("daily",),
        3,
    )
    assert dict(made.parameters) == {"rows": 7}
    assert (made.policies.timeout, made.policies.output) == (3600.0, "out/{name}.ipynb")
    cron, every = made.schedules
    assert (cron.slug, dict(cron.spec), dict(cron.parameters)) == (
        "work",
        {"cron": "0 6 * * 1-5", "timezone": "Europe/Oslo"},
        {"rows": 9},
    )
    assert every.spec["interval"] == 900.0
    assert every.next_slot is not None and every.watermark < every.next_slot <= every.watermark + 900
    assert made.next_slot == min(each.next_slot for each in made.schedules if each.next_slot is not None)


def test_deploying_again_replaces_all_but_schedules_and_pause(notebook: Path, runtime: Runtime) -> None:
    first = deploy(notebook, "nightly", cron="0 6 * * *", parameters={"rows": 7}, tags=["a"], timeout=60, paused=True)
    again = deploy(notebook, "nightly")
    assert (again.id, again.created_at, again.schedules, again.paused) == (
        first.id,
        first.created_at,
        first.schedules,
        True,
    )
    assert (dict(again.parameters), again.tags, again.policies.timeout) == ({}, (), None)
    kept = deploy(notebook, "nightly", schedules=[Cron("0 6 * * *", max_runs=3), Interval("15m")], paused=False)
    assert [each.id == first.schedules[0].id for each in kept.schedules] == [True, False]
    assert not kept.paused
    assert deploy(notebook, "nightly", schedules=[]).schedules == ()
    assert len(runtime.store.deployments.list()) == 1


def test_a_flow_is_deployed_by_itself_and_by_its_place(flows: Path) -> None:
    by_place = deploy(f"{flows}:etl", "place", parameters={"rows": 1})
    assert (by_place.address, by_place.kind, by_place.target) == ("etl/place", "flow", f"{flows}:etl")
    assert by_place.description == "Load what is new."
    loaded = flow.from_source(flows.parent, f"{flows.name}:etl")
    itself = loaded.deploy("itself", work_pool_name="big", cron=["0 6 * * *", "0 7 * * *"], parameters={"rows": 1})
    assert (itself.target, itself.pool, len(itself.schedules)) == (f"{flows}:etl", "big", 2)


def test_a_flow_that_nobody_else_can_import_says_what_to_do() -> None:
    @flow
    def inner() -> None: ...

    with pytest.raises(TargetError, match=r"deploy the notebook .*; else move it to a file's top level"):
        inner.deploy("x")


def test_a_pinned_notebook_is_kept_as_it_was(notebook: Path, runtime: Runtime) -> None:
    before = notebook.read_bytes()
    made = deploy(notebook, "pinned", snapshot="pinned")
    write_notebook(notebook, "print('another one')")
    assert made.digest is not None
    assert (runtime.settings.snapshots / f"{made.digest}.ipynb").read_bytes() == before
    # What the run takes is judged by what it will execute.
    run = run_deployment("pinned", {"rows": 1}, timeout=0)
    assert run.parameters == {"rows": 1}
    with pytest.raises(InvalidRequest, match="snapshot"):
        deploy(_flow_of(notebook.parent), "x", snapshot="pinned")


def _flow_of(folder: Path) -> str:
    (folder / "single.py").write_text("from jupyter_wf import flow\n@flow\ndef one(): ...\n")
    return f"{folder / 'single.py'}:one"


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"parameters": {"row": 1}}, ParameterError, "did you mean 'rows'"),
        ({"parameters": {"rows": "many"}}, ParameterError, "expects int"),
        ({"parameters": {"rows": b"3"}}, ParameterError, "only what JSON has"),
        ({"schedules": [{"cron": "* * * * *", "parameters": {"row": 1}}]}, ParameterError, "did you mean 'rows'"),
        ({"cron": "61 * * * *"}, ScheduleError, "minute"),
        ({"cron": "0 6 * * *", "timezone": "Europe/Osl"}, ScheduleError, "did you mean 'Europe/Oslo'"),
        ({"timezone": "Europe/Oslo"}, ScheduleError, "goes with cron"),
        ({"at": "2020-01-01T00:00"}, ScheduleError, "is in the past"),
        ({"schedules": [{"cron": "* * * * *", "rrule": "FREQ=DAILY"}]}, ScheduleError, "give one of"),
        ({"schedules": [{"cron": "* * * * *", "end_at": "2020-01-01"}]}, ScheduleError, "no run before"),
        ({"schedules": [{"cron": "* * * * *", "jitter": "-1"}]}, ScheduleError, "from 0 s"),
        ({"schedules": [{"cron": "* * * * *", "max_runs": 0}]}, ScheduleError, "from 1"),
        ({"schedules": [{"cron": "* * * * *", "activ": False}]}, ScheduleError, "did you mean 'active'"),
        ({"schedules": [{"cron": "1 * * * *", "slug": "a"}] * 2}, ScheduleError, "two schedules have it"),
        ({"schedules": "0 6 * * *"}, ScheduleError, "give a list"),
        ({"schedules": [3]}, ScheduleError, "jupyter_wf.schedules"),
        ({"interval": "soon"}, ScheduleError, "length of time"),
        ({"grace": -1}, InvalidRequest, "grace"),
        ({"missed": "never"}, InvalidRequest, "skip, latest, all"),
        ({"output": "report.ipynb"}, InvalidRequest, "overwrite the notebook itself"),
        ({"output": "{flow}.ipynb"}, InvalidRequest, "overwrite the notebook itself"),
        ({"name": "a/b"}, InvalidRequest, "slash"),
        ({"tags": "db"}, InvalidRequest, "a list"),
        ({"priority": "high"}, InvalidRequest, "whole number"),
        ({"work_pool": ""}, InvalidRequest, "pool"),
        ({"kernel": "no-such-kernel"}, InvalidRequest, "there is no such kernel"),
        ({"nonsense": 1}, InvalidRequest, "no such argument or policy"),
    ],
    ids=str,
)
def test_what_can_t_be_deployed(
    notebook: Path, runtime: Runtime, options: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        deploy(notebook, **{"name": "x", **options})
    assert runtime.store.deployments.list() == []


def test_what_a_schedule_needs_must_be_there(flows: Path) -> None:
    with pytest.raises(ParameterError, match="needs it"):
        deploy(f"{flows}:etl", "x", cron="0 6 * * *")
    assert deploy(f"{flows}:etl", "x", schedules=[Cron("0 6 * * *", parameters={"rows": 1})]).schedules
    # Whoever asks for a run can give it then.
    assert deploy(f"{flows}:etl", "y").schedules == ()
    with pytest.raises(ParameterError, match="needs it"):
        run_deployment("etl/y", timeout=0)


# -- run_deployment ----------------------------------------------------------------------------------------------------


def test_a_run_is_made_with_its_parameters_and_without_waiting(notebook: Path, runtime: Runtime) -> None:
    made = deploy(notebook, "nightly", parameters={"rows": 7, "day": "tue"}, tags=["a"], priority=4)
    run = run_deployment("report/nightly", {"rows": 9}, timeout=0, tags=["b"], flow_run_name="by-hand")
    assert isinstance(run, Run)
    assert (run.state.name, run.name, run.flow_name) == ("Scheduled", "by-hand", "report")
    assert set(run.tags) == {"a", "b"}
    assert run.source["deployment"] == "report/nightly"
    queued = runtime.store.queue.get(run.id)
    assert queued is not None
    assert (dict(queued.parameters), queued.deployment_id, queued.priority) == ({"rows": 9, "day": "tue"}, made.id, 4)


def test_a_run_for_later(notebook: Path, runtime: Runtime) -> None:
    deploy(notebook, "nightly")
    at = datetime.now().astimezone() + timedelta(hours=1)
    run = run_deployment("nightly", scheduled_time=at, timeout=0)
    queued = runtime.store.queue.get(run.id)
    assert queued is not None and queued.due_at == at.timestamp()


def test_a_key_makes_one_run(notebook: Path) -> None:
    deploy(notebook, "nightly")
    deploy(notebook, "weekly")
    first = run_deployment("nightly", timeout=0, idempotency_key="2026-03-01")
    assert run_deployment("nightly", timeout=0, idempotency_key="2026-03-01").id == first.id
    another = run_deployment("nightly", timeout=0, idempotency_key="2026-03-02")
    of_another = run_deployment("weekly", timeout=0, idempotency_key="2026-03-01")
    assert len({first.id, another.id, of_another.id}) == 3


def test_a_deployment_that_is_not_there(notebook: Path, flows: Path) -> None:
    with pytest.raises(DeploymentNotFound):
        run_deployment("nope", timeout=0)
    deploy(notebook, "nightly")
    deploy(f"{flows}:etl", "nightly")
    with pytest.raises(AmbiguousDeployment, match="report/nightly"):
        run_deployment("nightly", timeout=0)
    with pytest.raises(ParameterError, match="timeout"):
        run_deployment("report/nightly", timeout=-1)


def test_nobody_there_is_said(notebook: Path, runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    deploy(notebook, "nightly")
    with caplog.at_level(logging.WARNING, "jupyter_wf.deployments"):
        run_deployment("nightly", timeout=0)
    assert "report/nightly waits: no agent is there for the pool 'default'" in caplog.text
    assert run_deployment("nightly", timeout=0.01).state.name == "Scheduled"
    # No Jupyter server has an agent for other pools.
    deploy(notebook, "other", work_pool="my pool")
    with caplog.at_level(logging.WARNING, "jupyter_wf.deployments"):
        run_deployment("other", timeout=0)
    assert caplog.messages[-1] == (
        "report/other waits: no agent is there for the pool 'my pool'; run: jupyter wf agent start --pool 'my pool'"
    )


def test_pausing_unpausing_and_deleting(notebook: Path, runtime: Runtime) -> None:
    made = deploy(notebook, "nightly", cron="0 6 * * *")
    paused = pause_deployment("nightly", reason="on  holiday ")
    assert (paused.paused, paused.paused_reason) == (True, "on holiday")
    assert runtime.store.deployments.find("nightly").paused
    waiting = run_deployment("nightly", timeout=0)
    assert waiting.state.name == "Scheduled"
    unpaused = unpause_deployment(UUID(made.id))
    assert (unpaused.paused, unpaused.paused_reason) == (False, None)
    assert pause_deployment("report/nightly").paused_reason == "paused by hand"
    for reason in ("", " ", 3):
        with pytest.raises(InvalidRequest, match="reason"):
            pause_deployment("nightly", reason=reason)  # type: ignore[arg-type]
    assert delete_deployment("report/nightly") == 1
    assert runtime.store.get_run(waiting.id).state.name == "Cancelled"
    calls: list[Callable[[str], object]] = [pause_deployment, unpause_deployment, delete_deployment]
    for call in calls:
        with pytest.raises(DeploymentNotFound):
            call("nightly")


def test_waiting_for_the_run_in_both_worlds(runtime: Runtime) -> None:
    @flow
    def double(n: int = 1) -> int:
        if n == 13:
            raise ValueError("unlucky")
        return n * 2

    @flow
    def outer() -> str:
        state: str = run_deployment("double/here", {"n": 2}).state.name
        return state

    @flow
    async def outer_async() -> str:
        run = await run_deployment("double/here", {"n": 3})
        return str(run.state.name)

    with serving(runtime, double) as server:
        run = run_deployment("double/here", {"n": 21}, timeout=60)
        assert (run.state.name, run.parameters, run.process_id) == ("Completed", {"n": 21}, runtime.process.id)
        assert run_deployment(server.deployment.id, {"n": 13}, timeout=60).state.name == "Failed"
        assert outer() == "Completed"
        assert asyncio.run(outer_async()) == "Completed"


def test_a_run_is_stopped_with_the_flow_that_waits_for_it(runtime: Runtime, notebook: Path) -> None:
    deploy(notebook, "nightly")

    @flow(timeout_seconds=0.2)
    def outer() -> None:
        run_deployment("nightly")

    outer(return_state=True)
    ids = [run.id for run in runtime.store.list_runs(limit=10).items if run.source.get("queued")]
    assert [runtime.store.get_run(run_id).state.name for run_id in ids] == ["Cancelled"]


# -- serve -------------------------------------------------------------------------------------------------------------


def test_serving_executes_schedules_and_pauses_at_the_end(runtime: Runtime, runs: Callable[[], list[Run]]) -> None:
    seen: list[int] = []

    @flow(name="beat")
    def beat(n: int = 1) -> None:
        seen.append(n)

    with serving(runtime, beat, schedules=[{"interval": 1, "parameters": {"n": 5}}]) as server:
        until(lambda: len(seen) >= 2, "two runs by schedule")
        assert server.deployment.pool == "serve beat here"
    assert set(seen) == {5}
    stored = runtime.store.deployments.find("beat/here")
    assert (stored.paused, stored.paused_reason) == (True, "the process that served it has ended")
    assert all(run.state.is_final() for run in runs() if run.started_at is not None)
    # Who serves it again goes on; who had it paused finds it paused.
    with serving(runtime, beat) as server:
        assert not server.deployment.paused
        runtime.store.deployments.pause(server.deployment.id, "by hand", time.time())
    with serving(runtime, beat) as server:
        assert server.deployment.paused


def test_serving_an_asynchronous_flow(runtime: Runtime) -> None:
    @flow
    async def later(n: int = 1) -> int:
        await asyncio.sleep(0)
        return n

    with serving(runtime, later):
        assert run_deployment("later/here", {"n": 4}, timeout=60).state.name == "Completed"


def test_what_runs_is_cancelled_when_serving_ends(runtime: Runtime, runs: Callable[[], list[Run]]) -> None:
    begun, never = threading.Event(), threading.Event()

    @flow
    def endless() -> None:
        begun.set()
        while not never.wait(0.01):
            pass

    with serving(runtime, endless):
        run = run_deployment("endless/here", timeout=0)
        assert begun.wait(30)
    assert runtime.store.get_run(run.id).state.name == "Cancelled"


def test_serving_takes_the_time_out_and_wrong_limits(runtime: Runtime) -> None:
    never = threading.Event()

    @flow
    def slow() -> None:
        while not never.wait(0.01):
            pass

    with serving(runtime, slow, policies={"timeout": 0.1}):
        assert run_deployment("slow/here", timeout=60).state.name == "TimedOut"
    with pytest.raises(ParameterError, match="limit"):
        slow.serve(limit=0)
