"""``jupyter wf server`` and ``jupyter wf agent``: the services and an agent without JupyterLab."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jupyter_wf.core.deployments import Policies, QueuedRun
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.notebook.making import printed, read_cells, write_notebook
from tests.waiting import until

Wf = Callable[..., tuple[int, str, str]]
_MARK = "JUPYTER_WF_TEST_COMMAND"


@pytest.fixture(autouse=True)
def nothing_left(wf_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the agents that servers have started: they outlive them."""
    monkeypatch.setenv(_MARK, str(wf_home))
    monkeypatch.setenv("JUPYTER_WF_WARM", "0")
    yield
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(_MARK) == str(wf_home):
                process.kill()
        except psutil.Error:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(address: str, token: str = "", body: dict[str, Any] | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data=data, headers={"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def _line(process: subprocess.Popen[str], beginning: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"it ended without a line {beginning!r}")


def test_the_server_serves_the_api_and_no_more_and_runs_what_it_is_asked_for(
    command: CommandLine, runtime: Runtime, wf: Wf
) -> None:
    write_notebook(command.folder / "n.ipynb", "print('here')")
    server = command.start("server", "start", "--port", str(_free_port()), "--limit", "1", stderr=subprocess.DEVNULL)
    found = re.search(r"(http://127\.0\.0\.1:\d+)/jupyter_wf/api/runs\?token=(\w+)", _line(server, "API:"))
    assert found is not None
    where, token = found.groups()
    assert until(lambda: _ask(f"{where}/jupyter_wf/api/runs", token)[0] == 200)
    assert _ask(f"{where}/jupyter_wf/api/runs")[0] == 403
    assert [_ask(f"{where}/api/{each}", token)[0] for each in ("contents", "kernels", "sessions", "terminals")] == [
        *[404] * 4
    ]
    until(lambda: any(each.alive for each in runtime.store.agents.list(time.time())))
    code, out, _ = wf("server", "status", "--json")
    facts = json.loads(out)
    assert (code, facts["scheduler"], facts["agents"]) == (0, True, 1)
    status, made = _ask(f"{where}/jupyter_wf/api/runs", token, {"notebook": "n.ipynb"})
    assert status == 201 and made["source"]["queued"] is True
    until(lambda: runtime.store.get_run(made["id"]).state.is_final())
    run = runtime.store.get_run(made["id"])
    assert run.state.name == "Completed"
    assert printed(read_cells(run.source["executed"])[0]) == "here\n"
    listening = [each.laddr.ip for each in psutil.Process(server.pid).net_connections() if each.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) == 0
    assert wf("server", "status")[0] == 1


def test_the_server_tells_its_own_address_and_no_page_of_jupyters(command: CommandLine) -> None:
    server = command.start("server", "start", "--port", str(_free_port()), stderr=subprocess.STDOUT)
    assert server.stdout is not None
    told = []
    for line in server.stdout:
        told.append(line)
        if line.startswith("Ctrl-C ends it"):
            server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    assert any(line.endswith("stopping\n") for line in told)
    assert not [line for line in told if "browser" in line or "/?token=" in line or "Alone" in line]


def test_without_http_no_port_is_open(command: CommandLine, runtime: Runtime, wf: Wf) -> None:
    server = command.start("server", "start", "--no-http", "--limit", "3", stderr=subprocess.DEVNULL)
    until(lambda: any(each.alive and each.limit == 3 for each in runtime.store.agents.list(time.time())))
    assert not [each for each in psutil.Process(server.pid).net_connections() if each.status == "LISTEN"]
    code, out, _ = wf("server", "status")
    assert code == 0 and "the local one is process" in out
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    assert any(each.alive for each in runtime.store.agents.list(time.time()))


def test_a_port_that_is_taken_is_told_in_one_line(command: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = command("server", "start", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "choose another with --port" in ended.stderr


def test_an_agent_executes_the_runs_of_its_pools_until_it_is_told_to_end(
    command: CommandLine, runtime: Runtime
) -> None:
    (command.folder / "flows.py").write_text("from jupyter_wf import flow\n@flow\ndef one():\n    return 1\n")

    def submit(pool: str) -> str:
        target = f"{command.folder / 'flows.py'}:one"
        queued = QueuedRun(run_id="", kind="flow", target=target, parameters={}, policies=Policies(), pool=pool)
        return runtime.store.queue.submit(queued, flow_name="one", now=time.time(), source={})

    mine, other = submit("mine"), submit("other")
    agent = command.start("agent", "start", "--pool", "mine", "--limit", "1", "--name", "me", "--drain", "5")
    until(lambda: runtime.store.get_run(mine).state.name == "Completed")
    (found,) = runtime.store.agents.list(time.time())
    assert (found.name, found.pools, found.limit) == ("me", ("mine",), 1)
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(20) == 0
    assert runtime.store.get_run(other).state.name in ("Scheduled", "Late")


@pytest.mark.parametrize(
    "arguments",
    [
        ("agent", "start", "--drain", "soon"),
        ("agent", "start", "--limit", "0"),
        ("agent", "start", "--pool", " "),
        ("server", "start", "--port", "70000"),
    ],
    ids=lambda arguments: "-".join(arguments[2:]).strip(),
)
def test_wrong_options_are_told_in_one_line(wf: Wf, arguments: tuple[str, ...]) -> None:
    code, _, err = wf(*arguments)
    assert code == 2 and err.count("\n") == 1, err
