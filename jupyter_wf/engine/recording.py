"""Whether calls of tasks and flows are to be noted down instead of being executed, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal, Protocol

__all__ = ["RECORDING", "Recorder"]


class Recorder(Protocol):
    """Takes the calls of a flow's body while the flow is drawn."""

    def record(
        self,
        name: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        kind: Literal["task", "flow"] = "task",
        how: Literal["call", "submit", "map"] = "call",
        is_async: bool = False,
        viz_return_value: Any = None,
    ) -> Any:
        """Note a call down and return what stands for its outcome.

        ``args`` and ``kwargs`` are as the caller gave them (``wait_for`` and ``return_state`` included). What comes
        back is what such a call returns: a value, an awaitable for a call of something async, a future for submit, a
        list of futures for map. ``viz_return_value``, where it is not None, is the value.
        """
        ...


#: Set while a flow is drawn: its tasks and sub-flows hand their calls to the recorder and do nothing else.
RECORDING: ContextVar[Recorder | None] = ContextVar("jupyter_wf_recording", default=None)
