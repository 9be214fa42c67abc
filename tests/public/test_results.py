"""Looking up what runs have left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jupyter_wf import flow, task
from jupyter_wf.cache_policies import INPUTS
from jupyter_wf.core.errors import MissingResult, RunNotFound
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.results import find_result, get_result, read_result


def test_the_result_of_a_run() -> None:
    @task
    def pair(x: int) -> tuple[int, str]:
        return x, "x" * 100_000

    @flow
    def outer() -> dict[str, int]:
        pair(1)
        return {"rows": 1}

    outer()
    task_run, flow_run = current_runtime().store.list_runs().items
    assert get_result(flow_run.id) == {"rows": 1}
    assert get_result(task_run.id) == get_result(task_run.id[:13]) == (1, "x" * 100_000)


def test_a_run_without_a_result() -> None:
    @task(persist_result=False)
    def quiet() -> int:
        return 1

    @task
    def bad() -> None:
        raise ValueError("x")

    quiet()
    bad(return_state=True)
    failed, unstored = current_runtime().store.list_runs().items
    with pytest.raises(MissingResult, match="it was not stored"):
        get_result(unstored.id)
    with pytest.raises(MissingResult, match="the run is Failed"):
        get_result(failed.id)
    with pytest.raises(RunNotFound):
        get_result("0" * 36)


def test_by_key() -> None:
    @task(result_storage_key="number-{x}")
    def number(x: int) -> int:
        return x

    @task(cache_key_fn=lambda context, inputs: "cached", cache_policy=INPUTS, cache_expiration=3600)
    def cached() -> int:
        return 5

    before = datetime.now(UTC)
    number(3)
    cached()
    assert read_result("number-3") == 3
    record = find_result("cached")
    assert record is not None and record.stored_at is not None and record.expiration is not None
    assert (record.key, record.result) == ("cached", 5)
    assert record.expiration - record.stored_at == pytest.approx(timedelta(hours=1), abs=timedelta(seconds=1))
    assert record.stored_at >= before - timedelta(seconds=1)
    assert find_result("other") is None
    with pytest.raises(MissingResult, match="'other'"):
        read_result("other")
