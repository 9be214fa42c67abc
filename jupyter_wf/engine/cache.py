"""Cache policies: from a task and its inputs to the key under which its result is found again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.engine.fingerprints import Unhashable, fingerprint, inputs_of, source_of
from jupyter_wf.engine.staging import IsolationLevel

__all__ = [
    "CacheContext",
    "CachePolicy",
    "FlowParameters",
    "Inputs",
    "Joined",
    "KeyFunction",
    "NoCache",
    "RunId",
    "Sees",
    "TaskSource",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheContext:
    """What a policy may look at: the task, its run, its arguments, and the flow run that it is part of.

    ``task`` is the `Task`, ``fn`` its function. ``task_run`` is the run (``id``, ``name``, ``flow_run_id`` …), None
    where there is none, because it is only asked what a call would do; then ``run_id`` is None too.
    """

    task: Any
    fn: Callable[..., Any]
    task_name: str
    task_run: Any = None
    run_id: str | None = None
    flow_run_id: str | None = None
    parameters: Mapping[str, Any]
    flow_parameters: Mapping[str, Any]


class Sees(NamedTuple):
    """What a policy looks at, so that it can be said why a key is another one.

    ``source`` is the task's, ``inputs`` all but those in ``apart``; ``others`` are the words for what else may change.
    """

    source: bool = False
    inputs: bool = False
    apart: frozenset[str] = frozenset()
    others: tuple[str, ...] = ()


class CachePolicy:
    """Computes cache keys. ``A + B`` joins two policies; ``A - "name"`` leaves an input out.

    For one of your own, define `compute_key` in a subclass.
    """

    __slots__ = ()

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the key for a call with ``inputs`` by parameter name, or None where it is not to be cached.

        Raises `Unhashable` where an input has no stable fingerprint.
        """
        raise TypeError(f"{type(self).__name__} does not say how to compute a key: define compute_key()")

    @staticmethod
    def from_cache_key_fn(cache_key_fn: Callable[[CacheContext, Mapping[str, Any]], str | None]) -> CachePolicy:
        """Return the policy whose key is what a function of the context and the inputs returns."""
        return KeyFunction(cache_key_fn)

    @property
    def isolation_level(self) -> IsolationLevel | None:
        """SERIALIZABLE where calls with the same key wait for each other, so that only the first is made."""
        return None

    def configure(self, *, isolation_level: IsolationLevel | str | None = None) -> CachePolicy:
        """Return this policy with another isolation level. Raises `ParameterError` for one that there is not."""
        try:
            level = None if isolation_level is None else IsolationLevel(isolation_level)
        except ValueError:
            known = ", ".join(each.name for each in IsolationLevel)
            raise ParameterError("isolation_level", f"{isolation_level!r:.80} is none of {known}") from None
        return Joined(_parts(self), level)

    def sees(self) -> Sees:
        """Return what the key depends on; where that is not known, on all of it."""
        return Sees(source=True, inputs=True, others=("the cache key changed",))

    def without(self, name: str) -> CachePolicy:
        """Return the policy that does not look at the input ``name``."""
        return self

    def __add__(self, other: CachePolicy) -> CachePolicy:
        if not isinstance(other, CachePolicy):
            return NotImplemented
        if isinstance(other, NoCache):
            return self
        return Joined((*_parts(self), *_parts(other)), self.isolation_level or other.isolation_level)

    def __sub__(self, name: str) -> CachePolicy:
        if not isinstance(name, str):
            return NotImplemented
        return Joined(tuple(part.without(name) for part in _parts(self)), self.isolation_level)


def _parts(policy: CachePolicy) -> tuple[CachePolicy, ...]:
    return policy.parts if isinstance(policy, Joined) else (policy,)


