"""Limits in asynchronous code: ``async with concurrency("database"): ...`` and ``await rate_limit("api")``."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_wf.concurrency.slots import concurrency, lease_of_rate
from jupyter_wf.core.errors import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from jupyter_wf.engine.limits_async import take_async

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]


async def rate_limit(
    names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Do as `jupyter_wf.concurrency.rate_limit`, while the event loop goes on."""
    wanted = lease_of_rate(names, occupy, timeout_seconds, strict)
    if wanted is not None:
        await take_async(*wanted, timeout_seconds)
        wanted[0].forget()
