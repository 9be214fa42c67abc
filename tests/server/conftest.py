"""The fixtures of the server's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.harness import Seed, Server, running_server, seeding


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A second server, for tests that must know every run there is."""
    with running_server(tmp_path_factory.mktemp("own")) as found:
        yield found


@pytest.fixture(scope="module")
def seed(server: Server) -> Iterator[Seed]:
    with seeding(server.settings) as found:
        yield found


@pytest.fixture(scope="module")
def own_seed(own_server: Server) -> Iterator[Seed]:
    with seeding(own_server.settings) as found:
        yield found
