"""Automations: what is to be done when a run enters a state, is late, or a deployment is paused.

Pure: who watches hands in an `Occasion`, and learns which actions follow from it. Times are epoch seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from jupyter_wf.core.parameters import MASK, is_secret

__all__ = [
    "ACTION_TYPES",
    "DEADLINE",
    "DEPLOYMENT_PAUSED",
    "EVENTS",
    "NO_SUCCESS",
    "Action",
    "Automation",
    "Delivery",
    "Filters",
    "Notification",
    "Occasion",
    "fill",
    "hidden",
    "is_reference",
    "matches",
    "secret_texts",
    "shown",
    "told",
    "with_hidden",
    "with_stored",
]

DEADLINE = "deadline"
DEPLOYMENT_PAUSED = "deployment-paused"
NO_SUCCESS = "no-success"
#: What can be waited for beside the types and names of states.
EVENTS = (DEADLINE, DEPLOYMENT_PAUSED, NO_SUCCESS)
#: Prefect's names, where it has the action.
ACTION_TYPES = (
    "send-notification",
    "send-message",
    "call-webhook",
    "run-deployment",
    "pause-deployment",
    "cancel-flow-run",
)
#: Options whose value is never shown; those of ``headers`` and some of ``parameters`` come on top.
_SECRET_OPTIONS = ("url", "secret")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WORD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Whose occasions count: of any of these deployments (address, name or id), flows and tags; empty means all.

    Names may hold ``*`` and ``?``. What is given must all hold.
    """

    deployments: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing to do; ``id`` is its own within the automation, ``options`` depend on the type (`ACTION_TYPES`).

    ``send-notification`` (JupyterLab): ``title``, ``message``, ``level``. ``send-message`` (e-mail, Slack, Teams and
    the rest, by Apprise): ``url``, ``title``, ``message``. ``call-webhook``: ``url``, ``secret``, ``headers``.
    ``run-deployment``: ``deployment``, ``parameters``, ``result_as``. ``pause-deployment``: ``deployment``, by default
    that of the run. ``cancel-flow-run``: none.
    """

    type: str
    options: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """What follows when. ``when`` are types or names of states, or `EVENTS`; compared without case.

    ``after`` (seconds) is how long nothing may have completed, for `NO_SUCCESS`. The texts of secret options are
    masked wherever an automation is read, but for whoever delivers.
    """

    name: str
    when: tuple[str, ...]
    actions: tuple[Action, ...]
    filters: Filters = Filters()
    after: float | None = None
    description: str = ""
    enabled: bool = True
    id: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Something that happened to a root run or to a deployment: what `matches` judges and messages tell of.

    ``event`` is ``state``, one of `EVENTS`, ``trigger`` or ``test``. ``key`` is the same whenever the same thing is
    seen again. ``deployment`` is an address. ``queued`` says that agents execute the run: a failure of it counts when
    it is settled, because another attempt may follow.
    """

    event: str
    key: str
    at: float
    run_id: str | None = None
    run_name: str | None = None
    attempt: int = 1
    flow_name: str | None = None
    state_type: str | None = None
    state_name: str | None = None
    message: str | None = None
    tags: tuple[str, ...] = ()
    deployment_id: str | None = None
    deployment: str | None = None
    queued: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "tags": list(self.tags)}

    @classmethod
    def of_json(cls, value: Mapping[str, Any]) -> Occasion:
        """Return what `as_json` was made of; keys that are not known are left out."""
        known = {name: value[name] for name in cls.__slots__ if name in value}
        return cls(**{**known, "tags": tuple(known.get("tags", ()))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One row of the outbox: an action of an automation, or a run that a trigger asks for, and how far that is.

    ``key`` is unique: whoever puts the same thing in again changes nothing. ``action_id`` is empty for a trigger, and
    ``payload`` the parameters that it brings along. ``state`` is waiting, sent or failed. ``error`` is why the last
    try did not work, ``outcome`` what came of the one that did.
    """

    key: str
    occasion: Occasion
    automation_id: str | None = None
    trigger_id: str | None = None
    action_id: str = ""
    payload: Mapping[str, Any] | None = None
    id: int = 0
    state: Literal["waiting", "sent", "failed"] = "waiting"
    attempts: int = 0
    created_at: float = 0.0
    next_at: float = 0.0
    done_at: float | None = None
    error: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A message for who looks at JupyterLab. ``level`` is info, success, warning or error."""

    title: str
    message: str
    level: str = "info"
    run_id: str | None = None
    deployment_id: str | None = None
    id: int = 0
    at: float = 0.0


def matches(automation: Automation, occasion: Occasion) -> bool:
    """Return whether the automation's actions follow from an occasion; none follow from what was before it was made."""
    if not automation.enabled or occasion.at < automation.created_at:
        return False
    words = {word.lower() for word in automation.when}
    if occasion.event == "state":
        found = {(occasion.state_type or "").lower(), (occasion.state_name or "").lower()}
    else:
        found = {occasion.event}
    return bool(words & found) and _passes(automation.filters, occasion)


def _passes(filters: Filters, occasion: Occasion) -> bool:
    name = (occasion.deployment or "").rpartition("/")[2]
    return (
        _fits(filters.deployments, (occasion.deployment, name, occasion.deployment_id))
        and _fits(filters.flows, (occasion.flow_name,))
        and _fits(filters.tags, occasion.tags)
    )


def _fits(patterns: Sequence[str], values: Sequence[str | None]) -> bool:
    if not patterns:
        return True
    return any(value and (value == p or fnmatchcase(value, p)) for value in values for p in patterns)


def told(occasion: Occasion) -> tuple[str, str, str]:
    """Return what to say of an occasion: title, message, level."""
    what = occasion.deployment or occasion.flow_name or occasion.run_name or "a run"
    why = occasion.message or ""
    if occasion.event == DEADLINE:
        return f"{what} is late", why or "it has not ended in time", "warning"
    if occasion.event == DEPLOYMENT_PAUSED:
        return f"{what} was paused", why or "its schedules make no runs", "warning"
    if occasion.event == NO_SUCCESS:
        return f"{what} has not succeeded", why or "no run of it has completed in time", "warning"
    if occasion.event == "test":
        return "Test of an automation", why or "this is only a test", "info"
    level = {"COMPLETED": "success", "FAILED": "error", "CRASHED": "error", "CANCELLED": "warning"}
    name = f" ({occasion.run_name})" if occasion.run_name and occasion.run_name != what else ""
    return f"{what}: {occasion.state_name}", f"{why}{name}".strip(), level.get(occasion.state_type or "", "info")


def fill(template: str, occasion: Occasion) -> str:
    """Return a text with ``{flow}``, ``{deployment}``, ``{run}``, ``{run_id}``, ``{state}``, ``{message}`` filled in.

    Other braces stay as they are: a template reaches nothing but these words.
    """
    words = {
        "flow": occasion.flow_name,
        "deployment": occasion.deployment,
        "run": occasion.run_name,
        "run_id": occasion.run_id,
        "state": occasion.state_name,
        "state_type": occasion.state_type,
        "message": occasion.message,
        "event": occasion.event,
        "attempt": str(occasion.attempt),
        "tags": ", ".join(occasion.tags),
    }
    return _WORD.sub(lambda found: (words[found[1]] or "") if found[1] in words else found[0], template)


def is_reference(text: str) -> bool:
    """Return whether a text names a secret (``env:NAME``, ``secret:NAME``) instead of being one."""
    return text.startswith(("env:", "secret:"))


def hidden(action: Action) -> dict[str, str]:
    """Return the secret texts of an action as `secret_texts` does, but none that only names a secret."""
    return {path: text for path, text in secret_texts(action).items() if not is_reference(text)}


def secret_texts(action: Action) -> dict[str, str]:
    """Return the texts that are secrets or name one, by the path of their option: ``url``, ``headers.Accept``."""
    found: dict[str, str] = {}
    for name, value in action.options.items():
        if name in _SECRET_OPTIONS and isinstance(value, str):
            found[name] = value
        elif name == "headers" and isinstance(value, Mapping):
            found |= {f"headers.{key}": text for key, text in value.items() if isinstance(text, str)}
        elif name == "parameters" and isinstance(value, Mapping):
            found |= {f"parameters.{key}": v for key, v in value.items() if isinstance(v, str) and is_secret(key)}
    return {path: text for path, text in found.items() if text}


def shown(action: Action) -> Action:
    """Return an action as everybody may see it: of a URL the scheme stays, of other secrets nothing."""
    return _replaced(action, {path: _masked(path, text) for path, text in hidden(action).items()})


def with_hidden(action: Action, texts: Mapping[str, str]) -> Action:
    """Return an action with its secret texts in place: the inverse of `shown`, given what `hidden` has found."""
    return _replaced(action, texts)


def with_stored(action: Action, stored: Sequence[Action]) -> Action:
    """Return an action in which texts that are still masked are those of the stored action with the same id.

    ``stored`` are whole actions. A masked text that nothing is stored for stays as it is.
    """
    before = next((each for each in stored if each.id and each.id == action.id), None)
    if before is None:
        return action
    kept = hidden(before)
    return _replaced(
        action, {p: kept[p] for p, text in hidden(action).items() if p in kept and text == _masked(p, kept[p])}
    )


def _masked(path: str, text: str) -> str:
    scheme = _SCHEME.match(text) if path == "url" else None
    return f"{scheme[0]}{MASK}" if scheme else MASK


def _replaced(action: Action, texts: Mapping[str, str]) -> Action:
    options = {name: dict(value) if isinstance(value, Mapping) else value for name, value in action.options.items()}
    for path, text in texts.items():
        name, _, key = path.partition(".")
        if key and isinstance(options.get(name), dict):
            options[name][key] = text
        elif not key and name in options:
            options[name] = text
    return replace(action, options=options)
