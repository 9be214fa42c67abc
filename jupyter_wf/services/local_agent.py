"""The local agent: the one agent process of a state folder on this machine that hosts of services see to."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from jupyter_wf.core.errors import RunnerError
from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.services.runners import clean_environment, last_words
from jupyter_wf.store.base import Store
from jupyter_wf.store.bell import ring

__all__ = ["LOCAL_AGENT", "agent_log", "ensure_agent", "find_agent"]

#: The service that it holds, and its name.
LOCAL_AGENT = "local-agent"
_MAIN = "jupyter_wf.services.agent_main"
#: Seconds that it may take to be there.
_PATIENCE = 30.0
_INTERVAL = 0.05
#: Seconds that an agent gets to say that it is still there.
_WAKING = 2.0
_LARGEST_LOG = 2_000_000


def find_agent(store: Store) -> int | None:
    """Return the pid of the local agent that lives, None where there is none. Raises `StoreError`."""
    holder = store.services.holder(LOCAL_AGENT)
    if holder is None:
        return None
    found = (each for each in store.agents.list(time.time()) if each.id == holder and each.alive)
    return next((each.pid for each in found), None)


def ensure_agent(store: Store, settings: Settings, *, idle: float = 60.0, limit: int | None = None) -> int:
    """Return the pid of the local agent; start one, which outlives this process, where there is none.

    A new one executes ``limit`` runs at a time (None: one for each core), and ends by itself ``idle`` seconds after the
    last host of services is gone, once nothing runs or waits. Where several processes start one at the same time, one
    stays. Raises `RunnerError` where it does not come up, and `OSError`.
    """
    known = find_agent(store) or _woken(store, settings)
    if known is not None:
        return known
    log = agent_log(settings, LOCAL_AGENT)
    process = _start(settings, log, idle, limit)
    # Somebody has to wait for it, as long as we are there.
    ended = threading.Event()
    threading.Thread(target=_wait, args=(process, ended), name="jupyter-wf-local-agent", daemon=True).start()
    until = time.monotonic() + _PATIENCE
    while (known := find_agent(store)) is None:
        if ended.is_set() and process.returncode != 0:
            raise RunnerError(LOCAL_AGENT, f"the agent did not start; {last_words(log) or f'its log {log} is empty'}")
        if time.monotonic() > until:
            raise RunnerError(LOCAL_AGENT, f"the agent did not start within {_PATIENCE:g} s; see {log}")
        ended.wait(_INTERVAL)
    return known


def _woken(store: Store, settings: Settings) -> int | None:
    """Return the pid of a local agent that lives, but seemed dead, because the machine slept or its clock was set.

    It prolongs its lease when it hears a bell; one that is stopped does not.
    """
    here, until = os.uname().nodename, time.monotonic() + _WAKING
    agents = [each for each in store.agents.list(time.time()) if each.name == LOCAL_AGENT and each.host == here]
    known = None
    if not any(_is_there(each.pid) for each in agents):
        return known
    while (known := find_agent(store)) is None and time.monotonic() < until:
        ring(settings)
        threading.Event().wait(_INTERVAL)
    return known


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _wait(process: subprocess.Popen[bytes], ended: threading.Event) -> None:
    process.wait()
    ended.set()


def agent_log(settings: Settings, name: str) -> Path:
    """Return the file to which an agent prints; an old one that is long is put aside. Raises `OSError`."""
    settings.agents.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = settings.agents / f"{name}.log"
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        log.replace(log.with_suffix(".old.log"))
    return log


def _start(settings: Settings, log: Path, idle: float, limit: int | None) -> subprocess.Popen[bytes]:
    options = ["--local", "--idle", str(idle), *(() if limit is None else ("--limit", str(limit)))]
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        return subprocess.Popen(
            # -P: a module in the current folder must not stand in for one of ours.
            [sys.executable, "-P", "-m", _MAIN, *options],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            env={**clean_environment(os.environ), HOME_VARIABLE: str(settings.home)},
            start_new_session=True,
        )
    finally:
        os.close(handle)
