"""Limits that all processes on the state file share: how many at the same time, and how many a second.

``from jupyter_wf.concurrency import concurrency, rate_limit, set_limit``. `concurrency` is for ``with`` and for
``async with``; `rate_limit` blocks, its awaitable twin is in `jupyter_wf.concurrency.asyncio`.
"""

from __future__ import annotations

from jupyter_wf.concurrency.slots import Slots, concurrency, get_limits, rate_limit, remove_limit, set_limit
from jupyter_wf.core.errors import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from jupyter_wf.core.shared import Limit

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "Limit",
    "Slots",
    "concurrency",
    "get_limits",
    "rate_limit",
    "remove_limit",
    "set_limit",
]
