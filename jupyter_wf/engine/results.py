"""Stored results of tasks that have a cache policy: computing the key, finding, keeping."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import MissingResult
from jupyter_wf.core.events import ResultStored
from jupyter_wf.engine.cache import CacheContext, CachePolicy
from jupyter_wf.engine.fingerprints import Unhashable
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.store.blobs import Payload, decode, encode

__all__ = ["CacheOptions", "cache_key", "find_result", "keep_result"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """What a task says of caching: its policy, how long (seconds) a result is good, whether to ignore what is there."""

    policy: CachePolicy
    expiration: float | None = None
    refresh: bool = False


def cache_key(
    live: LiveRun,
    options: CacheOptions,
    fn: Callable[..., Any],
    signature: inspect.Signature | None,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> str | None:
    """Return the key for a call, or None where it can't be cached, which is then said in the run's log."""
    if signature is None:
        inputs: Mapping[str, Any] = {**{str(i): value for i, value in enumerate(args)}, **kwargs}
    else:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        inputs = bound.arguments
    flow = live.parent
    while flow is not None and flow.kind != "flow":
        flow = flow.parent
    context = CacheContext(
        fn=fn,
        task_name=live.task_name or live.name,
        run_id=live.id,
        flow_run_id=flow.id if flow else live.parent_id,
        flow_parameters=flow.parameters if flow else {},
    )
    try:
        return options.policy.compute_key(context, inputs)
    except Unhashable as error:
        live.log(logging.WARNING, f"not cached: {error}")
        return None


def find_result(live: LiveRun, key: str) -> Outcome | None:
    """Return the outcome stored under ``key``, or None where there is none that is good and readable."""
    found = live.runtime.store.find_result(key, time.time())
    if found is None:
        return None
    try:
        value = decode(Payload(found.format, found.data))
    except MissingResult as error:
        live.log(logging.WARNING, f"the cached result of run {found.run_id[:8]} is not used: {error}")
        return None
    live.log(logging.INFO, f"restored the cached result of run {found.run_id[:8]}")
    return Outcome(End.RETURNED, value)


def keep_result(live: LiveRun, key: str, value: Any, expiration: float | None) -> None:
    """Store ``value`` under ``key``, in the same commit as what the run writes next."""
    try:
        payload = encode(value)
    except MissingResult as error:
        live.log(logging.WARNING, f"not cached: {error}")
        return
    now = time.time()
    expires_at = None if expiration is None else now + expiration
    live.runtime.journal.append(ResultStored(live.id, now, key, expires_at, payload.format, payload.data))
