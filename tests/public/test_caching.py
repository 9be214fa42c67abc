"""Caching as its users see it: every hit and miss says why, policies of one's own, one call at a time."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from jupyter_wf import Task, flow, task
from jupyter_wf.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    RUN_ID,
    TASK_SOURCE,
    CacheContext,
    CachePolicy,
)
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.results import find_result, get_result, read_result
from jupyter_wf.states import Completed, Failed
from jupyter_wf.transactions import IsolationLevel, get_transaction, transaction

_RUN = re.compile("run [0-9a-f]{8}")


def adding(**options: Any) -> Task[..., Any]:
    @task(**{"name": "add", **options})
    def add(x: Any, y: Any = 0, *, z: Any = 0) -> Any:
        return [x, y, z]

    return add


def told() -> str:
    """What the newest task run says of its cache, without ids."""
    store = current_runtime().store
    run = next(run for run in store.list_runs().items if run.kind == "task")
    return _RUN.sub("run ID", store.logs(run.id)[0].message)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A function that puts the clock of the results forward by seconds."""
    import time

    now = [time.time()]
    monkeypatch.setattr("jupyter_wf.engine.results.time.time", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


# -- why ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "age"),
    [(0.25, "0.2 s"), (59, "59 s"), (300, "5 min"), (7200, "2 h"), (86400 * 3, "3 days")],
)
def test_a_hit_says_which_run_and_how_old(clock: Callable[[float], None], seconds: float, age: str) -> None:
    add = adding(cache_policy=INPUTS)
    add(1)
    assert told() == "called: there is no cached result yet"
    clock(seconds)
    assert add.explain(1).endswith(f", {age} old")
    add(1)
    assert told() == f"restored the cached result of run ID, {age} old"


@pytest.mark.parametrize(
    ("policy", "call", "why"),
    [
        (INPUTS, {"x": 2}, "input 'x' changed"),
        (INPUTS, {"x": 2, "z": [1]}, "inputs 'x' and 'z' changed"),
        (INPUTS - "y", {"x": 2, "y": 3}, "input 'x' changed"),
        (INPUTS + TASK_SOURCE, {"x": 1, "y": 3}, "input 'y' changed"),
        (RUN_ID, {"x": 1}, "it is another flow run"),
        (DEFAULT, {"x": 1}, "it is another flow run"),
        (DEFAULT, {"x": 2}, "input 'x' changed"),
        (FLOW_PARAMETERS, {"x": 1, "day": 2}, "the flow's parameters changed"),
        (CachePolicy.from_cache_key_fn(lambda context, inputs: str(inputs["x"])), {"x": 2}, "input 'x' changed"),
    ],
)
def test_a_miss_says_what_changed(policy: CachePolicy, call: dict[str, Any], why: str) -> None:
    add = adding(cache_policy=policy)

    @flow
    def outer(day: int = 1, **arguments: Any) -> str:
        said = add.explain(**arguments)
        add(**arguments)
        return said

    outer(x=1)
    said = outer(**call)
    expected = f"called: {why}, since the result of run ID was stored"
    assert told() == expected
    assert _RUN.sub("run ID", said) == f"would be {expected}"


def test_a_miss_says_that_the_source_changed() -> None:
    adding(cache_policy=INPUTS + TASK_SOURCE)(1)

    @task(name="add", cache_policy=INPUTS + TASK_SOURCE)
    def add(x: int, y: int = 0, *, z: int = 0) -> int:
        return x + y + z

    add(1)
    assert told() == "called: source changed, since the result of run ID was stored"

    @task(name="add", cache_policy=TASK_SOURCE)
    def other(x: int) -> int:
        return x - 1

    other(2)
    assert told() == "called: source changed, since the result of run ID was stored"


def test_a_miss_says_that_it_expired(clock: Callable[[float], None]) -> None:
    add = adding(cache_policy=INPUTS, cache_expiration=timedelta(seconds=10))
    add(1)
    clock(9)
    assert "would be restored" in add.explain(1)
    clock(4)
    assert "expired 3.0 s ago" in add.explain(1)
    add(1)
    assert told() == "called: the cached result of run ID expired 3.0 s ago"
    add(1)
    assert told() == "restored the cached result of run ID, 0.0 s old"


def test_refresh_is_said_and_stored() -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS)
    def count(x: int) -> int:
        calls.append(x)
        return len(calls)

    again = count.with_options(refresh_cache=True)
    assert (count(1), again(1), count(1)) == (1, 2, 2)
    again(1)
    assert told() == "called, whatever is stored: refresh_cache is on"
    assert again.explain(1) == "would be called, whatever is stored: refresh_cache is on"


