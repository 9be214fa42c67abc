"""What is staged in a transaction: hooks, values and records, which are committed together or taken back.

Committing and rolling back are generators, for ``with`` and for ``async with``: they yield what asynchronous hooks
return, and are sent on when it was awaited.
"""

from __future__ import annotations

import copy
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Generator, Iterable
from enum import StrEnum
from typing import Any

from jupyter_wf.core.effects import Enter
from jupyter_wf.core.errors import InvalidRequest, ParameterError
from jupyter_wf.core.events import Entry, Kept, ResultStored, RunKept
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.lifecycle import describe
from jupyter_wf.engine.context import TRANSACTION
from jupyter_wf.engine.hooks import Hook, awaited
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.runs import LiveRun

__all__ = [
    "ENDED",
    "CommitMode",
    "IsolationLevel",
    "Staging",
    "Steps",
    "TransactionState",
    "waiting_result",
]

_log = logging.getLogger("jupyter_wf.transactions")
_NOT_GIVEN: Any = inspect.Parameter.empty

#: What asynchronous hooks want awaited; the value is whether something was done.
Steps = Generator[Awaitable[Any], None, bool]


class CommitMode(StrEnum):
    """When a transaction commits: with the one around it, at its own end, or only by ``commit()``."""

    LAZY = "LAZY"
    EAGER = "EAGER"
    OFF = "OFF"


class IsolationLevel(StrEnum):
    """Whether transactions with the same key may go on at the same time, or one after the other."""

    READ_COMMITTED = "READ_COMMITTED"
    SERIALIZABLE = "SERIALIZABLE"


