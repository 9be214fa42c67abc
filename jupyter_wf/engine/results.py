"""Stored results of tasks that have a cache policy; loaded only where there is such a task.

Each look-up says in the run's log what came of it: which run's result was restored and how old it is, or why there is
none.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jupyter_wf.core.effects import End, Find, Keep, Outcome
from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.lifecycle import Cache, describe
from jupyter_wf.core.models import StoredResult
from jupyter_wf.engine.cache import CacheContext, CachePolicy, KeyFunction, NoCache
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.context import CURRENT
from jupyter_wf.engine.fingerprints import Unhashable, explain, inputs_of
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.keeping import READY, write
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.engine.staging import IsolationLevel, waiting_result
from jupyter_wf.store.blobs import Payload

__all__ = ["REFRESH_VARIABLE", "StoredResults", "explain_call", "make_results"]

#: Where it is 1 (or true, yes, on), tasks ignore what is stored, unless they say ``refresh_cache=False``.
REFRESH_VARIABLE = "JUPYTER_WF_TASKS_REFRESH_CACHE"

_log = logging.getLogger("jupyter_wf.caching")
_LONG_AGO = 0.0
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def make_results(
    policy: Any,
    key_fn: Any,
    expiration: timedelta | float | None,
    refresh: bool | None,
    *,
    persist: bool | None = None,
    name: str = "",
) -> StoredResults | None:
    """Return what the cache options of the task ``name`` mean, None where it is not to be cached.

    With ``persist`` false nothing of it is stored: a policy is then of no use, which is said in a warning. Raises
    `ParameterError` for a policy that is none and for an expiration (a timedelta, or seconds) not above 0.
    """
    if key_fn is not None:
        if not callable(key_fn):
            raise ParameterError("cache_key_fn", f"{key_fn!r:.100} is not a function")
        policy = KeyFunction(key_fn)
    seconds = expiration.total_seconds() if isinstance(expiration, timedelta) else expiration
    if seconds is not None and (type(seconds) not in (int, float) or not seconds > 0):
        raise ParameterError("cache_expiration", f"{expiration!r} is not a time above 0 (a timedelta, or seconds)")
    if policy is None or isinstance(policy, NoCache):
        return None
    if not isinstance(policy, CachePolicy):
        raise ParameterError("cache_policy", f"{policy!r:.100} is none; see jupyter_wf.cache_policies")
    if persist is False:
        _log.warning("task %r is not cached: it has a cache policy, but persist_result=False", name)
        return None
    return StoredResults(policy=policy, expiration=seconds, refresh=refresh)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResults:
    """The stored results of a task.

    ``policy`` makes their keys, ``expiration`` is how long (seconds) one is good, ``refresh`` ignores what is there
    (None: as the environment says).
    """

    policy: CachePolicy
    expiration: float | None = None
    refresh: bool | None = None

    @property
    def serial(self) -> bool:
        """Whether calls with the same key wait for each other."""
        return self.policy.isolation_level is IsolationLevel.SERIALIZABLE

    @property
    def refreshes(self) -> bool:
        """Whether what is stored is ignored."""
        if self.refresh is not None:
            return self.refresh
        return os.environ.get(REFRESH_VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")

    def cache(self, live: LiveRun, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Cache | None:
        """Return where a call's value is stored; None where it can't be, which is then said in the run's log."""
        inputs = _inputs(live.callee, args, kwargs)
        try:
            key = self._key(live.callee, live.parent, live, inputs)
        except Unhashable as error:
            live.log(logging.WARNING, f"not cached: {error}")
            return None
        except Exception as error:
            live.log(logging.WARNING, f"not cached: its key can't be computed: {_line(error)}")
            return None
        if key is None:
            return None
        refresh = self.refreshes
        if refresh:
            live.log(logging.INFO, "called, whatever is stored: refresh_cache is on")
        return Cache(key, self.expiration, refresh, _fingerprints(inputs))

    def _key(
        self, callee: Callee, parent: LiveRun | None, live: LiveRun | None, inputs: Mapping[str, Any]
    ) -> str | None:
        flow = None if parent is None else parent.flow_run
        parameters = flow.parameters if flow is not None else {}
        context = CacheContext(
            task=callee.owner,
            fn=callee.fn,
            task_name=callee.name,
            task_run=live,
            run_id=live.id if live is not None else None,
            flow_run_id=flow.id if flow is not None else live.parent_id if live is not None else None,
            parameters=inputs,
            flow_parameters=parameters,
        )
        key: object = self.policy.compute_key(task_ctx=context, inputs=inputs, flow_parameters=parameters)
        if key is not None and (not isinstance(key, str) or not key):
            raise TypeError(f"a cache key is a text, not {key!r:.80}")
        return key

    def find(self, live: LiveRun, effect: Find) -> Outcome | None:
        """Return the outcome stored under a key, or None where there is none that is good and readable."""
        found, why = self._look(live.runtime, live.callee, effect.key, effect.inputs)
        if found is None:
            live.log(logging.INFO, f"called: {why}")
            return None
        try:
            value = live.runtime.blobs.load(Payload(found.format, found.data))
        except MissingResult as error:
            live.log(logging.WARNING, f"called: the cached result of run {found.run_id[:8]} is not used: {error}")
            return None
        live.log(logging.INFO, f"restored {why}")
        return Outcome(End.RETURNED, value)

    def _look(
        self, host: Host, callee: Callee, key: str, inputs: str | None
    ) -> tuple[StoredResult | ResultStored | None, str]:
        """Return what is good under a key, and which result that is, or why there is none."""
        now = time.time()
        found: StoredResult | ResultStored | None = waiting_result(key)
        if found is None or (found.expires_at is not None and found.expires_at <= now):
            found = host.store.find_result(key, now)
        if found is None:
            return None, self._why_not(host, callee, key, inputs, now)
        age = "" if found.at is None else f", {_duration(now - found.at)} old"
        return found, f"the cached result of run {found.run_id[:8]}{age}"

    def _why_not(self, host: Host, callee: Callee, key: str, inputs: str | None, now: float) -> str:
        expired = host.store.find_result(key, _LONG_AGO)
        if expired is not None and expired.expires_at is not None:
            return f"the cached result of run {expired.run_id[:8]} expired {_duration(now - expired.expires_at)} ago"
        before = host.store.last_result(callee.name)
        if before is None:
            return "there is no cached result yet"
        seen = self.policy.sees()
        code = (before.code, callee.keeping.code) if seen.source else (None, None)
        told = "nothing changed"
        if seen.source or seen.inputs:
            was, now_is = (_without(text, seen.apart) if seen.inputs else None for text in (before.inputs, inputs))
            told = explain(code[0], was, code[1], now_is)
        if told == "nothing changed":
            told = " or ".join(seen.others) or "the cache key changed"
        return f"{told}, since the result of run {before.run_id[:8]} was stored"

    def keep(self, live: LiveRun, effect: Keep) -> None:
        """Store a value under its key: with what the run writes next, or when the transaction around commits."""
        try:
            payload = live.runtime.blobs.keep(effect.value, live.callee.keeping.serializer)
        except MissingResult as error:
            live.log(logging.WARNING, f"not cached: {error}")
            return
        if live.persist:
            READY[live.id] = payload
        now = time.time()
        expires_at = None if effect.expiration is None else now + effect.expiration
        code = live.callee.keeping.code
        name = live.callee.name
        write(live, ResultStored(live.id, now, effect.key, expires_at, *payload, name, code, effect.inputs))


