"""Files of older releases are brought up to date, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import migrations, open_store
from jupyter_wf.store.sqlite.driver import sqlite


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
