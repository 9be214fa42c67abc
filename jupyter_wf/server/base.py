"""What all handlers share: who may, refusals as JSON, bounded bodies, and work that never blocks the server's loop."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar, cast

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado.web import HTTPError, authenticated, stream_request_body

from jupyter_wf.core.codec import ErrorJSON
from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.scheduling_errors import FormRefused
from jupyter_wf.core.scheduling_json import FieldErrorJSON, RefusedFormJSON
from jupyter_wf.server.backend import Backend
from jupyter_wf.server.statuses import http_status
from jupyter_wf.server.validation import MAX_BODY, Parser, read_json, read_query
from jupyter_wf.store.base import Store

__all__ = ["BACKEND", "RESOURCE", "ApiHandler", "NotFoundHandler", "Refusals", "dump", "may", "refusal"]

#: The name under which an authorizer judges what this extension does.
RESOURCE = "jupyter_wf"
#: Where the `Backend` is found in the settings of the web application.
BACKEND = "jupyter_wf_backend"

#: A body up to this many bytes is read to its end and dropped before it is refused: tornado closes the connection on
#: whoever is refused while still sending, and not every client looks for an answer then.
_MAX_DRAINED = 16_000_000

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def may(action: str, resource: str = RESOURCE) -> Callable[[F], F]:
    """Have a handler's method called only for who is known and whom the authorizer allows ``action`` on ``resource``.

    Both arguments always reach the authorizer: what is left out, jupyter_server would take from the first handler
    that is called and keep for all.
    """

    def wrap(method: F) -> F:
        judged: F = authorized(action, resource=resource)(method)
        return cast(F, authenticated(judged))

    return wrap


def dump(value: object) -> str:
    """Return ``value`` as JSON in ASCII; a number that JSON cannot say (NaN) becomes a text."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        return json.dumps(_say_all(value), allow_nan=False, separators=(",", ":"))


def _say_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _say_all(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_say_all(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def refusal(status: int, error: BaseException | None) -> tuple[int, ErrorJSON]:
    """Return the HTTP status and the body that answer ``error``; ``status`` is what tornado would send.

    An error of ours says its own name and text, tornado's its reason; any other says nothing of what is inside.
    """
    if isinstance(error, FormRefused):
        fields: list[FieldErrorJSON] = [{"field": field, "message": message} for field, message in error.errors]
        refused: RefusedFormJSON = {"error": type(error).__name__, "message": str(error), "errors": fields}
        return http_status(error), refused
    if isinstance(error, JupyterWfError):
        return http_status(error), {"error": type(error).__name__, "message": str(error)}
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    message = phrase
    if status >= 500:
        message = "the server failed at this; its log says why"
    elif isinstance(error, HTTPError) and error.log_message:
        message = error.log_message % error.args
    return status, {"error": phrase.title().replace(" ", ""), "message": message}


class Refusals(JupyterHandler):
    """A handler whose every refusal is an `ErrorJSON`, and which knows the `Backend`."""

    @property
    def backend(self) -> Backend:
        """What stands behind all handlers of this server."""
        backend: Backend = self.settings[BACKEND]
        return backend

    def query(self, **parsers: Parser) -> dict[str, Any]:
        """Return the values of the query's parameters that were given; see `read_query`."""
        return read_query(self.request.query_arguments, parsers)

    def get_login_url(self) -> str:
        """Refuse with 403 where tornado would send a browser to the page for logging in."""
        raise HTTPError(403)

    def compute_etag(self) -> None:
        """Say that answers have no tag: they are of this moment."""

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with what `refusal` says of the error in ``exc_info``."""
        status, body = refusal(status_code, kwargs.get("exc_info", (None, None))[1])
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(dump(body))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log an error of ours as one line, for it is an answer; leave the others to tornado."""
        if isinstance(value, JupyterWfError):
            level = logging.INFO if http_status(value) < 500 else logging.WARNING
            self.log.log(level, "%s: %s", typ.__name__, value)
        else:
            super().log_exception(typ, value, tb)


@stream_request_body
class ApiHandler(Refusals, APIHandler):
    """A handler of the REST API.

    Nobody gets past `prepare` unauthenticated, whatever the server allows elsewhere; each method names its action and
    `RESOURCE` to the authorizer besides. Bodies are read piece by piece and dropped as soon as they are too large.
    """

    #: Methods that judge themselves who may: `OPTIONS` tells nothing of what is inside.
    open_methods: tuple[str, ...] = ("OPTIONS",)

    def initialize(self) -> None:
        """Begin with an empty body."""
        self._body = bytearray()
        self._too_large = False

    async def prepare(self, **options: Any) -> None:
        """Refuse who is not known (403), and bodies (413) that are too large even to be read and dropped."""
        await super().prepare(**options)
        self.set_header("Cache-Control", "no-store")
        if self.request.method not in self.open_methods and not self.current_user:
            raise HTTPError(403)
        length = self.request.headers.get("Content-Length", "0")
        if length.isdecimal() and int(length) > _MAX_DRAINED:
            raise self._refuse_body()

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, unless that would be too much."""
        self._too_large = self._too_large or len(self._body) + len(chunk) > MAX_BODY
        if self._too_large:
            self._body.clear()
        else:
            self._body += chunk

    @staticmethod
    def _refuse_body() -> HTTPError:
        return HTTPError(413, f"the body is larger than {MAX_BODY} bytes")

    def json_body(self) -> dict[str, Any]:
        """Return the object in the request's body, ``{}`` when there is none; see `read_json`."""
        if self._too_large:
            raise self._refuse_body()
        return read_json(bytes(self._body), self.request.headers.get("Content-Type", ""))

    def no_body(self) -> None:
        """Refuse a body that says something."""
        if body := self.json_body():
            raise HTTPError(400, f"this address takes no body, found {sorted(body)[0]!r:.100}")

    async def read(self, work: Callable[[Store], T]) -> T:
        """Return what ``work`` makes of the store, in a thread of the backend."""
        return await self.backend.call(work)

    async def reply(self, work: Callable[[Store], object], *, status: int = 200) -> None:
        """Answer with what ``work`` makes of the store; both it and the making of the JSON happen in a thread."""
        body = await self.backend.call(lambda store: dump(work(store)))
        self.set_status(status)
        await self.finish(body)

    def update_api_activity(self) -> None:
        """Note that somebody is there; a query that cannot be decoded is refused, but not by this."""
        try:
            super().update_api_activity()
        except HTTPError:
            self.log.debug("the query of %s is not UTF-8", self.request.path)

    @allow_unauthenticated
    def options(self, *args: str, **kwargs: str) -> None:
        """Answer a browser's question before a request from elsewhere, where the server's settings allow these."""
        if not (self.allow_origin or self.allow_origin_pat):
            raise HTTPError(405)
        super().options(*args, **kwargs)


class NotFoundHandler(ApiHandler):
    """Every address below our prefix that nothing else has."""

    async def prepare(self, **options: Any) -> None:
        """Refuse all methods: 403 for who is not known, then 404."""
        await super().prepare(**options)
        if not self.current_user:
            raise HTTPError(403)
        raise HTTPError(404, "there is nothing at this address")
