"""What a store is. The contract is in the docstrings; ``tests/contracts`` holds every store to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from jupyter_wf.core.events import Entry

if TYPE_CHECKING:
    from jupyter_wf.core.models import Earlier, Event, LogRecord, Run, RunFilter, RunPage, StoredResult
    from jupyter_wf.core.processes import ProcessInfo, Request, RequestKind
    from jupyter_wf.store.automations import AutomationStore, EventTriggerStore, NotificationStore, OutboxStore
    from jupyter_wf.store.backfills import BackfillStore, RetentionStore
    from jupyter_wf.store.scheduling import AgentStore, DeploymentStore, QueueStore, ServiceStore, SlotStore
    from jupyter_wf.store.shared import ArtifactStore, InputStore, LimitStore, VariableStore

__all__ = ["Committed", "Journal", "Store"]

#: Called after a commit with the sequence number of the last event and the entries of that commit, in order.
Committed = Callable[[int, Sequence[Entry]], None]


class Journal(Protocol):
    """The one writer of a process. Entries are committed in the order in which they were appended.

    A batch is one transaction: the runs' rows, their events and their log lines are there together or not at all.
    """

    def append(self, entry: Entry) -> None:
        """Take ``entry`` and return at once; wait only while ``journal_limit`` entries are already waiting.

        Safe from any thread, from a signal handler's exception and from an event loop. Raises the `StoreError` that
        stopped the writer, if one did.
        """

    def flush(self, timeout: float | None = None) -> None:
        """Return when everything appended before the call is committed.

        Raises `StoreError` when the writer has stopped, `TimeoutError` after ``timeout`` seconds. An interrupt that
        arrives while it waits leaves the journal whole.
        """

    def subscribe(self, callback: Committed) -> Callable[[], None]:
        """Have ``callback`` called after each commit, on the journal's thread; return the function that ends it."""

    def close(self) -> None:
        """Commit what waits, stop the writer and close its connection. Later calls do nothing."""


