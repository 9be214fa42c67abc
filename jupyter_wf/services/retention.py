"""What is kept of ended runs: rows and files go by the rules of deployments, and by one rule for everything else."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.backfills import Deleted, Keep
from jupyter_wf.store.base import Store

__all__ = ["Housekeeping", "Swept", "apply", "apply_all", "delete_runs", "sweep"]

_log = logging.getLogger(__name__)
#: Runs that are looked for at a time.
_BATCH = 200
#: What was written in so many seconds may belong to a run that is being put away just now.
_SETTLING = 300.0
#: What nothing refers to may be referred to soon, while it is younger than this (seconds): a value is stored before the
#: row that names it, and a transaction of tasks may last.
_YOUNG = 86_400.0
#: The end of a file's name while it is being removed.
_ASIDE = ".gone"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Swept(NamedTuple):
    """How many files and folders of runs have gone, and how many bytes the files had."""

    files: int
    folders: int
    size: int


class Housekeeping:
    """Applies every rule once in ``every`` seconds, a little with each call, so that nobody waits long for its end."""

    def __init__(
        self, store: Store, settings: Settings, *, every: float = 3600.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._settings = settings
        self._every = every
        self._clock = clock
        self._last: float | None = None
        #: The rules that are still to be applied in this round: of a deployment, and (None) the general one.
        self._left: deque[str | None] = deque()

    def __call__(self) -> int:
        """Do the next bit, if it is time; return how many runs were deleted. Raises `StoreError`."""
        now = self._clock()
        if not self._left:
            if self._last is not None and 0 <= now - self._last < self._every:
                return 0
            self._last = now
            self._left.extend((None, *_with_rules(self._store)))
        deleted = apply(self._store, self._settings, self._left[0], now=now, most=_BATCH)
        if deleted < _BATCH:
            self._left.popleft()
        if not self._left:
            sweep(self._store, self._settings, now=now)
        return deleted


def apply(
    store: Store,
    settings: Settings,
    deployment_id: str | None = None,
    *,
    now: float | None = None,
    most: int | None = None,
) -> int:
    """Delete what a deployment's rules do not keep (None: what the general rule does not keep); return how many runs.

    A deployment without rules of its own falls under the general one. At most ``most`` runs go, the oldest first. Slots
    stay decided: none is run again. Raises `StoreError`.
    """
    at = time.time() if now is None else now
    if deployment_id is None:
        keep = store.retention.rule()
    else:
        try:
            policies = store.deployments.get(deployment_id).policies
        except DeploymentNotFound:
            return 0
        keep = Keep(policies.keep_last, policies.keep_days)
    if keep == Keep():
        return 0
    deleted = 0
    while most is None or deleted < most:
        limit = _BATCH if most is None else min(_BATCH, most - deleted)
        found = store.retention.outdated(keep, at, deployment_id=deployment_id, limit=limit)
        done = delete_runs(store, settings, found, now=at)
        deleted += len(done.roots)
        if not done.roots:
            # Also where what is found can't go now: something below it is open.
            break
    return deleted


def apply_all(store: Store, settings: Settings, *, now: float | None = None) -> int:
    """Apply every rule, and remove files that nothing refers to any more; return how many runs went."""
    deleted = apply(store, settings, now=now)
    for deployment_id in _with_rules(store):
        deleted += apply(store, settings, deployment_id, now=now)
    sweep(store, settings, now=now)
    return deleted


def _with_rules(store: Store) -> list[str]:
    return [
        each.id
        for each in store.deployments.list()
        if each.policies.keep_last is not None or each.policies.keep_days is not None
    ]


def delete_runs(store: Store, settings: Settings, run_ids: Iterable[str], *, now: float | None = None) -> Deleted:
    """Delete ended root runs with everything below them, and the folders that they had in this home.

    Files that several runs may share go later, by `sweep`. Raises `StoreError`.
    """
    done = store.retention.delete(run_ids)
    at = time.time() if now is None else now
    if _is_ours(settings, settings.runs):
        for run_id in done.ids:
            # An id may be any text: what is no name that we give is no folder of ours.
            if _ID.fullmatch(run_id) and _is_older(settings.runs / run_id, at - _SETTLING):
                _remove_folder(settings.runs / run_id)
    return done


def sweep(store: Store, settings: Settings, *, now: float | None = None) -> Swept:
    """Remove files of results, snapshots and lists of packages that nothing refers to, and folders of deleted runs.

    Only what lies in the home's own folders under a name that we give, is older than a day and no link is removed.
    Raises `StoreError`.
    """
    before = (time.time() if now is None else now) - _YOUNG
    results = [
        path
        for folder in _entries(settings, settings.results)
        if re.fullmatch(r"[0-9a-f]{2}", folder.name) and _is_folder(folder)
        for path in _entries(settings, folder)
        if _DIGEST.fullmatch(path.name) and path.name.startswith(folder.name)
    ]
    snapshots = [path for path in _entries(settings, settings.snapshots) if _is_named(path, ".ipynb")]
    environments = [path for path in _entries(settings, settings.environments) if _is_named(path, ".json")]
    folders = [path for path in _entries(settings, settings.runs) if _ID.fullmatch(path.name)]
    old = [[path for path in paths if _is_older(path, before)] for paths in (results, snapshots, environments, folders)]
    if not any(old):
        return Swept(0, 0, 0)
    # Read after the files were listed: what is stored meanwhile is too young to be among them.
    needed = store.retention.files()
    listed = needed.environments | _remembered(settings)
    sizes = [
        *_removed(old[0], needed.results, before),
        *_removed(old[1], needed.snapshots, before),
        *_removed(old[2], listed, before),
    ]
    gone = [path for path in old[3] if path.name not in needed.runs and _remove_folder(path)]
    return Swept(len(sizes), len(gone), sum(sizes))


def _entries(settings: Settings, folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder of the home, unless a link leads there."""
    if not _is_ours(settings, folder):
        return
    try:
        with os.scandir(folder) as found:
            names = [entry.name for entry in found]
    except OSError:
        return
    for name in names:
        path = folder / name
        if path.suffix == _ASIDE:
            path = _put_back(path)
        yield path


