"""One open store of each kind for every test of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.store.base import Store
from tests.contracts.stores import FACTORIES, Maker


@pytest.fixture(params=sorted(FACTORIES))
def kind(request: pytest.FixtureRequest) -> str:
    """The name of the kind of store."""
    return str(request.param)


@pytest.fixture
def opened(kind: str, wf_home: Path) -> Iterator[Callable[[], Store]]:
    """Open another store on the same records, closed at the end."""
    stores: list[Store] = []

    def open_another() -> Store:
        stores.append(FACTORIES[kind](Settings(home=wf_home)))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    """An empty store."""
    return opened()


@pytest.fixture
def maker(store: Store) -> Maker:
    """Makes runs in ``store``, owned by the test's own process."""
    return Maker(store)
