"""All or nothing: hooks and results of the tasks in ``with transaction(): ...`` wait until all of it is good.

    @task
    def write_file(path: str) -> None: ...

    @write_file.on_rollback
    def remove_file(txn: Transaction) -> None:
        Path(txn.get("path")).unlink()

    @flow
    def publish(path: str) -> None:
        with transaction() as txn:
            txn.set("path", path)
            write_file(path)
            check_quality(path)

An exception that leaves the block calls the ``on_rollback`` hooks of the tasks that completed inside, the last one
first, and goes on outwards; otherwise the ``on_commit`` hooks are called at the end. What those tasks left (results
under cache keys, what later attempts of the flow restore) is stored at the commit only: after a rollback, or a crash
inside the block, the next attempt calls them again. In async code it is ``async with transaction()``. Names and
meanings are Prefect 3's.
"""

from __future__ import annotations

import time
from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.models import StoredResult
from jupyter_wf.engine.context import TRANSACTION
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.recording import RECORDING
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.engine.staging import CommitMode, IsolationLevel, Staging, TransactionState
from jupyter_wf.engine.transaction import BaseTransaction
from jupyter_wf.results import ResultRecord, record_of
from jupyter_wf.store.blobs import Payload

__all__ = [
    "BaseTransaction",
    "CommitMode",
    "IsolationLevel",
    "Transaction",
    "TransactionState",
    "atransaction",
    "get_transaction",
    "transaction",
]


_LONGEST_KEY = 900


class Transaction(BaseTransaction):
    """A transaction of its own, for ``with`` and ``async with``. See `transaction` for what it is given."""

    def __init__(
        self,
        key: str | None = None,
        *,
        commit_mode: CommitMode | str | None = None,
        isolation_level: IsolationLevel | str | None = None,
        overwrite: bool = False,
        write_on_commit: bool = True,
        logger: Any = None,
    ) -> None:
        given: object = key
        if given is not None and not (isinstance(given, str) and 0 < len(given) <= _LONGEST_KEY):
            raise ParameterError("key", f"{key!r:.80} is not a text of 1 to {_LONGEST_KEY} characters")
        super().__init__(key, commit_mode=commit_mode, isolation_level=isolation_level, logger=logger)
        self.overwrite = overwrite
        self.write_on_commit = write_on_commit
        self._keyed = key is not None
        self._value: Any = None
        self._record: StoredResult | None = None
        self._prepared: Payload | None = None

    def stage(self, value: Any = None, on_rollback_hooks: Any = (), on_commit_hooks: Any = ()) -> None:
        """Take the value that is stored under the key at the commit, and hooks, called with this transaction."""
        super().stage(value, on_rollback_hooks, on_commit_hooks)
        if self.is_staged():
            self._value = value

    def read(self) -> ResultRecord | None:
        """Return the record that was committed under the key, None where there is none.

        Raises `MissingResult` where its value can't be read any more.
        """
        if self._keyed and self._record is None and not self.is_pending():
            self._record = self._host().store.find_result(self.key, time.time())
        return None if self._record is None else record_of(self._host(), self.key, self._record)

    def _host(self) -> Host:
        return self._run.runtime if self._run is not None else current_runtime()

    @property
    def _excludes(self) -> bool:
        return self._stores and super()._excludes

    @property
    def _stores(self) -> bool:
        # A flow that is drawn leaves nothing.
        return self._keyed and RECORDING.get() is None

    def _first_state(self) -> TransactionState:
        if self._stores and not self.overwrite:
            self._record = self._host().store.find_result(self.key, time.time())
        return TransactionState.ACTIVE if self._record is None else TransactionState.COMMITTED

    def _prepare_to_write(self) -> None:
        if self._stores and self.write_on_commit:
            self._prepared = self._host().blobs.keep(self._value)

    def _write(self) -> list[Staging]:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            run_id = self._run.id if self._run is not None else ""
            self._entries.append((self._host(), ResultStored(run_id, time.time(), self.key, None, *prepared)))
        late = super()._write()
        if self._run is None and self._parent is None:
            # Outside any run nobody else waits for it to be stored.
            self._host().journal.flush()
        return late


def transaction(
    key: str | None = None,
    *,
    commit_mode: CommitMode | str | None = None,
    isolation_level: IsolationLevel | str | None = None,
    overwrite: bool = False,
    write_on_commit: bool = True,
    logger: Any = None,
) -> Transaction:
    """Return a new transaction, to be entered by ``with`` or ``async with``.

    - ``key``: names what is done. The commit stores the staged value under it, and from then on ``is_committed()`` is
      true on entry and ``read()`` returns the record, so that the work can be left out. ``overwrite`` does not look
      for a record, ``write_on_commit=False`` stores none
    - ``commit_mode``: LAZY commits with the transaction around, at the top at the end of the block; EAGER commits at
      the end of the block; OFF leaves the block uncommitted: it is rolled back unless ``commit()`` was called, or what
      is around commits. None: as what is around, at the top LAZY
    - ``isolation_level``: SERIALIZABLE lets one transaction with this key go on at a time, of all processes on the
      state file; the lock is given back at the end, or when its holder dies. None: as what is around, at the top
      READ_COMMITTED
    - ``logger``: where hooks and failures are told; by default the log of the run

    A commit hook that raises, or a value that can't be stored, is logged, and the transaction is rolled back: look at
    ``is_rolled_back()``. Raises `ParameterError` for a key, mode or level that makes no sense.
    """
    return Transaction(
        key,
        commit_mode=commit_mode,
        isolation_level=isolation_level,
        overwrite=overwrite,
        write_on_commit=write_on_commit,
        logger=logger,
    )


#: The same: one class is for ``with`` and for ``async with``.
atransaction = transaction


def get_transaction() -> Staging | None:
    """Return the transaction that the calling code is in, None outside any. A task with hooks is in one of its own."""
    return TRANSACTION.get()
