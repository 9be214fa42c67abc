"""A server with nothing but workflows, for where there is no JupyterLab (``python -m jupyter_wf.server.alone``).

It has our API and what logs users in, and neither files nor kernels nor terminals. It listens on this machine only.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_wf.core.settings import SERVICES_VARIABLE
from jupyter_wf.engine.runtime import load_settings

__all__ = ["ADDRESS", "Alone", "main"]

ADDRESS = "127.0.0.1"
_USAGE = 2


class Alone(ServerApp):
    """A Jupyter server without files, kernels and terminals."""

    default_services = ("api", "auth", "security")  # type: ignore[assignment]
    #: There is no page to be opened.
    no_browser_open_file = True

    async def _post_start(self) -> None:
        """Say where it is, once it answers."""
        await super()._post_start()  # type: ignore[no-untyped-call]
        print(f"home:  {load_settings().home}")
        print(f"API:   {_address(self)}")
        print("Ctrl-C ends it; the local agent goes on until what runs has ended", flush=True)

    def init_signal(self) -> None:
        """End at SIGTERM and at Ctrl-C, without a question."""
        super().init_signal()
        signal.signal(signal.SIGINT, self._signal_stop)


def main(args: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit code: 2, with a line that says why, where the port is taken."""
    parser = argparse.ArgumentParser(prog="jupyter wf server start")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args(args)
    taken = _why_taken(given.port)
    if taken:
        print(f"jupyter wf server start: port {given.port}: {taken}; choose another with --port", file=sys.stderr)
        return _USAGE
    # Whoever starts this server wants its services.
    os.environ.pop(SERVICES_VARIABLE, None)
    app = Alone(config=_config(given.port, given.limit))
    app.initialize(argv=[], find_extensions=False)
    if app.identity_provider.token:
        # Jupyter would tell a token that it has made with the address of pages; there are none, and we tell ours.
        app.identity_provider.token_generated = False
    app.start()
    return 0


def _config(port: int, limit: int | None) -> Config:
    config = Config()
    config.ServerApp.update(
        ip=ADDRESS,
        port=port,
        port_retries=0,
        open_browser=False,
        allow_root=True,
        terminals_enabled=False,
        jpserver_extensions={"jupyter_wf": True},
        root_dir=str(Path.cwd()),
        log_level="WARN",
        log_format="%(asctime)s %(message)s",
        log_datefmt="%H:%M:%S",
        quit_button=False,
    )
    config.WorkflowsApp.update(services=True, agent=True, agent_limit=limit or 0)
    return config


def _address(app: ServerApp) -> str:
    token = app.identity_provider.token
    query = f"?token={token}" if token else ""
    return f"http://{ADDRESS}:{app.port}{app.base_url}jupyter_wf/api/runs{query}"


def _why_taken(port: int) -> str:
    """Return why nobody can listen on the port; nothing where one can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            return str(error.strerror)
    return ""


if __name__ == "__main__":
    sys.exit(main())
