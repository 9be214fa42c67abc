"""Work pools and agents over REST."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tornado.web import HTTPError

from jupyter_wf.core.deployment_fields import check_description, check_name
from jupyter_wf.core.deployments import Pool
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.scheduling_json import AgentPageJSON, PoolPageJSON, encode_agent, encode_pool
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.forms import all_or_refuse, check_keys
from jupyter_wf.store.base import Store

__all__ = ["AgentsHandler", "PoolHandler", "PoolsHandler"]

_MOST = 10_000


class PoolsHandler(ApiHandler):
    """``/api/pools``."""

    @may("read")
    async def get(self) -> None:
        """Answer with the pools: those that were set, and those that deployments, runs or agents name."""
        self.query()

        def work(store: Store) -> PoolPageJSON:
            return {"items": [encode_pool(each) for each in store.queue.pools()]}

        await self.reply(work)


class PoolHandler(ApiHandler):
    """``/api/pools/{name}``."""

    @may("write")
    async def put(self, name: str) -> None:
        """Make the pool as the body says, or change it to that; answer with it."""
        self.query()
        body = self.json_body()
        check_keys(body, "limit", "paused", "description")
        check_name("name", name)
        pool = all_or_refuse(body, lambda given: _pool(name, given))
        await self.reply(lambda store: encode_pool(store.queue.set_pool(pool)))

    @may("write")
    async def delete(self, name: str) -> None:
        """Forget what was set of the pool; deployments and runs keep its name."""
        self.query()
        self.no_body()
        if not await self.read(lambda store: store.queue.remove_pool(name)):
            raise HTTPError(404, "nothing was set of a pool of this name")
        self.set_status(204)
        await self.finish()


class AgentsHandler(ApiHandler):
    """``/api/agents``."""

    @may("read")
    async def get(self) -> None:
        """Answer with the agents, newest first."""
        self.query()

        def work(store: Store) -> AgentPageJSON:
            return {"items": [encode_agent(each) for each in store.agents.list(time.time())]}

        await self.reply(work)


def _pool(name: str, given: Mapping[str, Any]) -> Pool:
    limit = given.get("limit")
    if limit is not None and (type(limit) is not int or not 0 <= limit <= _MOST):
        raise InvalidRequest("limit", limit, f"give a whole number from 0 to {_MOST:,}, or null for any number")
    paused = given.get("paused", False)
    if not isinstance(paused, bool):
        raise InvalidRequest("paused", paused, "give true or false")
    description = check_description(given.get("description", ""))
    return Pool(name=name, limit=limit, paused=paused, description=description)
