"""The extension as a whole: how it starts and stops, what it tells Jupyter, and what it does without a state file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.server.app import ACTIVITY, WorkflowsApp
from tests.server.harness import Closed, running_server, seeding
from tests.waiting import until

# `jupyter server`, but for the extensions that happen to be installed beside ours.
ONLY_OURS = """
from jupyter_server.serverapp import ServerApp
app = ServerApp.instance()
app.initialize(find_extensions=False)
app.start()
"""


def ours() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "jupyter_wf" in thread.name.replace("-", "_")}


def test_stops_everything_it_started(tmp_path: Path) -> None:
    before = ours()
    with running_server(tmp_path) as server:
        assert server.get("runs")["items"] == []
        with server.listen() as listener:
            listener.next()
            assert {"jupyter_wf-reaper", "jupyter_wf-feed"} <= ours()
            backend = server.backend
            server.run(server.extension.stop_extension())
            with pytest.raises(Closed) as closed:
                listener.next()
            assert closed.value.args == (1001,)
        # What other tests have left may end meanwhile.
        assert ours() <= before
        answer = server.fetch("GET", "runs")
        assert (answer.status, answer.json["error"]) == (503, "StoreError")
        server.run(backend.stop())
    assert ours() <= before


def test_an_open_run_keeps_the_server_from_being_culled(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, seeding(server.settings) as seed:
        assert server.extension.current_activity() is None
        assert not server.app.extension_manager.any_activity()
        begun = datetime.now(UTC)
        run_id = seed.run("RUNNING")
        until(server.extension.current_activity)
        assert server.app.extension_manager.any_activity()
        until(lambda: server.app.web_app.settings[ACTIVITY] > begun)
        assert server.app.web_app.last_activity() > begun
        seed.state(run_id, "COMPLETED", flush=True)
        until(lambda: server.extension.current_activity() is None)


def test_a_damaged_state_file_is_said_and_hurts_nobody_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "state.db").write_bytes(b"this is no database, and never was one" * 100)
    with running_server(tmp_path) as server:
        for path in ("runs", "meta", "events"):
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            answer = server.fetch("GET", path, headers=headers if path == "events" else None)
            assert answer.status == 503, answer.body
            assert answer.json["error"] == "DatabaseDamaged"
            assert str(home) in answer.json["message"]
        assert server.fetch("GET", "", target="/base/api/status").status == 200
        (home / "state.db").unlink()
        assert server.get("runs")["items"] == []


def test_home_is_a_setting_that_kernels_inherit(tmp_path: Path) -> None:
    trait = WorkflowsApp.class_traits(config=True)["home"]
    assert trait.help.startswith("The folder of the state file")
    with running_server(tmp_path):
        assert os.environ[HOME_VARIABLE] == str(tmp_path / "home")


def test_a_server_process_starts_serves_and_ends(tmp_path: Path) -> None:
    """As a user has it: found by its name, stopped by SIGTERM, in a server that forbids what is not authenticated."""
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-W", "error::ResourceWarning:jupyter_wf", "-c", ONLY_OURS]
    options = {
        "ServerApp.jpserver_extensions": "jupyter_wf=True",
        "ServerApp.root_dir": str(tmp_path),
        "ServerApp.port": "0",
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.open_browser": "False",
        "ServerApp.allow_root": "True",
        "ServerApp.allow_unauthenticated_access": "False",
        "IdentityProvider.token": "secret-token-of-this-server",
        "WorkflowsApp.home": str(tmp_path / "home"),
    }
    process = subprocess.Popen(
        [*command, *(f"--{name}={value}" for name, value in options.items())],
        env=os.environ | folders,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    assert process.stderr
    for line in process.stderr:
        lines.append(line)
        if "http://127.0.0.1" in line:
            break
    until((tmp_path / "home" / "state.db").exists)
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=20)
    text = "".join(lines) + rest
    assert "jupyter_wf | extension was successfully loaded" in text
    assert "Traceback" not in text and "Warning:" not in text
    assert process.returncode in (0, -signal.SIGTERM)
