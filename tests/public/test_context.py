"""The context of a run: what code inside tasks and flows can ask, and tags for what begins in a block."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_wf import flow, tags, task
from jupyter_wf.context import FlowRunContext, MissingContextError, TaskRunContext, get_run_context
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.context import TAGS, set_ambient_parent
from jupyter_wf.engine.runtime import current_runtime


def tags_by_name() -> dict[str, tuple[str, ...]]:
    return {run.name: run.tags for run in current_runtime().store.list_runs(limit=1000).items}


def test_outside_any_run() -> None:
    assert FlowRunContext.get() is None
    assert TaskRunContext.get() is None
    with pytest.raises(MissingContextError, match="get_run_context"):
        get_run_context()


def test_in_a_flow_and_in_its_task() -> None:
    seen: list[FlowRunContext | TaskRunContext] = []

    @task(tags=["own"])
    def work(x: int, y: int = 2) -> None:
        context = get_run_context()
        assert isinstance(context, TaskRunContext)
        assert context == TaskRunContext.get()
        assert FlowRunContext.get() == seen[0]
        run = context.task_run
        assert (run.name, run.task_name, run.flow_name, run.tags) == (f"work-{x}", "work", "main", ("own",))
        assert (run.state_name, run.state_type, run.run_count) == ("Running", "RUNNING", 1)
        assert run.flow_run_id == seen[0].run.id
        assert run.parent_task_run_id is None
        assert context.parameters["x"] == x
        assert (context.task.name, context.task_name, context.task.version) == ("work", "work", None)
        assert run.start_time == context.start_time
        seen.append(context)

    @flow(flow_run_name="nightly")
    def main(day: str) -> None:
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert TaskRunContext.get() is None
        seen.append(context)
        run = context.flow_run
        assert (run.name, run.flow_name, run.tags) == ("nightly", "main", ())
        assert (run.parent_flow_run_id, run.parent_task_run_id) == (None, None)
        assert run.root_flow_run_id == run.id
        assert context.parameters == run.parameters == {"day": "Monday"}
        assert (context.flow.name, context.flow_name) == ("main", "main")
        assert abs(datetime.now(UTC) - context.start_time) < timedelta(minutes=5)
        work(0)
        work.submit(1).result()

    main("Monday")
    flow_context, task_context, other = seen
    assert task_context != other
    assert repr(task_context).startswith("<TaskRunContext 'work-0' ")
    assert len({flow_context, task_context, FlowRunContext(flow_context.run)}) == 2
    assert isinstance(flow_context, FlowRunContext)
    assert flow_context.flow_run.state_name == "Completed"


def test_flows_in_flows_and_in_tasks() -> None:
    @flow
    def inner() -> tuple[str | None, str | None, str]:
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert TaskRunContext.get() is None
        run = context.flow_run
        return run.parent_flow_run_id, run.parent_task_run_id, run.root_flow_run_id

    @task
    def nested() -> str | None:
        context = TaskRunContext.get()
        assert context is not None
        return context.task_run.parent_task_run_id

    @task
    def calls() -> tuple[str, tuple[str | None, str | None, str], str | None]:
        context = get_run_context()
        return context.run.id, inner(), nested()

    @flow
    def main() -> None:
        own = get_run_context().run.id
        assert inner() == (own, None, own)
        task_run_id, told, caller = calls()
        assert told == (own, task_run_id, own)
        assert caller == task_run_id

    main()
    alone, (parent, caller, root), _ = calls()
    assert parent is None
    assert caller == alone
    assert root != alone
    assert get_task_outside() is None


@task
def get_task_outside() -> str | None:
    context = get_run_context()
    assert isinstance(context, TaskRunContext)
    assert FlowRunContext.get() is None
    return context.task_run.flow_run_id


def test_attempts_are_counted() -> None:
    counts: list[int] = []

    @flow(retries=2)
    def main() -> None:
        context = FlowRunContext.get()
        assert context is not None
        counts.append(context.flow_run.run_count)
        if len(counts) < 3:
            raise ValueError("again")

    main()
    assert counts == [1, 2, 3]


def test_in_async_code() -> None:
    @task
    async def work() -> str:
        await asyncio.sleep(0)
        return get_run_context().run.name

    @flow(flow_run_name="main")
    async def main() -> tuple[str, list[str]]:
        return get_run_context().run.name, await asyncio.gather(work(), work())

    assert asyncio.run(main()) == ("main", ["work-0", "work-1"])


def test_in_a_runners_kernel() -> None:
    runtime = current_runtime()
    outer = runtime.begin("flow", "night", flow_name="notebook", parameters={"n": 1}, tags=["nb"])
    cell = runtime.begin("cell", "cell 1", parent=outer)
    try:
        set_ambient_parent(cell.id, outer.id)
        assert TaskRunContext.get() is None
        context = get_run_context()
        assert isinstance(context, FlowRunContext)
        assert (context.flow_name, context.flow_run.name, context.parameters) == ("notebook", "night", {"n": 1})
        assert context.flow_run.tags == ("nb",)
        assert context.flow_run.root_flow_run_id == outer.id

        @task
        def work() -> str | None:
            context = get_run_context()
            assert isinstance(context, TaskRunContext)
            assert FlowRunContext.get() is not None
            return context.task_run.flow_run_id

        @flow
        def sub() -> str | None:
            context = FlowRunContext.get()
            assert context is not None
            return context.flow_run.parent_flow_run_id

        assert work() == sub() == outer.id
    finally:
        set_ambient_parent(None)


# -- tags --------------------------------------------------------------------------------------------------------------


def test_tags_of_blocks_are_added_to_what_begins_in_them() -> None:
    @task(tags=["own"])
    def work() -> None: ...

    @task
    def plain() -> None: ...

    @flow(flow_run_name="main")
    def main() -> None:
        plain.with_options(name="before")()
        with tags("a", "b") as outer:
            assert outer == {"a", "b", "around"}
            with tags("b", "c") as inner:
                assert inner == {"a", "b", "c", "around"}
                work()
                plain.submit().wait()
            plain()
        plain.with_options(name="after")()

    with tags("around") as current:
        assert current == {"around"}
        main()
    assert tags_by_name() == {
        "main": ("around",),
        "before-0": ("around",),
        "work-0": ("a", "around", "b", "c", "own"),
        "plain-0": ("a", "around", "b", "c"),
        "plain-1": ("a", "around", "b"),
        "after-0": ("around",),
    }
    assert TAGS.get() == frozenset()


def test_tags_in_async_code_are_each_coroutines_own() -> None:
    @task
    async def work(x: int) -> None:
        await asyncio.sleep(0)

    async def one(x: int) -> None:
        with tags(f"t{x}"):
            await work(x)

    @flow(flow_run_name="main")
    async def main() -> None:
        await asyncio.gather(one(0), one(1))

    asyncio.run(main())
    assert tags_by_name() == {"main": (), "work-0": ("t0",), "work-1": ("t1",)}


def test_tags_end_with_their_block_whatever_happens() -> None:
    def steps() -> object:
        with tags("inside"):
            yield 1

    with pytest.raises(KeyError), tags("x"):
        raise KeyError
    assert TAGS.get() == frozenset()
    generator = steps()
    next(generator)  # type: ignore[call-overload]
    thread = threading.Thread(target=generator.close)  # type: ignore[attr-defined]
    thread.start()
    thread.join()
    assert generator.gi_frame is None  # type: ignore[attr-defined]
    TAGS.set(frozenset())


def test_tags_are_texts() -> None:
    for name in (1, "", " ", ["a"]):
        with pytest.raises(ParameterError, match="tags"), tags("fine", name):  # type: ignore[arg-type]
            pytest.fail("the block began")


def test_tags_decorate() -> None:
    @task
    def work() -> None: ...

    @tags("always")
    def calls() -> None:
        work()

    calls()
    assert tags_by_name() == {"work-0": ("always",)}
