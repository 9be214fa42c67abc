"""What a board of views works with, in tests: runs and a screen that stand for the real ones."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.states import State, StateType


class Live:
    """What the board looks at in a live run."""

    flow_name = task_name = "work"
    kind = "flow"
    max_attempts = 1

    started_at: float | None = None

    def __init__(self, run_id: str = "r") -> None:
        self.id = self.name = self.root_id = run_id
        self.parent_id = None
        self.parameters: dict[str, Any] = {}
        self.attempt = 1
        self.state = State(type=StateType.PENDING, name="Pending", at=1.0)

    @property
    def is_open(self) -> bool:
        return not self.state.is_closed()

    def enter(self, type_: StateType, attempt: int = 1) -> StateChanged:
        self.attempt = attempt
        self.state = State(type=type_, name=type_.value.capitalize(), at=2.0)
        return StateChanged(self.id, 2.0, attempt, type_.value, self.state.name)


class Widget:
    """Stands for a widget: what it was told, and whether it is gone."""

    def __init__(self, whole: Callable[[], Any] | None = None, mode: str = "full") -> None:
        self.whole = whole
        self.mode = mode
        self.told: list[Any] = [whole()] if whole is not None else []
        self.is_closed = False

    def _repr_mimebundle_(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"widget": "here"}, {}

    def tell(self, tree: Any) -> None:
        self.told.append(tree)

    def close(self) -> None:
        self.is_closed = True


class Screen:
    can_change = True

    def __init__(self, has_widgets: bool = True) -> None:
        self.has_widgets = has_widgets
        self.shown: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.places: list[Any] = []
        self.ids: list[str] = []
        self.widgets: list[Widget] = []
        self.offers: list[Widget] = []
        self.changed = threading.Condition()

    def show(self, bundle: dict[str, Any], display_id: str, place: Any) -> None:
        with self.changed:
            self.shown.append(bundle)
            self.changed.notify_all()

    def update(self, bundle: dict[str, Any], display_id: str, place: Any) -> None:
        with self.changed:
            self.updates.append(bundle)
            self.ids.append(display_id)
            self.places.append(place)
            self.changed.notify_all()

    def live_widget(self, whole: Callable[[], Any], mode: str) -> Widget:
        self.widgets.append(Widget(whole, mode))
        return self.widgets[-1]

    def retry_offer(self, run_id: str, marker: str) -> Widget:
        self.offers.append(Widget())
        return self.offers[-1]

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 10)


def child(run_id: str, parent: str = "r", **facts: Any) -> RunCreated:
    """The entry that makes a task run below another run."""
    fields = {"kind": "task", "name": run_id, "flow_name": None, "task_name": run_id, "process_id": "p", **facts}
    return RunCreated(run_id=run_id, at=2.0, parent_id=parent, root_id="r", **fields)


def state(run_id: str, type_: str, at: float = 2.0, attempt: int = 1) -> StateChanged:
    """The entry by which a run enters a state."""
    return StateChanged(run_id, at, attempt, type_, type_.capitalize())
