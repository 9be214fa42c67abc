"""The JSON forms of automations, event triggers, deliveries and notifications.

Like those of `core.codec`, these ``TypedDict`` classes are the one definition; the TypeScript types come from them.
Secret texts are masked in all of them, but for a new webhook's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from jupyter_wf.core.automations import Action, Automation, Delivery, Notification
from jupyter_wf.core.codec import iso
from jupyter_wf.core.event_triggers import EventTrigger

__all__ = [
    "AutomationFiltersJSON",
    "AutomationJSON",
    "AutomationPageJSON",
    "AutomationTestJSON",
    "DeliveryJSON",
    "DeliveryPageJSON",
    "EventTriggerJSON",
    "EventTriggerPageJSON",
    "NotificationJSON",
    "NotificationPageJSON",
    "SaveAutomationJSON",
    "SaveEventTriggerJSON",
    "TestedActionJSON",
    "encode_automation",
    "encode_delivery",
    "encode_notification",
    "encode_trigger",
]


class AutomationFiltersJSON(TypedDict, total=False):
    """Whose occasions count; names may hold ``*`` and ``?``."""

    deployments: list[str]
    flows: list[str]
    tags: list[str]


class AutomationJSON(TypedDict):
    """An automation. An action is an object with ``id``, ``type`` and its options."""

    id: str
    name: str
    description: str
    enabled: bool
    when: list[str]
    after: float | None
    filters: AutomationFiltersJSON
    actions: list[dict[str, Any]]
    created_at: str
    updated_at: str


class AutomationPageJSON(TypedDict):
    """All automations, by name."""

    items: list[AutomationJSON]


class SaveAutomationJSON(TypedDict, total=False):
    """An automation as it is given; a new one needs ``name``, ``when`` and ``actions``."""

    name: str
    description: str
    enabled: bool
    when: list[str]
    after: float | str | None
    filters: AutomationFiltersJSON
    actions: list[dict[str, Any]]


class TestedActionJSON(TypedDict):
    """What came of testing one action."""

    id: str
    type: str
    ok: bool
    message: str


class AutomationTestJSON(TypedDict):
    """What came of testing an automation."""

    ok: bool
    actions: list[TestedActionJSON]


class DeliveryJSON(TypedDict):
    """Something that an automation or a trigger had, or has yet, to do; ``state`` is waiting, sent or failed."""

    id: int
    automation_id: str | None
    trigger_id: str | None
    action_id: str
    event: str
    run_id: str | None
    state: str
    attempts: int
    created_at: str
    next_at: str
    done_at: str | None
    error: str | None
    outcome: str | None


class DeliveryPageJSON(TypedDict):
    """Deliveries, newest first."""

    items: list[DeliveryJSON]


class EventTriggerJSON(TypedDict):
    """An event trigger; ``secret`` and ``path`` (of the address to call) only in the answer to its making."""

    id: str
    deployment_id: str
    kind: str
    spec: dict[str, Any]
    enabled: bool
    created_at: str
    fired_at: str | None
    error: str | None
    secret: str | None
    path: str | None


class EventTriggerPageJSON(TypedDict):
    """The event triggers of a deployment, oldest first."""

    items: list[EventTriggerJSON]


class SaveEventTriggerJSON(TypedDict, total=False):
    """An event trigger as it is given: a new one by ``kind`` and ``spec``, a change by ``enabled`` alone."""

    kind: str
    spec: dict[str, Any]
    enabled: bool


class NotificationJSON(TypedDict):
    """A message for who looks at JupyterLab; ``level`` is info, success, warning or error."""

    id: int
    at: str
    title: str
    message: str
    level: str
    run_id: str | None
    deployment_id: str | None


class NotificationPageJSON(TypedDict):
    """Messages, oldest first; ``next_after`` continues as ``?after=``."""

    items: list[NotificationJSON]
    next_after: int


def _maybe(at: float | None) -> str | None:
    return None if at is None else iso(at)


def _encode_action(action: Action) -> dict[str, Any]:
    options = {name: dict(value) if isinstance(value, Mapping) else value for name, value in action.options.items()}
    return {"id": action.id, "type": action.type, **options}


def encode_automation(automation: Automation) -> AutomationJSON:
    """Return the JSON form of an automation as it is read."""
    filters = automation.filters
    return {
        "id": automation.id,
        "name": automation.name,
        "description": automation.description,
        "enabled": automation.enabled,
        "when": list(automation.when),
        "after": automation.after,
        "filters": {
            "deployments": list(filters.deployments),
            "flows": list(filters.flows),
            "tags": list(filters.tags),
        },
        "actions": [_encode_action(each) for each in automation.actions],
        "created_at": iso(automation.created_at),
        "updated_at": iso(automation.updated_at),
    }


def encode_delivery(delivery: Delivery) -> DeliveryJSON:
    """Return the JSON form of a delivery; what it brings along is not shown."""
    return {
        "id": delivery.id,
        "automation_id": delivery.automation_id,
        "trigger_id": delivery.trigger_id,
        "action_id": delivery.action_id,
        "event": delivery.occasion.event,
        "run_id": delivery.occasion.run_id,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "created_at": iso(delivery.created_at),
        "next_at": iso(delivery.next_at),
        "done_at": _maybe(delivery.done_at),
        "error": delivery.error,
        "outcome": delivery.outcome,
    }


def encode_trigger(trigger: EventTrigger, path: str | None = None) -> EventTriggerJSON:
    """Return the JSON form of a trigger; ``path`` is that of a new webhook's address."""
    return {
        "id": trigger.id,
        "deployment_id": trigger.deployment_id,
        "kind": trigger.kind,
        "spec": {key: list(value) if isinstance(value, tuple) else value for key, value in trigger.spec.items()},
        "enabled": trigger.enabled,
        "created_at": iso(trigger.created_at),
        "fired_at": _maybe(trigger.fired_at),
        "error": trigger.error,
        "secret": trigger.secret,
        "path": path,
    }


def encode_notification(notification: Notification) -> NotificationJSON:
    """Return the JSON form of a notification."""
    return {
        "id": notification.id,
        "at": iso(notification.at),
        "title": notification.title,
        "message": notification.message,
        "level": notification.level,
        "run_id": notification.run_id,
        "deployment_id": notification.deployment_id,
    }
