"""When a task's stored result stands for calling it again, under Prefect's names.

``@task(cache_policy=INPUTS)`` restores the result of an earlier call with equal inputs. Nothing is cached unless a task
asks for it: two equal calls are two executions. (Prefect's default policy is `DEFAULT`; here it must be named.)
"""

from __future__ import annotations

from jupyter_wf.engine.cache import (
    CacheContext,
    CachePolicy,
    FlowParameters,
    Inputs,
    KeyFunction,
    NoCache,
    RunId,
    TaskSource,
)

__all__ = [
    "DEFAULT",
    "FLOW_PARAMETERS",
    "INPUTS",
    "NONE",
    "NO_CACHE",
    "RUN_ID",
    "TASK_SOURCE",
    "CacheContext",
    "CachePolicy",
    "FlowParameters",
    "Inputs",
    "KeyFunction",
    "NoCache",
    "RunId",
    "TaskSource",
]

#: The same inputs of the task.
INPUTS: CachePolicy = Inputs()
#: The same source of the task's function.
TASK_SOURCE: CachePolicy = TaskSource()
#: Within the same flow run.
RUN_ID: CachePolicy = RunId()
#: The same parameters of the flow run.
FLOW_PARAMETERS: CachePolicy = FlowParameters()
#: Never.
NO_CACHE: CachePolicy = NoCache()
#: Never, by its older name.
NONE: CachePolicy = NO_CACHE
#: Prefect's default: the same inputs and source within the same flow run.
DEFAULT: CachePolicy = INPUTS + TASK_SOURCE + RUN_ID