def explain_call(callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Say, in one line, whether a call of a task, made here, would be restored from the cache, and why.

    Raises `ParameterError` for arguments that do not fit.
    """
    bind(callee, args, kwargs)
    parent, results = CURRENT.get(), callee.results
    host: Host = current_runtime() if parent is None else parent.runtime
    if results is None:
        return "would be called: it has no cache policy"
    inputs = _inputs(callee, args, kwargs)
    try:
        key = results._key(callee, parent, None, inputs)
    except Unhashable as error:
        return f"would be called, and not cached: {error}"
    except Exception as error:
        return f"would be called, and not cached: its key can't be computed: {_line(error)}"
    if key is None:
        return "would be called: its cache policy gives no key here"
    if results.refreshes:
        return "would be called, whatever is stored: refresh_cache is on"
    found, why = results._look(host, callee, key, _fingerprints(inputs))
    return f"would be called: {why}" if found is None else f"would be restored: {why}"


def _inputs(callee: Callee, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call's arguments by parameter name, defaults included. They were bound before, so they fit."""
    if callee.signature is None:
        return {**{str(i): value for i, value in enumerate(args)}, **kwargs}
    bound = callee.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _line(error: Exception) -> str:
    return " ".join(describe(error).split())


def _fingerprints(inputs: Mapping[str, Any]) -> str | None:
    """Return what tells later calls which inputs changed; None where one has no fingerprint, and need not have."""
    try:
        return inputs_of(inputs)
    except Unhashable:
        return None


def _without(inputs: str | None, names: frozenset[str]) -> str | None:
    """Return the JSON text of inputs without some of them."""
    if inputs is None or not names:
        return inputs
    return json.dumps({name: value for name, value in json.loads(inputs).items() if name not in names})


def _duration(seconds: float) -> str:
    """Return a time as people say it: ``0.4 s``, ``12 s``, ``5 min``, ``3 h``, ``2 days``."""
    for unit, word in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {word}"
    return f"{max(seconds, 0):.0f} s" if seconds >= 10 else f"{max(seconds, 0):.1f} s"
