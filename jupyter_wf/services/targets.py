"""Calling URLs that users give: nobody gets inside of this machine or its network by them, unless a setting allows it.

The host is resolved here, each of its addresses judged, and the connection made to the very address that was judged, so
that a name whose address changes in between leads nowhere else. Redirects are not followed. A call has a time-out as a
whole, and an answer's size is bounded.
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from jupyter_wf.core.scheduling_errors import DeliveryFailed, TargetRefused

__all__ = ["ALLOWED_VARIABLE", "LARGEST_ANSWER", "TIMEOUT", "Allowed", "Answer", "Resolver", "is_inside", "post"]

#: Names the targets that may be inside, separated by commas: addresses, networks, hosts, or ``host:port``.
ALLOWED_VARIABLE = "JUPYTER_WF_ALLOWED_TARGETS"
#: Seconds for a whole call, from the look-up of the name to the end of the answer.
TIMEOUT = 10.0
#: Bytes of an answer.
LARGEST_ANSWER = 1_000_000

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff\\]")
_PIECE = 65_536
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Global by some register, but inside: protocols, relays for 6to4, and what a cloud's machines ask their host by.
_INSIDE_V4 = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
#: Global unicast addresses of IPv6. What lies outside, and what carries an IPv4 address inside, leads nowhere good.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_CARRIERS = tuple(map(ipaddress.IPv6Network, ("2001::/32", "2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "3fff::/20")))
_ISATAP = (0x00005EFE, 0x02005EFE)

#: Takes a host and a port, gives addresses as texts; `socket.getaddrinfo` is asked by default.
Resolver = Callable[[str, int], Sequence[str]]


class Answer(NamedTuple):
    """What the target has answered."""

    status: int
    body: bytes


class Allowed:
    """The targets inside that may be called, from a list of addresses, networks, hosts and ``host:port``.

    A host that is named may have any address. Entries that are none of these are hosts that nothing has.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._hosts: set[str] = set()
        for entry in (each.strip() for each in entries):
            if not entry:
                continue
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                self._hosts.add(entry.lower().rstrip("."))

    @classmethod
    def of_environment(cls) -> Allowed:
        """Return what `ALLOWED_VARIABLE` allows."""
        return cls(os.environ.get(ALLOWED_VARIABLE, "").split(","))

    def entry(self) -> str:
        """Return the text that `ALLOWED_VARIABLE` would have."""
        return ",".join([*map(str, self._networks), *sorted(self._hosts)])

    def host(self, host: str, port: int) -> bool:
        """Return whether this host may have any address."""
        name = host.lower().rstrip(".")
        return name in self._hosts or f"{name}:{port}" in self._hosts

    def address(self, address: str) -> bool:
        """Return whether this very address may be called: it is outside, or allowed."""
        found = _parsed(address)
        if found is None:
            return False
        return any(found in network for network in self._networks) or not is_inside(address)


def is_inside(address: str) -> bool:
    """Return whether an address (a text) is anything but a public one of a single machine.

    That are loopback, link-local, private, shared, multicast, reserved and undefined ones, and all IPv6 addresses that
    carry an IPv4 address inside (mapped, NAT64, 6to4, Teredo, ISATAP), whatever that one is.
    """
    found = _parsed(address)
    if found is None or not found.is_global or found.is_multicast or found.is_reserved or found.is_unspecified:
        return True
    if isinstance(found, ipaddress.IPv4Address):
        return any(found in network for network in _INSIDE_V4)
    if found not in _UNICAST or any(found in network for network in _CARRIERS):
        return True
    return (int(found) >> 32) & 0xFFFFFFFF in _ISATAP


