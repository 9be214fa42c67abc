"""``jupyter wf runs delete``: removing ended runs for good."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import click

from jupyter_wf.cli.runs import checked_states
from jupyter_wf.cli.text import columns, label, moment, styled
from jupyter_wf.core.durations import seconds_of
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.services.retention import delete_runs, sweep
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store

__all__ = ["delete"]

_SHOWN = 20
_BATCH = 200


@click.command(short_help="Delete ended runs.")
@click.argument("addresses", metavar="[RUN]...", nargs=-1)
@click.option("--older-than", metavar="TIME", help="Only what ended so long ago: 30d, 12h, 2w.")
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these states (failed,crashed; or twice).")
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option("--deployment", metavar="NAME", help="Only runs of this deployment.")
@click.option("--dry-run", is_flag=True, help="Only say which those are.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the ids as JSON; needs --yes or --dry-run.")
def delete(
    addresses: tuple[str, ...],
    older_than: str | None,
    states: tuple[str, ...],
    flow: str | None,
    deployment: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Delete runs that have ended, with their steps, logs, values and executed notebooks.

    RUN is how a run's id begins, its name, its flow's or task's name, or "last". Or name them by what they have in
    common: --older-than, --state, --flow, --deployment. Notebooks that were written to folders of your own stay.
    """
    common = older_than, flow, deployment
    if bool(addresses) == (any(each is not None for each in common) or bool(states)):
        raise click.UsageError("name the runs, or give --older-than, --state, --flow or --deployment")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks nothing: give --yes or --dry-run with it")
    settings = load_settings()
    store = open_store(settings)
    try:
        if addresses:
            found = list({run.id: run for run in (find_address(store, address) for address in addresses)}.values())
        else:
            where = RunFilter(states=checked_states(states), flow=flow, roots_only=True, oldest_first=True)
            if deployment is not None:
                where = replace(where, deployment=store.deployments.find(deployment).id)
            found = list(_ended(store, where, _before(older_than)))
        if dry_run or not found:
            return _say(found, as_json, dry_run=dry_run)
        if not yes:
            _say(found, as_json=False, dry_run=True)
            click.confirm(f"Delete {_runs(len(found))} for good?", abort=True)
        return _delete(store, settings, found, as_json)
    finally:
        store.close()


def _before(older_than: str | None) -> float | None:
    if older_than is None:
        return None
    try:
        age = seconds_of(older_than)
    except ValueError as error:
        raise click.UsageError(f"--older-than {older_than!r}: {error}") from None
    if age < 0:
        raise click.UsageError(f"--older-than {older_than!r}: give an age from 0: this would be every run")
    return time.time() - age


def _ended(store: Store, where: RunFilter, before: float | None) -> Iterator[Run]:
    cursor = None
    while True:
        page = store.list_runs(where, limit=1000, cursor=cursor)
        for run in page.items:
            if run.ended_at is not None and (before is None or run.ended_at < before):
                yield run
        cursor = page.next_cursor
        if cursor is None:
            return


def _say(found: Sequence[Run], as_json: bool, *, dry_run: bool) -> int:
    if as_json:
        ids = [run.id for run in found]
        click.echo(json.dumps({"dry_run": dry_run, "deleted": [] if dry_run else ids, "found": ids, "refused": {}}))
    elif not found:
        click.echo("no such runs that have ended")
    else:
        rows = [
            (short_id(run.id), styled(run.state), moment(run.ended_at or run.created_at), label(run))
            for run in found[:_SHOWN]
        ]
        for line in columns(rows):
            click.echo(line)
        more = len(found) - _SHOWN
        if more > 0:
            click.echo(click.style(f"and {more:,} more", dim=True))
    return 0


def _delete(store: Store, settings: Settings, found: Sequence[Run], as_json: bool) -> int:
    # What the dead have left open has ended: it is written down before.
    store.reap(time.time())
    roots: list[str] = []
    ids = 0
    refused: dict[str, str] = {}
    for first in range(0, len(found), _BATCH):
        done = delete_runs(store, settings, [run.id for run in found[first : first + _BATCH]])
        roots += done.roots
        ids += len(done.ids)
        refused |= done.refused
    sweep(store, settings)
    if as_json:
        told = {"dry_run": False, "deleted": roots, "found": [run.id for run in found], "refused": refused}
        click.echo(json.dumps(told))
    else:
        inside = ids - len(roots)
        click.echo(f"deleted {_runs(len(roots))}" + (f" and {inside:,} inside of them" if inside > 0 else ""))
        for run_id, reason in refused.items():
            click.echo(f"run {short_id(run_id)} stays: {reason}", err=True)
    return 1 if refused else 0


def _runs(number: int) -> str:
    return f"{number:,} run{'' if number == 1 else 's'}"
