"""Who may do what, for every address and method of the running server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import websocket
from jupyter_server.auth.authorizer import Authorizer
from tornado.routing import PathMatches, Router, Rule
from tornado.web import RequestHandler

from tests.server.harness import TOKEN, Seed, Server

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ORIGIN = "http://elsewhere.example"


def rules(router: Any) -> Iterator[Rule]:
    for rule in router.rules:
        if isinstance(rule.target, Router):
            yield from rules(rule.target)
        else:
            yield rule


def addresses(server: Server, run_id: str) -> list[tuple[str, type[RequestHandler]]]:
    """Every address of ours that the running application knows, with a real run's id in it."""
    found = []
    for rule in rules(server.app.web_app.default_router):
        if isinstance(rule.matcher, PathMatches) and rule.target.__module__.startswith("jupyter_wf"):
            pattern = rule.matcher.regex.pattern.rstrip("$")
            found.append((pattern.replace("([^/]+)", run_id).replace("(?:/.*)?", "/nothing"), rule.target))
    assert len(found) >= 11
    return found


def has(handler: type[RequestHandler], method: str) -> bool:
    return getattr(handler, method.lower()) is not RequestHandler._unimplemented_method


@pytest.fixture
def run_id(seed: Seed) -> str:
    return seed.run("FAILED")


@contextmanager
def authorizer(server: Server, **allowed: Any) -> Iterator[list[tuple[str, str]]]:
    """Have an authorizer that allows only what it is told to; yield the questions it was asked."""
    asked: list[tuple[str, str]] = []

    class Strict(Authorizer):
        def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
            asked.append((action, resource))
            return action in allowed["actions"] and resource in allowed.get("resources", ("jupyter_wf", "contents"))

    settings = server.app.web_app.settings
    before = settings["authorizer"]
    settings["authorizer"] = Strict(parent=server.app)
    try:
        yield asked
    finally:
        settings["authorizer"] = before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "token wrong"},
        {"Authorization": "token "},
        {"Authorization": "Basic " + "QQ" * 2000},
        {"Cookie": "username-127-0-0-1-8888=forged; _xsrf=2|x"},
    ],
    ids=["none", "wrong", "empty", "huge", "forged cookie"],
)
def test_nobody_unknown_gets_in(server: Server, run_id: str, headers: dict[str, str]) -> None:
    wrong = []
    for address, _ in addresses(server, run_id):
        for method in METHODS:
            body = b"" if method in ("POST", "PUT", "PATCH") else None
            answer = server.fetch(method, "", target=address, token=None, headers=headers, body=body)
            if answer.status not in (403, 405) or (answer.status == 405 and method != "OPTIONS"):
                wrong.append((method, address, answer.status))
    assert not wrong


@pytest.mark.parametrize("path", ["//runs", "/./runs", "/%2e/runs", "runs/../meta", "runs/x/health", "health", ""])
def test_odd_paths_do_not_get_around_it(server: Server, path: str) -> None:
    answer = server.fetch("GET", "", target=f"/base/jupyter_wf/api/{path}", token=None)
    assert answer.status in (403, 404)
    assert server.fetch("GET", "", target=f"/base/jupyter_wf/{path}?token=wrong", token=None).status in (403, 404)


def test_known_by_token_in_the_query(server: Server) -> None:
    assert server.fetch("GET", "meta", query={"token": TOKEN}, token=None).status == 200


def test_methods_that_are_not_there(server: Server, run_id: str) -> None:
    for address, handler in addresses(server, run_id):
        for method in METHODS:
            if has(handler, method) or "nothing" in address:
                continue
            body = b"" if method in ("POST", "PUT", "PATCH") else None
            answer = server.fetch(method, "", target=address, body=body)
            assert answer.status == 405, (method, address)
            if method != "HEAD":
                assert answer.json["error"] == "MethodNotAllowed"


def test_unknown_addresses_answer_json(server: Server) -> None:
    for path in ("", "nothing", "runs/x/y/z", "runs/"):
        answer = server.fetch("GET", path)
        assert answer.status == 404
        assert answer.json == {"error": "NotFound", "message": "there is nothing at this address"}


def test_an_authorizer_that_denies_writing(server: Server, run_id: str) -> None:
    seen = set()
    with authorizer(server, actions=("read",)) as asked:
        for address, handler in addresses(server, run_id):
            if has(handler, "POST") and "POST" not in getattr(handler, "open_methods", ()):
                answer = server.fetch("POST", "", target=address, body={})
                assert (answer.status, answer.json["error"]) == (403, "Forbidden"), address
                seen.add(address)
            if has(handler, "GET") and not address.endswith(("/notebook", "/events", "/result", "/environment")):
                answer = server.fetch("GET", "", target=address)
                # A run's id is that of no deployment, and a form needs a path: whoever may read is told so.
                told = answer.status == 200 or answer.json["error"].endswith(("NotFound", "InvalidRequest"))
                assert told, (address, answer.body)
        with server.listen() as listener:
            listener.next()
    assert len(seen) >= 15
    assert set(asked) == {("read", "jupyter_wf"), ("write", "jupyter_wf")}