@pytest.mark.parametrize(("value", "calls"), [("1", 2), ("true", 2), ("0", 1), ("", 1)])
def test_the_environment_refreshes_what_does_not_say_otherwise(
    monkeypatch: pytest.MonkeyPatch, value: str, calls: int
) -> None:
    monkeypatch.setenv("JUPYTER_WF_TASKS_REFRESH_CACHE", value)
    made: list[int] = []
    count = task(cache_policy=INPUTS)(made.append)
    firm = task(cache_policy=INPUTS, refresh_cache=False, name="firm")(made.append)
    for each, many in ((count, calls), (firm, 1)):
        made.clear()
        each(1)
        each(1)
        assert len(made) == many


def test_explain_calls_nothing_and_needs_no_run() -> None:
    add = adding(cache_policy=INPUTS)
    assert add.explain(1) == "would be called: there is no cached result yet"
    assert adding().explain(1) == "would be called: it has no cache policy"
    assert adding(cache_policy=FLOW_PARAMETERS).explain(1) == "would be called: its cache policy gives no key here"
    said = add.explain(threading.Lock())
    assert said.startswith("would be called, and not cached: input 'x': a lock has no stable fingerprint")
    broken = adding(cache_key_fn=lambda context, inputs: inputs["none"])
    assert broken.explain(1) == "would be called, and not cached: its key can't be computed: KeyError: 'none'"
    with pytest.raises(ParameterError, match="add"):
        add.explain(1, 2, 3)
    assert not current_runtime().store.list_runs().items


# -- policies ----------------------------------------------------------------------------------------------------


def test_a_policy_of_ones_own_as_prefect_has_it() -> None:
    seen: list[CacheContext] = []

    @dataclass
    class ByWord(CachePolicy):
        word: str

        def compute_key(
            self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
        ) -> str | None:
            seen.append(task_ctx)
            return f"{self.word}-{inputs['x']}-{flow_parameters.get('day')}"

    add = adding(cache_policy=ByWord("w"))

    @flow
    def outer(day: int) -> None:
        add(1)

    outer(7)
    store = current_runtime().store
    task_run, flow_run = store.list_runs().items
    context = seen[0]
    assert (context.task, context.task_name) == (add, "add")
    assert (context.task_run.id, context.run_id, context.flow_run_id) == (task_run.id, task_run.id, flow_run.id)
    assert (context.parameters, context.flow_parameters) == ({"x": 1, "y": 0, "z": 0}, {"day": 7})
    assert read_result("w-1-7") == [1, 0, 0]
    adding(cache_policy=ByWord("w").configure(isolation_level="SERIALIZABLE"))(2)
    assert read_result("w-2-None") == [2, 0, 0]
    assert (INPUTS + ByWord("a")) != (INPUTS + ByWord("b"))


def test_a_key_function_that_fails_leaves_the_task_uncached() -> None:
    def broken(context: CacheContext, inputs: Mapping[str, Any]) -> str:
        raise LookupError("no\nkey")

    for function, why in ((broken, "LookupError: no key"), (lambda context, inputs: 5, "returned 5, not a text")):
        add = adding(cache_key_fn=function)
        assert add(1) == add(1) == [1, 0, 0]
        assert told().startswith("not cached: its key can't be computed: ") and why in told()
    with pytest.raises(ParameterError, match="cache_key_fn"):
        adding(cache_key_fn="key")


def test_policies_are_put_together() -> None:
    assert NO_CACHE + INPUTS == INPUTS + NO_CACHE == INPUTS
    assert INPUTS - "y" != INPUTS
    assert ((INPUTS + TASK_SOURCE) - "y").isolation_level is None
    serial = INPUTS.configure(isolation_level=IsolationLevel.SERIALIZABLE)
    assert serial.isolation_level is (serial - "x").isolation_level is (TASK_SOURCE + serial).isolation_level
    assert serial.isolation_level is IsolationLevel.SERIALIZABLE
    assert serial.configure(isolation_level=None).isolation_level is None
    assert NO_CACHE.configure(isolation_level="SERIALIZABLE") == NO_CACHE
    with pytest.raises(ParameterError, match="isolation_level"):
        INPUTS.configure(isolation_level="SOME")
    with pytest.raises(TypeError):
        INPUTS + "x"  # type: ignore[operator]
    with pytest.raises(TypeError):
        INPUTS - 1  # type: ignore[operator]


def test_the_key_of_one_policy_is_its_own_also_when_configured() -> None:
    adding(cache_policy=INPUTS)(1)
    add = adding(cache_policy=INPUTS.configure(isolation_level="SERIALIZABLE"))
    assert "would be restored" in add.explain(1)


