"""Automations, triggers and notifications over REST, and webhooks that arrive."""

from __future__ import annotations

import json
import logging
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.automations import Notification
from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.server.event_triggers import RateLimit, WebhookHandler
from tests.server.harness import Seed, Server
from tests.services.sinks import sink

CANARY = "canary-3b88aa"
HOOK = {"type": "call-webhook", "url": f"https://x.example/{CANARY}", "secret": CANARY, "headers": {"X-Key": CANARY}}


def given(name: str, *actions: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "when": ["FAILED"], "actions": list(actions) or [{"type": "send-notification"}], **fields}


@pytest.fixture
def made(server: Server) -> dict[str, Any]:
    """A new automation with secrets."""
    answer = server.fetch("POST", "automations", body=given(f"tell {time.monotonic_ns()}", HOOK))
    assert answer.status == 201
    found: dict[str, Any] = answer.json
    assert answer.headers["Location"].endswith(f"/automations/{found['id']}")
    return found


@pytest.fixture
def deployment(seed: Seed) -> Deployment:
    name = f"daily-{time.monotonic_ns()}"
    return seed.store.deployments.save(
        Deployment(
            id="", name=name, flow_name="etl", kind="flow", target="x.py:etl", parameters={}, policies=Policies()
        )
    )


def test_an_automation_is_made_read_changed_and_removed(server: Server, made: dict[str, Any]) -> None:
    (action,) = made["actions"]
    assert action == {
        **{"id": action["id"], "type": "call-webhook", "url": "https://***", "secret": "***"},
        "headers": {"X-Key": "***"},
    }
    assert server.get(f"automations/{made['id']}") == made == server.get(f"automations/{made['id'][:8]}")
    assert server.get(f"automations/{urllib.parse.quote(made['name'])}") == made
    assert made in server.get("automations")["items"]
    changed = server.fetch("PATCH", f"automations/{made['id']}", body={"enabled": False, "actions": made["actions"]})
    assert changed.status == 200 and changed.json["enabled"] is False and changed.json["actions"] == made["actions"]
    whole = server.backend.open().automations.whole(made["id"])
    assert whole.actions[0].options["url"] == HOOK["url"] and whole.actions[0].options["secret"] == CANARY
    assert server.get(f"automations/{made['id']}/deliveries") == {"items": []}
    assert server.fetch("DELETE", f"automations/{made['id']}").status == 204
    assert server.fetch("DELETE", f"automations/{made['id']}").status == 404
    assert server.fetch("GET", f"automations/{made['id']}").json["error"] == "AutomationNotFound"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name="),
        (given("x", when=["no state"]), "when="),
        (given("x", {"type": "call-webhook", "url": f"ftp://{CANARY}"}), "actions[0].url="),
        (given("x", {**HOOK, "url": "https://***"}), "masked"),
        (given("x", {"type": "explode"}), "actions[0].type="),
        (given("x", owner="me"), "automation="),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(server: Server, body: Any, field: str) -> None:
    answer = server.fetch("POST", "automations", body=body)
    assert (answer.status, answer.json["error"]) == (400, "InvalidRequest")
    assert field in answer.json["message"] and CANARY not in answer.json["message"]


def test_names_are_unique(server: Server, made: dict[str, Any]) -> None:
    answer = server.fetch("POST", "automations", body=given(made["name"]))
    assert answer.status == 400 and "already" in answer.json["message"]


