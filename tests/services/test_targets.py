"""Where automations may call: nowhere inside, however that is spelt, and nobody can hold them up."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator

import pytest

from jupyter_wf.core.scheduling_errors import DeliveryFailed, TargetRefused
from jupyter_wf.services.messages import send_message
from jupyter_wf.services.targets import ALLOWED_VARIABLE, LARGEST_ANSWER, Allowed, Answer, is_inside, post
from jupyter_wf.services.webhooks import call_webhook, signature
from tests.services.sinks import OK, Sink, sink

NOWHERE = Allowed()
CANARY = "canary-7ad1"

INSIDE = """
    127.0.0.1 127.255.255.254 0.0.0.0 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
    192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    192.88.99.1 168.63.129.16
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 fe80::1 fe80::1%lo fec0::1 fc00::1 fd12::1
    ff02::1 ff0e::1 64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::1 2002:7f00:1:: 2002:808:808:: 2001::1 2001:db8::1
    3fff::1 5f00::1 2606:4700::5efe:7f00:1 2606:4700::200:5efe:a00:1 100::1 4000::1
    localhost text 1 127.1 0x7f000001
""".split()
OUTSIDE = "8.8.8.8 1.1.1.1 93.184.216.34 2606:4700:4700::1111 2a00:1450:4001::1".split()

SPELLINGS = """
    http://127.0.0.1 http://127.1 http://127.0.1 http://2130706433 http://0x7f000001 http://0x7f.0.0.1 http://0x7f.1
    http://017700000001 http://0177.0.0.1 http://127.000.000.001 http://localhost http://LOCALHOST http://0 http://0.0.0.0
    http://[::1] http://[::] http://[0:0:0:0:0:0:0:1] http://[::ffff:127.0.0.1] http://[::ffff:7f00:1] http://[::127.0.0.1]
    http://[64:ff9b::7f00:1] http://[64:ff9b::127.0.0.1] http://[2002:7f00:1::] http://[fe80::1] http://[ff02::1]
    http://169.254.169.254 http://10.0.0.1 http://192.168.0.1 http://172.16.0.1 http://224.0.0.1 http://255.255.255.255
    http://１２７.０.０.１ http://①②⑦.⓪.⓪.① http://127。0。0。1 http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ HTTP://127.0.0.1
