"""``jupyter wf server``: the scheduler and what belongs to it, without JupyterLab."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import closing
from typing import Any

import click

from jupyter_wf.cli.app import FAILED
from jupyter_wf.core.settings import SERVICES_VARIABLE
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.hosting import make_host
from jupyter_wf.services.local_agent import find_agent
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

__all__ = ["server"]

_ALONE = "jupyter_wf.server.alone"
_LIMIT = click.IntRange(1, 1_000)


@click.group(
    short_help="Run the scheduler without JupyterLab.", context_settings={"help_option_names": ["-h", "--help"]}
)
def server() -> None:
    """Run what makes and executes the runs of schedules, without JupyterLab."""


@server.command("start", short_help="Run the services until Ctrl-C or SIGTERM.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True, help="Where the API is.")
@click.option("--no-http", is_flag=True, help="Open no port.")
@click.option("--limit", type=_LIMIT, help="How many runs the local agent executes at a time.  [default: cores]")
def _start(port: int, no_http: bool, limit: int | None) -> int:
    """Run the scheduler, the reaper, a local agent and the API, until SIGTERM or Ctrl-C.

    Any number of servers, this one and Jupyter's, may work on the same state folder: one of them makes the runs, and
    another one takes over when it ends. The agent goes on until its runs have ended.

    The API listens on this machine only (127.0.0.1), and wants the token that is in the address printed.
    """
    if no_http:
        return _serve_without_http(limit)
    # A new program: a server is nothing that this command should carry along, and signals are its own.
    options = ["--port", str(port), *(() if limit is None else ("--limit", str(limit)))]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", _ALONE, *options])


def _serve_without_http(limit: int | None) -> int:
    os.environ.pop(SERVICES_VARIABLE, None)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    settings, log = load_settings(), logging.getLogger("jupyter_wf.services")
    ended = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda number, frame: ended.set())
    with closing(open_store(settings)) as store:
        host = make_host(store, settings, process=this_process("server"), log=log, limit=limit)
        try:
            host.start()
            click.echo(f"home:  {settings.home}")
            click.echo("Ctrl-C ends it; the local agent goes on until what runs has ended")
            ended.wait()
        finally:
            host.stop()
    return 0


@server.command("status", short_help="Tell which services run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _status(as_json: bool) -> int:
    """Tell whether anything makes the runs of schedules, and who executes them; exit code 1 where nothing does."""
    settings = load_settings()
    with closing(open_store(settings)) as store:
        now = time.time()
        agents = [each for each in store.agents.list(now) if each.alive]
        facts: dict[str, Any] = {
            "home": str(settings.home),
            "scheduler": store.services.holder("scheduler") is not None,
            "local_agent": find_agent(store),
            "agents": len(agents),
            "running": sum(each.running for each in agents),
            "waiting": sum(pool.waiting for pool in store.queue.pools()),
        }
    if as_json:
        click.echo(json.dumps(facts))
    else:
        local = facts["local_agent"]
        click.echo(f"home:       {facts['home']}")
        click.echo(f"scheduler:  {'runs' if facts['scheduler'] else 'does not run'}")
        click.echo(f"agents:     {facts['agents']}" + (f" (the local one is process {local})" if local else ""))
        click.echo(f"runs:       {facts['running']} running, {facts['waiting']} waiting")
    return 0 if facts["scheduler"] else FAILED
