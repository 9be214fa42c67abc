"""The public modules: Prefect's names are where its users look for them."""

from __future__ import annotations

import importlib
import threading

import pytest

import jupyter_wf
from jupyter_wf import exceptions, states
from jupyter_wf.core import errors
from jupyter_wf.core.errors import UnfinishedRun
from jupyter_wf.executors.registry import executor_names, make_executor
from jupyter_wf.futures import PrefectFuture, RunFuture
from jupyter_wf.states import Completed, Failed, get_state_exception


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (
            "jupyter_wf",
            ["flow", "task", "skip", "stop_flow", "unmapped", "allow_failure", "quote", "State", "get_run_logger"],
        ),
        ("jupyter_wf.states", ["Completed", "Failed", "Crashed", "Cancelled", "Pending", "Running", "Scheduled"]),
        ("jupyter_wf.futures", ["PrefectFuture", "wait", "as_completed"]),
        ("jupyter_wf.cache_policies", ["DEFAULT", "INPUTS", "TASK_SOURCE", "RUN_ID", "FLOW_PARAMETERS", "NO_CACHE"]),
        ("jupyter_wf.task_runners", ["DaskTaskRunner", "ProcessPoolTaskRunner", "ThreadPoolTaskRunner", "TaskRunner"]),
        ("jupyter_wf.logging", ["get_run_logger", "disable_run_logger", "include_loggers"]),
        ("jupyter_wf.context", ["get_run_context", "tags", "FlowRunContext", "TaskRunContext"]),
        ("jupyter_wf.runtime", ["flow_run", "task_run", "deployment"]),
        ("jupyter_wf.tasks", ["task", "Task"]),
        ("jupyter_wf.task_worker", ["serve"]),
        ("jupyter_wf.checkpoints", ["checkpoint"]),
        ("jupyter_wf.transactions", ["transaction", "get_transaction", "CommitMode", "IsolationLevel", "Transaction"]),
        ("jupyter_wf.results", ["get_result", "read_result", "ResultRecord"]),
        ("jupyter_wf.flow_runs", ["pause_flow_run", "suspend_flow_run", "resume_flow_run", "wait_for_flow_run"]),
        ("jupyter_wf.input", ["RunInput", "send_input", "receive_input"]),
        ("jupyter_wf.annotations", ["allow_failure", "quote", "unmapped"]),
        ("jupyter_wf.control", ["skip", "stop_flow"]),
        ("jupyter_wf.flows", ["flow", "Flow"]),
        ("jupyter_wf.deployments", ["deploy", "run_deployment", "Deployment", "DeploymentNotFound", "Policies"]),
        ("jupyter_wf.deployments", ["pause_deployment", "unpause_deployment", "delete_deployment"]),
        ("jupyter_wf.concurrency", ["concurrency", "rate_limit", "set_limit", "remove_limit", "get_limits"]),
        ("jupyter_wf.concurrency.sync", ["concurrency", "rate_limit"]),
        ("jupyter_wf.concurrency.asyncio", ["concurrency", "rate_limit"]),
        ("jupyter_wf.artifacts", ["Artifact", "create_markdown_artifact", "update_progress_artifact"]),
        ("jupyter_wf.variables", ["Variable"]),
        ("jupyter_wf.secrets", ["Secret"]),
        ("jupyter_wf.schedules", ["Cron", "Interval", "RRule", "Once", "Schedule"]),
        ("jupyter_wf.testing", ["wf_harness"]),
    ],
)
def test_names(module: str, names: list[str]) -> None:
    found = importlib.import_module(module)
    assert set(names) <= set(found.__all__)
    assert all(hasattr(found, name) for name in found.__all__)
    assert set(names) <= set(dir(found))


def test_every_error_is_handed_out() -> None:
    mine = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert mine <= set(exceptions.__all__)
    assert issubclass(exceptions.ParameterBindError, TypeError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_that"):
        jupyter_wf.nothing_like_that  # noqa: B018
    assert PrefectFuture is RunFuture


@pytest.mark.parametrize(
    ("maker", "type_", "name"),
    [
        ("Scheduled", "SCHEDULED", "Scheduled"),
        ("Late", "SCHEDULED", "Late"),
        ("AwaitingRetry", "SCHEDULED", "AwaitingRetry"),
        ("Pending", "PENDING", "Pending"),
        ("Running", "RUNNING", "Running"),
        ("Retrying", "RUNNING", "Retrying"),
        ("Paused", "PAUSED", "Paused"),
        ("Suspended", "PAUSED", "Suspended"),
        ("Cancelling", "CANCELLING", "Cancelling"),
        ("Cancelled", "CANCELLED", "Cancelled"),
        ("Completed", "COMPLETED", "Completed"),
        ("Cached", "COMPLETED", "Cached"),
        ("Skipped", "COMPLETED", "Skipped"),
        ("Failed", "FAILED", "Failed"),
        ("TimedOut", "FAILED", "TimedOut"),
        ("Crashed", "CRASHED", "Crashed"),
    ],
)
def test_makers_of_states(maker: str, type_: str, name: str) -> None:
    state = getattr(importlib.import_module("jupyter_wf.states"), maker)("why")
    assert (state.type.value, state.name, state.message) == (type_, name, "why")
    assert state.timestamp.tzinfo is not None
    assert str(state) == f"{name}(why)"


def test_state_exceptions() -> None:
    error = KeyError("k")
    assert get_state_exception(Failed(data=error)) is error
    with pytest.raises(ValueError, match="not a failure"):
        get_state_exception(Completed(data=1))
    with pytest.raises(TypeError, match="nonsense"):
        Completed(nonsense=1)


def test_what_prefect_s_states_module_offers_besides() -> None:
    error = KeyError("k")
    with pytest.raises(KeyError, match="k"):
        states.raise_state_exception(Failed(data=error))
    assert states.raise_state_exception(Completed(data=1)) is None
    with pytest.raises(UnfinishedRun):
        states.raise_state_exception(states.Running())
    assert states.get_state_result(Completed(data=1)) == 1
    assert states.get_state_result(Failed(data=error), raise_on_failure=False) is error
    assert states.is_state(Completed())
    assert not states.is_state("Completed")
    assert states.is_state_iterable([Completed(), Failed()])
    assert not any(states.is_state_iterable(each) for each in ([], [1], Completed(), {"a": Completed()}, "ab"))
    failed, crashed = states.exception_to_failed_state(error), states.exception_to_crashed_state(error, message="oh")
    assert (failed.name, failed.message, crashed.name, crashed.message) == ("Failed", "KeyError: 'k'", "Crashed", "oh")
    assert get_state_exception(failed) is get_state_exception(crashed) is error
    assert states.Skipped().result() is None


def test_methods_and_class_methods_can_be_flows() -> None:
    class Pipeline:
        """Not the flow's own words."""

        factor = 3

        @jupyter_wf.flow
        def times(self, x: int) -> int:
            """Multiply."""
            return self.factor * x

        @classmethod
        @jupyter_wf.flow
        def doubled(cls, x: int) -> int:
            return 2 * x

    assert Pipeline().times(4) == 12
    assert Pipeline.doubled(4) == 8
    assert Pipeline.times.description == "Multiply."


def test_executors_by_name() -> None:
    from contextlib import ExitStack

    assert {"inline", "process", "thread"} <= set(executor_names())
    with pytest.raises(ValueError, match="quantum"):
        make_executor("quantum", 1)
    for name in ("inline", "thread"):
        executor = make_executor(name, 2)
        done = threading.Event()
        with ExitStack() as stack:
            executor.start(stack)
            executor.spawn(done.set)
            assert done.wait(30)
