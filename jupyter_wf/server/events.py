"""The WebSocket ``events``: everything that is committed, to whoever listens, from any number on."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

from jupyter_server.base.websocket import WebSocketMixin
from tornado.httputil import HTTPConnection, HTTPServerRequest, RequestStartLine
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from jupyter_wf.core.errors import StoreError
from jupyter_wf.server.base import RESOURCE, Refusals, may
from jupyter_wf.server.stream import PAGE, Describer, Feed, Subscription, message
from jupyter_wf.server.validation import MAX_SEQ, integer, text

__all__ = ["EventsHandler"]

_GOING_AWAY, _UNSUPPORTED, _POLICY, _INTERNAL, _TRY_AGAIN = 1001, 1003, 1008, 1011, 1013


class EventsHandler(WebSocketMixin, WebSocketHandler, Refusals):
    """``/api/events``.

    A message is a `StreamJSON`. The first says from which ``seq`` on events will come: the one asked for with
    ``after``, or the newest. Then come the events that are there already, in pages and only as fast as they are read,
    then each new one. Who falls behind by more than ``limit`` characters is dropped with code 1013 and may come back
    with ``after``. Who is listening is asked again for their rights at each heartbeat.
    """

    #: Seconds of silence after which an empty message is sent.
    heartbeat = 15.0
    #: Seconds between two messages at least.
    pause = 0.05
    #: Characters that may wait for a slow reader.
    limit = 8_000_000

    _pump_task: asyncio.Task[None] | None = None

    async def prepare(self, **options: Any) -> None:
        """Refuse who is not known (403)."""
        await super().prepare(**options)
        if not self.current_user:
            raise HTTPError(403)

    @may("read")
    async def get(self, *_args: Any, **_kwargs: Any) -> None:
        """Check everything that can be wrong, while it can still be said with a status; then become a WebSocket."""
        query = self.query(after=integer(0, MAX_SEQ), logs=text(100))
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(400, "this address is a WebSocket")
        if not self.check_origin():
            raise HTTPError(403, "WebSockets of pages from elsewhere are not allowed")
        logs = query.get("logs")
        run_id = (await self.backend.call(lambda store: store.find_run(logs))).id if logs else None
        self._feed, self._describer, newest = await self.backend.stream()
        start = min(query.get("after", newest), newest)
        self._subscription = Subscription(seq=start, logs=run_id, limit=self.limit)
        await super().get()

    def open(self) -> None:
        """Begin to send."""
        super().open()
        self._pump_task = asyncio.get_running_loop().create_task(self._pump())

    def on_message(self, _message: str | bytes) -> None:
        """Close: nothing is expected from the other side."""
        self.close(_UNSUPPORTED, "this socket only sends")

    def on_close(self) -> None:
        """End the sending."""
        if self._pump_task:
            self._pump_task.cancel()
        super().on_close()

    async def _pump(self) -> None:
        subscription = self._subscription
        over = asyncio.ensure_future(subscription.over.wait())
        try:
            await self._send(message(subscription.seq), over)
            await self._catch_up(self._feed, self._describer, over)
            await self._follow(over)
            if subscription.over.is_set():
                slow = subscription.too_slow
                self.close(*((_TRY_AGAIN, "too slow: come back") if slow else (_GOING_AWAY, "the server is stopping")))
        except WebSocketClosedError:
            self.log.debug("the listener of the events is gone")
        except StoreError as error:
            self.log.warning("the stream of events ends for one listener: %s", error)
            self.close(_TRY_AGAIN, "the state file can't be read now")
        except Exception:
            self.log.exception("the stream of events failed for one listener")
            self.close(_INTERNAL, "internal error")
        finally:
            self._feed.unsubscribe(subscription)
            over.cancel()

    async def _send(self, content: str, over: asyncio.Future[Any]) -> None:
        """Send a message; return when it is on its way, or when the subscription is over, whatever comes first."""
        writing = asyncio.ensure_future(self.write_message(content))
        try:
            await asyncio.wait({writing, over}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                writing.result()
        finally:
            writing.cancel()

    async def _catch_up(self, feed: Feed, describer: Describer, over: asyncio.Future[Any]) -> None:
        """Send what is there already, until the feed can go on from there."""
        subscription = self._subscription
        with_logs = subscription.logs is not None
        while not over.done():
            batch = await self.backend.call(lambda _: describer.page(subscription.seq, with_logs=with_logs))
            subscription.offer(batch, bounded=False)
            if subscription.ready.is_set():
                await self._send(subscription.take(), over)
            if len(batch.items) < PAGE and feed.subscribe(subscription):
                return

    async def _follow(self, over: asyncio.Future[Any]) -> None:
        """Send what comes, and heartbeats; return when the subscription is over or the listener lost its rights."""
        checked = time.monotonic()
        while not over.done():
            ready = asyncio.ensure_future(self._subscription.ready.wait())
            try:
                await asyncio.wait({ready, over}, timeout=self.heartbeat, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ready.cancel()
            if over.done():
                return
            await self._send(self._subscription.take(), over)
            if time.monotonic() - checked >= self.heartbeat:
                checked = time.monotonic()
                if not await self._may_still():
                    self.close(_POLICY, "you may not read this any more")
                    return
            await asyncio.wait({over}, timeout=self.pause)

    async def _may_still(self) -> bool:
        """Return whether who opened the socket would be let in again, with the same credentials."""
        start = RequestStartLine("GET", self.request.uri or "/", "HTTP/1.1")
        request = HTTPServerRequest(start_line=start, headers=self.request.headers, connection=_NoConnection())
        # Another handler, for identities are remembered by the handler, and cookies can't be set on a WebSocket.
        user: Any = self.identity_provider.get_user(Refusals(self.application, request))
        if inspect.isawaitable(user):
            user = await user
        if user is None:
            return False
        allowed: Any = self.authorizer.is_authorized(self, user, "read", RESOURCE)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)


class _NoConnection(HTTPConnection):
    """A connection for a request that nobody waits for."""

    def set_close_callback(self, callback: object) -> None:
        """Forget the callback: this never closes."""
