"""Triggers on files: what matches their path is compared with what matched when they last looked.

So nothing is missed while nobody looks, and nothing is told twice: what was seen is stored with what followed from it.
The system's own notices, where the package watchfiles brings them, only say when to look.
"""

from __future__ import annotations

import glob
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_wf.core.automations import Delivery, Occasion
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.store.base import Store

__all__ = ["MOST_FILES", "FileTriggers", "listing", "notices", "root_of"]

_log = logging.getLogger(__name__)
#: A trigger whose path matches more files than this does not work.
MOST_FILES = 10_000
_MOST_TOLD = 1_000
_WILD = re.compile(r"[*?\[]")
#: Milliseconds: how long notices are gathered, and after which time the thread looks whether it should end.
_GATHER, _TIMEOUT = 200, 250
#: Seconds between two looks where the system gives no notices, or is not asked.
_LOOK = 2.0

_Listing = dict[str, list[int]]


def listing(pattern: str) -> _Listing:
    """Return the files that a path with wildcards matches now: time of change (ns) and size (bytes) by path.

    Raises `OverflowError` for more than `MOST_FILES`.
    """
    found: _Listing = {}
    for path in glob.iglob(pattern, recursive=True):
        try:
            stat = os.stat(path)
        except OSError:
            continue
        if not os.path.isdir(path):
            found[path] = [stat.st_mtime_ns, stat.st_size]
        if len(found) > MOST_FILES:
            raise OverflowError(f"more than {MOST_FILES} files match")
    return found


def root_of(pattern: str) -> tuple[Path, bool]:
    """Return the folder that is to be watched for a path, one that exists, and whether what is below it matters."""
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    root = Path(*parts[: max(1, fixed)])
    while not root.is_dir() and root != root.parent:
        root = root.parent
    return root, len(parts) - len(root.parts) > 1


class FileTriggers:
    """Looks at the files of the triggers that are switched on. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: What has changed but may still be changing: the listing and since when it is the same.
        self._restless: dict[str, tuple[_Listing, float]] = {}

    def triggers(self) -> list[EventTrigger]:
        """Return the triggers whose files matter now."""
        return [each for each in self._store.triggers.list(kind="file") if each.enabled and self._runs(each)]

    def _runs(self, trigger: EventTrigger) -> bool:
        try:
            return not self._store.deployments.get(trigger.deployment_id).paused
        except DeploymentNotFound:
            return False

    def look(self, now: float, triggers: list[EventTrigger] | None = None) -> float | None:
        """Look once; return when something that is restless now must be looked at again, None where nothing is."""
        found = self.triggers() if triggers is None else triggers
        self._restless = {each.id: self._restless[each.id] for each in found if each.id in self._restless}
        moments = [self._look_at(each, now) for each in found]
        return min((each for each in moments if each is not None), default=None)

    def _look_at(self, trigger: EventTrigger, now: float) -> float | None:
        try:
            files = listing(trigger.spec["path"])
        except (OSError, OverflowError, re.error) as error:
            if trigger.error != str(error):
                self._store.triggers.trouble(trigger.id, str(error))
            return None
        seen = self._store.triggers.seen(trigger.id)
        if seen is None:
            # What is there when it begins to look has not changed.
            self._store.triggers.fire(trigger.id, None, now, seen={"files": files, "n": 0})
            return None
        if files == seen["files"]:
            self._restless.pop(trigger.id, None)
            return None
        before, since = self._restless.get(trigger.id, (None, now))
        if before != files:
            since = now
            self._restless[trigger.id] = files, since
        if now < since + trigger.spec["debounce"]:
            return float(since + trigger.spec["debounce"])
        self._fire(trigger, seen, files, now)
        self._restless.pop(trigger.id, None)
        return None

    def _fire(self, trigger: EventTrigger, seen: Mapping[str, Any], files: _Listing, now: float) -> None:
        changed = sorted(path for path, facts in files.items() if seen["files"].get(path) != facts)
        number = seen["n"] + 1
        delivery = _delivery(trigger, changed, number, now) if changed else None
        fired = self._store.triggers.fire(trigger.id, delivery, now, seen={"files": files, "n": number}, before=seen)
        if fired and delivery is not None:
            _log.info("trigger %s: %d files have changed", trigger.id, len(changed))


def _delivery(trigger: EventTrigger, changed: list[str], number: int, now: float) -> Delivery:
    name = trigger.spec.get("changed_as")
    key = f"{trigger.id}:files:{number}"
    return Delivery(
        key=key,
        occasion=Occasion(event="trigger", key=key, at=now, message=f"{len(changed)} files: {changed[0]}"[:500]),
        trigger_id=trigger.id,
        payload={name: changed[:_MOST_TOLD]} if name else {},
    )


def notices(triggers: list[EventTrigger], stop: threading.Event) -> Iterator[bool]:
    """Yield several times a second, True when something may have changed below the folders of these triggers.

    It ends with ``stop``. Where the system gives no notices, it says True every two seconds.
    """
    roots = [root_of(each.spec["path"]) for each in triggers]
    try:
        import watchfiles
    except ImportError:
        watching = None
    else:
        watching = watchfiles.watch(
            *{root for root, _ in roots},
            watch_filter=None,
            debounce=_GATHER,
            step=_GATHER // 4,
            rust_timeout=_TIMEOUT,
            yield_on_timeout=True,
            stop_event=stop,
            raise_interrupt=False,
            recursive=any(deep for _, deep in roots),
        )
    try:
        while watching is not None and not stop.is_set():
            changes = next(watching, None)
            if changes is None:
                break
            yield bool(changes)
    except (OSError, RuntimeError) as error:
        _log.warning("files are looked at every %g s, because the system gives no notices: %s", _LOOK, error)
    while not stop.wait(_LOOK):
        yield True
