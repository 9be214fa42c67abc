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
    steps = [*migrations._STEPS, ("0002_more", step)]
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
    add_step(monkeypatch, lambda db: db["runs"].add_column("extra", str))
    store = open_store(old)
    store.close()
    assert version(old.database) == before + 1
    connection = sqlite.connect(old.database)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    applied = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")]
    connection.close()
    assert "extra" in columns
    assert applied == ["0002_more"]


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
