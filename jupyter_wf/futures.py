"""Futures of submitted tasks, under Prefect's names."""

from __future__ import annotations

from jupyter_wf.engine.futures import RunFuture, as_completed, wait

__all__ = ["PrefectFuture", "RunFuture", "as_completed", "wait"]

#: Prefect's name for it.
PrefectFuture = RunFuture
