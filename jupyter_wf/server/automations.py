"""Automations and notifications over REST. Secret texts come in and never go out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.automation_forms import read_automation
from jupyter_wf.core.automation_json import (
    AutomationJSON,
    AutomationPageJSON,
    AutomationTestJSON,
    DeliveryPageJSON,
    NotificationPageJSON,
    encode_automation,
    encode_delivery,
    encode_notification,
)
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.validation import MAX_SEQ, integer
from jupyter_wf.services.testing_automations import try_automation
from jupyter_wf.store.base import Store

__all__ = [
    "AutomationDeliveriesHandler",
    "AutomationHandler",
    "AutomationTestHandler",
    "AutomationsHandler",
    "NotificationsHandler",
]

_limit = integer(1, 1000)


class AutomationsHandler(ApiHandler):
    """``/api/automations``."""

    @may("read")
    async def get(self) -> None:
        """Answer with all automations."""
        self.query()

        def work(store: Store) -> AutomationPageJSON:
            return {"items": [encode_automation(each) for each in store.automations.list()]}

        await self.reply(work)

    @may("write")
    async def post(self) -> None:
        """Make an automation; answer 201 with it and its address."""
        self.query()
        given = read_automation(self.json_body())

        def work(store: Store) -> AutomationJSON:
            return encode_automation(store.automations.save(given, time.time()))

        made = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.rstrip('/')}/{made['id']}")
        await self.finish(self.backend.dump(made))


class AutomationHandler(ApiHandler):
    """``/api/automations/{id}``; here and below a name, or how the id begins, does as well."""

    @may("read")
    async def get(self, automation: str) -> None:
        """Answer with the automation."""
        self.query()
        await self.reply(lambda store: encode_automation(store.automations.find(automation)))

    @may("write")
    async def patch(self, automation: str) -> None:
        """Change the fields that the body has; secret texts that are sent as they were shown stay what they are."""
        self.query()
        body = self.json_body()

        def work(store: Store) -> AutomationJSON:
            changed = read_automation(body, store.automations.find(automation))
            return encode_automation(store.automations.save(changed, time.time()))

        await self.reply(work)

    @may("write")
    async def delete(self, automation: str) -> None:
        """Forget the automation, and what it has yet to do."""
        self.query()
        self.no_body()
        await self.read(lambda store: store.automations.remove(store.automations.find(automation).id))
        self.set_status(204)
        await self.finish()


class AutomationDeliveriesHandler(ApiHandler):
    """``/api/automations/{id}/deliveries``."""

    @may("read")
    async def get(self, automation: str) -> None:
        """Answer with what the automation has done and has yet to do, newest first."""
        query = self.query(limit=_limit)

        def work(store: Store) -> DeliveryPageJSON:
            found = store.automations.find(automation)
            rows = store.outbox.list(automation_id=found.id, limit=query.get("limit", 100))
            return {"items": [encode_delivery(each) for each in rows]}

        await self.reply(work)


class AutomationTestHandler(ApiHandler):
    """``/api/automations/{id}/test``."""

    @may("write")
    async def post(self, automation: str) -> None:
        """Send the automation's messages once, and say of its other actions what they would do."""
        self.query()
        self.no_body()

        def work(store: Store) -> AutomationTestJSON:
            found = store.automations.find(automation)
            return try_automation(store, self.backend.settings, found.id, now=time.time())

        await self.reply(work)


class NotificationsHandler(ApiHandler):
    """``/api/notifications``."""

    @may("read")
    async def get(self) -> None:
        """Answer with messages behind ``after``; without it with none, and where they go on."""
        query = self.query(after=integer(0, MAX_SEQ), limit=_limit)
        await self.reply(lambda store: _page(store, query))


def _page(store: Store, query: Mapping[str, Any]) -> NotificationPageJSON:
    after = query.get("after")
    if after is None:
        return {"items": [], "next_after": store.notifications.last_id()}
    found = store.notifications.list(after=after, limit=query.get("limit", 100))
    return {"items": [encode_notification(each) for each in found], "next_after": found[-1].id if found else after}
