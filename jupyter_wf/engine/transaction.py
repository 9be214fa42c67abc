"""Transactions as blocks: entering and leaving them, by ``with`` and ``async with``, and the locks on their keys."""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from jupyter_wf.core.effects import Enter
from jupyter_wf.core.events import Kept
from jupyter_wf.core.signals import SkipRun, StopFlow
from jupyter_wf.engine.context import CURRENT, TRANSACTION
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.staging import ENDED, CommitMode, IsolationLevel, Staging, Steps, TransactionState

if TYPE_CHECKING:
    from jupyter_wf.engine.limits import Lease

__all__ = ["BaseTransaction", "RunTransaction"]

#: A lock on a key is a lease of this name, which has no limit.
_LOCK_PREFIX = "transaction:"


class BaseTransaction(Staging):
    """What is staged while a block runs: a `Staging` to be used once, by ``with`` or ``async with``.

    Where they are None, the mode and the isolation level are those of the transaction around, at the top LAZY and
    READ_COMMITTED.
    """

    #: Whether the transaction around is rolled back with this one.
    spreads = True

    _token: Token[Staging | None] | None = None
    _lease: Lease | None = None

    def __enter__(self) -> Self:
        lease = self._join()
        if lease is not None:
            # Only what is serialized has locks.
            from jupyter_wf.engine.limits import take

            take(lease, self._host(), None)
        self._open(lease)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()
        try:
            self._carry_out(self._leaving(error))
        finally:
            self._unlock(everything=self._parent is None)

    async def __aenter__(self) -> Self:
        lease = self._join()
        if lease is not None:
            # Only what is serialized has locks, and only those who await pay for asyncio.
            from jupyter_wf.engine.limits_async import take_async

            await take_async(lease, self._host(), None)
        self._open(lease)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._close()
        steps = self._leaving(error)
        try:
            waiting = next(steps)
            while True:
                try:
                    await waiting
                except Exception as failure:
                    waiting = steps.throw(failure)
                else:
                    waiting = next(steps)
        except StopIteration:
            pass
        finally:
            self._unlock(everything=self._parent is None)

    def commit(self) -> bool:
        """Do as `Staging.commit`, and give back the locks."""
        try:
            return super().commit()
        finally:
            self._unlock()

    def rollback(self) -> bool:
        """Do as `Staging.rollback`, and give back the locks."""
        try:
            return super().rollback()
        finally:
            self._unlock()

    # -- entering ------------------------------------------------------------------------------------------------

    def _join(self) -> Lease | None:
        """Become part of what is around; return the lock that has to be taken first."""
        if self._token is not None or self.state is not TransactionState.PENDING:
            raise RuntimeError(f"the transaction {self.key!r} was entered before; call transaction() again")
        parent = self._parent = TRANSACTION.get()
        self._run = self._run or CURRENT.get()
        if self.commit_mode is None:
            self.commit_mode = CommitMode.LAZY if parent is None else parent.commit_mode
        if self.isolation_level is None:
            self.isolation_level = IsolationLevel.READ_COMMITTED if parent is None else parent.isolation_level
        if not self._excludes or _is_held(parent, self.key):
            return None
        # Only what is serialized has locks.
        from jupyter_wf.engine.limits import Lease

        run_id = None if self._run is None else self._run.id
        return Lease(self._host(), [_LOCK_PREFIX + self.key], 1, run_id, unlisted=1)

    @property
    def _excludes(self) -> bool:
        """Whether others with the same key have to wait."""
        return self.isolation_level is IsolationLevel.SERIALIZABLE

    def _open(self, lease: Lease | None) -> None:
        self._lease = lease
        try:
            self.state = self._first_state()
            self._token = TRANSACTION.set(self)
        except BaseException:
            self._unlock(everything=True)
            raise

    def _first_state(self) -> TransactionState:
        return TransactionState.ACTIVE

    # -- leaving -------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        token, self._token = self._token, None
        if token is None:
            raise RuntimeError(f"the transaction {self.key!r} is not entered")
        TRANSACTION.reset(token)

    def _failed(self, error: BaseException | None) -> bool:
        """Return whether what was done inside is to be taken back. To stop early is no failure."""
        return error is not None and not isinstance(error, (StopFlow, SkipRun))

    def _leaving(self, error: BaseException | None) -> Steps:
        """Commit, roll back, or leave that to the transaction around."""
        parent = self._parent
        if self._failed(error):
            yield from self._rolling_back()
            if parent is not None and self.spreads:
                yield from parent._rolling_back()
        elif self.commit_mode is CommitMode.EAGER:
            yield from self._committing()
        if parent is not None:
            fate = parent.add_child(self)
            if fate is TransactionState.COMMITTED:
                yield from self._committing()
            elif fate is TransactionState.ROLLED_BACK:
                yield from self._rolling_back()
        elif self.commit_mode is CommitMode.OFF:
            yield from self._rolling_back()
        else:
            yield from self._committing()
        return True

    # -- locks ---------------------------------------------------------------------------------------------------

    def _unlock(self, *, everything: bool = False) -> None:
        """Give back the locks of what has ended, here and inside; at the end, all of them."""
        leases = self._given_back(everything)
        if leases:
            # Whoever gets the lock next has to find what was written.
            self._host().journal.flush()
        for lease in leases:
            lease.release()

    def _given_back(self, everything: bool) -> list[Lease]:
        leases = []
        if self._lease is not None and (everything or self.state in ENDED):
            leases.append(self._lease)
            self._lease = None
        for child in list(self.children):
            if isinstance(child, BaseTransaction):
                leases += child._given_back(everything)
        return leases

    def _holds(self, key: str) -> bool:
        if self._lease is not None and self.key == key:
            return True
        return any(isinstance(child, BaseTransaction) and child._holds(key) for child in list(self.children))


def _is_held(around: Staging | None, key: str) -> bool:
    """Return whether the lock on a key is held by a transaction around the calling code, or waits for one of them."""
    while around is not None:
        if isinstance(around, BaseTransaction) and around._holds(key):
            return True
        around = around.get_parent()
    return False


class RunTransaction(BaseTransaction):
    """The transaction of one run of a task: its hooks are staged when it has completed.

    Where it failed, what is around stays as it is: the failure may be handled there.
    """

    spreads = False

    def __init__(self, live: LiveRun, key: str | None, serial: bool, ran: bool) -> None:
        super().__init__(key, isolation_level=IsolationLevel.SERIALIZABLE if serial else None)
        self._run = live
        # Where only the transaction around is serialized, that one's key is locked.
        self._serial = serial
        self._ran = ran

    @property
    def _excludes(self) -> bool:
        return self._serial

    @property
    def _writes_at_once(self) -> bool:
        return False

    def complete(self, live: LiveRun, effect: Enter, value: Any, kept: Kept | None) -> None:
        """Have a run enter COMPLETED. Hooks are for what was done: a restored or skipped run has none."""
        if live is self._run:
            self._ran = effect.name not in ("Cached", "Skipped")
        super().complete(live, effect, value, kept)

    def _failed(self, error: BaseException | None) -> bool:
        assert self._run is not None
        return error is not None or not self._run.state.is_completed()

    def _leaving(self, error: BaseException | None) -> Steps:
        assert self._run is not None
        hooks = self._run.callee.transactional
        if hooks is not None and self._ran and not self._failed(error):
            self.stage(None, hooks.lists.get("on_rollback", ()), hooks.lists.get("on_commit", ()))
        return (yield from super()._leaving(error))
