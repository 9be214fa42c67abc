"""Marks on the arguments of tasks, under Prefect's names: ``unmapped``, ``allow_failure``, ``quote``."""

from __future__ import annotations

from jupyter_wf.engine.annotations import allow_failure, quote, unmapped

__all__ = ["allow_failure", "quote", "unmapped"]