def test_an_authorizer_that_denies_writing_by_other_methods(server: Server, run_id: str) -> None:
    asked = set()
    with authorizer(server, actions=("read",)):
        for address, handler in addresses(server, run_id):
            for method in ("PUT", "PATCH", "DELETE"):
                if has(handler, method):
                    body = None if method == "DELETE" else {}
                    assert server.fetch(method, "", target=address, body=body).status == 403, (method, address)
                    asked.add(method)
    assert asked >= {"PATCH", "DELETE"}


def test_one_address_asks_for_a_secret_instead_of_a_token(server: Server, run_id: str) -> None:
    """The one deliberate exception: webhooks. What its secret opens, and what not, stands in test_automations."""
    found = {
        (address.replace(run_id, "SECRET"), method)
        for address, handler in addresses(server, run_id)
        for method in getattr(handler, "open_methods", ())
        if method != "OPTIONS"
    }
    assert found == {("/base/jupyter_wf/api/triggers/SECRET", "POST")}
    answer = server.fetch("POST", "", target=f"/base/jupyter_wf/api/triggers/{run_id}", token=None, body=b"")
    assert (answer.status, answer.json["error"]) == (403, "Forbidden")


def test_an_authorizer_that_denies_reading(server: Server, run_id: str) -> None:
    with authorizer(server, actions=("write",)):
        for address, handler in addresses(server, run_id):
            if has(handler, "GET"):
                assert server.fetch("GET", "", target=address).status == 403, address
        with pytest.raises(websocket.WebSocketBadStatusException) as refused, server.listen():
            pass
    assert refused.value.status_code == 403


def test_copying_needs_the_right_to_write_contents(server: Server, run_id: str) -> None:
    with authorizer(server, actions=("read", "write"), resources=("jupyter_wf",)) as asked:
        assert server.fetch("POST", f"runs/{run_id}/notebook/copy", body=b"").status == 403
        assert server.fetch("POST", f"runs/{run_id}/cancel", body=b"").status == 409
    assert ("write", "contents") in asked


def cookies(server: Server) -> dict[str, str]:
    """Log in with the token, as a browser does; return the cookies."""
    answer = server.fetch("GET", "meta")
    found = re.match(r"([^=]+)=([^;]+)", answer.headers["Set-Cookie"])
    assert found is not None
    return {"Cookie": f"{found[1]}={found[2]}; _xsrf=abc"}


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, 403),
        ({"X-XSRFToken": "other"}, 403),
        ({"X-XSRFToken": "abc"}, 409),
        ({"X-XSRFToken": "abc", "Origin": ORIGIN}, 404),
        ({"Content-Type": "text/plain"}, 403),
    ],
)
def test_a_cookie_needs_the_xsrf_token_to_write(server: Server, run_id: str, more: dict[str, str], status: int) -> None:
    answer = server.fetch("POST", f"runs/{run_id}/cancel", token=None, headers=cookies(server) | more, body=b"")
    assert answer.status == status
    assert set(answer.json) == {"error", "message"}


def test_a_cookie_reads_but_not_for_pages_from_elsewhere(server: Server) -> None:
    assert server.fetch("GET", "runs", token=None, headers=cookies(server)).status == 200
    assert server.fetch("GET", "runs", token=None, headers=cookies(server) | {"Origin": ORIGIN}).status == 404


@pytest.mark.parametrize("headers", [None, {"Authorization": "token wrong"}])
def test_the_socket_is_closed_to_the_unknown(server: Server, headers: dict[str, str] | None) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused, server.listen(token=None, headers=headers):
        pass
    assert refused.value.status_code == 403


def test_the_socket_is_closed_to_pages_from_elsewhere(server: Server) -> None:
    with (
        pytest.raises(websocket.WebSocketBadStatusException) as refused,
        server.listen(token=None, headers=cookies(server) | {"Origin": ORIGIN}),
    ):
        pass
    assert refused.value.status_code == 403


def test_preflights_are_answered_only_where_the_settings_allow_other_origins(server: Server) -> None:
    asks = {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization"}
    assert server.fetch("OPTIONS", "runs", token=None, headers=asks).status == 405
    settings = server.app.web_app.settings
    before = settings["allow_origin"]
    settings["allow_origin"] = ORIGIN
    try:
        answer = server.fetch("OPTIONS", "runs", token=None, headers=asks)
    finally:
        settings["allow_origin"] = before
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
