"""Going on with notebook runs over REST: resume, repair, rerun."""

from __future__ import annotations

from collections.abc import Callable

from jupyter_wf.core.codec import RunJSON
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.models import Run
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.validation import read_rerun, read_resume
from jupyter_wf.services.notebook_runs import rerun_notebook, resume_notebook
from jupyter_wf.store.base import Store

__all__ = ["RepairHandler", "RerunHandler", "ResumeHandler"]


class _AgainHandler(ApiHandler):
    """Starts a runner for a run that there is."""

    async def begin(self, start: Callable[[Store], Run]) -> RunJSON:
        """Return the run that ``start`` has begun; what the machine refuses is an answer too."""
        backend = self.backend

        def work(store: Store) -> RunJSON:
            try:
                return backend.encode_run(start(store))
            except OSError as error:
                raise StoreError(f"the run's folder or process can't be made: {error}") from error

        return await self.read(work)

    async def resume(self, run_id: str, *, repair: bool) -> None:
        """Begin the next attempt of a run; answer 202 with it."""
        self.query()
        parameters = read_resume(self.json_body())
        backend = self.backend

        def start(store: Store) -> Run:
            return resume_notebook(
                store,
                backend.settings,
                store.find_run(run_id),
                process=backend.process(),
                parameters=parameters,
                repair=repair,
            ).run

        run = await self.begin(start)
        self.set_status(202)
        await self.finish(backend.dump(run))


class ResumeHandler(_AgainHandler):
    """``/api/runs/{id}/resume``."""

    @may("write")
    async def post(self, run_id: str) -> None:
        """Begin the next attempt of a notebook run that did not complete; 409 where there can be none."""
        await self.resume(run_id, repair=False)


class RepairHandler(_AgainHandler):
    """``/api/runs/{id}/repair``."""

    @may("write")
    async def post(self, run_id: str) -> None:
        """Begin an attempt in which only what failed runs, and what depends on it; 409 where there can be none."""
        await self.resume(run_id, repair=True)


class RerunHandler(_AgainHandler):
    """``/api/runs/{id}/rerun``."""

    @may("write")
    async def post(self, run_id: str) -> None:
        """Start a new run with the notebook and parameters of another; answer 201 with it and its address."""
        self.query()
        from_task, parameters = read_rerun(self.json_body())
        backend = self.backend

        def start(store: Store) -> Run:
            return rerun_notebook(
                store,
                backend.settings,
                store.find_run(run_id),
                process=backend.process(),
                parameters=parameters,
                from_task=from_task,
            ).run

        run = await self.begin(start)
        self.set_status(201)
        runs = self.request.path.rstrip("/").rsplit("/", 2)[0]
        self.set_header("Location", f"{runs}/{run['id']}")
        await self.finish(backend.dump(run))
