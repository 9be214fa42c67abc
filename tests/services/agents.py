"""Agents in processes of their own, and runs that wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from jupyter_wf.core.deployments import Policies, QueuedRun
from jupyter_wf.core.failpoints import FAILPOINT_VARIABLE
from jupyter_wf.core.models import Run
from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.services.agent_main import LEASE_VARIABLE
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store
from tests.notebook.making import is_running
from tests.waiting import until

__all__ = ["AgentProcess", "Yard", "agent_process"]

ROOT = Path(__file__).resolve().parents[2]
#: Every process that an agent of a test starts has this variable, with the home as its value.
MARK = "JUPYTER_WF_TEST_YARD"

FLOWS = """
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from jupyter_wf import flow, task
from jupyter_wf.engine.runtime import current_runtime


def note(text):
    with open("notes", "a") as file:
        file.write(f"{text}\\n")


@flow
def tell(word="hi"):
    note(word)
    print(f"it says {word}")
    return word.upper()


@flow
async def tell_later(word="hi"):
    note(word)
    return word * 2


@flow
def wait_for(name):
    note(f"begun {name}")
    while not Path(name).exists():
        time.sleep(0.01)
    note(f"ended {name}")


@task
def step(number):
    note(f"step {number}")
    return number


@flow
def fail_once(word="x"):
    step(1)
    if not Path("tried").exists():
        Path("tried").touch()
        raise RuntimeError("the first time")
    return step(2)


@flow
def wait_after_step():
    step(1)
    current_runtime().journal.flush()
    note("waiting")
    while not Path("go").exists():
        time.sleep(0.01)
    return step(2)


@flow
def die_once():
    step(1)
    if not Path("died").exists():
        Path("died").touch()
        current_runtime().journal.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return step(2)


@flow
def fail():
    raise RuntimeError("always")


@flow
def kill_agent():
    note("it kills")
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


@flow
def work(name, seconds=0.1):
    Path(f"at-{name}").touch()
    note(f"beside {len(list(Path().glob('at-*')))}")
    time.sleep(seconds)
    Path(f"at-{name}").unlink()


@flow
def swallow():
    Path("swallowing").touch()
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass


@flow
def leave_behind(wait=False):
    child = subprocess.Popen(["sleep", "600"])
    note(str(child.pid))
    while wait:
        time.sleep(0.01)
"""


class AgentProcess:
    """An agent's process."""

    def __init__(self, home: Path, *options: str, lease: float = 30.0, failpoint: str = "", warm: bool = False) -> None:
        environment = {
            **os.environ,
            HOME_VARIABLE: str(home),
            LEASE_VARIABLE: str(lease),
            FAILPOINT_VARIABLE: failpoint,
            "JUPYTER_WF_WARM": "1" if warm else "0",
            MARK: str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }
        self.log = home.parent / f"agent-{time.monotonic_ns()}.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "jupyter_wf.services.agent_main", *options],
                cwd=home.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def wait(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


@contextmanager
def agent_process(home: Path, *options: str, **more: Any) -> Iterator[AgentProcess]:
    """Have an agent for a while."""
    agent = AgentProcess(home, *options, **more)
    try:
        yield agent
    finally:
        agent.kill()


class Yard:
    """A state file, a folder with flows, and runs in the queue. `clear` leaves no process of its agents."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.settings = Settings(home=home)
        self.home = home
        self.folder = folder
        self.store: Store = open_store(self.settings)
        (folder / "flows.py").write_text(textwrap.dedent(FLOWS))

    def submit(self, target: str, parameters: dict[str, Any] | None = None, **more: Any) -> str:
        """Put a run of a flow of the file, or of a notebook, into the queue."""
        is_notebook = target.endswith(".ipynb")
        policies = more.pop("policies", None) or Policies(concurrency_limit=None)
        queued = QueuedRun(
            run_id="",
            kind="notebook" if is_notebook else "flow",
            target=str(self.folder / target) if is_notebook else f"{self.folder / 'flows.py'}:{target}",
            parameters=parameters or {},
            policies=policies,
            due_at=more.pop("due_at", time.time()),
            **more,
        )
        name = target.removesuffix(".ipynb").replace("_", "-")
        return self.store.queue.submit(queued, flow_name=name, now=time.time(), source={})

    def run(self, run_id: str) -> Run:
        return self.store.get_run(run_id)

    def ended(self, run_id: str, seconds: float = 40) -> Run:
        """Return the run when it has ended for good, and what follows was done."""

        def settled() -> bool:
            queued = self.store.queue.get(run_id)
            return queued is not None and queued.settled

        until(settled, f"the end of {self.run(run_id)}", seconds)
        return self.run(run_id)

    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def noted(self, *lines: str) -> None:
        until(lambda: set(lines) <= set(self.notes()), f"{lines}, there is only {self.notes()}")

    def touch(self, name: str) -> None:
        (self.folder / name).touch()

    def logged(self, run_id: str) -> str:
        return "\n".join(line.message for line in self.store.logs(run_id))

    def story(self, run_id: str) -> list[str]:
        return [str(event.payload["name"]) for event in self.store.states(run_id)]

    def alive(self) -> list[psutil.Process]:
        """Return the processes that this yard's agents have started, agents included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.home) and is_running(process.pid):
                    found.append(process)
            except psutil.Error:
                continue
        return [each for each in found if each.pid != os.getpid()]

    def runners(self, agent: int) -> list[psutil.Process]:
        """Return the processes below an agent's process."""
        try:
            return [each for each in psutil.Process(agent).children() if is_running(each.pid)]
        except psutil.NoSuchProcess:
            return []

    def clear(self) -> None:
        for process in self.alive():
            try:
                process.kill()
            except psutil.Error:
                continue
        self.store.close()
