"""``jupyter wf runs``, ``show`` and ``cancel``: looking at what the state file holds, and asking for an end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from jupyter_wf.cli.text import clean, columns, elapsed, label, moment, one_line, styled
from jupyter_wf.core.codec import encode_page, encode_request, encode_run
from jupyter_wf.core.durations import duration
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.notebook.facts import begun_or_due, called, spoken
from jupyter_wf.notebook.keys import locals_key
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store

if TYPE_CHECKING:
    from jupyter_wf.notebook.failures import FrameJSON

__all__ = ["cancel", "checked_states", "reading_store", "runs", "show"]

_NAMES = (
    *StateType,
    *"Late AwaitingRetry Retrying Cached Resumed TimedOut Skipped Missed Suspended NotReady".upper().split(),
)
_MOST_CHILDREN = 200


@contextmanager
def reading_store() -> Iterator[Store]:
    """Open the store of this user's settings for the block."""
    store = open_store(load_settings())
    try:
        yield store
    finally:
        store.close()


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def checked_states(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return the types and names of states that were asked for, one by one. Raises `InvalidRequest`."""
    states = _split(values)
    for state in states:
        if state.upper() not in _NAMES:
            raise InvalidRequest("--state", state, f"is none of {', '.join(name.lower() for name in StateType)}")
    return states


class _Runs(click.Group):
    """Loads what deletes runs when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["delete"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name != "delete":
            return None
        command: click.Command = import_module("jupyter_wf.cli.delete").delete
        return command


@click.group(cls=_Runs, short_help="List runs, newest first, or delete some.", invoke_without_command=True)
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these states (failed,crashed; or twice).")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["flow", "task", "cell"]), help="Only these kinds.")
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option("--deployment", metavar="NAME", help="Only runs of this deployment.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@click.option("--cursor", metavar="TEXT", help='Go on behind a page: its "next" in the JSON.')
@click.option("--all", "everything", is_flag=True, help="Also the tasks and cells inside other runs.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /jupyter_wf/api/runs answers.")
@click.pass_context
def runs(
    ctx: click.Context,
    states: tuple[str, ...],
    kinds: tuple[str, ...],
    flow: str | None,
    deployment: str | None,
    limit: int,
    cursor: str | None,
    everything: bool,
    as_json: bool,
) -> int:
    """List runs, newest first: those that stand alone, or with --all or --kind also those inside others."""
    if ctx.invoked_subcommand is not None:
        return 0
    where = RunFilter(
        kinds=tuple(kinds), states=checked_states(states), flow=flow, roots_only=not everything and not kinds
    )
    with reading_store() as store:
        if deployment is not None:
            where = replace(where, deployment=store.deployments.find(deployment).id)
        page = store.list_runs(where, limit=limit, cursor=cursor)
    if as_json:
        click.echo(json.dumps(encode_page(page)))
    elif not page.items:
        click.echo("no runs" if where != RunFilter(roots_only=True) else "no runs yet; 'jupyter wf run …' makes one")
    else:
        for line in _table(page.items):
            click.echo(line)
        if page.next_cursor:
            click.echo(click.style(f"more: --limit, or --cursor {page.next_cursor}", dim=True))
    return 0


def _table(items: tuple[Run, ...]) -> Iterator[str]:
    now = time.time()
    rows = [
        tuple(click.style(title, dim=True) for title in ("id", "kind", "state", "steps", "started", "time", "name"))
    ]
    for run in items:
        seconds = elapsed(run, now)
        rows.append(
            (
                short_id(run.id),
                run.kind,
                styled(run.state),
                f"{run.progress.done}/{run.progress.total}" if run.progress and run.progress.total else "",
                begun_or_due(run, moment),
                duration(seconds) if seconds is not None else "",
                one_line(called(run)),
            )
        )
    yield from columns(rows)


@click.command(short_help="Show one run and what is below it.")
@click.argument("address", metavar="RUN")
@click.option("--locals", "with_locals", is_flag=True, help="Also what the variables were where it failed.")
@click.option("--json", "as_json", is_flag=True, help="Print what GET /jupyter_wf/api/runs/ID answers.")
def show(address: str, with_locals: bool, as_json: bool) -> int:
    """Show a run, the runs below it, and its error.

    RUN is how its id begins, its name, its flow's or task's name (the newest is meant) or "last"; RUN/TASK is a task
    below it.
    """
    with reading_store() as store:
        run = find_address(store, address)
        frames = _frames(store, run) if with_locals else []
        if as_json:
            told: dict[str, Any] = dict(encode_run(run))
            click.echo(json.dumps({**told, "locals": frames} if with_locals else told))
            return 0
        below = store.list_runs(RunFilter(parent_id=run.id, oldest_first=True), limit=_MOST_CHILDREN)
    for line in columns(_facts(run)):
        click.echo(line)
    if below.items:
        click.echo("")
        for line in _table(below.items):
            click.echo(line)
        if below.next_cursor:
            click.echo(f"… the first {_MOST_CHILDREN}; --json on 'jupyter wf runs' has the rest")
    if run.error is not None:
        click.echo("")
        click.echo(clean(run.error.traceback or f"{run.error.type}: {run.error.message}").rstrip())
    if with_locals:
        for line in _frame_lines(frames):
            click.echo(line)
    return 0


def _frames(store: Store, run: Run) -> list[FrameJSON]:
    """Return the frames that were stored of a run's failure."""
    stored = store.find_result(locals_key(run.id), time.time())
    frames: list[FrameJSON] = [] if stored is None or stored.format != "json" else json.loads(stored.data)
    return frames


def _frame_lines(frames: list[FrameJSON]) -> Iterator[str]:
    if not frames:
        yield ""
        yield "no variables were stored: that is done in notebooks, for runs that fail"
    for frame in frames:
        yield ""
        yield one_line(f"{frame['function']}, line {frame['line']} of {frame['file']}")
        if frame["source"]:
            yield f"  > {one_line(frame['source'])}"
        for name, text in frame["locals"].items():
            yield f"    {one_line(name, 60)} = {one_line(text, 300)}"
        if frame["more"]:
            yield f"    … and {frame['more']} more names"


def _facts(run: Run) -> list[tuple[str, str]]:
    seconds = elapsed(run, time.time())
    message = f"  {one_line(run.state.message)}" if run.state.message else ""
    facts = [("run", run.id), ("kind", run.kind), ("name", label(run)), ("state", styled(run.state) + message)]
    if run.max_attempts > 1 or run.attempt > 1:
        facts.append(("attempt", f"{run.attempt} of {max(run.attempt, run.max_attempts)}"))
    facts.append(("created", moment(run.created_at)))
    if run.started_at is not None:
        facts.append(("started", moment(run.started_at)))
    if seconds is not None:
        facts.append(("time", duration(seconds)))
    if run.parent_id is not None:
        facts.append(("inside", run.parent_id))
    if run.tags:
        facts.append(("tags", one_line(", ".join(run.tags))))
    facts += [(one_line(key, 30), one_line(text, 500)) for key, text in spoken(run.source)]
    facts += [(f"-p {one_line(name, 60)}", one_line(json.dumps(value), 500)) for name, value in run.parameters.items()]
    return facts


@click.command(short_help="Ask a run to stop.")
@click.argument("address", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print what POST /jupyter_wf/api/runs/ID/cancel answers.")
def cancel(address: str, as_json: bool) -> int:
    """Ask the owner of RUN to cancel it and everything below it.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    with reading_store() as store:
        run = find_address(store, address)
        request = store.request(run.id, "cancel")
    if as_json:
        click.echo(json.dumps(encode_request(request)))
    else:
        click.echo(f"asked {short_id(run.id)} ({label(run)}) to stop")
    return 0
