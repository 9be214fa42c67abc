"""How the journal of SQLite writes: full disks, stuck holders, interrupts, limits, and batches that are one."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import SqliteStore, database, open_store
from jupyter_wf.store.sqlite.driver import connect, sqlite
from jupyter_wf.store.sqlite.gate import Gate
from tests.contracts.processes import ROOT
from tests.contracts.stores import Maker
from tests.waiting import until


class Disk:
    """A disk whose end can be brought near."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._writers: list[sqlite.Connection] = []
        monkeypatch.setattr(database, "connect", self._connect)

    def _connect(self, path: Path, *, read_only: bool, busy_seconds: float) -> sqlite.Connection:
        connection = connect(path, read_only=read_only, busy_seconds=busy_seconds)
        if not read_only:
            self._writers.append(connection)
        return connection

    def limit(self, pages: int) -> None:
        self._writers[-1].execute(f"PRAGMA max_page_count={pages}")


def test_a_full_disk_is_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch)
    store = open_store(settings)
    maker = Maker(store)
    kept = maker.run("RUNNING")
    maker.journal.flush(10)
    disk.limit(1)
    large = maker.run("RUNNING", parameters='{"x": "' + "y" * 500_000 + '"}')
    with pytest.raises(TimeoutError, match="disk is full"):
        until(lambda: "disk is full" in caplog.text, "a line in the log")
        maker.journal.flush(0.1)
    # Reading goes on, and does not wait for what can't be written.
    assert store.get_run(kept).state.type == "RUNNING"
    assert [run.id for run in store.list_runs().items] == [kept]
    maker.state(kept, "COMPLETED")
    disk.limit(1_000_000)
    maker.journal.flush(30)
    assert store.get_run(large).state.type == "RUNNING"
    assert store.get_run(kept).state.type == "COMPLETED"
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    store.close()


