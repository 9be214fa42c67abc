"""``jupyter wf backfill`` and ``backfills``: running the slots of a time that has passed, as one group."""

from __future__ import annotations

import json
import re
import time
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from jupyter_wf.cli.deployment_options import texts_of
from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import COLOURS, one_line
from jupyter_wf.core.backfills import Backfill, Reprocess
from jupyter_wf.core.codec import encode_run, iso
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.schedules.zones import at_wall, read_time
from jupyter_wf.core.scheduling_errors import DeploymentNotFound
from jupyter_wf.core.telling import moment_in
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.backfill import PlannedSlot, create_backfill, plan_backfill, zone_of
from jupyter_wf.services.deployables import deployable_of
from jupyter_wf.services.deploying import changed_parameters, nobody_there
from jupyter_wf.store.base import Store

__all__ = ["backfill", "backfills"]

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_JUST = 0.001


@click.command(short_help="Run the slots of a time that has passed.")
@click.argument("name", metavar="DEPLOYMENT")
@click.option("--from", "begin", required=True, metavar="TIME", help="The first time: 2026-01-01 or 2026-01-01T06:00.")
@click.option("--to", "end", required=True, metavar="TIME", help="The last one, included; of a day its end.")
@click.option(
    "--reprocess",
    type=click.Choice(["none", "failed", "all"]),
    default="none",
    show_default=True,
    help="Of what has been run already, what is run again.",
)
@click.option(
    "--parallel", type=click.IntRange(1, 1000), default=1, show_default=True, help="So many at the same time."
)
@click.option("--newest-first", is_flag=True, help="Begin with the last slot.")
@click.option("--schedule", metavar="SCHEDULE", help="Only this one: its slug, or how its id begins.")
@click.option("-p", "--parameter", "assignments", metavar="NAME=VALUE", multiple=True, help="Change a parameter.")
@click.option("--dry-run", is_flag=True, help="Print the slots, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the group, or with --dry-run the slots.")
def backfill(
    name: str,
    begin: str,
    end: str,
    reprocess: Reprocess,
    parallel: int,
    newest_first: bool,
    schedule: str | None,
    assignments: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> int:
    """Make a run of DEPLOYMENT for each slot of its schedules from --from to --to that has none yet.

    They are one group, which "jupyter wf backfills" shows and can cancel. Times without an offset are in the zone of
    the schedule.
    """
    now = time.time()
    with reading_store() as store:
        found = store.deployments.find(name)
        zone = zone_of(found, schedule)
        given = changed_parameters(deployable_of(load_settings(), found), texts_of(assignments))
        chosen: dict[str, Any] = {
            "begin": read_time(begin, zone, "from"),
            "end": _end(end, zone),
            "reprocess": reprocess,
            "newest_first": newest_first,
            "schedule": schedule,
            "now": now,
        }
        if dry_run:
            return _tell_plan(plan_backfill(store, found, **chosen), zone, as_json)
        made = create_backfill(store, found, parallel=parallel, parameters=given, **chosen)
        problems = nobody_there(store, found.pool, now)
    if as_json:
        click.echo(json.dumps(_as_json(made, found.address)))
        return 0
    number = f"{made.runs} run{'' if made.runs == 1 else 's'}"
    click.echo(f"{number} of {one_line(found.address)}, at most {parallel} at a time, as {short_id(made.id)}")
    click.echo(f"'jupyter wf backfills show {short_id(made.id)}' looks at them")
    for problem in problems:
        click.echo(problem, err=True)
    return 0


def _end(text: str, zone: ZoneInfo) -> float:
    if not _DAY.fullmatch(text.strip()):
        return read_time(text, zone, "to")
    # Judges the day too.
    read_time(text, zone, "to")
    following = date.fromisoformat(text.strip()) + timedelta(days=1)
    return read_time(following.isoformat(), zone, "to") - _JUST


def _tell_plan(planned: list[PlannedSlot], zone: ZoneInfo, as_json: bool) -> int:
    if as_json:
        told = [{"schedule_id": each.schedule_id, "slot": iso(each.slot), "runs": each.runs} for each in planned]
        click.echo(json.dumps(told))
        return 0
    for each in planned:
        click.echo(f"{_in(each.slot, zone)}{'' if each.runs else '  has been run'}")
    number = sum(each.runs for each in planned)
    click.echo(f"{number} of {len(planned)} slots would be run (dry run: nothing was changed)")
    return 0


@click.group(short_help="List backfills, look at one, or cancel it.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def backfills(ctx: click.Context, as_json: bool) -> int:
    """List the backfills, newest first; or show or cancel one. BACKFILL is how its id begins."""
    if ctx.invoked_subcommand is not None:
        if as_json:
            raise click.UsageError("--json goes behind the command: jupyter wf backfills show BACKFILL --json")
        return 0
    with reading_store() as store:
        found = [(each, *_address(store, each)) for each in store.backfills.list()]
    if as_json:
        click.echo(json.dumps([_as_json(each, address) for each, address, _ in found]))
    elif not found:
        click.echo("no backfills; 'jupyter wf backfill DEPLOYMENT --from TIME --to TIME' makes one")
    else:
        titles = ("backfill", "deployment", "from", "to", "runs", "ended", "states")
        print_table(titles, (_row(*each) for each in found))
    return 0


def _address(store: Store, each: Backfill) -> tuple[str, ZoneInfo]:
    """Return the address of what a backfill is of, and the zone of its times."""
    try:
        found = store.deployments.get(each.deployment_id)
    except DeploymentNotFound:
        return f"(deleted) {short_id(each.deployment_id)}", ZoneInfo("UTC")
    return found.address, zone_of(found)


def _in(at: float, zone: ZoneInfo) -> str:
    return moment_in(at_wall(at, zone))


def _row(each: Backfill, address: str, zone: ZoneInfo) -> list[Styled]:
    states = ", ".join(f"{number} {name}" for name, number in each.counts.items())
    more = " (cancelled)" if each.cancelled_at is not None else ""
    return [
        short_id(each.id),
        address,
        _in(each.begin_at, zone),
        _in(each.end_at, zone),
        str(each.runs),
        str(each.runs - each.open),
        f"{states}{more}",
    ]


def _as_json(each: Backfill, address: str) -> dict[str, Any]:
    return {
        "id": each.id,
        "deployment": address,
        "deployment_id": each.deployment_id,
        "begin_at": iso(each.begin_at),
        "end_at": iso(each.end_at),
        "reprocess": each.reprocess,
        "parallel": each.parallel,
        "newest_first": each.newest_first,
        "created_at": iso(each.created_at),
        "cancelled_at": None if each.cancelled_at is None else iso(each.cancelled_at),
        "runs": each.runs,
        "open": each.open,
        "counts": dict(each.counts),
    }


@backfills.command("show", short_help="Show a backfill and its runs.")
@click.argument("name", metavar="BACKFILL")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many runs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def _show(name: str, limit: int, as_json: bool) -> int:
    """Show the BACKFILL, and its runs, newest first."""
    with reading_store() as store:
        found = store.backfills.get(name)
        address, zone = _address(store, found)
        ids = store.queue.runs_of(found.deployment_id, limit=limit, group_id=found.id)
        runs = store.get_runs(ids)
        slots = {run_id: queued.slot for run_id in ids if (queued := store.queue.get(run_id)) is not None}
    if as_json:
        told = {"backfill": _as_json(found, address), "runs": [encode_run(runs[each]) for each in ids if each in runs]}
        click.echo(json.dumps(told))
        return 0
    print_table(("backfill", "deployment", "from", "to", "runs", "ended", "states"), [_row(found, address, zone)])
    click.echo("")
    rows: list[list[Styled]] = [
        [
            short_id(run_id),
            _in(slot, zone) if (slot := slots.get(run_id)) is not None else "",
            (runs[run_id].state.name, COLOURS[runs[run_id].state.type]),
            runs[run_id].name,
        ]
        for run_id in ids
        if run_id in runs
    ]
    print_table(("run", "slot", "state", "name"), rows)
    return 0


@backfills.command("cancel", short_help="Cancel what is open of a backfill.")
@click.argument("name", metavar="BACKFILL")
def _cancel(name: str) -> int:
    """Cancel what waits of the BACKFILL, and ask what runs of it to stop."""
    with reading_store() as store:
        found = store.backfills.get(name)
        number = store.backfills.cancel(found.id, time.time())
    click.echo(f"{number} run{'' if number == 1 else 's'} of {short_id(found.id)} cancelled or asked to stop")
    return 0
