"""What a run was made with: the kernel and its packages, the commit, the host. Whatever can't be known is left out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook.source import write_atomically

__all__ = ["commit_of", "environment_of", "keep_environment", "provenance"]

#: Seconds that git, or a Python that is asked for its packages, may take.
_PATIENCE = 10.0
_LONGEST = 200
#: A repository may name a program that git calls to look for changes: none is called here.
_GIT = ("git", "-c", "core.fsmonitor=false")
#: Executed by the kernel's own Python. The names and versions stand in the folders' names: no file is opened.
_ASK = """
import json, os, platform, sys
found, changed = {}, {}
for folder in sys.path:
    if folder:
        changed[folder] = os.stat(folder).st_mtime_ns if os.path.exists(folder) else None
    try:
        names = os.listdir(folder or ".")
    except OSError:
        continue
    for name in names:
        stem, kind = os.path.splitext(name)
        if kind in (".dist-info", ".egg-info"):
            package, _, version = stem.partition("-")
            found.setdefault(package.replace("_", "-").lower(), version.partition("-py")[0])
print(json.dumps({"python": platform.python_version(), "implementation": platform.python_implementation(),
                  "platform": platform.platform(), "executable": sys.executable, "packages": found,
                  "folders": changed}))
"""
_log = logging.getLogger(__name__)


async def provenance(
    settings: Settings, *, folder: Path, kernel: str, display_name: str, language: str, command: Sequence[str]
) -> dict[str, Any]:
    """Return what a run's ``source`` says of its surroundings; some hundred bytes.

    ``folder`` is the notebook's; ``command`` started the kernel, the others are facts of its specification. The list of
    packages goes to a file of its own (`keep_environment`), which the result names by its digest. Never raises for what
    can't be found out.
    """
    facts: dict[str, Any] = {
        "kernel": {
            "name": kernel[:_LONGEST],
            "display_name": display_name[:_LONGEST],
            "language": language[:_LONGEST],
            "command": (command[0] if command else "")[:_LONGEST],
        },
        "host": socket.gethostname()[:_LONGEST],
    }
    commit, environment = await asyncio.gather(
        commit_of(folder),
        _environment(settings, command[0]) if command and language.lower() == "python" else _nothing(),
    )
    if commit:
        facts["git"] = commit
    if environment:
        facts["environment"] = environment
    return facts


async def _nothing() -> dict[str, Any]:
    return {}


async def _environment(settings: Settings, executable: str) -> dict[str, Any]:
    """Return what is told of a Python's packages; it is only asked again where its folders have changed since."""
    told = _remembered(settings, executable)
    if told:
        return told
    environment = await environment_of(executable)
    return await asyncio.to_thread(_kept, settings, executable, environment) if environment else {}


def _memory(settings: Settings, executable: str) -> Path:
    # What else decides where a Python looks for packages, besides its own place and what lies there.
    asked = [executable, *(os.environ.get(name, "") for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE"))]
    return settings.environments / f"asked-{sha256(json.dumps(asked).encode()).hexdigest()[:32]}.json"


def _remembered(settings: Settings, executable: str) -> dict[str, Any]:
    try:
        known = json.loads(_memory(settings, executable).read_text())
        unchanged = all(_changed(path) == seen for path, seen in known["seen"].items())
        told: dict[str, Any] = known["told"]
        return told if unchanged and (settings.environments / f"{told['digest']}.json").exists() else {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _changed(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _kept(settings: Settings, executable: str, environment: Mapping[str, Any]) -> dict[str, Any]:
    seen = {executable: _changed(executable), **environment["folders"]}
    digest = None
    try:
        digest = keep_environment(settings, {name: value for name, value in environment.items() if name != "folders"})
    except OSError as error:
        _log.warning("the list of packages can't be kept: %s", error)
    told = {"python": environment["python"], "packages": len(environment["packages"]), "digest": digest}
    if digest is not None:
        with contextlib.suppress(OSError):
            write_atomically(_memory(settings, executable), json.dumps({"seen": seen, "told": told}))
    return told


def keep_environment(settings: Settings, environment: Mapping[str, Any]) -> str:
    """Keep a list of packages in a file named by its SHA-256, and return that. Raises `OSError`."""
    text = json.dumps(environment, sort_keys=True, indent=1)
    digest = sha256(text.encode()).hexdigest()
    path = settings.environments / f"{digest}.json"
    try:
        # Whoever tidies up leaves what is needed again.
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, text)
    return digest


async def environment_of(executable: str) -> dict[str, Any]:
    """Return what a Python says of itself: ``python`` (its version), ``platform``, ``packages`` (version by name).

    ``executable`` is its command. There are also ``implementation``, ``executable`` and ``folders`` (where it looks for
    packages, and when each was changed). Empty where it says nothing.
    """
    text = await _output([executable, "-c", _ASK], None)
    try:
        said = json.loads(text)
        packages = {str(name): str(version) for name, version in said["packages"].items()}
        facts: dict[str, Any] = {
            name: str(said[name]) for name in ("python", "implementation", "platform", "executable")
        }
        facts["folders"] = dict(said["folders"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {**facts, "packages": dict(sorted(packages.items()))}


async def commit_of(folder: Path) -> dict[str, Any]:
    """Return the commit that a folder's repository is at: ``commit``, ``branch`` (None where detached), ``dirty``.

    Empty outside a repository, and where there is no git.
    """
    if not _may_be_repository(folder):
        return {}
    told = await _output([*_GIT, "status", "--porcelain=v2", "--branch", "--untracked-files=no"], folder)
    head: dict[str, str] = {}
    dirty = False
    for line in told.splitlines():
        if line.startswith("# "):
            name, _, value = line[2:].partition(" ")
            head[name] = value
        else:
            dirty = True
    commit = head.get("branch.oid", "")
    if not commit:
        return {}
    branch = head.get("branch.head", "")
    return {
        "commit": None if commit == "(initial)" else commit[:64],
        "branch": None if branch == "(detached)" else branch[:_LONGEST],
        "dirty": dirty,
    }


def _may_be_repository(folder: Path) -> bool:
    """Return whether git can know anything of a folder: starting it just to hear no costs more than most cells."""
    return bool(os.environ.get("GIT_DIR")) or any((above / ".git").exists() for above in (folder, *folder.parents))


async def _output(command: Sequence[str], folder: Path | None) -> str:
    """Return what a command prints, nothing where it fails or takes too long."""
    # Git asks nobody for a password here, and takes no lock that somebody who works there would meet.
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError):
        return ""
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return out.decode("utf-8", "replace") if process.returncode == 0 else ""
