"""How people name a run: ``RUN`` or ``RUN/TASK``.

``RUN`` is a run's id or how it begins, its name, the name of its flow or task (the newest one is meant), or ``last``.
``TASK`` is one of the runs below it: by its name (``load``, ``double-3``), its task's name where there is one run of
it, or its id or how that begins. A name goes before an id that begins like it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from jupyter_wf.core.errors import InvalidRequest, TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.store.base import Store

__all__ = ["LAST", "below", "find_address", "find_last"]

LAST = "last"
_PAGE = 1000
_MOST_TOLD = 8


def find_address(store: Store, address: str, *, failed: bool = False) -> Run:
    """Return the run that ``RUN`` or ``RUN/TASK`` names.

    With ``failed``, of several tasks that a name fits the one is meant that failed, where there is just one.

    Raises `TargetError`, which lists what there is, where nothing fits or more than one thing does, `RunNotFound` for
    an id that no run has, and `AmbiguousRunId` for too short a one.
    """
    address = address.strip()
    above, slash, task = address.partition("/")
    if not slash:
        return _find_run(store, address)
    whole = _newest(store, address)
    if whole is not None:
        # The name of a run may have a slash in it.
        return whole
    if not above or not task:
        raise TargetError(address, "name a run, or RUN/TASK: a task below a run")
    return _find_task(store, _find_run(store, above), task, address, failed)


def find_last(store: Store, name: str | None = None) -> Run:
    """Return the newest run that stands alone; with ``name``, the newest run of that name, flow or task.

    Raises `TargetError` where there is none.
    """
    if name is not None:
        found = _newest(store, name)
        if found is None:
            raise TargetError(name, "no run, flow or task has this name")
        return found
    page = store.list_runs(RunFilter(roots_only=True), limit=1).items
    if not page:
        raise TargetError(LAST, "there is no run yet")
    return page[0]


def below(store: Store, run: Run, where: RunFilter | None = None) -> Iterator[Run]:
    """Yield all runs below a run, at any depth, oldest first; only those that ``where`` lets through."""
    where = replace(where or RunFilter(), root_id=run.root_id, oldest_first=True)
    parents: dict[str, str | None] = {}
    for each in _pages(store, where):
        if each.id != run.id and (run.id == run.root_id or _is_below(store, each, run.id, parents)):
            yield each


def _is_below(store: Store, run: Run, ancestor: str, parents: dict[str, str | None]) -> bool:
    """Return whether a run is below another; ``parents`` remembers who is below whom."""
    parents[run.id] = run.parent_id
    at: str | None = run.id
    while at is not None and at != ancestor:
        if at not in parents:
            known = store.get_runs([at]).get(at)
            parents[at] = None if known is None else known.parent_id
        at = parents[at]
    return at == ancestor


def _find_run(store: Store, text: str) -> Run:
    if text == LAST:
        return find_last(store)
    found = _newest(store, text)
    if found is not None:
        return found
    try:
        return store.find_run(text)
    except InvalidRequest:
        why = "no run has this name, and it is no id; %wf runs or 'jupyter wf runs' lists what there is"
        raise TargetError(text, why) from None


def _newest(store: Store, name: str) -> Run | None:
    """Return the newest run of a name: a flow's or notebook's that stands alone before any other."""
    if not name:
        return None
    for alone in (True, False):
        for run in _pages(store, RunFilter(text=name, roots_only=alone)):
            if alone and run.kind != "flow":
                # A task cell that was run by hand may have been run again since, as a part of something.
                continue
            if name in (run.name, run.task_name, run.flow_name if run.kind == "flow" else None):
                return _whole(store, run) if name != run.name else run
    return None


def _whole(store: Store, run: Run) -> Run:
    """Return the cell with ``--map`` that a run is one item of; the run itself where it is none."""
    above = store.get_runs([run.parent_id]).get(run.parent_id) if run.parent_id and run.kind == "task" else None
    return above if above is not None and above.kind == "task" and above.name == run.task_name else run


def _find_task(store: Store, run: Run, task: str, address: str, failed: bool) -> Run:
    named = list(below(store, run, RunFilter(text=task)))
    for fits in (
        [each for each in named if each.name == task],
        [each for each in named if task in (each.task_name, each.flow_name if each.kind == "flow" else None)],
        [each for each in below(store, run) if each.id.startswith(task.lower())] if len(task) > 3 else [],
    ):
        if failed and len(fits) > 1:
            fits = [each for each in fits if each.state.is_failed() or each.state.is_crashed()] or fits
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise TargetError(
                address, f"{task!r} fits {len(fits):,} runs: {_told(fits)}; give one of these names or ids"
            )
    others = list(below(store, run))
    what = f"it has {_told(others)}" if others else "there is nothing below it"
    raise TargetError(address, f"no task of {run.name!r} ({short_id(run.id)}) is called {task!r}; {what}")


def _told(runs: Iterable[Run]) -> str:
    names = list(runs)
    unique = len({run.name for run in names}) == len(names)
    told = [run.name if unique else f"{run.name} ({short_id(run.id)})" for run in names[:_MOST_TOLD]]
    more = len(names) - len(told)
    return ", ".join(told) + (f" and {more:,} more" if more else "")


def _pages(store: Store, where: RunFilter) -> Iterator[Run]:
    cursor: str | None = None
    while True:
        page = store.list_runs(where, limit=_PAGE, cursor=cursor)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
