"""The runner's process: how it is started with its job, and what is known of one that did not do it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import HOME_VARIABLE, PARENT_VARIABLE, Settings
from jupyter_wf.engine.context import ROOT_VARIABLE
from jupyter_wf.notebook.orphans import RUNNER_VARIABLE, end_left_orphans
from jupyter_wf.store.processes import is_dead, this_process

__all__ = [
    "PASS_VARIABLE",
    "clean_environment",
    "last_words",
    "own_private",
    "private_folder",
    "start_runner",
    "sweep_private",
]

#: Names of environment variables, separated by commas, that are handed on although they look like secrets.
PASS_VARIABLE = "JUPYTER_WF_PASS_ENV"
_RUNNER = "jupyter_wf.services.runner_main"
_SECRET_ENDINGS = ("_TOKEN", "_SECRET")
_OF_RUNS = (PARENT_VARIABLE, ROOT_VARIABLE, RUNNER_VARIABLE)
_LOG_TAIL = 2_000
_PREFIX = "jwf-"
_OWNER = "owner"
#: Bytes of a folder's path in which sockets still fit: their paths end at 108 on Linux, at 104 elsewhere.
_LONGEST_FOLDER = 80


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without tokens and secrets (``JUPYTER_TOKEN``, ``*_TOKEN``, ``*_SECRET``).

    Those that `PASS_VARIABLE` names stay. Variables that say which run this process belongs to are left out too.
    """
    kept = {name.strip() for name in environ.get(PASS_VARIABLE, "").split(",")}
    return {
        name: value
        for name, value in environ.items()
        if (name in kept or not name.upper().endswith(_SECRET_ENDINGS)) and name not in _OF_RUNS
    }


def private_folder() -> Path:
    """Make a folder for a kernel's sockets that only we can enter, with a path that is short enough for them."""
    private = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_short_folder()))
    own_private(private)
    return private


def own_private(private: Path) -> None:
    """Write down in a private folder that it is needed as long as this process lives; make it where it is gone."""
    told = json.dumps(this_process("runner"))
    try:
        (private / _OWNER).write_text(told)
    except FileNotFoundError:
        # Whoever had made it has died, and was tidied up after.
        private.mkdir(mode=0o700)
        (private / _OWNER).write_text(told)


def sweep_private() -> int:
    """Take away the private folders whose owners were killed together with all who could, and end what they have left.

    Return how many.
    """
    swept = 0
    for path in Path(_short_folder() or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            if not path.is_symlink() and path.stat().st_uid == os.getuid():
                owner = ProcessInfo._make(json.loads((path / _OWNER).read_text()))
                if is_dead(owner):
                    end_left_orphans(path)
                    swept += 1
    return swept


def _short_folder() -> str | None:
    """Return where to make it: the system's own choice (None) where that is short enough."""
    return None if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER else "/tmp"


def start_runner(settings: Settings, job: Mapping[str, Any], *, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start a runner that works in ``folder`` and prints to ``log``, and give it its job.

    Where the job has a ``lifeline``, the process's standard input stays open, and is it: when it is closed, by will or
    because this process died, the runner stops. Raises `OSError`; one that is dead already is not noticed here.
    """
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        runner = subprocess.Popen(
            # -P: a module beside the notebook must not stand in for one of ours in the runner.
            [sys.executable, "-P", "-m", _RUNNER],
            stdin=subprocess.PIPE,
            stdout=handle,
            stderr=handle,
            cwd=folder,
            env={**clean_environment(os.environ), HOME_VARIABLE: str(settings.home)},
            start_new_session=True,
        )
    finally:
        os.close(handle)
    assert runner.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        runner.stdin.write(json.dumps(job).encode() + b"\n")
        runner.stdin.flush()
    if not job["lifeline"]:
        with contextlib.suppress(BrokenPipeError):
            runner.stdin.close()
    return runner


def last_words(log: Path) -> str:
    """Return the end of what a runner has printed; empty where that is nothing."""
    try:
        return log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