# -- what is kept ------------------------------------------------------------------------------------------------


def test_a_policy_without_persistence_is_of_no_use_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        add = adding(cache_policy=INPUTS, persist_result=False)
    assert [each.message for each in caplog.records] == [
        "task 'add' is not cached: it has a cache policy, but persist_result=False"
    ]
    assert add.explain(1) == "would be called: it has no cache policy"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        adding(cache_policy=NO_CACHE, persist_result=False)
    assert not caplog.records


def test_a_cached_task_stores_also_where_the_flow_keeps_nothing() -> None:
    add = adding(cache_policy=INPUTS)

    @flow(persist_result=False)
    def outer() -> Any:
        return add(1)

    outer()
    outer()
    assert told().startswith("restored")


def test_a_cached_value_is_also_what_the_run_keeps() -> None:
    add = adding(cache_policy=INPUTS)
    large = "x" * 100_000
    add(large)
    add(large)
    restored, first = current_runtime().store.list_runs().items
    assert (restored.state.name, first.state.name) == ("Cached", "Completed")
    assert get_result(restored.id) == get_result(first.id) == [large, 0, 0]
    assert len(list(current_runtime().settings.results.rglob("*"))) >= 1


def test_a_result_that_can_not_be_read_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    add = adding(cache_policy=INPUTS)
    large = "x" * 100_000
    add(large)
    for path in current_runtime().settings.results.rglob("*"):
        if path.is_file():
            path.unlink()
    assert add(large) == [large, 0, 0]
    assert told().startswith("called: the cached result of run ID is not used: ")


def test_a_returned_state_is_cached_by_its_value() -> None:
    @task(cache_policy=INPUTS)
    def work(x: int) -> Any:
        return Completed(data=[x]) if x else Failed()

    assert work(1) == work(1) == [1]
    first = current_runtime().store.list_runs().items[-1]
    assert get_result(first.id) == [1]
    assert [work(0, return_state=True).name for _ in range(2)] == ["Failed", "Failed"]
    assert told() == "called: input 'x' changed, since the result of run ID was stored"


def test_a_failed_retry_is_cached_once_it_succeeds() -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS, retries=1)
    def flaky(x: int) -> int:
        calls.append(x)
        if len(calls) == 1:
            raise ValueError("x")
        return x

    assert flaky(1) == flaky(1) == 1
    assert len(calls) == 2


# -- one at a time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ["SERIALIZABLE", "READ_COMMITTED"])
def test_calls_with_the_same_key_wait_for_each_other_where_asked_to(isolation: str) -> None:
    calls: list[int] = []
    both = threading.Barrier(2)
    serial = isolation == "SERIALIZABLE"

    @task(cache_policy=INPUTS.configure(isolation_level=isolation))
    def slow(x: int) -> int:
        calls.append(x)
        if not serial:
            both.wait(30)
        return x

    @flow
    def outer() -> list[int]:
        futures = [slow.submit(1) for _ in range(2)]
        return [future.result() for future in futures]

    assert outer() == [1, 1]
    assert len(calls) == (1 if serial else 2)
    assert current_runtime().store.limits.list() == []


def test_coroutines_with_the_same_key_wait_for_each_other() -> None:
    import asyncio

    calls: list[int] = []

    @task(cache_policy=INPUTS.configure(isolation_level="SERIALIZABLE"))
    async def slow(x: int) -> int:
        calls.append(x)
        await asyncio.sleep(0)
        return x

    @flow
    async def outer() -> list[int]:
        return await asyncio.gather(*(slow(1) for _ in range(5)))

    assert asyncio.run(outer()) == [1] * 5
    assert calls == [1]


def test_a_serialized_call_is_part_of_the_transaction_around() -> None:
    calls: list[Any] = []

    @task(cache_policy=INPUTS.configure(isolation_level="SERIALIZABLE"))
    def work(x: int) -> int:
        inner = get_transaction()
        assert inner is not None
        calls.append(inner.get_parent())
        return x

    with pytest.raises(ValueError, match="x"), transaction() as txn:
        assert work(1) == work(1) == 1
        raise ValueError("x")
    assert calls == [txn]
    work(1)
    assert len(calls) == 2


# -- looking up --------------------------------------------------------------------------------------------------


def test_storage_keys_are_no_cache() -> None:
    add = adding(cache_policy=INPUTS, result_storage_key="sum-{parameters[x]}")
    add(1)
    assert read_result("sum-1") == [1, 0, 0]
    record = find_result("sum-1")
    assert record is not None
    assert record.run_id == current_runtime().store.list_runs().items[0].id
    add(2)
    assert told() == "called: input 'x' changed, since the result of run ID was stored"
