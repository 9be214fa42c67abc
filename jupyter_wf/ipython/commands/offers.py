"""What Tab offers behind ``%wf``: runs by their names and ids, and the tasks below a run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.notebook.addresses import LAST, find_address

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["addresses", "run_names", "runs_in"]

_MOST = 50
_MOST_TASKS = 500
_WORD = re.compile(r"[\w.:@+-]+")


def runs_in(session: Session, states: Iterable[str] = ()) -> list[str]:
    """Return the names and short ids of the newest runs, of those in ``states`` where there are any."""
    return _words(_newest(session, tuple(states)))


def run_names(session: Session, *, flows: bool = False) -> list[str]:
    """Return the names of the newest runs that stand alone, each once; with ``flows`` those of their flows only."""
    runs = _newest(session, ())
    names = [run.flow_name for run in runs if run.kind == "flow" and run.flow_name]
    if not flows:
        names = [name for run in runs for name in (run.flow_name, run.task_name, run.name) if name]
    return list(dict.fromkeys(name for name in names if _WORD.fullmatch(name)))


def addresses(session: Session, word: str, states: Iterable[str] = ()) -> list[str]:
    """Return what an address may become: a run, or behind ``RUN/`` the tasks below it."""
    above, slash, _ = word.partition("/")
    if not slash:
        return [LAST, *runs_in(session, states)]
    store = session.runtime.store
    session.runtime.journal.flush()
    try:
        run = find_address(store, above)
    except JupyterWfError:
        return []
    page = store.list_runs(RunFilter(root_id=run.root_id, states=tuple(states), oldest_first=True), limit=_MOST_TASKS)
    return [f"{above}/{name}" for name in _words([each for each in page.items if each.id != run.id])]


def _newest(session: Session, states: tuple[str, ...]) -> list[Run]:
    session.runtime.journal.flush()
    return list(session.runtime.store.list_runs(RunFilter(roots_only=True, states=states), limit=_MOST).items)


def _words(runs: Iterable[Run]) -> list[str]:
    """Return the names of runs, then their ids: only names that are one word of a line."""
    several = list(runs)
    names = dict.fromkeys(run.name for run in several if _WORD.fullmatch(run.name))
    return [*names, *(short_id(run.id) for run in several)]
