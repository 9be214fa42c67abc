"""The fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jupyter_wf.core.settings import SERVICES_VARIABLE
from tests.server.harness import Seed, Server, running_server, seeding


@contextmanager
def _alone() -> Iterator[None]:
    """Have no services start: these servers are made before `wf_home` says so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SERVICES_VARIABLE, "0")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _alone(), running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second server, for tests that must know every run there is."""
    with _alone(), running_server(tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.fixture(scope="module")
def seed(server: Server) -> Iterator[Seed]:
    with seeding(server.settings) as found:
        yield found


@pytest.fixture(scope="module")
def own_seed(own_server: Server) -> Iterator[Seed]:
    with seeding(own_server.settings) as found:
        yield found