""".split()

ODD = [
    "",
    "x",
    "//127.0.0.1",
    "file:///etc/passwd",
    "ftp://8.8.8.8/",
    "gopher://8.8.8.8/",
    "unix:///run/docker.sock",
    "http://",
    "http:///x",
    "http:8.8.8.8",
    "http://8.8.8.8:0/",
    "http://8.8.8.8:99999/",
    "http://8.8.8.8:x/",
    "http://8.8.8.8@127.0.0.1/",
    f"http://user:{CANARY}@8.8.8.8/",
    "http://8.8.8.8\\@127.0.0.1/",
    "http://8.8.8.8 /",
    "http://8.8.8.8/\r\nHost: x",
    "http://8.8.8.8/\0",
    "http://[fe80::1%25lo]/",
    "http://[::1",
    "http://127.0.0.1%2f@8.8.8.8/",
    "http://8.8.8.8/☃",
    "http://" + "a" * 300 + "/",
    "http://\ud800/",
]


@pytest.fixture
def listening() -> Iterator[Sink]:
    with sink() as found:
        yield found


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside(address: str) -> None:
    assert is_inside(address) and not NOWHERE.address(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_outside(address: str) -> None:
    assert not is_inside(address) and NOWHERE.address(address)


@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_of_inside_is_refused(url: str, listening: Sink) -> None:
    with pytest.raises(DeliveryFailed) as refused:
        post(f"{url}:{listening.port}/{CANARY}", b"x", {}, allowed=NOWHERE)
    # What the system's own look-up does not even take for an address is not called either.
    assert isinstance(refused.value, TargetRefused) or "not found" in str(refused.value)
    assert CANARY not in str(refused.value) and not listening.requests


@pytest.mark.parametrize("url", ODD, ids=lambda url: repr(url)[:40])
def test_urls_that_can_be_read_in_two_ways_are_refused(url: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        post(url, b"x", {}, allowed=NOWHERE, resolver=lambda _host, _port: ["8.8.8.8"])
    assert CANARY not in str(refused.value)


def test_one_address_inside_among_others_is_enough() -> None:
    with pytest.raises(TargetRefused, match=r"10\.0\.0\.7"):
        post("http://x.example/", b"", {}, allowed=NOWHERE, resolver=lambda *_: ["8.8.8.8", "10.0.0.7"])


def test_the_address_that_was_judged_is_the_one_that_is_called(
    listening: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    connected: list[object] = []
    connect = socket.create_connection

    def create_connection(address: tuple[str, int], *args: object, **options: object) -> socket.socket:
        connected.append(address)
        return connect(address, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_connection", create_connection)
    url = listening.url("/a?b=c", host="hook.example")
    answer = post(url, b"x", {"X-One": "1"}, allowed=Allowed(["127.0.0.0/8"]), resolver=resolver)
    assert answer == Answer(200, b"ok") and asked == ["hook.example"]
    assert connected == [("127.0.0.1", listening.port)]
    (request,) = listening.requests
    assert request.line == "POST /a?b=c HTTP/1.1" and request.body == b"x" and request.headers["X-One"] == "1"
    assert request.headers["Host"] == f"hook.example:{listening.port}"


@pytest.mark.parametrize(
    ("entries", "works"),
    [
        (["127.0.0.1"], True),
        (["127.0.0.0/8"], True),
        (["localhost"], True),
        (["LocalHost"], True),
        (["localhost:PORT"], True),
        (["localhost:1"], False),
        (["10.0.0.0/8", "elsewhere", ""], False),
        ([], False),
    ],
)
def test_a_setting_allows_targets_inside(
    entries: list[str], works: bool, listening: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ALLOWED_VARIABLE, ", ".join(entries).replace("PORT", str(listening.port)))
    allowed = Allowed.of_environment()
    for each in (allowed, Allowed(allowed.entry().split(","))):
        listening.requests.clear()
        if works:
            found = post(listening.url(host="localhost"), b"", {}, allowed=each, resolver=lambda *_: ["127.0.0.1"])
            assert found.status == 200 and len(listening.requests) == 1
        else:
            with pytest.raises(TargetRefused):
                post(listening.url(host="localhost"), b"", {}, allowed=each)
            assert not listening.requests


LOCAL = Allowed(["127.0.0.1"])


def test_redirects_are_not_followed(listening: Sink) -> None:
    where = listening.url("/elsewhere")
    listening.answer = lambda _: f"HTTP/1.1 307 X\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()
    assert post(listening.url(), b"", {}, allowed=LOCAL).status == 307
    with pytest.raises(DeliveryFailed, match="redirects") as failed:
        call_webhook(listening.url(), b"", delivery="d", now=0, allowed=LOCAL)
    assert failed.value.final and [each.line.split()[1] for each in listening.requests] == ["/hook", "/hook"]


def endless() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    yield from itertools.repeat(b"x" * 65536)


def test_an_endless_answer_ends_at_its_limit(listening: Sink) -> None:
    listening.answer = lambda _: endless()
    with pytest.raises(DeliveryFailed, match=f"larger than {LARGEST_ANSWER}"):
        post(listening.url(), b"", {}, allowed=LOCAL)


def test_endless_headers_end_too(listening: Sink) -> None:
    listening.answer = lambda _: itertools.chain(
        [b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X: " + b"y" * 100 + b"\r\n")
    )
    with pytest.raises(DeliveryFailed, match="can't be called"):
        post(listening.url(), b"", {}, allowed=LOCAL)


def drip(sink_: Sink, before: bytes) -> Iterator[bytes]:
    yield before
    while not sink_.over.wait(0.02):
        yield b"x"


@pytest.mark.parametrize(
    "before", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: "], ids=["head", "body", "x"]
)
def test_a_slow_answer_ends_at_its_time(listening: Sink, before: bytes) -> None:
    listening.answer = lambda _: drip(listening, before)
    with pytest.raises(DeliveryFailed, match=r"within 0\.3 s"):
        post(listening.url(), b"", {}, allowed=LOCAL, timeout=0.3)


def test_no_answer_at_all_ends_at_its_time(listening: Sink) -> None:
    listening.answer = lambda _: None
    with pytest.raises(DeliveryFailed):
        post(listening.url(), b"", {}, allowed=LOCAL, timeout=0.3)


def test_a_look_up_that_hangs_ends_at_its_time(listening: Sink) -> None:
    def resolver(_host: str, _port: int) -> list[str]:
        listening.over.wait(30)
        return ["8.8.8.8"]

    with pytest.raises(DeliveryFailed, match="in time"):
        post("http://x.example/", b"", {}, allowed=NOWHERE, timeout=0.2, resolver=resolver)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(DeliveryFailed, match="ConnectionRefusedError") as failed:
        post(f"http://127.0.0.1:{port}/{CANARY}", b"", {}, allowed=LOCAL)
    assert not failed.value.final and CANARY not in str(failed.value)


def test_what_is_signed_can_be_checked(listening: Sink) -> None:
    said = call_webhook(
        listening.url(), b'{"a":1}', delivery="d-1", now=1234.9, secret="key", headers={"X-A": "b"}, allowed=LOCAL
    )
    assert said == "answered 200"
    (request,) = listening.requests
    assert request.headers["X-Jupyter-WF-Signature"] == signature("key", "1234", request.body)
    assert signature("key", "1234", b"x") != signature("other", "1234", b"x") != signature("other", "1235", b"x")
    assert (request.headers["X-Jupyter-WF-Timestamp"], request.headers["X-Jupyter-WF-Delivery"]) == ("1234", "d-1")
    assert request.headers["Content-Type"] == "application/json" and request.headers["X-A"] == "b"


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (404, True), (410, True), (408, False), (429, False), (503, False)]
)
def test_which_refusals_are_final(listening: Sink, status: int, final: bool) -> None:
    listening.answer = lambda _: OK.replace(b"200", str(status).encode())
    with pytest.raises(DeliveryFailed, match=str(status)) as failed:
        call_webhook(listening.url(), b"", delivery="d", now=0, allowed=LOCAL)
    assert failed.value.final is final


# -- messages by Apprise -----------------------------------------------------------------------------------------


def test_apprise_sends_where_it_may(listening: Sink) -> None:
    url = f"json://user:{CANARY}@localhost:{listening.port}/a"
    send_message(url, "title", "body", allowed=Allowed([f"localhost:{listening.port}"]))
    (request,) = listening.requests
    sent = json.loads(request.body)
    assert (sent["title"], sent["message"]) == ("title", "body")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "2130706433"])
def test_apprise_gets_nowhere_inside(listening: Sink, host: str) -> None:
    with pytest.raises(DeliveryFailed) as refused:
        send_message(f"json://user:{CANARY}@{host}:{listening.port}/a", "t", "b", allowed=NOWHERE)
    assert not listening.requests and CANARY not in str(refused.value)


def test_apprise_says_what_it_does_not_know() -> None:
    with pytest.raises(DeliveryFailed, match="does not know"):
        send_message(f"nothing://{CANARY}", "t", "b", allowed=NOWHERE)
