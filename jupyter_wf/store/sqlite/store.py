"""The store: readers, the journal and the work tables behind one face."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite.database import Database
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.journal import SqliteJournal
from jupyter_wf.store.sqlite.requests import Requests

if TYPE_CHECKING:
    from jupyter_wf.core.events import Entry
    from jupyter_wf.core.models import Earlier, Event, LogRecord, Run, RunFilter, RunPage, StoredResult
    from jupyter_wf.core.processes import ProcessInfo, Request, RequestKind
    from jupyter_wf.store.automations import AutomationStore, EventTriggerStore, NotificationStore, OutboxStore
    from jupyter_wf.store.backfills import BackfillStore, RetentionStore
    from jupyter_wf.store.scheduling import AgentStore, DeploymentStore, QueueStore, ServiceStore, SlotStore
    from jupyter_wf.store.shared import ArtifactStore, InputStore, LimitStore, VariableStore
    from jupyter_wf.store.sqlite.alerts import Alerts
    from jupyter_wf.store.sqlite.owners import Owners
    from jupyter_wf.store.sqlite.results import ResultReader
    from jupyter_wf.store.sqlite.runs import RunReader
    from jupyter_wf.store.sqlite.scheduling import Scheduling
    from jupyter_wf.store.sqlite.shared import Shared
    from jupyter_wf.store.sqlite.stream import StreamReader
    from jupyter_wf.store.sqlite.trees import TreeReader
    from jupyter_wf.store.sqlite.work import Work

__all__ = ["SqliteStore"]


class SqliteStore(Store):
    """A `Store` on one SQLite file that many processes share. The methods are documented there.

    Opening it makes folder and file where there are none. Raises `StoreError` (`DatabaseDamaged`, `DatabaseTooNew`)
    for a file or a folder that must not be used. Every method raises `StoreError` after `close`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = Database(settings.database)
        self._journal = SqliteJournal(self._database, interval=settings.journal_interval, limit=settings.journal_limit)
        self._requests = Requests(self._database, self._journal)

    # A program that executes runs and ends reads none of them: what only readers need is loaded when one reads.

    @cached_property
    def _owners(self) -> Owners:
        from jupyter_wf.store.sqlite.owners import Owners

        return Owners()

    @cached_property
    def _runs(self) -> RunReader:
        from jupyter_wf.store.sqlite.runs import RunReader

        return RunReader(self._database, self._owners)

    @cached_property
    def _results(self) -> ResultReader:
        from jupyter_wf.store.sqlite.results import ResultReader

        return ResultReader(self._database, self._owners)

    @cached_property
    def _stream(self) -> StreamReader:
        from jupyter_wf.store.sqlite.stream import StreamReader

        return StreamReader(self._database)

    @cached_property
    def _trees(self) -> TreeReader:
        from jupyter_wf.store.sqlite.trees import TreeReader

        return TreeReader(self._database, self._owners)

    @cached_property
    def _work(self) -> Work:
        from jupyter_wf.store.sqlite.work import Work

        return Work(self._database, self._journal, self._owners)

    @cached_property
    def _shared(self) -> Shared:
        from jupyter_wf.store.sqlite.shared import Shared

        return Shared(self._database, self._journal, self._owners)

    @cached_property
    def _alerts(self) -> Alerts:
        from jupyter_wf.store.sqlite.alerts import Alerts

        return Alerts(self._database, self._journal)

    @property
    def automations(self) -> AutomationStore:
        """The automations."""
        return self._alerts.automations

    @property
    def outbox(self) -> OutboxStore:
        """What automations and triggers have yet to do."""
        return self._alerts.outbox

    @property
    def notifications(self) -> NotificationStore:
        """The messages for who looks at JupyterLab."""
        return self._alerts.notifications

    @property
    def triggers(self) -> EventTriggerStore:
        """The event triggers."""
        return self._alerts.triggers

    @cached_property
    def _scheduling(self) -> Scheduling:
        from jupyter_wf.store.sqlite.scheduling import Scheduling

        return Scheduling(self._database, self._journal, self._owners, self._ring, lambda: self._runs)

    def _ring(self) -> None:
        from jupyter_wf.store.bell import ring

        ring(self._settings)

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts."""
        return self._shared.artifacts

    @property
    def variables(self) -> VariableStore:
        """The variables."""
        return self._shared.variables

    @property
    def inputs(self) -> InputStore:
        """The messages to runs."""
        return self._shared.inputs

    @property
    def limits(self) -> LimitStore:
        """The concurrency and rate limits."""
        return self._shared.limits

    @property
    def deployments(self) -> DeploymentStore:
        """The deployments."""
        return self._scheduling.deployments

    @property
    def slots(self) -> SlotStore:
        """What schedulers read and write."""
        return self._scheduling.slots

    @property
    def queue(self) -> QueueStore:
        """The queue."""
        return self._scheduling.queue

    @property
    def backfills(self) -> BackfillStore:
        """The backfills."""
        return self._scheduling.backfills

    @property
    def retention(self) -> RetentionStore:
        """The deletion of ended runs."""
        return self._scheduling.retention

    @property
    def agents(self) -> AgentStore:
        """The agents."""
        return self._scheduling.agents

    @property
    def services(self) -> ServiceStore:
        """The services."""
        return self._scheduling.services

    def journal(self) -> SqliteJournal:
        """Return the journal of this process; after a fork the same object is the child's, and empty."""
        return self._journal

    def get_run(self, run_id: str) -> Run:
        """Return the run with exactly this id."""
        self._journal.settle()
        return self._runs.get(run_id)

    def get_runs(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """Return those of the runs that exist."""
        self._journal.settle()
        return self._runs.get_many(run_ids)

    def find_run(self, prefix: str) -> Run:
        """Return the one run whose id begins so."""
        self._journal.settle()
        return self._runs.find(prefix)

    def list_runs(self, where: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> RunPage:
        """Return a page of runs."""
        self._journal.settle()
        return self._runs.page(where, limit, cursor)

    def logs(
        self,
        run_id: str,
        *,
        after: int = 0,
        limit: int = 1000,
        min_level: int = 0,
        tree: bool = True,
        tail: bool = False,
    ) -> list[LogRecord]:
        """Return log lines of a run."""
        self._journal.settle()
        return self._stream.logs(run_id, after=after, limit=limit, min_level=min_level, tree=tree, tail=tail)

    def tree(self, run_id: str) -> list[Entry]:
        """Return entries that tell of a run and everything below it."""
        self._journal.settle()
        return self._trees.entries(run_id)

    def states(self, run_id: str) -> list[Event]:
        """Return the state events of a run."""
        self._journal.settle()
        return self._stream.states(run_id)

    def events(self, *, after: int, limit: int = 1000, with_logs: bool = True) -> list[Event]:
        """Return events of the stream."""
        self._journal.settle()
        return self._stream.events(after, limit, with_logs)

    def last_seq(self) -> int:
        """Return the number of the newest event."""
        self._journal.settle()
        return self._stream.last_seq()

    def data_version(self) -> int:
        """Return the calling thread's number of others' commits; it does not wait for the journal."""
        return self._database.data_version()

    def request(self, run_id: str, kind: RequestKind, payload: str | None = None) -> Request:
        """Write down that somebody wants something of a run."""
        request = self._work.request(run_id, kind, payload)
        if kind == "cancel":
            # It may have left the queue at once.
            self._ring()
        return request

    def requests(self, *, after: int = 0, process_id: str | None = None) -> list[Request]:
        """Return unanswered requests."""
        self._journal.settle()
        return self._requests.requests(after, process_id)

    def answer(self, request_id: int, outcome: str) -> None:
        """Write down what became of a request."""
        self._requests.answer(request_id, outcome)

    def get_request(self, request_id: int) -> Request:
        """Return a request."""
        self._journal.settle()
        return self._requests.get_request(request_id)

    def register(self, process: ProcessInfo) -> None:
        """Make a process known."""
        self._requests.register(process)

    def claim(self, run_id: str, process_id: str) -> Run:
        """Make a process the owner of a run that waits."""
        self._work.claim(run_id, process_id)
        return self._runs.get(run_id)

    def take_over(self, run_id: str, process_id: str) -> Run:
        """Begin the next attempt of a run in another process."""
        self._work.take_over(run_id, process_id)
        return self._runs.get(run_id)

    def earlier(self, run_id: str) -> list[Earlier]:
        """Return the children of a run with what they left."""
        self._journal.settle()
        return self._results.earlier(run_id)

    def run_result(self, run_id: str) -> StoredResult | None:
        """Return what a run kept."""
        self._journal.settle()
        return self._results.of_run(run_id)

    def last_result(self, task: str) -> StoredResult | None:
        """Return the newest result of a task."""
        self._journal.settle()
        return self._results.last(task)

    def open_roots(self) -> int:
        """Return how many root runs are open in a process that lives."""
        self._journal.settle()
        return self._work.open_roots()

    def reap(self, now: float) -> list[str]:
        """Make CRASHED the open runs of dead processes."""
        self._journal.settle()
        reaped = self._work.reap(now)
        if reaped:
            self._ring()
        return reaped

    def find_result(self, key: str, now: float) -> StoredResult | None:
        """Return what a run left under ``key``."""
        self._journal.settle()
        return self._results.find(key, now)

    def location(self) -> str:
        """Return the path of the file."""
        return str(self._database.path)

    def engine_version(self) -> str:
        """Return the version of SQLite."""
        return sqlite.sqlite_version

    def close(self) -> None:
        """Commit what waits and close every connection. Later calls do nothing."""
        self._journal.close()
        self._database.close()