@dataclass(frozen=True, slots=True)
class Joined(CachePolicy):
    """Several policies as one: what is equal by all of them is equal."""

    parts: tuple[CachePolicy, ...] = ()
    level: IsolationLevel | None = None

    @property
    def isolation_level(self) -> IsolationLevel | None:
        """What `configure` was given."""
        return self.level

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return a key of all parts' keys; None where no part has one."""
        found = [
            part.compute_key(task_ctx=task_ctx, inputs=inputs, flow_parameters=flow_parameters) for part in self.parts
        ]
        keys = [key for key in found if key is not None]
        if len(self.parts) == 1:
            return found[0]
        return hashlib.sha256("+".join(keys).encode()).hexdigest() if keys else None

    def sees(self) -> Sees:
        """Return what any of the parts looks at."""
        all_seen = [part.sees() for part in self.parts]
        apart = [seen.apart for seen in all_seen if seen.inputs]
        return Sees(
            source=any(seen.source for seen in all_seen),
            inputs=any(seen.inputs for seen in all_seen),
            apart=frozenset.intersection(*apart) if apart else frozenset(),
            others=tuple(dict.fromkeys(words for seen in all_seen for words in seen.others)),
        )


@dataclass(frozen=True, slots=True)
class Inputs(CachePolicy):
    """The same inputs, whatever the task's code: ``exclude`` names those that do not count."""

    exclude: frozenset[str] = frozenset()

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the task's name and the inputs' fingerprints as a key."""
        counted = {name: value for name, value in inputs.items() if name not in self.exclude}
        try:
            return fingerprint([task_ctx.task_name, counted])
        except Unhashable:
            # The same again, input by input: it knows the name of the one that is to blame.
            inputs_of(counted)
            raise

    def sees(self) -> Sees:
        """Return the inputs."""
        return Sees(inputs=True, apart=self.exclude)

    def without(self, name: str) -> CachePolicy:
        """Return the policy that does not look at the input ``name``."""
        return Inputs(self.exclude | {name})


@dataclass(frozen=True, slots=True)
class TaskSource(CachePolicy):
    """The same source text of the task's function."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the source's fingerprint."""
        return fingerprint(source_of(task_ctx.fn))

    def sees(self) -> Sees:
        """Return the source."""
        return Sees(source=True)


@dataclass(frozen=True, slots=True)
class RunId(CachePolicy):
    """The same flow run (or the task's own run, outside any flow)."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the id of the flow run."""
        return task_ctx.flow_run_id or task_ctx.run_id

    def sees(self) -> Sees:
        """Return the flow run."""
        return Sees(others=("it is another flow run",))


@dataclass(frozen=True, slots=True)
class FlowParameters(CachePolicy):
    """The same parameters of the flow run."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return the fingerprint of the flow's parameters; None outside any flow."""
        return fingerprint(dict(flow_parameters)) if task_ctx.flow_run_id else None

    def sees(self) -> Sees:
        """Return the flow's parameters."""
        return Sees(others=("the flow's parameters changed",))


@dataclass(frozen=True, slots=True)
class NoCache(CachePolicy):
    """Never cached."""

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return None."""
        return None

    def configure(self, *, isolation_level: IsolationLevel | str | None = None) -> Self:
        """Return this policy: it has no keys that could be locked."""
        return self

    def __add__(self, other: CachePolicy) -> CachePolicy:
        return other


@dataclass(frozen=True, slots=True)
class KeyFunction(CachePolicy):
    """A function of one's own: given the `CacheContext` and the inputs, it returns the key or None."""

    function: Callable[[CacheContext, Mapping[str, Any]], str | None]

    def compute_key(
        self, task_ctx: CacheContext, inputs: Mapping[str, Any], flow_parameters: Mapping[str, Any], **kwargs: Any
    ) -> str | None:
        """Return what the function returns. Raises TypeError where that is neither a text nor None."""
        key: object = self.function(task_ctx, inputs)
        if key is not None and not isinstance(key, str):
            raise TypeError(f"the cache key function of task {task_ctx.task_name!r} returned {key!r:.80}, not a text")
        return key
