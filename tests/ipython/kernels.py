"""A real kernel to talk to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import KernelManager

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store
from tests.ipython.older import older_ipykernel

PATIENCE = 20.0


@dataclass
class Reply:
    """What one cell gave."""

    status: str
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: What the kernel asks of the front end beside the outputs.
    payload: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [content for type_, content in self.messages if type_ == kind]

    @property
    def stdout(self) -> str:
        return "".join(content["text"] for content in self.of("stream") if content["name"] == "stdout")

    @property
    def value(self) -> str | None:
        results = self.of("execute_result")
        return results[0]["data"]["text/plain"] if results else None

    @property
    def traceback(self) -> str:
        return "\n".join(self.of("error")[0]["traceback"])

    @property
    def views(self) -> list[dict[str, Any]]:
        """Every form that the cell's views took, in order."""
        return [content["data"] for kind, content in self.messages if kind in ("display_data", "update_display_data")]


class Kernel:
    """A kernel with the extension loaded, and the store that it writes to."""

    def __init__(self, manager: KernelManager, store: Store) -> None:
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)
        self.store = store

    def send(self, code: str) -> str:
        message_id: str = self.client.execute(code)
        return message_id

    def collect(self, message_id: str, until: Callable[[str, dict[str, Any]], bool] | None = None) -> Reply:
        """Gather what a cell publishes until it is idle, or until ``until`` is true of a message."""
        reply = Reply("open")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                said = [(kind, str(content)[:200]) for kind, content in reply.messages]
                raise AssertionError(f"the kernel went silent after {said}; it is at\n{self._stacks()}") from None
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            reply.messages.append((kind, content))
            idle = kind == "status" and content["execution_state"] == "idle"
            if until(kind, content) if until else idle:
                break
        if until is None:
            shell = self.client.get_shell_msg(timeout=PATIENCE)
            while shell["parent_header"].get("msg_id") != message_id:
                shell = self.client.get_shell_msg(timeout=PATIENCE)
            reply.status = shell["content"]["status"]
            reply.payload = shell["content"].get("payload", [])
        return reply

    def _stacks(self) -> str:
        """Return where the kernel's threads are."""
        path = Path(self.store.location()).parent / "stacks"
        os.kill(self.manager.provisioner.pid, signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE
        # The main thread comes last.
        while "Current thread" not in (text := path.read_text(encoding="utf-8")) and time.monotonic() < deadline:
            os.sched_yield()
        return text

    def run(self, code: str) -> Reply:
        return self.collect(self.send(code))

    def ok(self, code: str) -> Reply:
        reply = self.run(code)
        assert reply.status == "ok", reply.messages
        return reply

    def runs(self) -> list[Run]:
        return list(self.store.list_runs(RunFilter(oldest_first=True), limit=1000).items)

    def newest(self) -> Run:
        return self.store.list_runs(limit=1).items[0]

    def wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (value := condition()):
            assert time.monotonic() < deadline, "the condition did not come true"
            self.store.data_version()
            os.sched_yield()
        return value


@contextmanager
def running_kernel(home: Path, ipykernel: int = 7) -> Iterator[Kernel]:
    """Start a kernel whose state folder is ``home``, load the extension, and end it afterwards.

    ``ipykernel`` is the series that executes it: 6, or 7, the one of the environment.
    """
    settings = load_settings({"JUPYTER_WF_HOME": str(home)})
    store = open_store(settings)
    manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(home.parent / "k"))
    env = {**os.environ, "JUPYTER_WF_HOME": str(home), "IPYTHONDIR": str(home.parent / "ipython")}
    if ipykernel < 7:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(older_ipykernel()), env.get("PYTHONPATH"))))
    manager.start_kernel(env=env, extra_arguments=["--HistoryManager.enabled=False"])
    kernel = Kernel(manager, store)
    try:
        found = kernel.ok("import ipykernel as _ipykernel; _ipykernel.version_info[0]").value
        assert found == str(ipykernel), f"the kernel has ipykernel {found}"
        kernel.ok("%load_ext jupyter_wf")
        register = "_f.register(_s.SIGUSR1, open({!r}, 'w'), all_threads=True)"
        kernel.ok("import faulthandler as _f, signal as _s; " + register.format(str(home / "stacks")))
        yield kernel
    finally:
        kernel.client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        store.close()