def test_a_disk_that_stays_full_does_not_keep_the_process(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jupyter_wf.store.sqlite.journal._CLOSE_PATIENCE", 0.1)
    disk = Disk(monkeypatch)
    store = open_store(settings)
    maker = Maker(store)
    maker.journal.flush(10)
    disk.limit(1)
    maker.run("RUNNING", parameters='{"x": "' + "y" * 500_000 + '"}')
    store.close()
    assert "3 entries" in caplog.text and "not stored" in caplog.text


@contextmanager
def _held_elsewhere(path: Path) -> Iterator[None]:
    """Hold a lock file as another process does that was stopped in the midst of it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def test_a_stuck_holder_of_the_gate_does_not_stop_others(store: SqliteStore, maker: Maker) -> None:
    maker.journal.flush(10)
    store._database.gate._patience = 0.05
    with _held_elsewhere(store._database.gate._path):
        run_id = maker.run("RUNNING")
        maker.journal.flush(10)
        assert store.get_run(run_id).state.type == "RUNNING"


def test_the_gate_lets_one_in(tmp_path: Path) -> None:
    inside: list[str] = []
    gates = [Gate(tmp_path / "lock", patience=30) for _ in range(2)]
    entered = threading.Event()

    def work() -> None:
        entered.set()
        with gates[1].held() as got:
            inside.append(f"second {got}")

    thread = threading.Thread(target=work)
    with gates[0].held() as got, gates[0].held() as again:
        assert got and again
        thread.start()
        assert entered.wait(10)
        inside.append("first")
    thread.join(10)
    assert inside == ["first", "second True"]
    with _held_elsewhere(tmp_path / "lock"), Gate(tmp_path / "lock", patience=0.01).held() as got:
        assert not got
    for gate in gates:
        gate.close()


def test_every_write_and_the_end_hold_the_gate(
    store: SqliteStore, maker: Maker, opened: Callable[[], SqliteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Gate(store._database.gate._path, patience=0.0)
    got: list[bool] = []

    def look() -> None:
        with other.held() as free:
            got.append(free)

    store.journal().run(lambda connection: look())
    look()
    assert got == [False, True]
    closing = store._database._close_all
    monkeypatch.setattr(store._database, "_close_all", lambda **options: (look(), closing(**options)))
    store.close()
    assert got == [False, True, False]
    other.close()


def test_a_gate_whose_file_was_removed_is_made_anew(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "lock")
    with gate.held():
        pass
    (tmp_path / "lock").unlink()
    with gate.held() as got:
        assert got and (tmp_path / "lock").exists()
        with Gate(tmp_path / "lock", patience=0.01).held() as other:
            assert not other
    gate.close()


def test_a_locked_database_is_waited_for(
    store: SqliteStore, maker: Maker, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who knows nothing of the gate holds SQLite's own lock."""
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    store._database.reset_writer()
    other = connect(settings.database, read_only=False, busy_seconds=1)
    other.execute("BEGIN IMMEDIATE")
    maker.state(run_id, "COMPLETED")
    with pytest.raises(TimeoutError, match="another process has held the write lock"):
        until(lambda: maker.journal._stalled, "the journal's notice")  # type: ignore[attr-defined]
        maker.journal.flush(0.05)
    assert store.get_run(run_id).state.type == "RUNNING"
    other.execute("ROLLBACK")
    other.close()
    maker.journal.flush(30)
    assert store.get_run(run_id).state.type == "COMPLETED"


def test_producers_wait_at_the_limit(settings: Settings) -> None:
    store = open_store(Settings(home=settings.home, journal_limit=100))
    maker = Maker(store)
    journal = store.journal()
    root = maker.run("RUNNING")
    deepest = 0

    def count(seq: int, entries: object) -> None:
        nonlocal deepest
        deepest = max(deepest, len(journal._queue))
        # The journal's own thread must never wait for itself.
        for _ in range(3):
            if heard.is_set():
                break
            maker.log(root, "own")

    heard = threading.Event()
    journal.subscribe(count)
    threads = [threading.Thread(target=lambda: [maker.log(root, "x") for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    heard.set()
    journal.flush(30)
    assert len([line for line in store.logs(root, limit=10_000) if line.message == "x"]) == 2_000
    assert 0 < deepest <= 110
    store.close()


INTERRUPTED = """
import _thread, random, signal, sys, threading, time
from pathlib import Path
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import open_store
from tests.contracts.stores import Maker

store = open_store(Settings(home=Path(sys.argv[1])))
maker = Maker(store)
interrupts = done = 0
inside = False

def interrupt(number, frame):
    # Late ones, between two rounds, are not meant.
    if inside:
        raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
while done < 150:
    try:
        inside = True
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.004))
        run_id = maker.run("RUNNING")
        maker.log(run_id, "a line")
        maker.journal.flush()
        store.request(run_id, "cancel")
        store.list_runs(limit=20)
        store.reap(1.0)
        maker.state(run_id, "COMPLETED")
        maker.journal.flush()
        inside = False
        done += 1
    except KeyboardInterrupt:
        inside = False
        interrupts += 1
        if interrupts > 400:
            signal.setitimer(signal.ITIMER_REAL, 0)
            break
signal.setitimer(signal.ITIMER_REAL, 0)
assert interrupts > 20, interrupts
last = maker.run("RUNNING")
maker.journal.flush(10)
assert store.get_run(last).state.type == "RUNNING"
for handle in list(store._database._handles):
    assert handle.connection is None or not handle.connection.in_transaction
print("whole")
"""


def test_interrupts_leave_no_transaction_open(settings: Settings, opened: Callable[[], SqliteStore]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(settings.home)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "whole\n", done.stderr
    # Nobody is kept out either.
    store = opened()
    run_id = Maker(store).run("COMPLETED")
    assert store.get_run(run_id).state.type == "COMPLETED"


def test_an_append_in_a_signal_handler_does_not_hang(store: SqliteStore, maker: Maker) -> None:
    root = maker.run("RUNNING")
    maker.journal.flush(10)
    before = signal.signal(signal.SIGALRM, lambda number, frame: maker.log(root, "from the handler"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(2_000):
            maker.log(root, "from the program")
            if len(maker.journal._queue) == 0:  # type: ignore[attr-defined]
                maker.journal.flush(10)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    maker.journal.flush(10)
    lines = [line.message for line in store.logs(root, limit=100_000)]
    assert lines.count("from the program") == 2_000


def test_a_flush_cuts_the_gathering_short(settings: Settings) -> None:
    store = open_store(Settings(home=settings.home, journal_interval=3_600.0))
    maker = Maker(store)
    run_id = maker.run("RUNNING")
    maker.journal.flush(30)
    maker.state(run_id, "COMPLETED")
    assert store.get_run(run_id).state.type == "COMPLETED"
    store.close()


def test_a_run_that_begins_and_ends_in_a_batch_is_written_once(store: SqliteStore, maker: Maker) -> None:
    maker.journal.flush(10)
    statements: list[str] = []
    ready = threading.Event()

    def hold(connection: sqlite.Connection) -> None:
        ready.wait(10)
        connection.set_trace_callback(statements.append)

    thread = threading.Thread(target=lambda: store.journal().run(hold))
    thread.start()
    until(lambda: store.journal()._busy, "the journal at work")
    ids = [maker.run("COMPLETED") for _ in range(3)]
    ready.set()
    thread.join(10)
    maker.journal.flush(10)
    written = [each.split(" (")[0] for each in statements if each.split(" ")[0] in ("INSERT", "UPDATE")]
    assert sorted(set(written)) == ["INSERT INTO events", "INSERT INTO runs"]
    assert sum(each.count(ids[0]) for each in statements if each.startswith("INSERT INTO runs")) >= 1
    assert written.count("INSERT INTO runs") == 3 and not any(each.startswith("UPDATE") for each in written)
    assert {run.state.type for run in store.get_runs(ids).values()} == {"COMPLETED"}


def test_a_job_that_fails_changes_nothing(store: SqliteStore, maker: Maker) -> None:
    run_id = maker.run("RUNNING")

    def fail(connection: sqlite.Connection) -> None:
        connection.execute("DELETE FROM runs")
        raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        store.journal().run(fail)
    assert store.get_run(run_id).state.type == "RUNNING"


def test_a_closed_store_says_so(store: SqliteStore) -> None:
    store.close()
    for ask in (store.list_runs, store.last_seq, store.data_version, lambda: store.reap(1.0)):
        with pytest.raises(StoreError, match="closed"):
            ask()


def test_what_is_bound_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    connection = connect(tmp_path / "file", read_only=False, busy_seconds=1.0)
    data = bytes(range(256))
    row = connection.execute("SELECT ?, typeof(?), ?, typeof(?), ?", (None, None, data, data, b"")).fetchone()
    assert row == (None, "null", data, "blob", b"")
    connection.close()
