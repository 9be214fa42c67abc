"""What a run's record says of where it comes from, in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jupyter_wf.core.models import Run

__all__ = ["begun_or_due", "called", "spoken"]

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def begun_or_due(run: Run, say: Callable[[float], str]) -> str:
    """Return when a run began, as ``say`` tells a moment (epoch seconds); of one that has not, when it was due.

    Nothing is returned where no schedule said so.
    """
    if run.started_at is not None:
        return say(run.started_at)
    slot = run.source.get("slot")
    try:
        return f"due {say(datetime.fromisoformat(slot).timestamp())}" if isinstance(slot, str) else ""
    except ValueError:
        return ""


def called(run: Run) -> str:
    """Return what to call a run in a list: of a deployment by its address and its own name, a flow's by both names."""
    deployment = run.source.get("deployment")
    above = deployment if isinstance(deployment, str) and run.parent_id is None else run.flow_name
    return f"{above} · {run.name}" if run.kind == "flow" and above and above != run.name else run.name


def spoken(source: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts of a run's ``source``, each with its name, as people read them."""
    for name, value in source.items():
        say = _WORDS.get(name)
        text = say(value) if say is not None and isinstance(value, Mapping) else None
        if text is None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if text not in ("", "[]", "{}", "null"):
            yield name, text


def _size(number: Any) -> str:
    """Return a number of bytes in the unit that suits it."""
    amount, unit = float(number), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 or amount >= 100 else f"{amount:.1f} {_UNITS[unit]}"


def _usage(usage: Mapping[str, Any]) -> str | None:
    if not {"cpu_seconds", "memory_bytes"} <= usage.keys():
        return None
    return f"{usage['cpu_seconds']:.2f} s of processor time, memory grew by {_size(usage['memory_bytes'])}"


def _kernel(kernel: Mapping[str, Any]) -> str | None:
    name = kernel.get("display_name") or kernel.get("name")
    return None if name is None else f"{name} ({kernel['command']})" if kernel.get("command") else str(name)


def _environment(environment: Mapping[str, Any]) -> str | None:
    if not {"python", "packages"} <= environment.keys():
        return None
    return f"Python {environment['python']}, {environment['packages']} packages"


def _git(git: Mapping[str, Any]) -> str | None:
    if "commit" not in git:
        return None
    branch = f" on {git['branch']}" if git.get("branch") else ""
    return f"{str(git['commit'])[:12]}{branch}{', with changes' if git.get('dirty') else ''}"


_WORDS = {"usage": _usage, "kernel": _kernel, "environment": _environment, "git": _git}
