"""Runs of dead processes become CRASHED, soon and only those."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Policies, QueuedRun
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.events import StateChanged
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.reaper import Reaper
from jupyter_wf.store.sqlite import open_store
from tests.server.harness import Seed, Server, seeding
from tests.waiting import until

VICTIM = """
import sys, time
from pathlib import Path
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

store = open_store(Settings(home=Path(sys.argv[1])))
me = this_process("python")
store.register(me)
journal = store.journal()
flow, task = new_id(), new_id()
for run_id, parent, kind in ((flow, None, "flow"), (task, flow, "task")):
    journal.append(RunCreated(run_id, time.time(), kind, "doomed", None, None, parent, flow, me.id))
    journal.append(StateChanged(run_id, time.time(), 1, "PENDING", "Pending"))
    journal.append(StateChanged(run_id, time.time(), 1, "RUNNING", "Running"))
journal.flush(10)
print(flow, task, flush=True)
sys.stdin.read()
"""


class Victim:
    """A process with an open flow and an open task, to be killed."""

    def __init__(self, home: Path) -> None:
        command = [sys.executable, "-c", VICTIM, str(home)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.flow, self.task = self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=10)


def test_a_killed_process_is_seen_as_crashed_and_everybody_is_told(server: Server) -> None:
    victim = Victim(server.home)
    with server.listen() as listener:
        listener.next()
        assert server.get(f"runs/{victim.flow}")["state"]["type"] == "RUNNING"
        victim.kill()
        killed = time.time()
        for run_id in (victim.flow, victim.task):
            listener.until(
                lambda run_id=run_id: listener.runs.get(run_id, {}).get("state", {}).get("type") == "CRASHED"
            )
    crashed = [
        event
        for event in listener.events
        if event["kind"] == "state" and event["payload"]["type"] == "CRASHED" and event["run_id"] == victim.flow
    ]
    assert len(crashed) == 1
    # The state's own time says when it was made CRASHED.
    states = server.backend.open().states(victim.flow)
    assert states[-1].at - killed < 2
    assert server.get(f"runs/{victim.flow}")["progress"]["counts"] == {"CRASHED": 1}
    assert server.get("runs", state="RUNNING", text="doomed")["items"] == []


@pytest.fixture
def settings(wf_home: Path) -> Settings:
    return Settings(home=wf_home)


def test_looks_only_where_something_may_be(settings: Settings) -> None:
    looks: list[int] = []
    with closing(open_store(settings)) as store, seeding(settings) as seed:
        reaper = Reaper(store, on_look=looks.append)
        assert reaper.look() == [] and looks == [0]
        assert reaper.look() == [] and looks == [0], "nothing was committed since"
        run_id = seed.run("RUNNING")
        assert reaper.look() == [] and looks == [0, 1]
        assert reaper.look() == [] and looks == [0, 1, 1], "its process may die at any time"
        assert reaper.open_runs == 1
        seed.state(run_id, "COMPLETED", flush=True)
        assert reaper.look() == [] and looks[-1] == 0
        count = len(looks)
        assert reaper.look() == [] and len(looks) == count


def test_leaves_the_living_and_what_nobody_owns_alone(settings: Settings) -> None:
    with closing(open_store(settings)) as store, seeding(settings) as seed:
        living, nobodys = seed.run("RUNNING"), seed.run("PENDING", owner=None)
        victim = Victim(settings.home)
        victim.kill()
        reaped = Reaper(store).look()
        assert set(reaped) == {victim.flow, victim.task}
        assert store.get_run(living).state.type == "RUNNING"
        assert store.get_run(nobodys).state.type == "PENDING"
        assert Reaper(store).look() == []


def test_a_task_that_was_never_called_is_not_open(settings: Settings) -> None:
    with closing(open_store(settings)) as store, seeding(settings) as seed:
        run_id = seed.run("PENDING")
        seed.store.journal().append(StateChanged(run_id, time.time(), 1, "PENDING", "NotReady"))
        seed.flush()
        reaper = Reaper(store)
        reaper.look()
        assert reaper.open_runs == 0


def test_what_waits_for_an_agent_hides_no_run_that_goes_on(settings: Settings) -> None:
    with closing(open_store(settings)) as store, seeding(settings) as seed:
        run_id = seed.run("RUNNING")
        seed.run("COMPLETED")
        queued = QueuedRun(run_id="", kind="notebook", target="/n.ipynb", parameters={}, policies=Policies())
        for _ in range(1100):
            store.queue.submit(queued, flow_name="n", now=time.time(), source={})
        seed.flush()
        reaper = Reaper(store)
        reaper.look()
        assert (reaper.open_runs, store.open_roots()) == (1, 1)
        assert store.get_run(run_id).state.type == "RUNNING"


class Failing:
    """A store that cannot be read, and can be again later."""

    def __init__(self) -> None:
        self.broken = True
        self.looks = 0

    def data_version(self) -> int:
        self.looks += 1
        if self.broken:
            raise StoreError("the disk is gone")
        return self.looks

    def reap(self, now: float) -> list[str]:
        return ["a-run"]

    def open_roots(self) -> int:
        return 0


def test_the_thread_outlives_a_store_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    store: Any = Failing()
    reaper = Reaper(store, interval=0.001)
    with caplog.at_level(logging.INFO, logger="jupyter_wf"):
        reaper.start()
        until(lambda: store.looks > 5)
        assert sum("the disk is gone" in record.message for record in caplog.records) == 1, "it complains once"
        store.broken = False
        until(lambda: any("a-run is CRASHED" in record.message for record in caplog.records))
        before = {thread for thread in threading.enumerate() if thread.name == "jupyter_wf-reaper"}
        reaper.stop()
        assert len(before - set(threading.enumerate())) == 1
    reaper.stop()


def test_runs_of_a_seed_stay(server: Server, seed: Seed) -> None:
    run_id = seed.run("RUNNING")
    until(lambda: server.backend.open_runs > 0)
    assert server.get(f"runs/{run_id}")["state"]["type"] == "RUNNING"
