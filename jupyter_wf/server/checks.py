"""What is wrong with a deployment before it is saved: for forms that say so while they are typed."""

from __future__ import annotations

import time

from jupyter_wf.core.scheduling_errors import FormRefused
from jupyter_wf.core.scheduling_json import CheckedFormJSON
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.deployments import changed_deployment, new_deployment
from jupyter_wf.server.forms import check_keys
from jupyter_wf.server.validation import text
from jupyter_wf.services.deploying import GIVEN_KEYS
from jupyter_wf.store.base import Store

__all__ = ["CheckHandler"]


class CheckHandler(ApiHandler):
    """``/api/schedules/check``."""

    @may("write")
    async def post(self) -> None:
        """Answer 200 with what is wrong with a new deployment, or with changes of ``deployment``; nothing is stored."""
        query = self.query(deployment=text(500))
        body = self.json_body()
        backend = self.backend

        def work(store: Store) -> CheckedFormJSON:
            now = time.time()
            try:
                check_keys(body, "path", *GIVEN_KEYS)
                if "deployment" in query:
                    changed_deployment(backend, store.deployments.find(query["deployment"]), body, now, keep=False)
                else:
                    new_deployment(backend, body, now, keep=False)
            except FormRefused as error:
                return {"errors": [{"field": field, "message": message} for field, message in error.errors]}
            return {"errors": []}

        await self.reply(work)
