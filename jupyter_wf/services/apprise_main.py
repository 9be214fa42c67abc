"""Sends one message by Apprise, in a process of its own: ``python -m jupyter_wf.services.apprise_main``.

It reads ``{"url", "title", "body", "allowed"}`` as JSON from standard input and writes ``{"why"}``, null where it was
sent. Apprise takes a second to import, and what it has for each service connects to wherever its URL says: it stays
out of the process that hosts the services, and here each connection is judged at the very address that it goes to.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
from typing import Any

from jupyter_wf.services.targets import ALLOWED_VARIABLE, TIMEOUT, Allowed

__all__ = ["guard", "main"]

#: What a message needs none of: other programs.
_FORBIDDEN = frozenset(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"))
_SENDS = frozenset(("socket.connect", "socket.sendto", "socket.sendmsg"))
_MISSING = "the package apprise, which sends such messages, is not installed: pip install 'jupyter_wf[notify]'"


def guard(allowed: Allowed, refused: list[str]) -> None:
    """Have this process connect nowhere inside that is not ``allowed``, and start no program, from now on.

    What was refused is noted in ``refused``: who meets the error may say nothing of it.
    """
    named: set[str] = set()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> list[Any]:
        found = look_up(host, port, *args, **options)
        if isinstance(host, str) and allowed.host(host, int(port) if str(port).isdecimal() else 0):
            named.update(str(each[4][0]) for each in found)
        return found

    def judge(event: str, args: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            refused.append("to start a program")
            raise PermissionError("no program may be started for a message")
        if event in _SENDS and args[1] is not None:
            address = args[1][0] if isinstance(args[1], tuple) else "a socket of this machine"
            if address not in named and not allowed.address(str(address)):
                refused.append(f"to connect to {address}, which is inside of this machine or network")
                raise PermissionError(f"nothing may connect to {address} for a message")

    socket.getaddrinfo = getaddrinfo
    sys.addaudithook(judge)


def _send(url: str, title: str, body: str) -> str | None:
    """Send the message; return why that did not work, None where it did."""
    try:
        import apprise
    except ImportError:
        return _MISSING
    signal.alarm(int(TIMEOUT))
    asset = apprise.AppriseAsset(async_mode=False)
    if hasattr(asset, "http_redirects"):
        asset.http_redirects = False
    sender = apprise.Apprise(asset=asset)
    with apprise.LogCapture(level=logging.WARNING) as said:  # type: ignore[no-untyped-call]
        if not sender.add(url):
            return "Apprise does not know such a URL"
        if sender.notify(title=title, body=body):
            return None
        return " ".join(said.getvalue().split())[-500:] or "Apprise says that it was not sent"


def main() -> int:
    """Send the message that standard input holds."""
    given = json.load(sys.stdin)
    refused: list[str] = []
    guard(Allowed(given["allowed"].split(",")), refused)
    why = _send(given["url"], given["title"], given["body"])
    if why is not None and refused:
        why = f"it wanted {refused[0]}; who runs the server can allow it by {ALLOWED_VARIABLE}"
    json.dump({"why": why, "refused": why is not None and bool(refused)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
