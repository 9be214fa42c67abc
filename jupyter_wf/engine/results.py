"""Stored results of tasks that have a cache policy; loaded only where there is such a task."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_wf.core.effects import End, Outcome
from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.lifecycle import Cache
from jupyter_wf.engine.cache import CacheContext, CachePolicy, KeyFunction, NoCache
from jupyter_wf.engine.fingerprints import Unhashable
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.store.blobs import Payload

__all__ = ["StoredResults", "make_results"]


def make_results(
    policy: Any, key_fn: Any, expiration: timedelta | float | None, refresh: bool | None
) -> StoredResults | None:
    """Return what a task's cache options mean, None where it is not to be cached.

    Raises `ParameterError` for a policy that is none and for an expiration (a timedelta, or seconds) not above 0.
    """
    if key_fn is not None:
        policy = KeyFunction(key_fn)
    if policy is None or isinstance(policy, NoCache):
        return None
    if not isinstance(policy, CachePolicy):
        raise ParameterError("cache_policy", f"{policy!r:.100} is none; see jupyter_wf.cache_policies")
    seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
    if seconds is not None and not seconds > 0:
        raise ParameterError("cache_expiration", f"{expiration!r} is not a time above 0 (a timedelta, or seconds)")
    return StoredResults(policy=policy, expiration=seconds, refresh=bool(refresh))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResults:
    """The stored results of a task.

    ``policy`` makes their keys, ``expiration`` is how long (seconds) one is good, ``refresh`` ignores what is there.
    """

    policy: CachePolicy
    expiration: float | None = None
    refresh: bool = False

    def cache(
        self,
        live: LiveRun,
        fn: Callable[..., Any],
        signature: inspect.Signature | None,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Cache | None:
        """Return where a call's value is stored; None where it can't be, which is then said in the run's log."""
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
            key = self.policy.compute_key(context, inputs)
        except Unhashable as error:
            live.log(logging.WARNING, f"not cached: {error}")
            return None
        return None if key is None else Cache(key, self.expiration, self.refresh)

    def find(self, live: LiveRun, key: str) -> Outcome | None:
        """Return the outcome stored under ``key``, or None where there is none that is good and readable."""
        found = live.runtime.store.find_result(key, time.time())
        if found is None:
            return None
        try:
            value = live.runtime.blobs.load(Payload(found.format, found.data))
        except MissingResult as error:
            live.log(logging.WARNING, f"the cached result of run {found.run_id[:8]} is not used: {error}")
            return None
        live.log(logging.INFO, f"restored the cached result of run {found.run_id[:8]}")
        return Outcome(End.RETURNED, value)

    def keep(self, live: LiveRun, key: str, value: Any, expiration: float | None) -> None:
        """Store ``value`` under ``key``, in the same commit as what the run writes next."""
        try:
            payload = live.runtime.blobs.keep(value, live.callee.keeping.serializer)
        except MissingResult as error:
            live.log(logging.WARNING, f"not cached: {error}")
            return
        now = time.time()
        expires_at = None if expiration is None else now + expiration
        live.runtime.journal.append(ResultStored(live.id, now, key, expires_at, payload.format, payload.data))
