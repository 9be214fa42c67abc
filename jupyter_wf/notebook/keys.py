"""Under which keys, beside its result, a run of a task cell leaves what is shown or loaded later."""

from __future__ import annotations

__all__ = ["INPUTS_LIMIT", "cell_key", "inputs_key", "locals_key"]

#: The largest input (bytes) that is stored of a cell that failed.
INPUTS_LIMIT = 16 * 1024 * 1024


def cell_key(run_id: str) -> str:
    """Return the key under which the text of a task cell's run is stored."""
    return f"cell/{run_id}"


def inputs_key(run_id: str) -> str:
    """Return the key under which the inputs of a run that failed are stored."""
    return f"inputs/{run_id}"


def locals_key(run_id: str) -> str:
    """Return the key under which the local variables of a run that failed are stored."""
    return f"locals/{run_id}"
