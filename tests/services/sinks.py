"""A server of this machine that notes what it is sent, and answers as it is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Sink:
    """``answer`` gives the bytes to send, or None to say nothing until the other side or the test is done."""

    port: int
    requests: list[Request] = field(default_factory=list)
    answer: Callable[[Request], bytes | Iterator[bytes] | None] = lambda _: OK
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def sink() -> Iterator[Sink]:
    """Listen on a free port for as long as the block lasts."""
    listening = socket.create_server(("127.0.0.1", 0))
    found = Sink(port=listening.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve() -> None:
        while not found.over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=_talk, args=(found, connection), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield found
    finally:
        found.over.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join(10)
        for thread in threads:
            thread.join(10)


def _talk(found: Sink, connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.settimeout(10)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").split("\r\n")
        headers = dict(each.split(": ", 1) for each in rest)
        while len(body) < int(headers.get("Content-Length", 0)):
            body += connection.recv(65536)
        request = Request(line, headers, body)
        found.requests.append(request)
        answer = found.answer(request)
        if answer is None:
            found.over.wait(30)
        elif isinstance(answer, bytes):
            connection.sendall(answer)
        else:
            for piece in answer:
                connection.sendall(piece)
