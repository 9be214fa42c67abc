"""Real Jupyter servers with services: killed, restarted, ended under load, and several of them on one file."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from jupyter_wf.core.settings import Settings
from jupyter_wf.services.local_agent import find_agent
from tests.notebook.making import write_notebook
from tests.services.agents import Yard
from tests.services.scheduling import Table
from tests.services.servers import JupyterProcess, ServiceProcess, jupyter_process, service_process
from tests.services.test_scheduler_hosts import check, counted, past
from tests.waiting import until

_WAIT = "import time\nfrom pathlib import Path\nwhile not Path('{}').exists():\n    time.sleep(0.01)"


@pytest.fixture
def table(wf_home: Path) -> Iterator[Table]:
    made = Table(Settings(home=wf_home), "2026-06-01 05:30")
    made.clock.now = time.time()
    yield made
    made.store.close()


def _cells(server: JupyterProcess, run_id: str) -> list[str]:
    """The states of a notebook's cells, as the server tells them."""
    told = server.ask("GET", f"runs/{run_id}/children")
    return sorted(str(cell["state"]["type"]) for cell in told["items"])


def test_a_run_is_watched_and_cancelled_over_rest_after_its_server_was_killed(yard: Yard) -> None:
    write_notebook(yard.folder / "n.ipynb", "open('begun', 'w').close()", _WAIT.format("go"), _WAIT.format("never"))
    with jupyter_process(yard.home, yard.folder) as server:
        agent = until(lambda: find_agent(yard.store), "the local agent")
        run_id = server.ask("POST", "runs", {"notebook": "n.ipynb"})["id"]
        assert yard.run(run_id).source["queued"] is True
        until(lambda: (yard.folder / "begun").exists())
        server.kill()
    with jupyter_process(yard.home, yard.folder) as server:
        assert find_agent(yard.store) == agent
        until(lambda: _cells(server, run_id) == ["COMPLETED", "RUNNING"])
        yard.touch("go")
        until(lambda: _cells(server, run_id) == ["COMPLETED", "COMPLETED", "RUNNING"])
        run = server.ask("GET", f"runs/{run_id}")
        assert (run["state"]["type"], run["attempt"]) == ("RUNNING", 1)
        server.ask("POST", f"runs/{run_id}/cancel")
        until(lambda: server.ask("GET", f"runs/{run_id}")["state"]["name"] == "Cancelled")
        assert yard.ended(run_id).attempt == 1
        until(lambda: not yard.runners(agent))


def test_two_jupyter_servers_and_a_service_on_one_file_make_500_runs(table: Table, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        kinds = (JupyterProcess, JupyterProcess, ServiceProcess)
        servers = [kind(table.settings.home, tmp_path) for kind in kinds]
        for server in servers:
            stack.callback(server.kill)
        # Nobody executes them.
        deployments = [past(table, f"d{index}", 10, pool="nobody") for index in range(50)]
        for server in servers[:2]:
            server.wait()
        agent = until(lambda: find_agent(table.store), "the local agent")
        until(lambda: counted(table, 500))
        assert [server.end() for server in servers] == [0, 0, 0]
        psutil.Process(agent).send_signal(signal.SIGTERM)
        until(lambda: find_agent(table.store) is None)
    check(table, deployments, 10)


def _held_by(yard: Yard, server: ServiceProcess) -> bool:
    """Return whether a server hosts the services."""
    assert server.process.poll() is None, server.log.read_text()
    return "runs are executed by the agent" in server.log.read_text()


def test_servers_that_are_ended_again_and_again_under_load_change_nothing(yard: Yard) -> None:
    names = [f"go{index}" for index in range(2)]
    long = [yard.submit("wait_for", {"name": name}) for name in names]
    short = [yard.submit("tell", {"word": f"w{index}"}) for index in range(6)]
    agents = set()
    for number in range(10):
        with service_process(yard.home, yard.folder) as server:
            until(partial(_held_by, yard, server))
            agents.add(find_agent(yard.store))
            assert server.end() == 0, server.log.read_text()
        if number == 8:
            for name in names:
                yard.touch(name)
    assert len(agents) == 1 and None not in agents
    runs = [yard.ended(each) for each in (*long, *short)]
    assert [(run.state.name, run.attempt) for run in runs] == [("Completed", 1)] * 8
    told = [f"{when} {name}" for name in names for when in ("begun", "ended")]
    assert sorted(yard.notes()) == sorted([*told, *(f"w{index}" for index in range(6))])
    for agent in agents:
        psutil.Process(agent).terminate()
    until(lambda: not yard.alive(), "the end of all processes")
