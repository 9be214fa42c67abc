"""Files of older releases are brought up to date, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.events import ArtifactWritten, Kept, ResultStored, StateChanged
from jupyter_wf.core.models import StoredResult
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import migrations, open_store
from jupyter_wf.store.sqlite.driver import sqlite

LINE = '{"level": 20, "logger": "x", "message": "hello"}'


def version(path: Path) -> int:
    connection = sqlite.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def add_step(monkeypatch: pytest.MonkeyPatch, step: Any) -> None:
    steps = [*migrations._STEPS, ("9999_more", step)]
    monkeypatch.setattr(migrations, "_STEPS", steps)
    monkeypatch.setattr("jupyter_wf.store.sqlite.database.SCHEMA_VERSION", len(steps))


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    """A file of the release before."""
    settings = Settings(home=tmp_path / "old")
    open_store(settings).close()
    return settings


def test_an_older_file_gets_the_steps_that_it_lacks(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = version(old.database)
    add_step(monkeypatch, lambda db: db.execute("ALTER TABLE runs ADD COLUMN extra TEXT"))
    for store in [open_store(old), open_store(old)]:
        assert store.list_runs().items == ()
        store.close()
    assert version(old.database) == before + 1
    connection = sqlite.connect(old.database)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    applied = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")]
    connection.close()
    assert "extra" in columns
    assert applied == [name for name, _ in migrations._STEPS] and applied[-1] == "9999_more"


def test_a_step_that_fails_leaves_the_file_as_it_was(old: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = version(old.database)

    def breaks(db: Any) -> None:
        db.execute("CREATE TABLE half (x)")
        raise RuntimeError("power cut")

    add_step(monkeypatch, breaks)
    with pytest.raises(RuntimeError, match="power cut"):
        open_store(old)
    assert version(old.database) == before
    connection = sqlite.connect(old.database)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name='half'").fetchone() == (0,)
    connection.close()


def test_a_new_file_is_what_the_migrations_would_make() -> None:
    made, migrated = sqlite.connect(":memory:", isolation_level=None), sqlite.connect(":memory:", isolation_level=None)
    migrations.create(made)
    migrations.migrate(migrated)
    sql = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
    assert made.execute(sql).fetchall() == migrated.execute(sql).fetchall()
    applied = "SELECT id, migration_set, name FROM _sqlite_migrations"
    assert made.execute(applied).fetchall() == migrated.execute(applied).fetchall()
    # And sqlite_utils finds nothing left to do in it.
    before = made.execute("PRAGMA schema_version").fetchone()
    migrations.migrate(made)
    assert made.execute("PRAGMA schema_version").fetchone() == before
    for connection in (made, migrated):
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations.SCHEMA_VERSION,)
        connection.close()


@pytest.fixture
def first_release(tmp_path: Path) -> Iterator[tuple[Settings, sqlite.Connection]]:
    """A file of the first release, made by its own step, and a connection to it."""
    settings = Settings(home=tmp_path / "first")
    settings.home.mkdir(mode=0o700)
    connection = sqlite.connect(settings.database, isolation_level=None)
    settings.database.chmod(0o600)
    connection.execute("PRAGMA journal_mode=WAL")
    for statement in migrations._NOTES:
        connection.execute(statement)
    name, step = migrations._STEPS[0]
    step(connection)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('jupyter_wf', ?, datetime())", (name,)
    )
    connection.execute(f"PRAGMA application_id={migrations.APPLICATION_ID}")
    connection.execute("PRAGMA user_version=1")
    yield settings, connection
    connection.close()


def test_a_file_of_the_first_release(first_release: tuple[Settings, sqlite.Connection]) -> None:
    settings, connection = first_release
    process = this_process("python")
    columns = "n, id, kind, name, task_name, parent_id, root_id, attempt, max_attempts, state_type, state_name, "
    columns += "state_at, parameters, tags, upstream, source, created_at, started_at, ended_at, process_id"
    json, owner = ("{}", '["t"]', "[]", "{}"), process.id
    for row in (
        (1, "f", "flow", "flow", None, None, "f", 1, 1, "FAILED", "Failed", 3.0, *json, 1.0, 1.0, 3.0, owner),
        (2, "t", "task", "task", "load", "f", "f", 1, 1, "COMPLETED", "Completed", 2.0, *json, 1.5, 1.5, 2.0, owner),
    ):
        connection.execute(f"INSERT INTO runs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
    connection.execute("INSERT INTO events (at, run, kind, payload, root) VALUES (3.0, 1, 'log', ?, 1)", (LINE,))
    connection.execute("INSERT INTO results VALUES ('k', 't', NULL, 'json', x'31')")
    connection.execute("INSERT INTO requests (run_id, kind, created_at) VALUES ('t', 'cancel', 1.0)")
    connection.close()

    store = open_store(settings)
    try:
        assert version(settings.database) == migrations.SCHEMA_VERSION
        assert (store.get_run("f").state.name, store.get_run("f").tags) == ("Failed", ("t",))
        assert [line.message for line in store.logs("f")] == ["hello"]
        (left,) = store.earlier("f")
        assert (left.id, left.call_number, left.code, left.inputs, left.format, left.data) == ("t", *[None] * 5)
        assert store.run_result("t") is None
        assert store.find_result("k", 1e12) == StoredResult(run_id="t", format="json", data=b"1")
        assert store.last_result("load") is None
        assert [(each.run_id, each.payload) for each in store.requests()] == [("t", None)]
        assert store.artifacts.latest() == store.variables.list() == store.inputs.list("f") == store.limits.list() == []
        # And the new code goes on in it.
        store.register(process)
        assert store.take_over("f", process.id).attempt == 2
        journal = store.journal()
        journal.append(StateChanged("f", 4.0, 2, "RUNNING", "Running"))
        journal.append(StateChanged("f", 5.0, 2, "COMPLETED", "Completed", kept=Kept("json", b"2")))
        journal.append(ResultStored("t", 6.0, "k", None, "json", b"3", "load"))
        journal.append(ArtifactWritten("f", 7.0, "a", None, "markdown", None, '"x"'))
        kept, newest, artifact = store.run_result("f"), store.last_result("load"), store.artifacts.get("a")
        assert kept is not None and kept.data == b"2"
        assert newest is not None and newest.data == b"3" and newest == store.find_result("k", 7.0)
        assert artifact is not None and artifact.run_id == "f"
    finally:
        store.close()
