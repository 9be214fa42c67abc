"""A real Jupyter server with our extension, in a thread of the test process, and what tests say to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_wf.core.events import LogWritten, RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.server.app import WorkflowsApp
from jupyter_wf.server.backend import Backend
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

TOKEN = "a-token-of-the-tests"
BASE = "/base/"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(kw_only=True)
class Server:
    """The running server. ``home`` is its state folder, ``root`` the folder it shows."""

    app: ServerApp
    loop: asyncio.AbstractEventLoop
    home: Path
    root: Path

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    @property
    def extension(self) -> WorkflowsApp:
        found = self.app.extension_manager.extension_points["jupyter_wf"].app
        assert isinstance(found, WorkflowsApp)
        return found

    @property
    def backend(self) -> Backend:
        assert self.extension.backend is not None
        return self.extension.backend

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = 20) -> Any:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    def url(self, path: str, query: Any = ()) -> str:
        words = urllib.parse.urlencode(query)
        return f"{BASE}jupyter_wf/api/{path}{'?' + words if words else ''}"

    def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Any = (),
        body: Any = None,
        headers: dict[str, str] | None = None,
        token: str | None = TOKEN,
        target: str | None = None,
    ) -> Answer:
        """Send a request; ``body`` may be bytes, or anything that becomes JSON. ``target`` is the whole address."""
        sent = {} if token is None else {"Authorization": f"token {token}"}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.app.port, timeout=20)) as connection:
            connection.request(method, target or self.url(path, query), body=body, headers=sent)
            with connection.getresponse() as response:
                return Answer(status=response.status, headers=dict(response.getheaders()), body=response.read())

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a GET that succeeds."""
        answer = self.fetch("GET", path, query=query)
        assert answer.status == 200, answer.body
        return answer.json

    @contextmanager
    def listen(
        self, *, token: str | None = TOKEN, headers: dict[str, str] | None = None, buffer: int = 0, **query: Any
    ) -> Iterator[Listener]:
        """Open the events' WebSocket; ``buffer`` is how many bytes the system keeps for it, 0 for its default."""
        sent = ({} if token is None else {"Authorization": f"token {token}"}) | (headers or {})
        opened = websocket.create_connection(
            f"ws://127.0.0.1:{self.app.port}{self.url('events', query)}",
            header=[f"{name}: {value}" for name, value in sent.items()],
            timeout=10,
            sockopt=[(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)] if buffer else [],
            suppress_origin="Origin" not in sent,
        )
        # websocket-client forgets to close the line itself after the server's close.
        with closing(opened.sock), closing(opened):
            yield Listener(socket=opened)


@dataclass(kw_only=True)
class Listener:
    """One WebSocket and everything it has received."""

    socket: websocket.WebSocket
    messages: list[dict[str, Any]] = field(default_factory=list)

    def next(self) -> dict[str, Any]:
        """Return the next message; raises `websocket.WebSocketConnectionClosedException` when there is none."""
        opcode, data = self.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            raise Closed(int.from_bytes(data[:2], "big"))
        found: dict[str, Any] = json.loads(data)
        self.messages.append(found)
        return found

    def until(self, condition: Callable[[], Any]) -> None:
        """Read messages until ``condition`` holds; each wait has its time-out."""
        while not condition():
            self.next()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for found in self.messages for event in found["events"]]

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs as they were last received."""
        return {run["id"]: run for found in self.messages for run in found["runs"]}


class Closed(Exception):
    """The server closed the socket; the first argument is the code."""


@contextmanager
def running_server(folder: Path, **server_config: Any) -> Iterator[Server]:
    """Start a server with its state, configuration and root below ``folder``; stop it at the end."""
    root = folder / "root"
    for path in (root, folder / "config", folder / "data", folder / "runtime"):
        path.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "DATA", "RUNTIME"):
            patch.setenv(f"JUPYTER_{name}_DIR", str(folder / name.lower()))
        # The extension sets it for the kernels it starts.
        patch.setenv(HOME_VARIABLE, str(folder / "none"))
        config = Config()
        config.ServerApp.update(base_url=BASE, jpserver_extensions={"jupyter_wf": True}, **server_config)
        config.IdentityProvider.token = TOKEN
        config.WorkflowsApp.home = str(folder / "home")
        app = ServerApp(
            config=config, port=0, ip="127.0.0.1", root_dir=str(root), open_browser=False, allow_root=True, log_level=50
        )
        app.init_signal = lambda: None  # type: ignore[method-assign]
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="test-server")
        thread.start()

        async def start() -> None:
            app.initialize(argv=[], find_extensions=False)
            app.start_app()
            await app._post_start()

        server = Server(app=app, loop=loop, home=folder / "home", root=root)
        try:
            server.run(start())
            yield server
        finally:
            server.run(stop(app))
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def stop(app: ServerApp) -> None:
    """What Jupyter does at its end, and what it leaves to the end of the process."""
    await app._cleanup()
    await app.http_server.close_all_connections()
    app.kernel_manager.context.destroy()
    await asyncio.get_running_loop().shutdown_default_executor()


@dataclass(kw_only=True)
class Seed:
    """Writes runs as their owner would."""

    store: Store
    process_id: str

    def run(
        self,
        state: str = "COMPLETED",
        *,
        name: str = "load",
        kind: str = "flow",
        parent: str | None = None,
        root: str | None = None,
        source: dict[str, Any] | None = None,
        owner: str | None = "",
        **more: Any,
    ) -> str:
        """Write a run and its state; return its id. Without ``owner`` this process owns it."""
        run_id = new_id()
        at = time.time()
        journal = self.store.journal()
        journal.append(
            RunCreated(
                run_id=run_id,
                at=at,
                kind=kind,
                name=name,
                flow_name=name if kind == "flow" else None,
                task_name=None if kind == "flow" else name,
                parent_id=parent,
                root_id=root or parent or run_id,
                process_id=self.process_id if owner == "" else owner,
                source=json.dumps(source or {}),
                **more,
            )
        )
        journal.append(StateChanged(run_id, at, 1, "PENDING", "Pending"))
        if state != "PENDING":
            journal.append(StateChanged(run_id, at, 1, "RUNNING", "Running"))
        if state not in ("PENDING", "RUNNING"):
            self.state(run_id, state)
        journal.flush(10)
        return run_id

    def state(self, run_id: str, state: str, *, flush: bool = False) -> None:
        journal = self.store.journal()
        journal.append(StateChanged(run_id, time.time(), 1, state, state.title()))
        if flush:
            journal.flush(10)

    def log(self, run_id: str, message: str, level: int = 20) -> None:
        self.store.journal().append(LogWritten(run_id, time.time(), level, "jupyter_wf", message))

    def flush(self) -> None:
        self.store.journal().flush(10)


@contextmanager
def seeding(settings: Settings) -> Iterator[Seed]:
    process = this_process("python")
    with closing(open_store(settings)) as store:
        store.register(process)
        yield Seed(store=store, process_id=process.id)
