"""A JupyterLab of our own: the checkout's extension, throw-away folders, a token, a port that is free."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil

from jupyter_wf.core.settings import HOME_VARIABLE, SERVICES_VARIABLE
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class Lab:
    """A running server: where it is, what opens it, where its files and its state are."""

    url: str
    token: str
    root: Path
    home: Path
    environment: dict[str, str]

    def get(self, path: str) -> Any:
        """Return the JSON that the server answers to a GET of ``path`` (below the server's address)."""
        return self.ask("GET", path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON that the server answers, None for an empty answer; ``body`` is sent as JSON."""
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def wf(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``jupyter wf`` on the same state, in the folder of the notebooks."""
        return subprocess.Popen(
            [sys.executable, "-m", "jupyter_wf", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def is_up(self) -> bool:
        """Return whether the server answers."""
        try:
            return "version" in self.get("api")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


class LabProcess:
    """Starts a `Lab` below ``folder`` and ends it; with ``services`` it has a scheduler and an agent."""

    def __init__(self, folder: Path, *, services: bool = False) -> None:
        token = secrets.token_hex(16)
        port = _free_port()
        root = folder / "notebooks"
        shutil.copytree(ROOT / "notebooks", root, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        environment = {**os.environ, **_folders(folder), SERVICES_VARIABLE: "1" if services else "0"}
        self.lab = Lab(f"http://127.0.0.1:{port}", token, root, folder / "wf-home", environment)
        self._log = (folder / "server.log").open("w")
        options = [
            "--no-browser",
            "--allow-root",
            "--expose-app-in-browser",
            "--JupyterNotebookApp.expose_app_in_browser=True",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            "--ServerApp.ip=127.0.0.1",
            f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={root}",
            "--LabApp.news_url=",
            "--LabApp.extension_manager=readonly",
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> Lab:
        """Return the server when it answers."""
        until(lambda: self._process.poll() is not None or self.lab.is_up(), "JupyterLab to answer", 60)
        assert self._process.poll() is None, f"JupyterLab ended:\n{self.log()}"
        return self.lab

    def log(self) -> str:
        """Return what the server has said."""
        self._log.flush()
        return Path(self._log.name).read_text()

    def stop(self) -> None:
        """End the server and its kernels, politely first."""
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        _end_what_is_left(self.lab.home)


def _end_what_is_left(home: Path) -> None:
    """End the agent, which outlives its server, and what it has started: whatever has this state's folder."""

    def left() -> list[psutil.Process]:
        return [each for each in psutil.process_iter() if _home_of(each) == str(home)]

    for process in left():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left(), timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _home_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(HOME_VARIABLE)
    except (psutil.Error, OSError):
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _folders(folder: Path) -> dict[str, str]:
    """Return the environment that keeps the server to ``folder``, with the checkout's extension enabled in it."""
    extension = folder / "share/labextensions/jupyter-wf"
    extension.parent.mkdir(parents=True)
    built = ROOT / "jupyter_wf/labextension"
    assert (built / "package.json").exists(), f"{built} is not built: 'jlpm build:prod' in labextension/ does it"
    shutil.copytree(built, extension)
    shutil.copy(ROOT / "jupyter-config/install.json", extension)
    enabled = folder / "etc/jupyter_server_config.d"
    enabled.mkdir(parents=True)
    shutil.copy(ROOT / "jupyter-config/jupyter_wf.json", enabled)
    settings = folder / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    return {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_CONFIG_PATH": str(folder / "etc"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_PATH": str(folder / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_WF_HOME": str(folder / "wf-home"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
    }
