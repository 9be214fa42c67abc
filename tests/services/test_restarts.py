"""Services and agents that are killed and started again, while runs go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from jupyter_wf.core.deployments import Policies
from jupyter_wf.core.settings import HOME_VARIABLE, SERVICES_VARIABLE
from jupyter_wf.core.states import StateType
from jupyter_wf.services.agent_main import LEASE_VARIABLE
from jupyter_wf.services.local_agent import LOCAL_AGENT, ensure_agent, find_agent
from tests.notebook.making import is_running, write_notebook
from tests.services.agents import MARK, ROOT, Yard, agent_process
from tests.waiting import until

_WAITS = (
    "from pathlib import Path\nimport time\nPath('begun').touch()\nwhile not Path('go').exists():\n    time.sleep(0.01)"
)


class _Server:
    """``jupyter wf server start --no-http`` as a process."""

    def __init__(self, yard: Yard) -> None:
        environment = {
            **os.environ,
            HOME_VARIABLE: str(yard.home),
            SERVICES_VARIABLE: "",
            LEASE_VARIABLE: "2",
            "JUPYTER_WF_WARM": "0",
            MARK: str(yard.home),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        with (yard.home.parent / f"server-{time.monotonic_ns()}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "jupyter_wf", "server", "start", "--no-http", "--limit", "2"],
                cwd=yard.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@contextmanager
def _server(yard: Yard) -> Iterator[_Server]:
    server = _Server(yard)
    try:
        until(lambda: find_agent(yard.store) is not None or server.process.poll() is not None, "the local agent")
        assert server.process.poll() is None
        yield server
    finally:
        server.kill()


def _begun(yard: Yard, run_id: str, name: str = "begun") -> None:
    until(lambda: (yard.folder / name).exists(), f"the beginning of {yard.run(run_id)}")


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        # A kernel goes with its runner.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _is_agent(process: psutil.Process) -> bool:
    try:
        return "jupyter_wf.services.agent_main" in process.cmdline()
    except psutil.Error:
        return False


def test_a_run_goes_on_when_the_server_is_killed_and_is_cancelled_after_its_restart(yard: Yard) -> None:
    write_notebook(yard.folder / "n.ipynb", _WAITS)
    write_notebook(yard.folder / "m.ipynb", _WAITS.replace("begun", "begun too").replace("'go'", "'never'"))
    policies = Policies(concurrency_limit=None)
    with _server(yard):
        ends, never = yard.submit("n.ipynb", policies=policies), yard.submit("m.ipynb", policies=policies)
        _begun(yard, ends)
        _begun(yard, never, "begun too")
        agent = find_agent(yard.store)
    assert yard.run(ends).state.type is StateType.RUNNING
    with _server(yard):
        assert find_agent(yard.store) == agent
        assert yard.run(ends).state.type is StateType.RUNNING
        yard.touch("go")
        assert yard.ended(ends).state.name == "Completed"
        yard.store.request(never, "cancel")
        assert yard.ended(never).state.name == "Cancelled"
        assert [yard.run(each).attempt for each in (ends, never)] == [1, 1]


def test_when_all_is_killed_runs_are_crashed_or_resumed(yard: Yard) -> None:
    policies = Policies(concurrency_limit=None)
    with _server(yard):
        resumed = yard.submit("wait_after_step", policies=Policies(concurrency_limit=None, on_crash="resume"))
        crashed = yard.submit("wait_for", {"name": "never"}, policies=policies)
        waits = yard.submit("tell", {"word": "later"}, policies=policies, due_at=time.time() + 3600)
        yard.noted("waiting", "begun never")
        killed = yard.alive()
        _kill(killed)
        until(lambda: not yard.alive())
    yard.touch("go")
    with _server(yard):
        run = yard.ended(resumed)
        assert (run.state.name, run.attempt) == ("Completed", 2)
        assert yard.notes().count("step 1") == 1
        run = yard.ended(crashed)
        assert (run.state.name, run.attempt) == ("Crashed", 1)
        assert yard.run(waits).state.type is StateType.SCHEDULED


def test_what_dead_runners_have_left_running_is_ended_after_the_restart(yard: Yard) -> None:
    cell = "import subprocess\nprint(subprocess.Popen(['sleep', '600']).pid, file=open('pid', 'w'), flush=True)\n"
    write_notebook(yard.folder / "n.ipynb", cell + _WAITS)
    policies = Policies(concurrency_limit=None)
    with _server(yard):
        notebook = yard.submit("n.ipynb", policies=policies)
        flow = yard.submit("leave_behind", {"wait": True}, policies=policies)
        _begun(yard, notebook)
        until(lambda: yard.notes())
        left = [int((yard.folder / "pid").read_text()), int(yard.notes()[0])]
        killed = [process for process in yard.alive() if process.pid not in left]
        _kill(killed)
        assert all(map(is_running, left))
    with _server(yard):
        assert [yard.ended(each).state.name for each in (notebook, flow)] == ["Crashed", "Crashed"]
        until(lambda: not any(map(is_running, left)))


def test_several_hosts_have_one_local_agent(yard: Yard) -> None:
    servers = [_Server(yard) for _ in range(3)]
    try:
        until(lambda: find_agent(yard.store) is not None)
        agent = find_agent(yard.store)

        def local_agents() -> list[int]:
            return [each.pid for each in yard.alive() if _is_agent(each)]

        # Who came too late has gone again.
        until(lambda: local_agents() == [agent])
        assert agent is not None
        os.kill(agent, signal.SIGKILL)
        until(lambda: find_agent(yard.store) not in (None, agent), "another agent")
        until(lambda: local_agents() == [find_agent(yard.store)])
    finally:
        for server in servers:
            server.kill()


def test_a_local_agent_ends_when_no_host_needs_it_any_more(yard: Yard) -> None:
    run_id = yard.submit("wait_for", {"name": "go"})
    with agent_process(yard.home, "--local", "--idle", "0.5") as agent:
        yard.noted("begun go")
        assert find_agent(yard.store) == agent.pid
        with agent_process(yard.home, "--local", "--idle", "0.5") as second:
            assert second.wait() == 0
        yard.touch("go")
        assert agent.wait() == 0
    assert yard.run(run_id).state.name == "Completed"
    assert find_agent(yard.store) is None


def test_an_agent_ends_when_its_state_folder_is_gone(yard: Yard) -> None:
    with agent_process(yard.home) as agent:
        until(lambda: any(each.alive for each in yard.store.agents.list(time.time())))
        yard.store.close()
        shutil.rmtree(yard.home)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0


def test_an_agent_that_is_there_is_found_and_one_that_is_not_is_started(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(yard.home))
    monkeypatch.setenv("JUPYTER_WF_WARM", "0")
    monkeypatch.setenv("SOME_TOKEN", "canary")
    pid = ensure_agent(yard.store, yard.settings, idle=60.0, limit=3)
    assert ensure_agent(yard.store, yard.settings) == pid == find_agent(yard.store)
    (found,) = [each for each in yard.store.agents.list(time.time()) if each.alive]
    assert (found.name, found.limit, found.pools) == (LOCAL_AGENT, 3, ("default",))
    process = psutil.Process(pid)
    assert os.getsid(pid) == pid and "SOME_TOKEN" not in process.environ()
    mapped = {Path(each.path).name for each in process.memory_maps()}
    assert not any("_zmq" in name or "zmq" in name for name in mapped), "the agent itself speaks to no kernel"
    process.terminate()
    until(lambda: not is_running(pid))
    status = subprocess.run(
        [sys.executable, "-m", "jupyter_wf", "server", "status", "--json"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert status.returncode == 1
    assert json.loads(status.stdout)["local_agent"] is None
