"""``jupyter_wf.runtime``: facts about the current run, and the environment's answers in their place."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

import jupyter_wf
from jupyter_wf import flow, runtime, task
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.engine.context import set_ambient_parent
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.runtime import deployment, flow_run, task_run
from jupyter_wf.task_runners import ProcessPoolTaskRunner


def everything(module: ModuleType) -> dict[str, Any]:
    return {name: getattr(module, name) for name in module.__all__ if name != "scheduled_start_time"}


def test_outside_any_run() -> None:
    assert everything(flow_run) == {
        "api_url": None,
        "flow_name": None,
        "flow_version": None,
        "id": None,
        "name": None,
        "parameters": {},
        "parent_flow_run_id": None,
        "root_flow_run_id": None,
        "run_count": 0,
        "tags": [],
        "ui_url": None,
    }
    assert abs(datetime.now(UTC) - flow_run.scheduled_start_time) < timedelta(minutes=5)
    assert everything(task_run) == {
        "api_url": None,
        "id": None,
        "name": None,
        "parameters": {},
        "run_count": 0,
        "tags": [],
        "task_name": None,
        "ui_url": None,
    }
    assert everything(deployment) == {"flow_run_id": None, "id": None, "name": None, "parameters": {}, "version": None}


def test_the_ways_to_the_names() -> None:
    assert jupyter_wf.runtime is runtime
    assert runtime.flow_run is flow_run
    for module in (flow_run, task_run, deployment):
        assert dir(module) == sorted(module.__all__)
        assert set(module.__annotations__) == set(module.__all__)
        with pytest.raises(AttributeError, match="no attribute 'colour'"):
            module.colour  # noqa: B018
    from jupyter_wf.runtime.flow_run import id as found

    assert found is None


def test_in_a_flow_and_its_tasks() -> None:
    value = object()

    @task(tags=["own"])
    def work(x: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return everything(task_run), everything(flow_run)

    @flow
    def inner() -> dict[str, Any]:
        assert everything(task_run)["id"] is None
        return everything(flow_run)

    @task
    def calls() -> dict[str, Any]:
        return inner()

    @flow(flow_run_name="nightly")
    def main(x: int) -> None:
        own = everything(flow_run)
        assert own["name"] == "nightly"
        assert (own["flow_name"], own["parameters"], own["run_count"]) == ("main", {"x": 3}, 1)
        assert own["root_flow_run_id"] == own["id"]
        assert own["parent_flow_run_id"] is None
        assert abs(datetime.now(UTC) - flow_run.scheduled_start_time) < timedelta(minutes=5)
        for told, of_flow in (work(value), work.submit(value).result()):
            assert of_flow == own
            assert (told["task_name"], told["tags"], told["run_count"]) == ("work", ["own"], 1)
            assert told["parameters"]["x"] is value
            assert told["name"] == current_runtime().store.get_run(told["id"]).name
        for below in (inner(), calls()):
            assert below["flow_name"] == "inner"
            assert below["parent_flow_run_id"] == below["root_flow_run_id"] == own["id"]

    main(3)
    assert calls()["parent_flow_run_id"] is None


def test_attempts_and_async() -> None:
    counts: list[tuple[int, int]] = []

    @task(retries=1)
    async def work() -> None:
        counts.append((task_run.run_count, flow_run.run_count))
        await asyncio.sleep(0)
        assert len(counts) != 1

    @flow
    async def main() -> None:
        await work()

    asyncio.run(main())
    assert counts == [(1, 1), (2, 1)]


def test_in_a_process() -> None:
    @task(tags=["own"])
    def work() -> tuple[dict[str, Any], dict[str, Any]]:
        return (
            {name: getattr(task_run, name) for name in ("name", "task_name", "run_count", "tags")},
            {name: getattr(flow_run, name) for name in ("id", "name", "flow_name", "root_flow_run_id")},
        )

    @flow(flow_run_name="nightly", task_runner=ProcessPoolTaskRunner(max_workers=1))
    def main() -> None:
        told, of_flow = work.submit().result()
        assert told == {"name": "work-0", "task_name": "work", "run_count": 1, "tags": ["own"]}
        assert of_flow == {name: getattr(flow_run, name) for name in of_flow}

    main()


def test_in_a_runners_kernel() -> None:
    held = current_runtime()
    outer = held.begin("flow", "night", flow_name="notebook", parameters={"n": 1}, tags=["nb"], source={"version": "2"})
    cell = held.begin("cell", "cell 1", parent=outer)
    try:
        set_ambient_parent(cell.id, outer.id)
        told = everything(flow_run)
        assert (told["id"], told["name"], told["flow_name"]) == (outer.id, "night", "notebook")
        assert (told["parameters"], told["tags"], told["run_count"]) == ({"n": 1}, ["nb"], 1)
        assert (told["flow_version"], told["root_flow_run_id"]) == ("2", outer.id)
        created = held.store.get_run(outer.id).created_at
        assert flow_run.scheduled_start_time == datetime.fromtimestamp(created, UTC)
        assert task_run.id is None

        @task
        def work() -> tuple[str | None, str | None]:
            return flow_run.id, task_run.name

        assert work() == (outer.id, "work-0")
        part = held.begin("task", "cell task", task_name="part", parent=outer)
        set_ambient_parent(part.id, outer.id)
        assert (task_run.name, task_run.task_name, flow_run.id) == ("cell task", "part", outer.id)
        set_ambient_parent(held.begin("cell", "cell 2", parent=part).id, outer.id)
        assert task_run.name == "cell task"
    finally:
        set_ambient_parent(None)


def test_deployments() -> None:
    held = current_runtime()
    source = {"deployment_id": "d-1", "deployment": "main/nightly", "deployment_version": 3}
    source |= {"slot": "1970-01-01T00:01:00.000000Z"}
    outer = held.begin("flow", "night", flow_name="main", parameters={"n": 1}, source=source)

    @flow
    def inner() -> dict[str, Any]:
        return everything(deployment)

    try:
        set_ambient_parent(outer.id)
        wanted = {"flow_run_id": outer.id, "id": "d-1", "name": "nightly", "parameters": {"n": 1}, "version": "3"}
        assert everything(deployment) == inner() == wanted
        assert flow_run.scheduled_start_time == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)
    finally:
        set_ambient_parent(None)


# -- the environment -------------------------------------------------------------------------------------------------


def test_the_environment_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "FLOW_RUN__NAME": ("other", "other"),
        "FLOW_RUN__RUN_COUNT": ("7", 7),
        "FLOW_RUN__TAGS": ('["a", "b"]', ["a", "b"]),
        "FLOW_RUN__PARAMETERS": ('{"x": 1}', {"x": 1}),
        "FLOW_RUN__SCHEDULED_START_TIME": ("2026-03-01T06:00:00", datetime(2026, 3, 1, 6, tzinfo=UTC)),
        "TASK_RUN__ID": ("t-1", "t-1"),
        "DEPLOYMENT__NAME": ("nightly", "nightly"),
        "DEPLOYMENT__OWNER": ("me", "me"),
    }
    for name, (text, _) in given.items():
        monkeypatch.setenv(f"JUPYTER_WF__RUNTIME__{name}", text)

    def check() -> None:
        for name, (_, value) in given.items():
            module, _, attribute = name.lower().partition("__")
            assert getattr(getattr(runtime, module), attribute) == value

    check()
    flow(check)()
    monkeypatch.setenv("JUPYTER_WF__RUNTIME__FLOW_RUN__SCHEDULED_START_TIME", "2026-03-01T06:00:00+02:00")
    assert flow_run.scheduled_start_time == datetime(2026, 3, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("RUN_COUNT", "many", "text of a int"),
        ("TAGS", "a,b", "JSON of a list"),
        ("TAGS", '{"a": 1}', "JSON of a list"),
        ("PARAMETERS", "[]", "JSON of a dict"),
        ("SCHEDULED_START_TIME", "tomorrow", "text of a datetime"),
    ],
)
def test_what_cannot_be_read_says_so(name: str, text: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"JUPYTER_WF__RUNTIME__FLOW_RUN__{name}"
    monkeypatch.setenv(variable, text)
    with pytest.raises(InvalidRequest, match=f"{variable}=.*{wanted}"):
        getattr(flow_run, name.lower())
