"""Runs over REST: lists, one run, its children and logs; start, cancel and retry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyter_wf.core.codec import LogPageJSON, RequestJSON, RunJSON, RunPageJSON, encode_log, encode_request
from jupyter_wf.core.errors import InvalidRequest, StoreError
from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.processes import RequestKind
from jupyter_wf.server.base import ApiHandler, may
from jupyter_wf.server.validation import MAX_SEQ, flag, integer, read_start, text, words
from jupyter_wf.store.base import Store

__all__ = ["CancelHandler", "ChildrenHandler", "LogsHandler", "RetryHandler", "RunHandler", "RunsHandler"]

_states = words(r"[A-Za-z][A-Za-z0-9_]{0,63}", "give state types or names such as RUNNING,Retrying")
_kinds = words(r"flow|task|cell", "give flow, task or cell", most=3)
_limit = integer(1, 1000)
_cursor = text(1000)


class RunsHandler(ApiHandler):
    """``/api/runs``."""

    @may("read")
    async def get(self) -> None:
        """Answer with a page of runs, newest first."""
        query = self.query(
            state=_states,
            kind=_kinds,
            flow=text(1000),
            text=text(1000),
            parent=text(100),
            roots=flag,
            limit=_limit,
            cursor=_cursor,
        )

        def work(store: Store) -> RunPageJSON:
            page = store.list_runs(_where(store, query), limit=query.get("limit", 50), cursor=query.get("cursor"))
            return self.backend.encode_page(page)

        await self.reply(work)

    @may("write")
    async def post(self) -> None:
        """Start a notebook as a workflow; answer 201 with the new run and its address."""
        self.query()
        given, parameters = read_start(self.json_body())
        backend = self.backend

        def work(store: Store) -> RunJSON:
            if backend.root is None:
                raise InvalidRequest("notebook", given, "this server's files are not files of its machine")
            path = backend.root.notebook(given)
            source = {"notebook": given}
            try:
                run = backend.launch(
                    store, backend.settings, path, parameters=parameters, source=source, process=backend.process()
                )
            except OSError as error:
                raise StoreError(f"the run's folder or process can't be made: {error}") from error
            return backend.encode_run(run)

        run = await self.read(work)
        self.set_status(201)
        self.set_header("Location", f"{self.request.path.rstrip('/')}/{run['id']}")
        await self.finish(backend.dump(run))


def _where(store: Store, query: Mapping[str, Any]) -> RunFilter:
    parent = query.get("parent")
    return RunFilter(
        kinds=query.get("kind", ()),
        states=query.get("state", ()),
        flow=query.get("flow"),
        text=query.get("text"),
        parent_id=store.find_run(parent).id if parent else None,
        roots_only=query.get("roots", False),
    )


class RunHandler(ApiHandler):
    """``/api/runs/{id}``; here and below the id may be shortened."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with the run."""
        self.query()
        await self.reply(lambda store: self.backend.encode_run(store.find_run(run_id)))


class ChildrenHandler(ApiHandler):
    """``/api/runs/{id}/children``."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with a page of the run's children, oldest first."""
        query = self.query(limit=_limit, cursor=_cursor)

        def work(store: Store) -> RunPageJSON:
            where = RunFilter(parent_id=store.find_run(run_id).id, oldest_first=True)
            page = store.list_runs(where, limit=query.get("limit", 200), cursor=query.get("cursor"))
            return self.backend.encode_page(page)

        await self.reply(work)


class LogsHandler(ApiHandler):
    """``/api/runs/{id}/logs``."""

    @may("read")
    async def get(self, run_id: str) -> None:
        """Answer with log lines of the run and, unless ``tree=0``, of everything below it."""
        query = self.query(
            after=integer(0, MAX_SEQ), limit=integer(1, 10_000), level=integer(0, 1000), tree=flag, tail=flag
        )
        after = query.get("after", 0)

        def work(store: Store) -> LogPageJSON:
            lines = store.logs(
                store.find_run(run_id).id,
                after=after,
                limit=query.get("limit", 1000),
                min_level=query.get("level", 0),
                tree=query.get("tree", True),
                tail=query.get("tail", False),
            )
            return {"items": [encode_log(line) for line in lines], "next_after": lines[-1].seq if lines else after}

        await self.reply(work)


class _RequestHandler(ApiHandler):
    """Writes down what somebody wants of a run; the run's owner does it."""

    async def ask(self, run_id: str, kind: RequestKind) -> None:
        """Answer 202 with the request."""
        self.query()
        self.no_body()

        def work(store: Store) -> RequestJSON:
            return encode_request(store.request(store.find_run(run_id).id, kind))

        await self.reply(work, status=202)


class CancelHandler(_RequestHandler):
    """``/api/runs/{id}/cancel``."""

    @may("write")
    async def post(self, run_id: str) -> None:
        """Ask for the run to be cancelled; 409 when it has ended."""
        await self.ask(run_id, "cancel")


class RetryHandler(_RequestHandler):
    """``/api/runs/{id}/retry``."""

    @may("write")
    async def post(self, run_id: str) -> None:
        """Ask for the run to be tried again; 409 when it has not failed."""
        await self.ask(run_id, "retry")
