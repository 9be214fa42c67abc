"""Automations, what they have yet to deliver, and event triggers. Parts of every `Store`, held by ``tests/contracts``.

Each write is one transaction, committed when the call returns. ``now`` and ``at`` are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from jupyter_wf.core.automations import Automation, Delivery, Notification, Occasion
    from jupyter_wf.core.event_triggers import EventTrigger

__all__ = ["AutomationStore", "EventTriggerStore", "NotificationStore", "OpenRun", "OutboxStore", "Watched"]


class AutomationStore(Protocol):
    """The automations. What is read has its secret texts masked, but for `whole`."""

    def save(self, automation: Automation, now: float) -> Automation:
        """Store an automation, a new one where its ``id`` is empty; return it as it is read.

        Actions without an id get one. A secret text that is still masked is the one that is stored for the action with
        the same id. Raises `AutomationNotFound` for an unknown id, `InvalidRequest` for a name that another one has,
        and for a masked text that nothing is stored for.
        """

    def get(self, automation_id: str) -> Automation:
        """Return the automation. Raises `AutomationNotFound`."""

    def find(self, text: str) -> Automation:
        """Return the one whose name or id it is, or whose id begins so (6 letters). Raises `AutomationNotFound`."""

    def list(self) -> list[Automation]:
        """Return all automations by name."""

    def whole(self, automation_id: str) -> Automation:
        """Return the automation with its secret texts, for whoever delivers. Raises `AutomationNotFound`."""

    def remove(self, automation_id: str) -> None:
        """Forget the automation and what it has yet to deliver. Raises `AutomationNotFound`."""


class Watched(NamedTuple):
    """What has happened since, oldest first, and up to which ``seq`` the stream was looked at."""

    occasions: Sequence[Occasion]
    seq: int


class OpenRun(NamedTuple):
    """A run of a deployment that has not ended and has a deadline; ``occasion`` tells what is known of it.

    ``deadline`` counts (seconds) from when it was due, ``factor`` times the usual duration from when it began.
    """

    occasion: Occasion
    due_at: float
    started_at: float | None
    deadline: float | None
    factor: float | None


class OutboxStore(Protocol):
    """What is to be delivered. A row is put in with what led to it, in one transaction, and stays until it is done."""

    def cursor(self) -> int | None:
        """Return up to which event the stream was watched, None where nobody has watched it."""

    def watch(self, after: int, *, limit: int = 1000) -> Watched:
        """Return the states that root runs have entered behind event ``after``, and deployments that were paused."""

    def put(self, deliveries: Sequence[Delivery], now: float, *, cursor: int | None = None) -> list[str]:
        """Put rows in, due now, and note how far was watched; return the keys of those that were not there already.

        A ``cursor`` behind the one that is stored changes nothing.
        """

    def due(self, now: float, *, limit: int = 8) -> list[Delivery]:
        """Return waiting rows that are due: those that were tried least come first."""

    def next_at(self) -> float | None:
        """Return when the next waiting row is due, None where none waits."""

    def sent(self, delivery_id: int, outcome: str, now: float) -> None:
        """Note that a row is done, and forget its payload."""

    def again(self, delivery_id: int, error: str, at: float) -> None:
        """Note that a try did not work and when the next one is due."""

    def fail(self, delivery_id: int, error: str, now: float) -> None:
        """Note that a row is given up."""

    def list(
        self, *, automation_id: str | None = None, trigger_id: str | None = None, limit: int = 100
    ) -> list[Delivery]:
        """Return rows, newest first."""

    def with_deadline(self) -> Sequence[OpenRun]:
        """Return open runs of deployments whose policies have a ``deadline`` or a ``deadline_factor``."""

    def durations(self, deployment_id: str, *, limit: int = 10) -> Sequence[float]:
        """Return how long (seconds) the last completed runs of a deployment took, newest first."""

    def last_success(self, deployment_id: str) -> float | None:
        """Return when a run of a deployment has last completed, None where none has."""

    def prune(self, before: float) -> int:
        """Forget rows that were done before then, and all but the newest 1,000 notifications; return how many rows."""


class NotificationStore(Protocol):
    """Messages for who looks at JupyterLab. Each is an event of the stream, of kind ``notification``."""

    def add(self, key: str, notification: Notification, now: float) -> bool:
        """Add a message; return False, and change nothing, where there was one with this key."""

    def list(self, *, after: int = 0, limit: int = 100) -> list[Notification]:
        """Return messages with ``id > after``, oldest first."""

    def last_id(self) -> int:
        """Return the id of the newest message, 0 where there is none."""


class EventTriggerStore(Protocol):
    """The event triggers of deployments."""

    def add(self, trigger: EventTrigger, now: float) -> EventTrigger:
        """Store a new trigger; return it with its id and, of a webhook, its secret, which is not stored."""

    def get(self, trigger_id: str) -> EventTrigger:
        """Return the trigger by its id, or how that begins (6 letters). Raises `TriggerNotFound`."""

    def list(self, *, deployment_id: str | None = None, kind: str | None = None) -> list[EventTrigger]:
        """Return triggers, oldest first."""

    def by_secret(self, secret: str) -> EventTrigger | None:
        """Return the webhook trigger with this secret, None where there is none."""

    def enable(self, trigger_id: str, enabled: bool) -> EventTrigger:
        """Switch a trigger on or off. Raises `TriggerNotFound`."""

    def remove(self, trigger_id: str) -> None:
        """Forget a trigger, and what of it was not begun. Raises `TriggerNotFound`."""

    def trouble(self, trigger_id: str, error: str | None) -> None:
        """Note what keeps a trigger from working, None where nothing does any more."""

    def seen(self, trigger_id: str) -> Mapping[str, Any] | None:
        """Return what was noted when it was last looked at, None where that was never."""

    def fire(
        self,
        trigger_id: str,
        delivery: Delivery | None,
        now: float,
        *,
        seen: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put the run that a trigger asks for into the outbox and note what was ``seen``, in one transaction.

        Returns False, and changes nothing, where the delivery is there already, the trigger is gone or switched off,
        or (with ``seen``) somebody has noted something else than ``before`` meanwhile. Without a delivery it is only
        noted.
        """
