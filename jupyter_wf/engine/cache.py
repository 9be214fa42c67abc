"""Cache policies: from a task and its inputs to the key under which its result is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_wf.engine.fingerprints import fingerprint, source_of

__all__ = ["CacheContext", "CachePolicy", "FlowParameters", "Inputs", "KeyFunction", "NoCache", "RunId", "TaskSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheContext:
    """What a policy may look at: the task's function, its run's id, its flow run's id and parameters."""

    fn: Callable[..., Any]
    task_name: str
    run_id: str
    flow_run_id: str | None
    flow_parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """Computes cache keys. ``A + B`` joins two policies; ``A - "name"`` leaves an input out."""

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return the key for a call with ``inputs`` by parameter name, or None where it is not to be cached.

        Raises `Unhashable` where an input has no stable fingerprint.
        """
        raise TypeError(f"{type(self).__name__} does not say how to compute a key: define compute_key()")

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            return NotImplemented
        if isinstance(other, NoCache):
            return self
        return _Joined((*_parts(self), *_parts(other)))

    def __sub__(self, name: str) -> CachePolicy:
        if not isinstance(name, str):
            return NotImplemented
        return _Joined(tuple(part.without(name) for part in _parts(self)))

    def without(self, name: str) -> CachePolicy:
        """Return the policy that does not look at the input ``name``."""
        return self


def _parts(policy: CachePolicy) -> tuple[CachePolicy, ...]:
    return policy.parts if isinstance(policy, _Joined) else (policy,)


@dataclass(frozen=True, slots=True)
class _Joined(CachePolicy):
    parts: tuple[CachePolicy, ...] = ()

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return a key of all parts' keys; None where no part has one."""
        keys = [key for part in self.parts if (key := part.compute_key(context, inputs)) is not None]
        return hashlib.sha256("+".join(keys).encode()).hexdigest() if keys else None


@dataclass(frozen=True, slots=True)
class Inputs(CachePolicy):
    """The same inputs, whatever the task's code: ``exclude`` names those that do not count."""

    exclude: frozenset[str] = frozenset()

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return the task's name and the inputs' fingerprints as a key."""
        counted = {name: value for name, value in inputs.items() if name not in self.exclude}
        return fingerprint([context.task_name, counted])

    def without(self, name: str) -> CachePolicy:
        """Return the policy that does not look at the input ``name``."""
        return Inputs(self.exclude | {name})


@dataclass(frozen=True, slots=True)
class TaskSource(CachePolicy):
    """The same source text of the task's function."""

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return the source's fingerprint."""
        return fingerprint(source_of(context.fn))


@dataclass(frozen=True, slots=True)
class RunId(CachePolicy):
    """The same flow run (or the task's own run, outside any flow)."""

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return the id of the flow run."""
        return context.flow_run_id or context.run_id


@dataclass(frozen=True, slots=True)
class FlowParameters(CachePolicy):
    """The same parameters of the flow run."""

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return the fingerprint of the flow's parameters; None outside any flow."""
        return fingerprint(dict(context.flow_parameters)) if context.flow_run_id else None


@dataclass(frozen=True, slots=True)
class NoCache(CachePolicy):
    """Never cached."""

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return None."""
        return None

    def __add__(self, other: CachePolicy) -> CachePolicy:
        return other


@dataclass(frozen=True, slots=True)
class KeyFunction(CachePolicy):
    """A function of one's own: given the `CacheContext` and the inputs, it returns the key or None."""

    function: Callable[[CacheContext, Mapping[str, Any]], str | None]

    def compute_key(self, context: CacheContext, inputs: Mapping[str, Any]) -> str | None:
        """Return what the function returns."""
        key = self.function(context, inputs)
        if key is not None and not isinstance(key, str):
            raise TypeError(f"the cache key function of task {context.task_name!r} returned {key!r:.80}, not a text")
        return key