class TransactionState(StrEnum):
    """How far a transaction is."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    STAGED = "STAGED"
    COMMITTED = "COMMITTED"
    ROLLED_BACK = "ROLLED_BACK"


ENDED = (TransactionState.COMMITTED, TransactionState.ROLLED_BACK)


class Staging:
    """Hooks, values and records that are committed together or not at all.

    ``key`` names it. ``children`` are the transactions that ended inside, and wait for this one. ``commit_mode`` and
    ``isolation_level`` are None until it is entered, where they were left to the transaction around.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        commit_mode: CommitMode | str | None = None,
        isolation_level: IsolationLevel | str | None = None,
        logger: Any = None,
    ) -> None:
        self.key = new_id() if key is None else key
        self.commit_mode: CommitMode | None = _member(CommitMode, "commit_mode", commit_mode)
        self.isolation_level: IsolationLevel | None = _member(IsolationLevel, "isolation_level", isolation_level)
        self.state = TransactionState.PENDING
        self.logger = logger
        self.children: list[Staging] = []
        self.on_commit_hooks: list[Hook] = []
        self.on_rollback_hooks: list[Hook] = []
        self._values: dict[str, Any] = {}
        self._entries: list[tuple[Host, Entry]] = []
        self._parent: Staging | None = None
        self._run: LiveRun | None = None
        self._called = 0
        # Runs that end on other threads join while this one commits.
        self._lock = threading.RLock()

    def _host(self) -> Host:
        assert self._run is not None
        return self._run.runtime

    # -- what it is and holds ------------------------------------------------------------------------------------

    def is_pending(self) -> bool:
        """Whether it has not been entered."""
        return self.state is TransactionState.PENDING

    def is_active(self) -> bool:
        """Whether it goes on, and nothing was staged."""
        return self.state is TransactionState.ACTIVE

    def is_staged(self) -> bool:
        """Whether something was staged, and it has neither been committed nor rolled back."""
        return self.state is TransactionState.STAGED

    def is_committed(self) -> bool:
        """Whether it was committed: by itself, or before under the same key."""
        return self.state is TransactionState.COMMITTED

    def is_rolled_back(self) -> bool:
        """Whether it was rolled back."""
        return self.state is TransactionState.ROLLED_BACK

    def get_parent(self) -> Staging | None:
        """Return the transaction around this one, None at the top."""
        return self._parent

    def set(self, name: str, value: Any) -> None:
        """Leave a value for the hooks of this transaction and of those inside it."""
        self._values[name] = value

    def get(self, name: str, default: Any = _NOT_GIVEN) -> Any:
        """Return a copy of the value that was set here, else further out, else ``default``.

        Raises `InvalidRequest` (a ValueError) where there is none.
        """
        around: Staging | None = self
        while around is not None:
            if name in around._values:
                return copy.deepcopy(around._values[name])
            around = around._parent
        if default is _NOT_GIVEN:
            raise InvalidRequest("name", name, "no such value was set in this transaction or one around it")
        return default

    def stage(
        self, value: Any = None, on_rollback_hooks: Iterable[Hook] = (), on_commit_hooks: Iterable[Hook] = ()
    ) -> None:
        """Take hooks, called with this transaction when it commits or is rolled back. Nothing happens once it ended."""
        with self._lock:
            if self.state not in ENDED:
                self.on_rollback_hooks += on_rollback_hooks
                self.on_commit_hooks += on_commit_hooks
                self.state = TransactionState.STAGED

    def hold(self, host: Host, entry: Entry) -> bool:
        """Keep a record back until the commit; return False where it may be written at once.

        What comes after a rollback is dropped.
        """
        with self._lock:
            if self.state is TransactionState.COMMITTED or self._writes_at_once:
                return False
            if self.state is not TransactionState.ROLLED_BACK:
                self._entries.append((host, entry))
            return True

    @property
    def _writes_at_once(self) -> bool:
        return self.commit_mode is CommitMode.EAGER

    def complete(self, live: LiveRun, effect: Enter, value: Any, kept: Kept | None) -> None:
        """Have a run enter COMPLETED inside; what it keeps for later attempts is written at the commit."""
        live.set_state(effect.type, effect.name, effect.message, data=value)
        if kept is not None:
            entry = RunKept(live.id, time.time(), live.attempt, kept)
            if not self.hold(live.runtime, entry):
                live.runtime.journal.append(entry)

    def add_child(self, transaction: Staging) -> TransactionState:
        """Have ``transaction`` commit with this one; return this one's state: where it has ended, so must the other."""
        with self._lock:
            self.children.append(transaction)
            return self.state

    # -- committing and rolling back -----------------------------------------------------------------------------

    def commit(self) -> bool:
        """Commit now: call the hooks, those of inner transactions first, then write what was held back.

        Returns whether that was done. A hook that raises, and a value that can't be stored, are logged, and everything
        is rolled back.
        """
        return self._carry_out(self._committing())

    def rollback(self) -> bool:
        """Roll back now: call the hooks in reverse order. A hook that raises is logged, and the others are called.

        Returns whether that was done: a transaction that has ended is left as it is.
        """
        return self._carry_out(self._rolling_back())

    def _committing(self) -> Steps:
        if self.state in ENDED:
            return False
        try:
            yield from self._call_commit_hooks()
        except Exception as error:
            self._tell(logging.ERROR, f"not committed, but rolled back: {describe(error)}")
            yield from self._rolling_back()
            return False
        for late in self._write():
            yield from late._committing()
        return True

    def _call_commit_hooks(self) -> Generator[Awaitable[Any], None, None]:
        while (child := self._next_child()) is not None:
            if child.state not in ENDED:
                yield from child._call_commit_hooks()
        for hook in list(self.on_commit_hooks):
            yield from self._call(hook, "commit")
        self._prepare_to_write()

    def _next_child(self) -> Staging | None:
        with self._lock:
            if self._called == len(self.children):
                return None
            self._called += 1
            return self.children[self._called - 1]

    def _prepare_to_write(self) -> None:
        """Make ready what may fail."""

    def _write(self) -> list[Staging]:
        """Write what was held back; return those inside that came too late for their hooks to be called."""
        with self._lock:
            if self.state in ENDED:
                return []
            self.state = TransactionState.COMMITTED
            entries, self._entries = self._entries, []
            called, late = self.children[: self._called], self.children[self._called :]
        for child in called:
            late += child._write()
        for host, entry in entries:
            host.journal.append(entry)
        return late

    def _rolling_back(self) -> Steps:
        with self._lock:
            if self.state in ENDED:
                return False
            self.state = TransactionState.ROLLED_BACK
            children = list(self.children)
            touched = bool(children or self.on_rollback_hooks or self._entries)
            self._entries.clear()
        if touched:
            self._tell(logging.INFO, "the transaction is rolled back")
        for hook in reversed(self.on_rollback_hooks):
            try:
                yield from self._call(hook, "rollback")
            except Exception as error:
                self._tell(logging.ERROR, f"the rollback hook {_name(hook)!r} failed: {describe(error)}")
        for child in reversed(children):
            yield from child._rolling_back()
        return True

    def _call(self, hook: Hook, kind: str) -> Generator[Awaitable[Any], None, None]:
        answer = hook(self)
        if inspect.isawaitable(answer):
            yield answer
        self._tell(logging.INFO, f"called the {kind} hook {_name(hook)!r}")

    def _carry_out(self, steps: Steps) -> bool:
        try:
            waiting = next(steps)
            while True:
                try:
                    self._host().portal.call(awaited, waiting)
                except Exception as error:
                    if inspect.iscoroutine(waiting):
                        waiting.close()
                    waiting = steps.throw(error)
                else:
                    waiting = next(steps)
        except StopIteration as end:
            return bool(end.value)

    def _tell(self, level: int, message: str) -> None:
        if self.logger is not None:
            self.logger.log(level, message)
        elif self._run is not None:
            self._run.log(level, message, _log.name)
        else:
            _log.log(level, "%s", message)

    def waiting(self, key: str) -> ResultStored | None:
        """Return the record that is held back here, or inside, under a key."""
        with self._lock:
            for _, entry in reversed(self._entries):
                if type(entry) is ResultStored and entry.key == key:
                    return entry
            children = list(self.children)
        return next((found for child in reversed(children) if (found := child.waiting(key)) is not None), None)


def waiting_result(key: str) -> ResultStored | None:
    """Return the record that the transactions around the calling code hold back under a key."""
    around = TRANSACTION.get()
    while around is not None:
        found = around.waiting(key)
        if found is not None:
            return found
        around = around.get_parent()
    return None


def _member(kind: type[StrEnum], option: str, value: str | None) -> Any:
    try:
        return None if value is None else kind(value)
    except ValueError:
        known = ", ".join(each.name for each in kind)
        raise ParameterError(option, f"{value!r:.80} is none of {known}") from None


def _name(hook: Hook) -> str:
    return getattr(hook, "__name__", None) or type(hook).__name__
