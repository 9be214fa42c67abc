"""Which automations follow from what, what is said of it, and what may be given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jupyter_wf.core.automation_forms import read_automation, read_trigger
from jupyter_wf.core.automation_json import encode_automation, encode_trigger
from jupyter_wf.core.automations import (
    Action,
    Automation,
    Filters,
    Occasion,
    fill,
    hidden,
    matches,
    shown,
    told,
    with_hidden,
    with_stored,
)
from jupyter_wf.core.errors import InvalidRequest

CANARY = "canary-51d0"
FAILED = Occasion(
    event="state",
    key="r:1:TimedOut",
    at=100.0,
    run_id="r",
    run_name="brave-otter",
    flow_name="etl",
    state_type="FAILED",
    state_name="TimedOut",
    message="after 5 s",
    tags=("db", "nightly"),
    deployment_id="d1",
    deployment="etl/daily",
)
ALERT = Automation(name="a", when=("failed",), actions=(Action(type="send-notification", options={}),), created_at=50.0)
GIVEN: dict[str, Any] = {"name": "a", "when": ["FAILED"], "actions": [{"type": "send-notification"}]}


@pytest.mark.parametrize(
    ("words", "fits"),
    [
        (("FAILED",), True),
        (("timedout",), True),
        (("COMPLETED", "TimedOut"), True),
        (("COMPLETED",), False),
        (("deadline",), False),
        ((), False),
    ],
)
def test_words_are_types_or_names_of_states(words: tuple[str, ...], fits: bool) -> None:
    assert matches(replace(ALERT, when=words), FAILED) is fits


@pytest.mark.parametrize("event", ["deadline", "deployment-paused", "no-success"])
def test_events_are_no_states(event: str) -> None:
    assert matches(replace(ALERT, when=(event,)), replace(FAILED, event=event))
    assert not matches(ALERT, replace(FAILED, event=event))
    assert not matches(replace(ALERT, when=(event,)), FAILED)


@pytest.mark.parametrize(
    ("filters", "fits"),
    [
        (Filters(), True),
        (Filters(deployments=("etl/daily",)), True),
        (Filters(deployments=("daily",)), True),
        (Filters(deployments=("d1",)), True),
        (Filters(deployments=("etl/*",)), True),
        (Filters(deployments=("etl",)), False),
        (Filters(flows=("et?",)), True),
        (Filters(flows=("ETL",)), False),
        (Filters(tags=("x", "db")), True),
        (Filters(tags=("x",)), False),
        (Filters(flows=("etl",), tags=("x",)), False),
        (Filters(flows=("etl",), tags=("night*",), deployments=("daily",)), True),
    ],
)
def test_filters_must_all_hold(filters: Filters, fits: bool) -> None:
    assert matches(replace(ALERT, filters=filters), FAILED) is fits


def test_neither_when_it_is_off_nor_from_before_it_was_made() -> None:
    assert not matches(replace(ALERT, enabled=False), FAILED)
    assert not matches(replace(ALERT, created_at=100.5), FAILED)
    assert not matches(replace(ALERT, filters=Filters(deployments=("x",))), replace(FAILED, deployment=None))


def test_templates_reach_nothing_but_their_words() -> None:
    said = fill("{flow} {deployment} {run} {run_id} {state} {message} {tags} {attempt}", FAILED)
    assert said == "etl etl/daily brave-otter r TimedOut after 5 s db, nightly 1"
    assert fill("{run.__class__} {0} {unknown} {{flow}} {", FAILED) == "{run.__class__} {0} {unknown} {etl} {"
    assert fill("{message}", replace(FAILED, message="{flow}")) == "{flow}"
    assert fill("{message}", replace(FAILED, message=None)) == ""


def test_what_is_said() -> None:
    assert told(FAILED) == ("etl/daily: TimedOut", "after 5 s (brave-otter)", "error")
    assert told(replace(FAILED, state_type="COMPLETED", state_name="Completed", message=None))[2] == "success"
    assert told(replace(FAILED, event="deadline"))[::2] == ("etl/daily is late", "warning")
    assert told(replace(FAILED, event="deployment-paused"))[0] == "etl/daily was paused"
    assert told(replace(FAILED, event="no-success", message=None))[0] == "etl/daily has not succeeded"


HOOK = Action(
    type="call-webhook",
    id="1",
    options={"url": f"https://u:{CANARY}@x/{CANARY}", "secret": CANARY, "headers": {"X-Key": CANARY}},
)
RUN = Action(type="run-deployment", id="2", options={"deployment": "d", "parameters": {"api_key": CANARY, "n": 1}})


@pytest.mark.parametrize("action", [HOOK, RUN], ids=["webhook", "run"])
def test_secrets_are_masked_and_put_back(action: Action) -> None:
    masked = shown(action)
    assert CANARY not in repr(masked) and CANARY in repr(action)
    assert with_hidden(masked, hidden(action)) == action
    assert with_stored(masked, (action,)) == action
    assert with_stored(replace(masked, id="3"), (action,)) == replace(masked, id="3")


def test_references_are_no_secrets() -> None:
    action = Action(type="call-webhook", options={"url": "env:HOOK", "secret": "secret:hook-key"})
    assert hidden(action) == {} and shown(action) == action


def test_a_changed_secret_replaces_the_stored_one() -> None:
    masked = shown(HOOK)
    changed = replace(masked, options={**masked.options, "secret": "new"})
    assert with_stored(changed, (HOOK,)).options == {**HOOK.options, "secret": "new"}


def test_an_automation_as_it_is_given() -> None:
    found = read_automation(
        {
            **GIVEN,
            "when": ["FAILED", "FAILED", "Deadline", "No-Success"],
            "after": "26h",
            "filters": {"deployments": ["etl/*"]},
            "actions": [
                {
                    "type": "call-webhook",
                    "url": "HTTPS://x/y",
                    "secret": None,
                    "headers": {"Authorization": "Bearer x"},
                },
                {"type": "send-message", "url": "mailtos://u:p@x", "title": "", "message": "{state}\n"},
                {"type": "run-deployment", "deployment": "d", "parameters": {"x": [1, {"y": None}]}, "result_as": "r"},
                {"type": "pause-deployment"},
                {"type": "cancel-flow-run", "id": "abc"},
            ],
        }
    )
    assert found.when == ("FAILED", "deadline", "no-success") and found.after == 93_600.0 and found.enabled
    assert found.filters == Filters(deployments=("etl/*",))
    assert found.actions[0].options == {"url": "HTTPS://x/y", "headers": {"Authorization": "Bearer x"}}
    assert found.actions[1].options == {"url": "mailtos://u:p@x", "message": "{state}\n"}
    assert found.actions[4] == Action(type="cancel-flow-run", id="abc", options={})
    again = read_automation({"enabled": False, "after": None, "when": ["FAILED"]}, found)
    assert (again.enabled, again.after, again.actions) == (False, None, found.actions)
    told_of = encode_automation(found)
    kept = {key: told_of[key] for key in ("name", "when", "after", "filters", "actions", "enabled", "description")}  # type: ignore[literal-required]
    assert read_automation(kept) == found


def hook(**options: Any) -> dict[str, Any]:
    return {**GIVEN, "actions": [{"type": "call-webhook", "url": "https://x", **options}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "automation"),
        ({}, "name"),
        ({**GIVEN, "name": ""}, "name"),
        ({**GIVEN, "name": "a\nb"}, "name"),
        ({**GIVEN, "name": "x" * 251}, "name"),
        ({**GIVEN, "nmae": "x"}, "automation"),
        ({**GIVEN, "enabled": 1}, "enabled"),
        ({**GIVEN, "when": []}, "when"),
        ({**GIVEN, "when": "FAILED"}, "when"),
        ({**GIVEN, "when": ["no state!"]}, "when"),
        ({**GIVEN, "when": ["no-success"]}, "after"),
        ({**GIVEN, "when": ["no-success"], "after": 60}, "filters.deployments"),
        ({**GIVEN, "after": "soon"}, "after"),
        ({**GIVEN, "after": float("nan")}, "after"),
        ({**GIVEN, "filters": {"flow": []}}, "filters"),
        ({**GIVEN, "filters": {"flows": "x"}}, "filters.flows"),
        ({**GIVEN, "filters": {"tags": [1]}}, "filters.tags[0]"),
        ({**GIVEN, "actions": []}, "actions"),
        ({**GIVEN, "actions": [{"type": "explode"}]}, "actions[0].type"),
        ({**GIVEN, "actions": [{"type": "send-notification", "level": "loud"}]}, "actions[0].level"),
        ({**GIVEN, "actions": [{"type": "call-webhook"}]}, "actions[0].url"),
        ({**GIVEN, "actions": [{"type": "call-webhook", "url": ""}]}, "actions[0].url"),
        ({**GIVEN, "actions": [{"type": "run-deployment"}]}, "actions[0].deployment"),
        (
            {**GIVEN, "actions": [{"type": "run-deployment", "deployment": "d", "result_as": "a b"}]},
            "actions[0].result_as",
        ),
        ({**GIVEN, "actions": [{"type": "cancel-flow-run", "id": "../x"}]}, "actions[0].id"),
        ({**GIVEN, "actions": [{"type": "cancel-flow-run", "url": "x"}]}, "actions[0]"),
        (hook(url=f"ftp://{CANARY}"), "actions[0].url"),
        (hook(url=f"https://x/\n{CANARY}"), "actions[0].url"),
        (hook(url="env:JUPYTER_TOKEN"), "actions[0].url"),
        (hook(url="secret:jupyterhub_api_token"), "actions[0].url"),
        (hook(url="env:a b"), "actions[0].url"),
        (hook(secret=7), "actions[0].secret"),
        (hook(headers={"Host": "x"}), "actions[0].headers"),
        (hook(headers={"a b": "x"}), "actions[0].headers"),
        (hook(headers={"X": f"{CANARY}\r\nY: z"}), "actions[0].headers.X"),
        (hook(headers={"X": f"{CANARY}☃"}), "actions[0].headers.X"),
    ],
)
def test_what_may_not_be_given(given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_automation(given)
    assert refused.value.name == field and CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "spec", "stored"),
    [
        ("deployment", {"deployment": "d"}, {"deployment": "d", "on": ("COMPLETED",)}),
        (
            "deployment",
            {"deployment": "d", "on": ["FAILED"], "result_as": "x"},
            {"deployment": "d", "on": ("FAILED",), "result_as": "x"},
        ),
        ("file", {"path": "/data/*.csv"}, {"path": "/data/*.csv", "debounce": 1.0}),
        (
            "file",
            {"path": "/d/x", "debounce": "5s", "changed_as": "p"},
            {"path": "/d/x", "debounce": 5.0, "changed_as": "p"},
        ),
        ("webhook", {}, {}),
        ("webhook", {"body_as": "b"}, {"body_as": "b"}),
        ("no-success", {"after": "26h"}, {"after": 93_600.0}),
    ],
)
def test_triggers_as_they_are_given(kind: str, spec: dict[str, Any], stored: dict[str, Any]) -> None:
    found = read_trigger({"kind": kind, "spec": spec, "enabled": False}, "dep")
    assert (found.deployment_id, found.kind, found.spec, found.enabled) == ("dep", kind, stored, False)
    assert encode_trigger(found)["spec"] == {k: list(v) if isinstance(v, tuple) else v for k, v in stored.items()}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "trigger"),
        ({}, "kind"),
        ({"kind": "moon"}, "kind"),
        ({"kind": "file"}, "spec.path"),
        ({"kind": "file", "spec": {"path": "data/*.csv"}}, "spec.path"),
        ({"kind": "file", "spec": {"path": "/data/../etc"}}, "spec.path"),
        ({"kind": "file", "spec": {"path": "/**"}}, "spec.path"),
        ({"kind": "file", "spec": {"path": "/x\0"}}, "spec.path"),
        ({"kind": "file", "spec": {"path": "/x", "debounce": -1}}, "spec.debounce"),
        ({"kind": "file", "spec": {"path": "/x", "changed_as": "a-b"}}, "spec.changed_as"),
        ({"kind": "deployment", "spec": {}}, "spec.deployment"),
        ({"kind": "deployment", "spec": {"deployment": "d", "on": []}}, "spec.on"),
        ({"kind": "no-success", "spec": {"after": 0}}, "spec.after"),
        ({"kind": "webhook", "spec": {"secret": "x"}}, "spec"),
        ({"kind": "webhook", "secret": "x"}, "trigger"),
        ({"kind": "webhook", "enabled": None}, "enabled"),
    ],
)
def test_triggers_that_may_not_be(given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_trigger(given, "dep")
    assert refused.value.name == field