def _is_ours(settings: Settings, folder: Path) -> bool:
    """Return whether a folder below the home is a real one, all the way down."""
    parts = folder.relative_to(settings.home).parts
    return all(_is_folder(settings.home.joinpath(*parts[: depth + 1])) for depth in range(len(parts)))


def _put_back(path: Path) -> Path:
    """Give a file its name again that was about to be removed when the process died; return where it is."""
    own = path.with_suffix("")
    if not own.exists():
        with contextlib.suppress(OSError):
            os.rename(path, own)
    return own


def _is_named(path: Path, suffix: str) -> bool:
    return path.suffix == suffix and bool(_DIGEST.fullmatch(path.stem))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_older(path: Path, before: float) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return found.st_mtime < before and not path.is_symlink()


def _removed(paths: Iterable[Path], needed: Collection[str], before: float) -> Iterator[int]:
    """Remove the files whose digests are not needed; yield their sizes."""
    for path in paths:
        if path.stem in needed:
            continue
        size = _remove_file(path, lambda found: found.st_mtime < before)
        if size is not None:
            yield size


def _remove_file(path: Path, may_go: Callable[[os.stat_result], bool]) -> int | None:
    """Remove a file, unless somebody has just stored the same content again; return its size, None where it stays."""
    aside = path.with_name(path.name + _ASIDE)
    try:
        if not path.is_file() or path.is_symlink():
            return None
        # Under another name nobody can replace it between the look at it and its removal.
        os.rename(path, aside)
        found = aside.lstat()
        if may_go(found):
            aside.unlink()
            return found.st_size
        if path.exists():
            aside.unlink()
        else:
            os.rename(aside, path)
    except OSError as error:
        _log.warning("%s could not be removed: %s", path, error.strerror or error)
    return None


def _remove_folder(path: Path) -> bool:
    """Remove the folder of a run; links in it go, what they lead to stays. Return whether it went."""
    if not _is_folder(path):
        return False
    try:
        shutil.rmtree(path)
    except OSError as error:
        _log.warning("the folder %s of a deleted run could not be removed: %s", path, error.strerror or error)
        return False
    return True


def _remembered(settings: Settings) -> set[str]:
    """Return the lists of packages that the memory of interpreters names: they are handed out without a look."""
    found: set[str] = set()
    for path in _entries(settings, settings.environments):
        if path.name.startswith("asked-") and path.is_file():
            try:
                found.update(re.findall(r"[0-9a-f]{64}", path.read_text(errors="replace")))
            except OSError:
                continue
    return found