def test_the_test_button(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = server.get("notifications")["next_after"]
    with sink() as listening, server.listen() as listener:
        listener.next()
        hook = {"type": "call-webhook", "url": listening.url(f"/{CANARY}")}
        body = given("try it", {"type": "send-notification", "title": "<b>{event}</b>"}, hook)
        ident = server.fetch("POST", "automations", body=body).json["id"]
        refused = server.fetch("POST", f"automations/{ident}/test", body=b"")
        assert refused.status == 200 and refused.json["ok"] is False and not listening.requests
        assert "inside of this machine" in refused.json["actions"][1]["message"]
        monkeypatch.setenv("JUPYTER_WF_ALLOWED_TARGETS", f"127.0.0.1,elsewhere:{listening.port}")
        done = server.fetch("POST", f"automations/{ident}/test", body=b"")
        assert done.json["ok"] is True and json.loads(listening.requests[0].body)["event"] == "test"
        told = server.get("notifications", after=before)
        assert [each["title"] for each in told["items"]] == ["<b>test</b>"] * 2
        assert told["next_after"] == told["items"][-1]["id"] == server.get("notifications")["next_after"]
        # Whoever listens to the stream hears of it.
        listener.until(lambda: sum(each["kind"] == "notification" for each in listener.events) == 2)
    event = next(each for each in listener.events if each["kind"] == "notification")
    assert event["run_id"] == "" and event["payload"]["title"] == "<b>test</b>" and CANARY not in repr(listener.events)


def test_notifications_come_in_pages(server: Server, seed: Seed) -> None:
    start = server.get("notifications")["next_after"]
    for number in range(3):
        told = Notification(title=str(number), message="m", level="warning")
        seed.store.notifications.add(f"page {number}", told, time.time())
    first = server.get("notifications", after=start, limit=2)
    second = server.get("notifications", after=first["next_after"], limit=2)
    assert [each["title"] for each in first["items"] + second["items"]] == ["0", "1", "2"]
    assert server.get("notifications", after=second["next_after"]) == {"items": [], "next_after": second["next_after"]}


# -- triggers ----------------------------------------------------------------------------------------------------


def test_triggers_are_made_listed_switched_and_removed(server: Server, deployment: Deployment) -> None:
    base = f"deployments/{urllib.parse.quote(deployment.address, safe='')}/triggers"
    answer = server.fetch("POST", base, body={"kind": "no-success", "spec": {"after": "26h"}})
    assert answer.status == 201 and answer.json["spec"] == {"after": 93_600.0}
    made = answer.json
    assert server.get(base)["items"] == [made] == server.get(f"deployments/{deployment.id}/triggers")["items"]
    assert server.get(f"{base}/{made['id']}") == made and made["secret"] is None and made["path"] is None
    switched = server.fetch("PATCH", f"{base}/{made['id']}", body={"enabled": False})
    assert switched.json == {**made, "enabled": False}
    assert server.fetch("PATCH", f"{base}/{made['id']}", body={"spec": {}}).status == 400
    assert server.fetch("GET", f"deployments/nobody/triggers/{made['id']}").status == 404
    assert server.fetch("DELETE", f"{base}/{made['id']}").status == 204
    assert server.fetch("GET", f"{base}/{made['id']}").json["error"] == "TriggerNotFound"


def test_file_triggers_stay_below_the_root(server: Server, deployment: Deployment) -> None:
    base = f"deployments/{deployment.id}/triggers"
    made = server.fetch("POST", base, body={"kind": "file", "spec": {"path": "data/*.csv"}})
    assert made.status == 201 and made.json["spec"]["path"] == str(Path(server.root).resolve() / "data/*.csv")
    for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "./a", "~/x", "", "a\0b", "x" * 5000, 3, None):
        answer = server.fetch("POST", base, body={"kind": "file", "spec": {"path": path}})
        assert answer.status == 400, path
    assert server.fetch("POST", base, body={"kind": "file"}).status == 400
    assert len(server.get(base)["items"]) == 1


# -- webhooks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook(server: Server, deployment: Deployment) -> dict[str, Any]:
    body = {"kind": "webhook", "spec": {"body_as": "body"}}
    found: dict[str, Any] = server.fetch("POST", f"deployments/{deployment.id}/triggers", body=body).json
    return found


def test_a_webhook_asks_for_a_run_without_a_token(server: Server, seed: Seed, webhook: dict[str, Any]) -> None:
    assert webhook["path"] == f"/base/jupyter_wf/api/triggers/{webhook['secret']}"
    answer = server.fetch("POST", "", target=webhook["path"], token=None, body={"rows": [1]})
    assert (answer.status, answer.json) == (202, {"accepted": True})
    for _ in range(2):
        again = server.fetch("POST", "", target=webhook["path"], token=None, body=b"", headers={"Webhook-Id": "7"})
        assert again.status == 202
    rows = seed.store.outbox.list(trigger_id=webhook["id"])
    assert [each.payload for each in rows] == [{"body": {}}, {"body": {"rows": [1]}}]
    listed = server.get(f"deployments/{webhook['deployment_id']}/triggers")["items"]
    assert listed[0]["secret"] is None and listed[0]["path"] is None and listed[0]["fired_at"]