def _parsed(address: str) -> _Address | None:
    try:
        return ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Allowed,
    timeout: float = TIMEOUT,
    resolver: Resolver | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Send ``body`` to ``url`` and return the answer, whatever its status is.

    Raises `TargetRefused` for a URL that must not be called, `DeliveryFailed` where the call does not work, is not
    over after ``timeout`` seconds, or is answered by more than `LARGEST_ANSWER` bytes. No message holds the URL.
    """
    parts, host, port = _checked(url)
    end = time.monotonic() + timeout
    addresses = _judged(host, port, allowed, resolver or _look_up, end)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = _Connection(host, port, addresses, end, _context(parts, context))
    with _Limit(connection, end) as limit:
        try:
            connection.request("POST", target, body=body, headers=dict(headers))
            with connection.getresponse() as response:
                answer = Answer(response.status, _read(response))
            if limit.over:
                raise TimeoutError
            return answer
        except (OSError, http.client.HTTPException, ValueError) as error:
            if limit.over:
                raise DeliveryFailed(f"it did not answer within {timeout:g} s") from None
            raise DeliveryFailed(f"it can't be called: {_why(error)}") from None
        finally:
            connection.close()


def _checked(url: str) -> tuple[SplitResult, str, int]:
    """Return a URL's parts, its host and port. Raises `TargetRefused` for anything that could be read in two ways."""
    if _UNSAFE.search(url):
        raise TargetRefused("the URL has a space, a backslash or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        if ":" not in host and not host.isascii():
            host = host.encode("idna").decode("ascii")
    except (ValueError, UnicodeError) as error:
        raise TargetRefused(f"the URL can't be read: {type(error).__name__}") from None
    if parts.scheme not in ("http", "https"):
        raise TargetRefused(f"only http and https are called, not {parts.scheme[:20]!r}")
    if "@" in parts.netloc:
        raise TargetRefused("the URL has a user or password before its host; give them as a header Authorization")
    if not host or len(host) > 253 or "%" in host:
        raise TargetRefused("the URL has no host that can be called")
    if not (parts.path + parts.query).isascii():
        raise TargetRefused("the URL's path has characters that are not ASCII; write them as %XX")
    if port == 0:
        raise TargetRefused("the URL's port is 0")
    return parts, host, port or (443 if parts.scheme == "https" else 80)


def _context(parts: SplitResult, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    return None if parts.scheme == "http" else context or ssl.create_default_context()


def _judged(host: str, port: int, allowed: Allowed, resolver: Resolver, end: float) -> list[str]:
    """Return the host's addresses. Raises `TargetRefused` if only one of them is inside and not allowed."""
    addresses = list(dict.fromkeys(_in_time(lambda: resolver(host, port), end)))
    if not addresses:
        raise DeliveryFailed("its host has no address")
    if not allowed.host(host, port):
        for address in addresses:
            if not allowed.address(address):
                raise TargetRefused(
                    f"its host has an address inside of this machine or network ({address}); who runs the server can "
                    f"allow it by {ALLOWED_VARIABLE}"
                )
    return addresses


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in found]


def _in_time(work: Callable[[], Sequence[str]], end: float) -> Sequence[str]:
    """Return what ``work`` does, which knows no time-out; a thread that comes late is left to itself."""
    found: list[Sequence[str]] = []
    trouble: list[Exception] = []

    def look() -> None:
        try:
            found.append(work())
        except (OSError, UnicodeError) as error:
            trouble.append(error)

    thread = threading.Thread(target=look, name="jupyter_wf-look-up", daemon=True)
    thread.start()
    thread.join(max(0.0, end - time.monotonic()))
    if trouble:
        raise DeliveryFailed(f"its host is not found: {_why(trouble[0])}")
    if not found:
        raise DeliveryFailed("its host was not found in time")
    return found[0]


def _why(error: Exception) -> str:
    """Return what an error says, which may not repeat what was sent: of most only their class."""
    told = getattr(error, "strerror", None) or getattr(error, "verify_message", None)
    return f"{type(error).__name__}: {told}" if isinstance(told, str) and told else type(error).__name__


def _read(response: http.client.HTTPResponse) -> bytes:
    """Return the body of an answer; that of an error is of no interest."""
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise DeliveryFailed(f"its answer is larger than {LARGEST_ANSWER} bytes", final=True)
        pieces.append(piece)
    return b"".join(pieces)


class _Connection(http.client.HTTPConnection):
    """A connection to one of the addresses that were judged, under the host's name."""

    def __init__(
        self, host: str, port: int, addresses: Sequence[str], end: float, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(f"[{host}]" if ":" in host else host, port, timeout=max(0.001, end - time.monotonic()))
        self.default_port = 80 if context is None else 443
        self._addresses = addresses
        self._end = end
        self._context = context
        self._name = host
        # The response may keep the socket when this connection has let go of it.
        self._held: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the first address that answers."""
        trouble: OSError | None = None
        for address in self._addresses:
            try:
                self.sock = self._held = self._connected(address)
                if time.monotonic() >= self._end:
                    raise TimeoutError
                if isinstance(self.sock, ssl.SSLSocket):
                    self.sock.do_handshake()
                return
            except OSError as error:
                trouble = error
                self.close()
        raise trouble or OSError("no address")

    def _connected(self, address: str) -> socket.socket:
        plain = socket.create_connection((address, self.port), max(0.001, self._end - time.monotonic()))
        if self._context is None:
            return plain
        return self._context.wrap_socket(plain, server_hostname=self._name, do_handshake_on_connect=False)

    def stop(self) -> None:
        """Have whatever waits for the other side fail at once; from any thread."""
        if self._held is not None:
            with suppress(OSError):
                # The lower class's, because that of a TLS socket takes from the other thread what it works with.
                socket.socket.shutdown(self._held, socket.SHUT_RDWR)


class _Limit:
    """Stops a connection when its time is over, however slowly it goes on."""

    def __init__(self, connection: _Connection, end: float) -> None:
        self._connection = connection
        self._timer = threading.Timer(max(0.0, end - time.monotonic()), self._stop)
        self._timer.daemon = True
        self.over = False

    def _stop(self) -> None:
        self.over = True
        self._connection.stop()

    def __enter__(self) -> _Limit:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
