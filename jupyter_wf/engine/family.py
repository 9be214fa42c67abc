"""What is below a run, as long as this process executes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_wf.core.states import StateType

if TYPE_CHECKING:
    from jupyter_wf.core.models import Earlier
    from jupyter_wf.engine.runs import LiveRun

__all__ = ["Family"]


class Family:
    """The runs below a run.

    ``children`` are the open ones by id, ``submitted`` the futures of those that were submitted. ``call_numbers`` count
    the calls of each task or flow by name. ``earlier`` holds what the attempts before left, by name and call number;
    ``restored`` are the ids of those that this attempt has taken over. ``teardowns`` are the tasks, with arguments, to
    be called when the run's work has ended, the last one first.
    """

    __slots__ = ("call_numbers", "children", "earlier", "restored", "submitted", "teardowns")

    def __init__(self) -> None:
        self.children: dict[str, LiveRun] = {}
        self.submitted: dict[str, Any] = {}
        self.call_numbers: dict[str, int] = {}
        self.earlier: dict[tuple[str, int], Earlier] = {}
        self.restored: list[str] = []
        self.teardowns: list[tuple[Any, tuple[Any, ...]]] = []

    def begin_again(self) -> None:
        """Count the calls anew: a next attempt begins."""
        self.call_numbers.clear()
        self.restored.clear()
        self.teardowns.clear()

    def in_stopping_order(self) -> list[LiveRun]:
        """Return the open runs in the order to stop them: first what has not begun, lest it begin as others end."""
        return sorted(self.children.values(), key=_has_begun)


def _has_begun(run: LiveRun) -> bool:
    return run.state.type is not StateType.PENDING
