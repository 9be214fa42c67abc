"""A Jupyter server that hosts the services: it has an agent, and runs what it is asked for through the queue."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_wf.core.settings import SERVICES_VARIABLE, Settings
from jupyter_wf.services.local_agent import find_agent
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store
from tests.notebook.making import is_running, printed, read_cells, write_notebook
from tests.server.harness import Server, running_server
from tests.waiting import until


@pytest.fixture
def hosting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with services; its agent is ended with it."""
    monkeypatch.setenv(SERVICES_VARIABLE, "1")
    monkeypatch.setenv("JUPYTER_WF_WARM", "0")
    with running_server(tmp_path / "server") as server, closing(open_store(server.settings)) as store:
        yield server
        until(lambda: find_agent(store) is not None)
        _end_agent(store)


def _end_agent(store: Store) -> None:
    pid = find_agent(store)
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    until(lambda: not is_running(pid))


def test_notebooks_are_run_by_the_agent_as_they_were_when_it_was_asked_for(hosting: Server) -> None:
    path = write_notebook(hosting.root / "n.ipynb", "print('first')")
    with closing(open_store(hosting.settings)) as store:
        until(lambda: find_agent(store) is not None, "the local agent")
        assert store.services.holder("scheduler") is not None
        answer = hosting.fetch("POST", "runs", body={"notebook": "n.ipynb"})
        write_notebook(path, "print('second')")
        assert answer.status == 201, answer.body
        run_id = answer.json["id"]
        until(lambda: store.get_run(run_id).state.is_final())
        run = store.get_run(run_id)
        assert run.state.name == "Completed"
        assert run.source["queued"] is True and run.source["notebook"] == "n.ipynb"
        assert printed(read_cells(run.source["executed"])[0]) == "first\n"
        assert [each.priority for each in [store.queue.get(run_id)] if each] == [100]
        refused = hosting.fetch("POST", "runs", body={"notebook": "n.ipynb", "parameters": {"no": 1}})
        assert refused.status == 422


def test_without_services_there_is_neither_a_scheduler_nor_an_agent(tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server, closing(open_store(Settings(home=server.home))) as store:
        write_notebook(server.root / "n.ipynb", "1")
        answer = server.fetch("POST", "runs", body={"notebook": "n.ipynb"})
        assert answer.status == 201 and "queued" not in answer.json["source"]
        until(lambda: store.get_run(answer.json["id"]).state.is_final())
        assert store.agents.list(time.time()) == []
        assert store.services.holder("scheduler") is None
