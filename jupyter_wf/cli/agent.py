"""``jupyter wf agent``: execute queued runs on this machine, until it is stopped."""

from __future__ import annotations

import logging
import os
import sys

import click

from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.agent_main import serve
from jupyter_wf.services.agent_options import PRELOAD_VARIABLE, AgentOptions

__all__ = ["agent"]

_MOST = 1_000


@click.group(short_help="Execute queued runs.", context_settings={"help_option_names": ["-h", "--help"]})
def agent() -> None:
    """Execute the runs of deployments on this machine."""


@agent.command("start", short_help="Execute queued runs until Ctrl-C or SIGTERM.")
@click.option("--pool", "pools", multiple=True, default=("default",), show_default=True, help="A pool to take runs of.")
@click.option(
    "--limit", type=click.IntRange(1, _MOST), default=os.cpu_count() or 1, show_default="cores", help="At most so many."
)
@click.option("--name", default="", help="What to call it in lists.")
@click.option(
    "--drain",
    default="finish",
    show_default=True,
    metavar="finish|SECONDS",
    help="When it is to end: wait for what runs, or cancel that after so many seconds.",
)
@click.option("--preload", "modules", multiple=True, metavar="MODULE", help="Import it once, for all runs.")
def _start(pools: tuple[str, ...], limit: int, name: str, drain: str, modules: tuple[str, ...]) -> int:
    """Claim runs that wait in the queue, and execute each in a process of its own.

    SIGTERM or Ctrl-C ends it: it takes no more runs and waits for those that it has. A second one cancels them, a third
    kills them. Any number of agents may work on the same pools.
    """
    for pool in pools:
        if not pool.strip():
            raise click.BadParameter("a pool needs a name", param_hint="--pool")
    options = AgentOptions(
        name=name or f"{os.uname().nodename}-{os.getpid()}",
        pools=tuple(dict.fromkeys(pools)),
        limit=limit,
        drain=_seconds(drain),
    )
    if modules:
        os.environ[PRELOAD_VARIABLE] = ",".join(modules)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    serve(load_settings(), options)
    return 0


def _seconds(text: str) -> float | None:
    """Return after how many seconds runs are cancelled, None for never."""
    if text == "finish":
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise click.BadParameter(f"{text!r} is neither 'finish' nor a number of seconds", param_hint="--drain")
    return seconds