class Store(Protocol):
    """Reads what is committed, and takes requests. Safe to use from any thread.

    Reading changes nothing. A run that is open but whose process is dead on this host is *shown* as CRASHED: in the
    returned runs, in the counts of `Progress` and in what ``states`` of a filter selects.
    """

    @property
    def automations(self) -> AutomationStore:
        """The automations."""

    @property
    def outbox(self) -> OutboxStore:
        """What automations and triggers have yet to do."""

    @property
    def notifications(self) -> NotificationStore:
        """The messages for who looks at JupyterLab."""

    @property
    def triggers(self) -> EventTriggerStore:
        """The event triggers."""

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts."""

    @property
    def variables(self) -> VariableStore:
        """The variables."""

    @property
    def limits(self) -> LimitStore:
        """The concurrency and rate limits."""

    @property
    def inputs(self) -> InputStore:
        """The messages to runs."""

    @property
    def deployments(self) -> DeploymentStore:
        """The deployments and their schedules."""

    @property
    def slots(self) -> SlotStore:
        """What schedulers read and write."""

    @property
    def queue(self) -> QueueStore:
        """The runs that agents execute."""

    @property
    def backfills(self) -> BackfillStore:
        """The backfills."""

    @property
    def retention(self) -> RetentionStore:
        """The deletion of ended runs."""

    @property
    def agents(self) -> AgentStore:
        """The agents."""

    @property
    def services(self) -> ServiceStore:
        """Who does what only one process should do."""

    def journal(self) -> Journal:
        """Return the journal of this process, made at the first call."""

    def get_run(self, run_id: str) -> Run:
        """Return the run with exactly this id, with its ``progress``. Raises `RunNotFound`."""

    def get_runs(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """Return those of the runs that exist, with their ``progress``, by id."""

    def find_run(self, prefix: str) -> Run:
        """Return the one run whose id begins with ``prefix`` (without case).

        Raises `InvalidRequest` for what cannot begin an id, `RunNotFound` and `AmbiguousRunId`.
        """

    def list_runs(self, where: RunFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> RunPage:
        """Return a page of runs, newest first by creation (oldest first where the filter says so).

        Pages go by key, not by offset: a run made meanwhile neither repeats nor hides another. Raises `InvalidRequest`
        for a limit outside 1 to 1,000 and for a cursor that this store did not make.
        """

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
        """Return log lines with ``seq > after`` in order, of the run and (``tree``) everything below it.

        ``tail`` returns the last ``limit`` lines instead of the first. Raises `RunNotFound`.
        """

    def tree(self, run_id: str) -> list[Entry]:
        """Return entries that tell of a run and of everything below it, each run after its parent, as it is shown now.

        They are what a `core.tree.RunTree` is fed with: that a run was made, its states, the last one with its error.
        Of a task that was tried once only the beginning and the last state are told. Raises `RunNotFound`.
        """

    def states(self, run_id: str) -> list[Event]:
        """Return the ``state`` events of one run, oldest first. Raises `RunNotFound`."""

    def events(self, *, after: int, limit: int = 1000, with_logs: bool = True) -> list[Event]:
        """Return events with ``seq > after`` in order."""

    def last_seq(self) -> int:
        """Return the sequence number of the newest committed event, 0 when there is none."""

    def data_version(self) -> int:
        """Return a number that differs after another connection has committed; costs microseconds.

        Only for one thread: each thread has its own connection, and numbers of two connections do not compare.
        """

    def request(self, run_id: str, kind: RequestKind, payload: str | None = None) -> Request:
        """Write down, and commit, that somebody wants ``kind`` of the run; ``payload`` is a JSON text (of a resume).

        A second one while the first is open returns the first. A ``cancel`` of a run which nobody owns yet is carried
        out at once, children included. Raises `RunNotFound`, and `RunFinished` where there is nothing left to cancel
        (a run whose owner is dead is CRASHED), nothing that failed to retry, or nobody left to retry it. A ``pause``
        is taken for a run that is RUNNING, a ``resume`` for one that is PAUSED; both need an owner who lives. Raises
        `InvalidRequest` for another kind, and for a payload that is not JSON.
        """

    def requests(self, *, after: int = 0, process_id: str | None = None) -> list[Request]:
        """Return unanswered requests with ``id > after``, oldest first; only to runs of ``process_id`` if given."""

    def answer(self, request_id: int, outcome: str) -> None:
        """Write down what the owner did with a request."""

    def get_request(self, request_id: int) -> Request:
        """Return a request, answered or not. Raises `InvalidRequest` where there is none with this id."""

    def register(self, process: ProcessInfo) -> None:
        """Make a process known, before it owns a run; a second call with the same id changes nothing."""

    def claim(self, run_id: str, process_id: str) -> Run:
        """Make ``process_id`` the owner of a run that is SCHEDULED or PENDING, and return it.

        Raises `RunNotFound`; raises `RunFinished` when it is not waiting any more (cancelled, or claimed by another).
        Raises `LeaseLost` for a run that waits in the queue: only its agent's runner may `QueueStore.take` it.
        """

    def take_over(self, run_id: str, process_id: str) -> Run:
        """Begin the next attempt of a run in the process ``process_id``, and return the run.

        It must have ended other than COMPLETED, be CRASHED because its owner is dead, be PAUSED as ``Suspended``, or
        wait for an owner; what is ``Resuming`` may be taken again by the same process, whose first call may have been
        interrupted. In one transaction the run (and what was open below it, which its dead owner can't end any more, as
        CRASHED) is closed, gets the next attempt number, the state SCHEDULED named ``Resuming``, and the owner; what
        the attempt before has kept is forgotten. Of several processes one gets it.

        What waits in the queue is refused; a run of the queue that has ended is begun again outside of it.

        Raises `RunNotFound`, `InvalidRequest` for a process that is not registered, `LeaseLost` as `claim` does, and
        `RunFinished` where it COMPLETED, somebody else has it or was asked to retry it, or the run that called it has
        ended.
        """

    def earlier(self, run_id: str) -> list[Earlier]:
        """Return the direct children of a run with what they left, oldest first; none of a run that is not here."""

    def run_result(self, run_id: str) -> StoredResult | None:
        """Return the value that a COMPLETED run kept, None where it kept none. Raises `RunNotFound`."""

    def last_result(self, task: str) -> StoredResult | None:
        """Return the newest result that a task (by name) has stored under any cache key, expired or not."""

    def reap(self, now: float) -> list[str]:
        """Make CRASHED every open run whose process is dead on this host; return their ids. ``now``: epoch seconds."""

    def open_roots(self) -> int:
        """Return how many root runs are open in a process that lives, as far as can be judged from here."""

    def find_result(self, key: str, now: float) -> StoredResult | None:
        """Return the result stored under ``key`` that has not expired at ``now`` (epoch seconds), or None."""

    def location(self) -> str:
        """Return where the records are, to be shown to people."""

    def engine_version(self) -> str:
        """Return the version of the database engine in use."""

    def close(self) -> None:
        """Close the journal and every connection."""
