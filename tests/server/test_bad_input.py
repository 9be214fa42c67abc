"""What comes in wrong is refused with the same few statuses everywhere, and the server lives on."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any

import pytest
import websocket

from tests.server.harness import TOKEN, Seed, Server

ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("runs", {"limit": "0"}),
        ("runs", {"limit": "1001"}),
        ("runs", {"limit": "-1"}),
        ("runs", {"limit": "ten"}),
        ("runs", {"limit": ""}),
        ("runs", {"limit": "1.0"}),
        ("runs", {"limit": "١٠"}),
        ("runs", {"limit": "9" * 5000}),
        ("runs", {"kind": "notebook"}),
        ("runs", {"kind": "flow,"}),
        ("runs", {"state": ""}),
        ("runs", {"state": "RUN'; DROP TABLE runs"}),
        ("runs", {"state": ",".join(["RUNNING"] * 21)}),
        ("runs", {"roots": "yes"}),
        ("runs", {"cursor": "not-a-cursor"}),
        ("runs", {"cursor": "9" * 1001}),
        ("runs", {"text": "x" * 1001}),
        ("runs", {"text": "a\0b"}),
        ("runs", {"flow": "a\x1b[31m"}),
        ("runs", {"flow": "a\u2028b"}),
        ("runs", {"parent": "%%%"}),
        ("runs", {"colour": "red"}),
        ("runs", {"": "x"}),
        ("runs", [("limit", "1"), ("limit", "2")]),
        ("meta", {"limit": "1"}),
        ("runs/{id}", {"tree": "1"}),
        ("runs/{id}/children", {"limit": "5000"}),
        ("runs/{id}/logs", {"after": "-1"}),
        ("runs/{id}/logs", {"after": str(2**63)}),
        ("runs/{id}/logs", {"level": "INFO"}),
        ("runs/{id}/logs", {"limit": "10001"}),
        ("runs/{id}/notebook", {"download": "1"}),
        ("runs/nothing%20like%20an%20id", {}),
        ("runs/..%2Fmeta", {}),
        ("runs/%00", {}),
        ("runs/%FF", {}),
        ("events", {"after": "x"}),
        ("events", {}),
    ],
)
def test_queries(server: Server, seed: Seed, path: str, query: Any) -> None:
    answer = server.fetch("GET", path.format(id=seed.run()), query=query)
    assert answer.status == 400, answer.body
    assert set(answer.json) == {"error", "message"}


def test_a_query_that_is_not_utf8(server: Server) -> None:
    for address in ("runs?text=%FF", "runs?%FF=1"):
        assert server.fetch("GET", "", target=server.url(address)).status == 400


def test_what_jupyterlab_adds_to_an_address_is_no_parameter(server: Server) -> None:
    assert server.fetch("GET", "", target=server.url("runs?limit=1&1763800000000")).status == 200
    assert server.fetch("GET", "", target=server.url("meta?1763800000000&no_track_activity=1")).status == 200
    assert server.fetch("GET", "", target=server.url("meta?1763800000000=1")).status == 400


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("runs", {"parent": ID}, 404),
        (f"runs/{ID}", {}, 404),
        (f"runs/{ID}/children", {}, 404),
        (f"runs/{ID}/logs", {}, 404),
        (f"runs/{ID}/notebook", {}, 404),
    ],
)
def test_runs_that_are_not_there(server: Server, path: str, query: dict[str, str], status: int) -> None:
    answer = server.fetch("GET", path, query=query)
    assert (answer.status, answer.json["error"]) == (status, "RunNotFound")
    assert ID in answer.json["message"]


def nested(depth: int) -> bytes:
    return b'{"notebook":"a.ipynb","parameters":{"p":' + b"[" * depth + b"]" * depth + b"}}"


BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b'"text"', 400),
    (b"null", 400),
    (b"\xff\xfe{}", 400),
    (b'{"notebook":"a.ipynb","notebook":"b.ipynb"}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":NaN}}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":Infinity}}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":1e999}}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":' + b"9" * 10_000 + b"}}", 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":"\\ud800"}}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"\\u0000":1}}', 400),
    (b'{"notebook":"a.ipynb","parameters":{"":1}}', 400),
    (b'{"notebook":"a.ipynb","parameters":[]}', 400),
    (b'{"notebook":"a.ipynb","parameters":null}', 400),
    (b'{"notebook":"a.ipynb","colour":"red"}', 400),
    (b'{"notebook":7}', 400),
    (b'{"parameters":{}}', 400),
    (nested(40), 400),
    (nested(100_000), 400),
    (json.dumps({"notebook": "a.ipynb", "parameters": {str(i): i for i in range(1001)}}).encode(), 400),
    (b'{"notebook":"a.ipynb","parameters":{"x":"' + b"x" * 1_000_000 + b'"}}', 413),
]


@pytest.mark.parametrize(("body", "status"), BODIES, ids=[f"{body[:60]!r}" for body, _ in BODIES])
def test_bodies_of_a_start(server: Server, body: bytes, status: int) -> None:
    answer = server.fetch("POST", "runs", body=body, headers={"Content-Type": "application/json"})
    assert answer.status == status, answer.body
    assert set(answer.json) == {"error", "message"}


@pytest.mark.parametrize("action", ["cancel", "retry", "notebook/copy", "resume", "repair", "rerun"])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"force":true}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"a pickle", "application/octet-stream", 415),
        (b" " * 1_000_001, "application/json", 413),
    ],
)
def test_bodies_where_none_is_wanted(
    server: Server, seed: Seed, action: str, body: bytes, kind: str, status: int
) -> None:
    run_id = seed.run("FAILED")
    answer = server.fetch("POST", f"runs/{run_id}/{action}", body=body, headers={"Content-Type": kind})
    assert answer.status == status, answer.body


def test_a_start_must_be_declared_as_json(server: Server) -> None:
    body = b'{"notebook":"a.ipynb"}'
    for kind in ("text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x", ""):
        assert server.fetch("POST", "runs", body=body, headers={"Content-Type": kind}).status == 415


def test_an_endless_body_is_refused_before_it_is_read(server: Server) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", server.app.port, timeout=20)) as connection:
        connection.putrequest("POST", server.url("runs"))
        connection.putheader("Authorization", f"token {TOKEN}")
        connection.putheader("Content-Length", "400000000")
        connection.endheaders(b"{")
        with connection.getresponse() as response:
            assert response.status == 413


def test_a_body_in_pieces_is_refused_when_it_grows_too_large(server: Server) -> None:
    headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", server.app.port, timeout=20)) as connection:
        pieces = (b" " * 100_000 for _ in range(11))
        connection.request("POST", server.url("runs"), body=pieces, headers=headers, encode_chunked=True)
        with connection.getresponse() as response:
            assert response.status == 413


@pytest.mark.parametrize("query", [{"after": "-1"}, {"colour": "red"}, {"logs": "%"}, {"logs": ID}])
def test_a_socket_that_asks_wrongly(server: Server, query: dict[str, str]) -> None:
    with pytest.raises(websocket.WebSocketBadStatusException) as refused, server.listen(**query):
        pass
    assert refused.value.status_code == (404 if ID in query.values() else 400)


def test_inner_errors_say_nothing_of_the_inside(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_run: object) -> None:
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(server.backend, "encode_page", fail)
    answer = server.fetch("GET", "runs")
    assert answer.status == 500
    assert answer.json == {"error": "InternalServerError", "message": "the server failed at this; its log says why"}


def test_odd_texts_come_back_whole(server: Server, seed: Seed) -> None:
    name = "\u202e<script>alert(1)</script>\x1b[31m ☃ 🎉 '; DROP TABLE runs; --"
    run_id = seed.run("RUNNING", name=name, parameters=json.dumps({name: name}))
    seed.log(run_id, name)
    seed.state(run_id, "COMPLETED", flush=True)
    answer = server.fetch("GET", f"runs/{run_id}")
    assert answer.json["name"] == name
    assert answer.json["parameters"] == {name: name}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/json"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.body.isascii()
    assert server.get(f"runs/{run_id}/logs")["items"][0]["message"] == name
    assert [run["id"] for run in server.get("runs", text="☃ 🎉 '; DROP")["items"]] == [run_id]
