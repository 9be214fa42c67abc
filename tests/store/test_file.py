"""The state file: damaged, foreign, too new, replaced, removed, or with its log taken away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.core.errors import DatabaseDamaged, DatabaseTooNew, StoreError
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import SqliteStore, migrations, open_store
from tests.contracts.processes import child
from tests.contracts.stores import Maker
from tests.waiting import until


@pytest.fixture
def filled(settings: Settings) -> Path:
    """A closed file of some size."""
    store = open_store(settings)
    maker = Maker(store)
    for _ in range(500):
        maker.run("COMPLETED")
    store.close()
    assert sorted(path.name for path in settings.home.iterdir()) == ["state.db", "state.db.wlock"]
    return settings.database


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _overwrite(start: int, length: int) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\xa5" * length)

    return act


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"this is not a database, it is a letter" * 100),
        _truncate,
        _overwrite(0, 100),
        _overwrite(100, 3_000),
        _overwrite(4_096, 200_000),
    ],
    ids=["empty", "text", "truncated", "header", "schema", "pages"],
)
def test_a_damaged_file_is_noticed_and_not_touched(
    filled: Path, settings: Settings, harm: Callable[[Path], object]
) -> None:
    harm(filled)
    before = filled.read_bytes()
    with pytest.raises(DatabaseDamaged, match=r"state\.db"):
        store = open_store(settings)
        try:
            cursor = None
            while True:
                page = store.list_runs(limit=1_000, cursor=cursor)
                cursor = page.next_cursor
        finally:
            store.close()
    assert filled.read_bytes() == before


def test_a_missing_file_is_not_made_anew_beside_its_log(filled: Path, settings: Settings) -> None:
    filled.with_name("state.db-wal").write_bytes(b"x" * 5_000)
    filled.unlink()
    with pytest.raises(DatabaseDamaged, match="its log"):
        open_store(settings)
    assert not filled.exists()


def test_another_programs_database_is_refused(settings: Settings) -> None:
    settings.home.mkdir(mode=0o700)
    connection = sqlite3.connect(settings.database)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    before = settings.database.read_bytes()
    with pytest.raises(DatabaseDamaged, match="not a state file of jupyter_wf"):
        open_store(settings)
    assert settings.database.read_bytes() == before


def test_a_newer_file_is_refused(filled: Path, settings: Settings) -> None:
    connection = sqlite3.connect(filled)
    connection.execute(f"PRAGMA user_version={migrations.SCHEMA_VERSION + 1}")
    connection.close()
    before = filled.read_bytes()
    with pytest.raises(DatabaseTooNew) as caught:
        open_store(settings)
    assert (caught.value.found, caught.value.known) == (migrations.SCHEMA_VERSION + 1, migrations.SCHEMA_VERSION)
    assert filled.read_bytes() == before


def test_a_file_that_becomes_newer_is_not_written_any_more(
    store: SqliteStore, maker: Maker, settings: Settings
) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    # As the newer release does it, in a process of its own.
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=20).execute('PRAGMA user_version=99')"
    subprocess.run([sys.executable, "-c", code, str(settings.database)], check=True, timeout=60)
    maker.state(run_id, "COMPLETED")
    with pytest.raises(DatabaseTooNew):
        maker.journal.flush(10)
    with pytest.raises(DatabaseTooNew):
        maker.run()


def test_many_open_a_new_file_at_once(settings: Settings) -> None:
    start = threading.Barrier(6)
    ids: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        start.wait(10)
        try:
            store = open_store(settings)
            ids.append(Maker(store).run("RUNNING"))
            store.close()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    store = open_store(settings)
    assert {run.id for run in store.list_runs().items} == set(ids) and len(ids) == 6
    store.close()
    assert sorted(path.name for path in settings.home.iterdir() if path.suffix not in (".db-wal", ".db-shm")) == [
        "state.db",
        "state.db.wlock",
    ]


@pytest.mark.parametrize("with_new", [False, True], ids=["removed", "replaced"])
def test_a_file_that_goes_away_is_not_written(
    store: SqliteStore, maker: Maker, settings: Settings, tmp_path: Path, with_new: bool
) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    for path in list(settings.home.iterdir()):
        path.rename(tmp_path / path.name)
    if with_new:
        other = open_store(settings)
        others = Maker(other).run("RUNNING")
    maker.state(run_id, "COMPLETED")
    with pytest.raises(StoreError, match="removed or replaced"):
        maker.journal.flush(10)
    for ask in (lambda: store.get_run(run_id), store.list_runs, lambda: maker.run(), lambda: store.reap(1.0)):
        with pytest.raises(StoreError, match="removed or replaced"):
            ask()
    if with_new:
        assert [run.id for run in other.list_runs().items] == [others]
        other.close()
    else:
        assert not settings.database.exists()


def test_a_log_that_was_tidied_away_is_noticed(
    store: SqliteStore, maker: Maker, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Code that opens and closes the file drops our locks on it; an older SQLite that leaves then takes the log along.

    What it does is done here by hand: newer ones look twice.
    """
    run_id = maker.run("RUNNING")
    assert store.get_run(run_id).state.type == "RUNNING"
    version = store.data_version()
    code = (
        "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(settings.database)], capture_output=True, timeout=60)
    assert done.stdout.startswith(b"(0,")
    for suffix in ("-wal", "-shm"):
        settings.database.with_name(f"state.db{suffix}").unlink()
    with child("sqlite", settings.home) as other:
        others = other.ask("begin", 3)
        maker.state(run_id, "COMPLETED")
        maker.journal.flush(10)
        assert "was removed or replaced; opening it again" in caplog.text
        assert {run.id for run in store.list_runs().items} == {run_id, *others}
        assert store.data_version() != version
        assert other.ask("write", run_id, 10) == 10
        assert len(store.logs(run_id)) == 10
    assert store.get_run(run_id).state.type == "COMPLETED"
    store.close()
    connection = sqlite3.connect(settings.database)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*) FROM runs WHERE state_type = 'COMPLETED'").fetchone() == (1,)
    connection.close()


def test_connections_of_ended_threads_are_closed(store: SqliteStore, maker: Maker, settings: Settings) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)

    def open_files() -> int:
        return sum(1 for fd in Path("/proc/self/fd").iterdir() if _target(fd) == str(settings.database.resolve()))

    def read() -> None:
        store.get_run(run_id)

    store.get_run(run_id)
    before = open_files()
    for _ in range(20):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join(10)
    until(lambda: open_files() <= before + 1, "closed files")


def _target(fd: Path) -> str:
    try:
        return str(fd.readlink())
    except OSError:
        return ""
