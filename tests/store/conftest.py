"""An open SQLite store and its database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import SqliteStore, open_store
from tests.contracts.stores import Maker


@pytest.fixture
def settings(wf_home: Path) -> Settings:
    """Settings with a folder that is not there yet."""
    return Settings(home=wf_home)


@pytest.fixture
def opened(settings: Settings) -> Iterator[Callable[[], SqliteStore]]:
    """Open another store on the same file, closed at the end."""
    stores: list[SqliteStore] = []

    def open_another() -> SqliteStore:
        stores.append(open_store(settings))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], SqliteStore]) -> SqliteStore:
    """An empty store."""
    return opened()


@pytest.fixture
def maker(store: SqliteStore) -> Maker:
    """Makes runs in ``store``."""
    return Maker(store)
