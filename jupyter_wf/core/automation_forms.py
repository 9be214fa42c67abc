"""Automations and event triggers as they are given from outside: each field is checked, by one set of rules.

Everything here raises `InvalidRequest` with the field's path (``actions[0].url``) and the reason. Secret texts are not
repeated in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jupyter_wf.core.automations import ACTION_TYPES, NO_SUCCESS, Action, Automation, Filters, is_reference
from jupyter_wf.core.durations import seconds_of, span
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.event_triggers import TRIGGER_KINDS, EventTrigger
from jupyter_wf.core.parameters import MASK

__all__ = ["read_automation", "read_trigger"]

_Check = Callable[[str, Any], Any]
_STATE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_REFERENCE = re.compile(r"(?:env:[A-Za-z_][A-Za-z0-9_]{0,254}|secret:[A-Za-z0-9_.-]{1,255})")
_OF_JUPYTER = re.compile(r"JUPYTER_TOKEN|JUPYTERHUB_|JPY_")
_IDENT = re.compile(r"[A-Za-z0-9-]{1,64}")
_LEVELS = ("info", "success", "warning", "error")
_OURS = ("content-type", "content-length", "host", "connection", "transfer-encoding", "user-agent")
_MOST = 20
_YEAR = 366 * 86400.0


def read_automation(given: Any, base: Automation | None = None) -> Automation:
    """Return what an object describes; fields that it leaves out are those of ``base`` where that is given."""
    fields = _object("automation", given)
    _known("automation", fields, ("name", "description", "enabled", "when", "after", "filters", "actions"))
    if base is None:
        for name in ("name", "when", "actions"):
            if name not in fields:
                raise InvalidRequest(name, None, "is missing")
        base = Automation(name="", when=(), actions=())
    found = replace(base, **{name: _AUTOMATION[name](name, value) for name, value in fields.items()})
    if NO_SUCCESS in found.when:
        if found.after is None:
            raise InvalidRequest("after", None, "say after how long without a success, such as 26h")
        if not found.filters.deployments:
            raise InvalidRequest("filters.deployments", [], f"say whose success is missed: {NO_SUCCESS} needs it")
    return found


def read_trigger(given: Any, deployment_id: str) -> EventTrigger:
    """Return the trigger of a deployment that an object describes: ``kind``, ``spec``, ``enabled``."""
    fields = _object("trigger", given)
    _known("trigger", fields, ("kind", "spec", "enabled"))
    kind = fields.get("kind")
    if kind not in TRIGGER_KINDS:
        raise InvalidRequest("kind", kind, f"give one of {', '.join(TRIGGER_KINDS)}")
    spec = _object("spec", fields.get("spec", {}))
    checks, needed = _SPECS[kind]
    _known("spec", spec, tuple(checks))
    for name in needed:
        if name not in spec:
            raise InvalidRequest(f"spec.{name}", None, "is missing")
    return EventTrigger(
        deployment_id=deployment_id,
        kind=kind,
        spec={**_DEFAULTS.get(kind, {}), **{name: checks[name](f"spec.{name}", value) for name, value in spec.items()}},
        enabled=_flag("enabled", fields.get("enabled", True)),
    )


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidRequest(name, type(value).__name__, "give an object")
    return value


def _known(name: str, fields: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(fields) - set(known)):
        offer = f"there are {', '.join(known)}" if known else "there are none"
        raise InvalidRequest(name, unknown[0], f"there is no such field; {offer}")


def _text(longest: int, *, lines: bool = False, shortest: int = 1) -> _Check:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or not shortest <= len(value) <= longest:
            raise InvalidRequest(name, value, f"give a text of {shortest} to {longest} characters")
        if (_UNSTORABLE if lines else _UNSAFE).search(value):
            raise InvalidRequest(name, value, "it has a control character")
        return value

    return check


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidRequest(name, value, "give true or false")
    return value


def _choice(*choices: str) -> _Check:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise InvalidRequest(name, value, f"give one of {', '.join(choices)}")
        return str(value)

    return check


def _texts(longest: int) -> _Check:
    one = _text(longest)

    def check(name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > _MOST:
            raise InvalidRequest(name, value, f"give a list of at most {_MOST} texts")
        return tuple(one(f"{name}[{i}]", each) for i, each in enumerate(value))

    return check


def _words(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST:
        raise InvalidRequest(name, value, f"give a list of 1 to {_MOST} states or events")
    for each in value:
        if not isinstance(each, str) or not _STATE.fullmatch(each):
            raise InvalidRequest(name, each, "give types or names of states, deadline, deployment-paused or no-success")
    return tuple(dict.fromkeys(each.lower() if "-" in each or each.lower() == "deadline" else each for each in value))


def _seconds(low: float, high: float) -> _Check:
    def check(name: str, value: Any) -> float:
        try:
            seconds = seconds_of(value)
        except ValueError as error:
            raise InvalidRequest(name, value, str(error)) from None
        if not math.isfinite(seconds) or not low <= seconds <= high:
            raise InvalidRequest(name, value, f"give a length of time from {span(low)} to {span(high)}")
        return seconds

    return check


def _maybe(check: _Check) -> _Check:
    return lambda name, value: None if value is None else check(name, value)


def _filters(name: str, value: Any) -> Filters:
    fields = _object(name, value)
    _known(name, fields, ("deployments", "flows", "tags"))
    return Filters(**{key: _texts(501)(f"{name}.{key}", item) for key, item in fields.items()})


def _actions(name: str, value: Any) -> tuple[Action, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= _MOST:
        raise InvalidRequest(name, len(value) if isinstance(value, list) else value, f"give 1 to {_MOST} actions")
    return tuple(_action(f"{name}[{i}]", each) for i, each in enumerate(value))


def _action(name: str, value: Any) -> Action:
    if isinstance(value, Action):
        value = {"type": value.type, "id": value.id, **value.options}
    fields = dict(_object(name, value))
    kind, ident = fields.pop("type", None), fields.pop("id", "")
    if kind not in ACTION_TYPES:
        raise InvalidRequest(f"{name}.type", kind, f"give one of {', '.join(ACTION_TYPES)}")
    if not isinstance(ident, str) or (ident and not _IDENT.fullmatch(ident)):
        raise InvalidRequest(f"{name}.id", ident, "leave it out, or give the id that the action has")
    checks, needed = _OPTIONS[kind]
    _known(name, fields, tuple(checks))
    # What is null, or an empty text that need not be there, is as good as left out: forms send such.
    given = {key: item for key, item in fields.items() if item is not None and (item != "" or key in needed)}
    for key in needed:
        if key not in given:
            raise InvalidRequest(f"{name}.{key}", None, "is missing")
    return Action(type=kind, id=ident, options={k: checks[k](f"{name}.{k}", item) for k, item in given.items()})


def _secret(name: str, value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 4096 or _UNSAFE.search(value):
        raise InvalidRequest(name, MASK, "give a text of 1 to 4096 characters, without control characters")
    if is_reference(value):
        if not _REFERENCE.fullmatch(value):
            raise InvalidRequest(name, value, "a reference is env:NAME (of a variable) or secret:NAME")
        if _OF_JUPYTER.match(value.partition(":")[2].upper()):
            raise InvalidRequest(name, value, "Jupyter's own credentials are not for others")
    return value


def _web_url(name: str, value: Any) -> str:
    text = _secret(name, value)
    if not is_reference(text) and not text.lower().startswith(("http://", "https://")):
        raise InvalidRequest(name, MASK, "give a URL that begins with https:// or http://, or env:NAME or secret:NAME")
    return text


def _message_url(name: str, value: Any) -> str:
    text = _secret(name, value)
    if not is_reference(text) and not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise InvalidRequest(name, MASK, "give a URL of Apprise, such as mailtos://…, or env:NAME or secret:NAME")
    return text


def _headers(name: str, value: Any) -> dict[str, str]:
    fields = _object(name, value)
    if len(fields) > _MOST:
        raise InvalidRequest(name, len(fields), f"give at most {_MOST} headers")
    for key in fields:
        if not _HEADER.fullmatch(key) or key.lower() in _OURS or key.lower().startswith("x-jupyter-wf-"):
            raise InvalidRequest(name, key, "this is no header that may be given")
    return {key: _latin(f"{name}.{key}", item) for key, item in fields.items()}


def _latin(name: str, value: Any) -> str:
    text = _secret(name, value)
    if not all(ord(c) < 256 for c in text):
        raise InvalidRequest(name, MASK, "a header's value has no characters beyond Latin-1")
    return text


def _parameters(name: str, value: Any) -> dict[str, Any]:
    fields = _object(name, value)
    if len(fields) > 1000:
        raise InvalidRequest(name, len(fields), "give at most 1000 parameters")
    for key, item in fields.items():
        _text(200)(name, key)
        _json(f"{name}.{key}", item, 0)
    return dict(fields)


def _json(name: str, value: Any, depth: int) -> None:
    if isinstance(value, str):
        _text(1_000_000, lines=True, shortest=0)(name, value)
    elif isinstance(value, list) and depth < 32:
        for item in value:
            _json(name, item, depth + 1)
    elif isinstance(value, dict) and depth < 32:
        for key, item in value.items():
            _text(1000, lines=True, shortest=0)(name, key)
            _json(name, item, depth + 1)
    elif value is not None and not isinstance(value, bool | int) and not _is_number(value):
        raise InvalidRequest(name, type(value).__name__, "give a JSON value, at most 32 levels deep")


def _is_number(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _parameter_name(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200 or not value.isidentifier():
        raise InvalidRequest(name, value, "give the name of a parameter")
    return value


def _path(name: str, value: Any) -> str:
    text = str(_text(4096)(name, value))
    parts = text.split("/")
    if not text.startswith("/") or ".." in parts or "~" in parts[0]:
        raise InvalidRequest(name, value, "give an absolute path without '..'; it may hold *, ? and **")
    if not any(part and not re.search(r"[*?\[]", part) for part in parts):
        raise InvalidRequest(name, value, "begin with a folder: everything from the root on is not watched")
    return text


_TITLE, _MESSAGE, _ADDRESS = _text(500), _text(10_000, lines=True), _text(501)
_AUTOMATION: Mapping[str, _Check] = {
    "name": _text(250),
    "description": _text(5_000, lines=True, shortest=0),
    "enabled": _flag,
    "when": _words,
    "after": _maybe(_seconds(1, _YEAR)),
    "filters": _filters,
    "actions": _actions,
}
#: Type of action → its options, and those that it must have.
_OPTIONS: Mapping[str, tuple[Mapping[str, _Check], tuple[str, ...]]] = {
    "send-notification": ({"title": _TITLE, "message": _MESSAGE, "level": _choice(*_LEVELS)}, ()),
    "send-message": ({"url": _message_url, "title": _TITLE, "message": _MESSAGE}, ("url",)),
    "call-webhook": ({"url": _web_url, "secret": _secret, "headers": _headers}, ("url",)),
    "run-deployment": (
        {"deployment": _ADDRESS, "parameters": _parameters, "result_as": _parameter_name},
        ("deployment",),
    ),
    "pause-deployment": ({"deployment": _ADDRESS}, ()),
    "cancel-flow-run": ({}, ()),
}
#: Kind of trigger → what its spec may hold, and what it must.
_SPECS: Mapping[str, tuple[Mapping[str, _Check], tuple[str, ...]]] = {
    "deployment": ({"deployment": _ADDRESS, "on": _words, "result_as": _maybe(_parameter_name)}, ("deployment",)),
    "file": (
        {"path": _path, "debounce": _seconds(0, 3600), "changed_as": _maybe(_parameter_name)},
        ("path",),
    ),
    "webhook": ({"body_as": _maybe(_parameter_name)}, ()),
    "no-success": ({"after": _seconds(1, _YEAR), "deployment": _maybe(_ADDRESS)}, ("after",)),
}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"deployment": {"on": ("COMPLETED",)}, "file": {"debounce": 1.0}}
