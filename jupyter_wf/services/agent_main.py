"""The process of an agent (``python -m jupyter_wf.services.agent_main``), which executes nothing itself."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.agent import Agent
from jupyter_wf.services.agent_options import DRAIN_VARIABLE, LEASE, PRELOAD_VARIABLE, AgentOptions
from jupyter_wf.services.agent_runs import ColdRunners, Runners
from jupyter_wf.services.local_agent import LOCAL_AGENT
from jupyter_wf.services.runners import sweep_private
from jupyter_wf.services.warm import Warm
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

__all__ = ["LEASE_VARIABLE", "main", "serve"]

#: The lease of an agent in seconds, for tests: how long it may be silent.
LEASE_VARIABLE = "JUPYTER_WF_AGENT_LEASE"
#: ``0`` starts each runner as an interpreter of its own.
_WARM_VARIABLE = "JUPYTER_WF_WARM"
_log = logging.getLogger("jupyter_wf.agent")


def main(args: Sequence[str] | None = None) -> int:
    """Be an agent until there is no need for one; return the exit code."""
    parser = argparse.ArgumentParser(prog="jupyter_wf.services.agent_main")
    parser.add_argument("--name", default="")
    parser.add_argument("--pool", action="append", dest="pools")
    parser.add_argument("--limit", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--drain", type=float, default=_number(os.environ.get(DRAIN_VARIABLE)))
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--idle", type=float)
    given = parser.parse_args(args)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    options = AgentOptions(
        name=given.name or (LOCAL_AGENT if given.local else f"agent-{os.getpid()}"),
        pools=tuple(dict.fromkeys(given.pools or ["default"])),
        limit=given.limit,
        lease=float(os.environ.get(LEASE_VARIABLE) or LEASE),
        drain=given.drain,
        idle=given.idle,
        service=LOCAL_AGENT if given.local else None,
    )
    try:
        serve(load_settings(), options)
    except StoreError as error:
        _log.error("the state file can't be used: %s", error)
        return 1
    return 0


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def serve(settings: Settings, options: AgentOptions) -> bool:
    """Be an agent, on the main thread, until SIGTERM or Ctrl-C; return False where another has its service.

    Raises `StoreError`.
    """
    with closing(open_store(settings)) as store:
        agent = Agent(store, settings, this_process("agent"), _runners(settings), options, log=_log)
        agent.heed_signals()
        sweep_private()
        pools = ", ".join(options.pools)
        _log.info("agent %s, pid %d: at most %d runs at a time, of %s", options.name, os.getpid(), options.limit, pools)
        return agent.run()


def _runners(settings: Settings) -> Runners:
    if os.environ.get(_WARM_VARIABLE) == "0" or not Warm.available():
        return ColdRunners(settings)
    preload = [name.strip() for name in os.environ.get(PRELOAD_VARIABLE, "").split(",")]
    return Warm(settings, preload=[name for name in preload if name])


if __name__ == "__main__":
    sys.exit(main())