def test_what_a_secret_does_not_open(server: Server, webhook: dict[str, Any]) -> None:
    path = webhook["path"]
    assert server.fetch("GET", "", target=path, token=None).status == 403
    assert server.fetch("GET", "", target=path).status == 405
    assert server.fetch("DELETE", "", target=path, token=None).status == 403
    assert server.fetch("GET", "runs", token=webhook["secret"]).status == 403
    assert server.fetch("GET", "runs", token=None, query={"token": webhook["secret"]}).status == 403
    for wrong in (path[:-1], path + "x", path + "/", path + "/x", path.swapcase(), f"{path}%00"):
        assert server.fetch("POST", "", target=wrong, token=None, body=b"").status in (403, 404), wrong
    assert server.fetch("POST", "", target=path, token=None, body=b"{").status == 415
    broken = {"Content-Type": "application/json"}
    assert server.fetch("POST", "", target=path, token=None, body=b"{", headers=broken).status == 400
    assert server.fetch("POST", "", target=path, token=None, body=b"x" * 1_000_001, headers=broken).status == 413
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert server.fetch("POST", "", target=path, token=None, body=b"", headers=elsewhere).status == 404


def test_a_webhook_that_is_off_does_nothing(server: Server, seed: Seed, webhook: dict[str, Any]) -> None:
    where = f"deployments/{webhook['deployment_id']}/triggers/{webhook['id']}"
    server.fetch("PATCH", where, body={"enabled": False})
    answer = server.fetch("POST", "", target=webhook["path"], token=None, body=b"")
    assert (answer.status, answer.json) == (202, {"accepted": False})
    assert seed.store.outbox.list(trigger_id=webhook["id"]) == []
    server.fetch("DELETE", where)
    assert server.fetch("POST", "", target=webhook["path"], token=None, body=b"").status == 403


def test_a_webhook_has_a_limit_and_guessing_another(server: Server, webhook: dict[str, Any]) -> None:
    found = [
        server.fetch("POST", "", target=webhook["path"], token=None, body=b"").status
        for _ in range(WebhookHandler.most + 1)
    ]
    assert found == [202] * WebhookHandler.most + [429]
    wrong = webhook["path"].replace(webhook["secret"], "guess")
    assert server.fetch("POST", "", target=wrong, token=None, body=b"").status == 403


def test_a_limit_lets_through_again_later() -> None:
    limit = RateLimit(2, 60.0)
    assert [limit.allows("a", now) for now in (0, 1, 2, 59, 60.5, 61, 62)] == [
        True,
        True,
        False,
        False,
        True,
        True,
        False,
    ]
    assert limit.allows("b", 62)
    for number in range(3000):
        limit.allows(str(number), 1000.0 + number)
    assert len(limit._seen) <= 1001


def test_no_log_line_holds_a_secret(server: Server, webhook: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    log = server.app.log
    before, log.propagate = (log.level, log.propagate), True
    log.setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    try:
        for method in ("POST", "GET", "PUT", "OPTIONS"):
            for tail in ("", "x", "/x", "?token=a", "/"):
                body = b"{" if method in ("POST", "PUT") else None
                headers = {"Referer": f"http://x/{webhook['secret']}"}
                server.fetch(method, "", target=webhook["path"] + tail, token=None, body=body, headers=headers)
        server.fetch("POST", "automations", body=given("logged", {**HOOK, "secret": f"{CANARY}\n"}))
        server.fetch("POST", "automations", body=given("logged", HOOK))
    finally:
        log.setLevel(before[0])
        log.propagate = before[1]
    assert "/api/triggers/***" in caplog.text
    assert webhook["secret"] not in caplog.text and CANARY not in caplog.text


def test_a_given_secret_is_in_no_answer(server: Server, made: dict[str, Any]) -> None:
    for path in ("automations", f"automations/{made['id']}", f"automations/{made['id']}/deliveries", "notifications"):
        assert (
            CANARY not in server.fetch("GET", path, query={"after": 0} if path == "notifications" else ()).body.decode()
        )
