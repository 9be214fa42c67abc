"""Futures of submitted tasks, under Prefect's names."""

from __future__ import annotations

from jupyter_wf.engine.futures import RunFuture, RunFutureList, as_completed, wait

__all__ = ["PrefectFuture", "PrefectFutureList", "RunFuture", "RunFutureList", "as_completed", "wait"]

#: Prefect's names for them.
PrefectFuture = RunFuture
PrefectFutureList = RunFutureList
