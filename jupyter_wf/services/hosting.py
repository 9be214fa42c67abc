"""Puts a host of services together: what a Jupyter server and ``jupyter wf server start`` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from logging import Logger

from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.host import ServiceHost
from jupyter_wf.services.local_agent import ensure_agent
from jupyter_wf.services.retention import Housekeeping
from jupyter_wf.services.settling import settle_ended
from jupyter_wf.services.triggers import Triggers
from jupyter_wf.store.base import Store

__all__ = ["make_host"]


def make_host(
    store: Store,
    settings: Settings,
    *,
    process: ProcessInfo,
    log: Logger,
    agent: bool = True,
    limit: int | None = None,
    on_look: Callable[[int], None] | None = None,
) -> ServiceHost:
    """Return a host, to be started, of everything that a state file needs beside those who execute its runs.

    ``agent`` says whether it sees to a local agent, which executes ``limit`` runs at a time. The others are as for
    `ServiceHost`.
    """

    def settle() -> None:
        settle_ended(store, settings, time.time())

    return ServiceHost(
        store,
        settings,
        process=process,
        log=log,
        start_agent=agent,
        on_look=on_look,
        ensure_agent=partial(ensure_agent, limit=limit),
        chores={
            "what follows from the ends of runs could not be done": settle,
            "what is not kept any more could not be deleted": Housekeeping(store, settings),
        },
        services=(Triggers(store, settings, process=process),),
    )
