"""What a ``with`` block takes of limits, and the making of limits."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from jupyter_wf.core.errors import ConcurrencySlotAcquisitionError, InvalidRequest
from jupyter_wf.core.shared import Limit
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.limits import Lease, changed, take
from jupyter_wf.engine.runtime import Runtime, current_runtime

__all__ = ["Slots", "concurrency", "get_limits", "lease_of_rate", "rate_limit", "remove_limit", "set_limit"]

F = TypeVar("F", bound=Callable[..., Any])
_log = logging.getLogger("jupyter_wf.concurrency")
_missed: set[str] = set()


class Slots:
    """Slots that are held by a ``with`` or ``async with`` block; also a decorator that holds them around each call."""

    __slots__ = ("_lease", "_names", "_occupy", "_strict", "_timeout")

    def __init__(self, names: str | Sequence[str], occupy: int, timeout: float | None, strict: bool) -> None:
        self._names = _checked(names, occupy, timeout)
        self._occupy = occupy
        self._timeout = timeout
        self._strict = strict
        self._lease: Lease | None = None

    def _wanted(self) -> tuple[Lease, Runtime] | None:
        if self._lease is not None:
            raise RuntimeError("these slots are held already; call concurrency() again for another block")
        runtime = current_runtime()
        found = _found(runtime, self._names, self._strict)
        if not found:
            return None
        return _lease(runtime, [limit.name for limit in found], self._occupy), runtime

    def __enter__(self) -> None:
        wanted = self._wanted()
        if wanted is None:
            return
        try:
            take(*wanted, self._timeout)
            self._lease = wanted[0]
        except BaseException:
            # An interrupt may have come between the two.
            wanted[0].abandon()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    async def __aenter__(self) -> None:
        # Only those who await pay for asyncio.
        from jupyter_wf.engine.limits_async import take_async

        wanted = self._wanted()
        if wanted is None:
            return
        try:
            await take_async(*wanted, self._timeout)
            self._lease = wanted[0]
        except BaseException:
            # An interrupt may have come between the two.
            wanted[0].abandon()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        # It is loaded already.
        from jupyter_wf.engine.limits_async import release_async

        lease, self._lease = self._lease, None
        if lease is not None:
            await release_async(lease)

    def __call__(self, fn: F) -> F:
        """Return ``fn``, a function or coroutine function, with slots of its own held around each call."""
        again = functools.partial(Slots, self._names, self._occupy, self._timeout, self._strict)
        if inspect.iscoroutinefunction(fn):

            @functools.wraps(fn)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                async with again():
                    return await fn(*args, **kwargs)

            return awaited  # type: ignore[return-value]

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            with again():
                return fn(*args, **kwargs)

        return called  # type: ignore[return-value]


def concurrency(
    names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> Slots:
    """Return a context, for ``with`` and for ``async with``, that holds ``occupy`` slots of each of the limits.

    All processes on the state file share the slots; those of a process that dies come back. The block begins when the
    slots of all ``names`` (one or several) are there: until then it waits, at most ``timeout_seconds``. A name without
    a limit holds nobody up, unless ``strict``. Slots of a limit that decays are used up, as by `rate_limit`.

    Entering raises `AcquireConcurrencySlotTimeoutError` (a `TimeoutError`) when the slots were not free in time, and
    `ConcurrencySlotAcquisitionError` where a limit has fewer slots in all, where there is none and ``strict`` is true,
    and where the waiting thread holds the slots itself. Raises `InvalidRequest` (a `ValueError`) for values that make
    no sense.
    """
    return Slots(names, occupy, timeout_seconds, strict)


def rate_limit(
    names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Wait until ``occupy`` slots of each of the rate limits are there, and use them up.

    They come back by themselves, at the rate that `set_limit` was given. The rest is as for `concurrency`; raises
    `ConcurrencySlotAcquisitionError` also for a limit that does not decay.
    """
    wanted = lease_of_rate(names, occupy, timeout_seconds, strict)
    if wanted is not None:
        take(*wanted, timeout_seconds)
        wanted[0].forget()


def lease_of_rate(
    names: str | Sequence[str], occupy: int, timeout: float | None, strict: bool
) -> tuple[Lease, Runtime] | None:
    """Return what a rate limit has to take, None where none of the names is limited. Raises as `rate_limit`."""
    checked = _checked(names, occupy, timeout)
    runtime = current_runtime()
    found = _found(runtime, checked, strict)
    plain = [limit.name for limit in found if not limit.decay]
    if plain:
        raise ConcurrencySlotAcquisitionError(
            plain, "it is no rate limit; give it a slot_decay_per_second with set_limit, or use concurrency()"
        )
    return (_lease(runtime, [limit.name for limit in found], occupy), runtime) if found else None


def set_limit(name: str, slots: int, slot_decay_per_second: float = 0.0, active: bool = True) -> Limit:
    """Make the limit ``name``, or change it, and return it.

    ``slots`` is how many may be held at the same time, by all processes on the state file together; with 0 nobody gets
    any. With ``slot_decay_per_second`` above 0 it is a rate limit: so many slots come back each second. A limit that
    is not ``active`` holds nobody up. A limit named ``tag:x`` counts for every task that has the tag ``x``.
    Raises `InvalidRequest` (a `ValueError`).
    """
    limit = current_runtime().store.limits.set(name, slots, decay=slot_decay_per_second, active=active)
    changed()
    return limit


def remove_limit(name: str) -> bool:
    """Remove a limit, so that nobody waits for it any more; return whether there was one."""
    removed = current_runtime().store.limits.remove(name)
    changed()
    return removed


def get_limits() -> list[Limit]:
    """Return all limits by name, each with what is taken of it now."""
    return current_runtime().store.limits.list()


def _lease(runtime: Runtime, names: Sequence[str], occupy: int) -> Lease:
    run = current_run()
    return Lease(runtime, names, occupy, run.id if run is not None else None)


def _checked(names: str | Sequence[str], occupy: int, timeout: float | None) -> tuple[str, ...]:
    many = (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))
    if type(occupy) is not int or occupy < 1:
        raise InvalidRequest("occupy", occupy, "must be a whole number of slots from 1")
    if timeout is not None and not timeout >= 0:
        raise InvalidRequest("timeout_seconds", timeout, "must be a number of seconds from 0, or None")
    return many


def _found(runtime: Runtime, names: Sequence[str], strict: bool) -> list[Limit]:
    """Return the active limits among the names. Raises where ``strict`` and one does not exist."""
    found = {name: runtime.store.limits.get(name) for name in names}
    missing = [name for name, limit in found.items() if limit is None]
    if missing and strict:
        raise ConcurrencySlotAcquisitionError(missing, "there is no such limit; make it with set_limit(name, slots)")
    for name in missing:
        if name not in _missed:
            _missed.add(name)
            _log.info("there is no limit named %r, so it holds nobody up; make it with set_limit(name, slots)", name)
    return [limit for limit in found.values() if limit is not None and limit.active]
