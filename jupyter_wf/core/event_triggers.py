"""What makes a run of a deployment beside its schedules: another deployment's end, files, a webhook, a long silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["TRIGGER_KINDS", "EventTrigger", "TriggerKind"]

TriggerKind = Literal["deployment", "file", "webhook", "no-success"]
TRIGGER_KINDS: tuple[TriggerKind, ...] = ("deployment", "file", "webhook", "no-success")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrigger:
    """Makes a run of a deployment each time that something happens; ``spec`` says what.

    ``deployment``: ``deployment`` (whose runs), ``on`` (types or names of states), ``result_as`` (the parameter that
    gets the run's result). ``file``: ``path`` (absolute; ``*``, ``?``, ``**``), ``debounce`` (seconds of quiet),
    ``changed_as`` (the parameter that gets the list of changed paths). ``webhook``: ``body_as`` (the parameter that
    gets the body). ``no-success``: ``after`` (seconds), ``deployment`` (the trigger's own where it is not given).

    ``fired_at`` is when it last fired, ``error`` what keeps it from working. Of a webhook's secret only the hash is
    kept; ``secret`` is there once, in what making the trigger returns.
    """

    deployment_id: str
    kind: TriggerKind
    spec: Mapping[str, Any]
    enabled: bool = True
    id: str = ""
    created_at: float = 0.0
    fired_at: float | None = None
    error: str | None = None
    secret: str | None = None
