"""Limits in synchronous code: ``with concurrency("database"): ...`` and ``rate_limit("api")``."""

from __future__ import annotations

from jupyter_wf.concurrency.slots import concurrency, rate_limit
from jupyter_wf.core.errors import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError

__all__ = ["AcquireConcurrencySlotTimeoutError", "ConcurrencySlotAcquisitionError", "concurrency", "rate_limit"]
