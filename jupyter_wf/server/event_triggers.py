"""Event triggers over REST, and the one address that needs no token: where webhooks arrive."""

from __future__ import annotations

import re
import time
from collections import deque
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError

from jupyter_wf.core.automation_json import EventTriggerJSON, EventTriggerPageJSON, encode_trigger
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.scheduling_errors import TriggerNotFound
from jupyter_wf.server.base import ApiHandler, NotFoundHandler, may
from jupyter_wf.services.triggers import add_trigger, arrived
from jupyter_wf.store.base import Store

__all__ = ["EventTriggerHandler", "EventTriggersHandler", "RateLimit", "SecretNotFoundHandler", "WebhookHandler"]

_RATE = "jupyter_wf_webhook_rate"
_SECRET = re.compile(r"(/api/triggers/).*", re.DOTALL)
_ONCE = re.compile(r"[\x21-\x7e]{1,200}")
#: Headers by which senders tell one delivery from another.
_DELIVERY = ("Idempotency-Key", "X-GitHub-Delivery", "X-Jupyter-WF-Delivery", "Webhook-Id")


class EventTriggersHandler(ApiHandler):
    """``/api/deployments/{id}/triggers``."""

    @may("read")
    async def get(self, deployment: str) -> None:
        """Answer with the triggers of the deployment."""
        self.query()

        def work(store: Store) -> EventTriggerPageJSON:
            found = store.triggers.list(deployment_id=store.deployments.find(deployment).id)
            return {"items": [encode_trigger(each) for each in found]}

        await self.reply(work)

    @may("write")
    async def post(self, deployment: str) -> None:
        """Make a trigger; answer 201 with it, and for a webhook this once with its secret and the path to call."""
        self.query()
        body = self.json_body()
        root, settings = self.backend.root, self.backend.settings
        if body.get("kind") == "file":
            body = {**body, "spec": _below(None if root is None else str(root.path), body.get("spec"))}

        def work(store: Store) -> EventTriggerJSON:
            made = add_trigger(store, store.deployments.find(deployment), body, time.time(), settings)
            prefix = self.request.path.partition("/deployments/")[0]
            return encode_trigger(made, None if made.secret is None else f"{prefix}/triggers/{made.secret}")

        made = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.rstrip('/')}/{made['id']}")
        await self.finish(self.backend.dump(made))


class EventTriggerHandler(ApiHandler):
    """``/api/deployments/{id}/triggers/{trigger}``."""

    @may("read")
    async def get(self, deployment: str, trigger: str) -> None:
        """Answer with the trigger."""
        self.query()
        await self.reply(lambda store: encode_trigger(store.triggers.get(_one(store, deployment, trigger))))

    @may("write")
    async def patch(self, deployment: str, trigger: str) -> None:
        """Switch the trigger on or off."""
        self.query()
        body = self.json_body()
        if set(body) != {"enabled"} or not isinstance(body["enabled"], bool):
            raise InvalidRequest("enabled", body.get("enabled"), "give {'enabled': true} or {'enabled': false}")
        await self.reply(
            lambda store: encode_trigger(store.triggers.enable(_one(store, deployment, trigger), body["enabled"]))
        )

    @may("write")
    async def delete(self, deployment: str, trigger: str) -> None:
        """Forget the trigger."""
        self.query()
        self.no_body()
        await self.read(lambda store: store.triggers.remove(_one(store, deployment, trigger)))
        self.set_status(204)
        await self.finish()


def _one(store: Store, deployment: str, trigger: str) -> str:
    """Return the whole id of a deployment's trigger."""
    found = store.triggers.get(trigger)
    if found.deployment_id != store.deployments.find(deployment).id:
        raise TriggerNotFound(trigger)
    return found.id


def _below(root: str | None, spec: Any) -> Any:
    """Return the spec of a file trigger whose path, which is relative to the server's root, is made absolute."""
    path = spec.get("path") if isinstance(spec, dict) else None
    if not isinstance(path, str):
        return spec if isinstance(spec, dict) else {}
    if root is None:
        raise InvalidRequest("spec.path", path, "this server's files are not files of its machine")
    if path.startswith("/") or any(part in ("", ".", "..") or part.startswith("~") for part in path.split("/")):
        raise InvalidRequest(
            "spec.path", path, "give a path below the server's root, without '..'; it may hold * and ?"
        )
    return {**spec, "path": f"{root.rstrip('/')}/{path}"}


class RateLimit:
    """Lets ``most`` requests of each name through in any ``seconds``. For one thread; it knows few names at a time."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._seen: dict[str, deque[float]] = {}

    def allows(self, name: str, now: float) -> bool:
        """Return whether another request may pass, and count it where it may."""
        if len(self._seen) > 1000:
            self._seen = {key: times for key, times in self._seen.items() if now - times[-1] < self._seconds}
        times = self._seen.setdefault(name, deque())
        while times and now - times[0] >= self._seconds:
            times.popleft()
        if len(times) >= self._most:
            return False
        times.append(now)
        return True


class WebhookHandler(ApiHandler):
    """``/api/triggers/{secret}``: who knows the secret needs no token, and can do nothing but this.

    The secret is in no log line: the address is masked before anything is done. Wrong secrets are refused as a wrong
    token is.
    """

    #: Requests that a trigger takes in a minute, and wrong secrets that are looked up in a minute.
    most = 60

    open_methods = ("OPTIONS", "POST")

    def initialize(self) -> None:
        """Have the secret appear nowhere."""
        super().initialize()
        _mask(self.request)

    def check_xsrf_cookie(self) -> None:
        """Ask for no cookie: it is the secret that counts, which no page of others has."""

    @allow_unauthenticated
    async def post(self, secret: str) -> None:
        """Ask for the run that the trigger with this secret makes; answer 202, whether or not it is switched on."""
        limit: RateLimit = self.settings.setdefault(_RATE, RateLimit(self.most, 60.0))
        trigger = await self.read(lambda store: store.triggers.by_secret(secret))
        # Wrong secrets have a limit of their own: who guesses must not keep others out.
        if not limit.allows("" if trigger is None else trigger.id, time.monotonic()):
            raise HTTPError(429, "too many requests; try again in a minute")
        if trigger is None:
            raise HTTPError(403)
        self.query()
        body = self.json_body()
        once = next((value for name in _DELIVERY if (value := self.request.headers.get(name))), "")
        once = once if _ONCE.fullmatch(once) else new_id()
        accepted = await self.read(lambda store: arrived(store, trigger, body, time.time(), once=once))
        self.set_status(202)
        await self.finish(self.backend.dump({"accepted": accepted}))


class SecretNotFoundHandler(NotFoundHandler):
    """Whatever else is asked for below ``/api/triggers``: it may hold a secret, with a letter too much."""

    def initialize(self) -> None:
        """Have it appear nowhere."""
        super().initialize()
        _mask(self.request)


def _mask(request: HTTPServerRequest) -> None:
    """Have whoever logs a request not see which secret it was made with."""
    request.path = request.uri = _SECRET.sub(r"\1***", request.path)
    request.headers.pop("Referer", None)
