"""Jupyter servers with services, and ``jupyter wf server``, as processes that can be killed and started again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from jupyter_wf.core.settings import HOME_VARIABLE, SERVICES_VARIABLE
from jupyter_wf.services.agent_main import LEASE_VARIABLE
from tests.services.agents import MARK, ROOT
from tests.waiting import until

__all__ = ["JupyterProcess", "ServiceProcess", "jupyter_process", "service_process"]

_TOKEN = "a-token-of-the-tests"


class ServiceProcess:
    """``jupyter wf server start --no-http``, whose agent executes ``limit`` runs at a time."""

    command: tuple[str, ...] = ("jupyter_wf", "server", "start", "--no-http", "--limit")

    def __init__(self, home: Path, folder: Path, *options: str, limit: int = 2, **variables: str) -> None:
        options = options or (str(limit),)
        self.home = home
        environment = {
            **os.environ,
            HOME_VARIABLE: str(home),
            SERVICES_VARIABLE: "",
            LEASE_VARIABLE: "2",
            "JUPYTER_WF_WARM": "0",
            MARK: str(home),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
            **variables,
        }
        self.log = home.parent / f"server-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", *self.command, *options],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)

    def end(self) -> int:
        """End it as Jupyter Hub, a container or systemd does; return its code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


class JupyterProcess(ServiceProcess):
    """A Jupyter server that shows ``folder``, with our extension and its services."""

    command = ("jupyter_server",)

    def __init__(self, home: Path, folder: Path, **variables: str) -> None:
        self._runtime = home.parent / f"runtime-{time.monotonic_ns()}"
        places = {f"JUPYTER_{name}_DIR": str(self._runtime / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        options = (
            "--ServerApp.jpserver_extensions={'jupyter_wf': True}",
            f"--IdentityProvider.token={_TOKEN}",
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.port=0",
            "--ServerApp.ip=127.0.0.1",
            "--WorkflowsApp.agent_limit=2",
            "--allow-root",
            "--no-browser",
        )
        super().__init__(home, folder, *options, **places, **variables)
        self._port = 0

    def wait(self) -> None:
        """Return when it answers."""
        told = until(self._told, self.log.read_text())
        self._port = told["port"]
        until(self._answers, "the server's first answer")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that our API answers, which must be a success."""
        sent = {"Authorization": f"token {_TOKEN}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)) as connection:
            connection.request(method, f"/jupyter_wf/api/{path}", body=data, headers=sent)
            with connection.getresponse() as response:
                text = response.read()
                assert response.status < 300, (response.status, text)
        return json.loads(text) if text else None

    def _told(self) -> Any:
        assert self.process.poll() is None, self.log.read_text()
        for path in (self._runtime / "runtime").glob("jpserver-*.json"):
            try:
                return json.loads(path.read_text())
            except ValueError:
                return None
        return None

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.ask("GET", "meta")
        except (OSError, http.client.HTTPException):
            return False
        return True


@contextmanager
def jupyter_process(home: Path, folder: Path, **variables: str) -> Iterator[JupyterProcess]:
    """Have a Jupyter server for a while, which answers."""
    server = JupyterProcess(home, folder, **variables)
    try:
        server.wait()
        yield server
    finally:
        server.kill()


@contextmanager
def service_process(home: Path, folder: Path, **options: Any) -> Iterator[ServiceProcess]:
    """Have a ``jupyter wf server`` for a while."""
    server = ServiceProcess(home, folder, **options)
    try:
        yield server
    finally:
        server.kill()
