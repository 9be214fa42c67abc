"""What a run returned and what it was made with, over REST."""

from __future__ import annotations

from jupyter_wf.core.codec import EnvironmentJSON, ResultJSON
from jupyter_wf.core.errors import MissingResult, TargetError
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.services.results import environment_of_run, result_of_run
from jupyter_wf.store.base import Store

__all__ = ["EnvironmentHandler", "ResultHandler"]


class ResultHandler(ApiHandler):
    """``/api/runs/{id}/result``."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with what the run returned, 404 where it returned nothing or has not completed."""
        self.query()
        settings = self.backend.settings

        def work(store: Store) -> ResultJSON:
            run = store.find_run(run_id)
            try:
                result = result_of_run(store, settings, run)
            except MissingResult as error:
                raise TargetError(run.id, str(error)) from None
            if result is None:
                raise TargetError(run.id, f"the run has no result; it is {run.state.name}")
            return result

        await self.reply(work)


class EnvironmentHandler(ApiHandler):
    """``/api/runs/{id}/environment``."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with what the run's kernel had installed, 404 where that was not written down."""
        self.query()
        settings = self.backend.settings

        def work(store: Store) -> EnvironmentJSON:
            return environment_of_run(settings, store.find_run(run_id))

        await self.reply(work)
