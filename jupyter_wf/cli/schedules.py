"""``jupyter wf schedules``: list the schedules of all deployments, look ahead, and switch single ones."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.schedule_lines import next_lines, schedule_lines
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import one_line
from jupyter_wf.core.deployment_json import encode_schedule
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.scheduling_errors import ScheduleNotFound
from jupyter_wf.core.telling import upcoming, words_of, zone_name
from jupyter_wf.services.given_schedules import given_schedules, read_schedule
from jupyter_wf.store.base import Store

__all__ = ["schedules"]

_MOST = 1000


@click.group(short_help="List schedules, preview and switch them.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def schedules(ctx: click.Context, as_json: bool) -> int:
    """List the schedules of all deployments; or show when an expression fires; or switch one off and on.

    SCHEDULE is the id of a schedule or how it begins, its slug, or DEPLOYMENT/SLUG.
    """
    if ctx.invoked_subcommand is None:
        return _list("", as_json)
    if as_json:
        raise click.UsageError("--json goes behind the command: jupyter wf schedules list --json")
    return 0


@schedules.command("list", short_help="List the schedules.")
@click.argument("text", default="")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_command(text: str, as_json: bool) -> int:
    """List the schedules of the deployments with TEXT in their address."""
    return _list(text, as_json)


def _list(text: str, as_json: bool) -> int:
    now = time.time()
    with reading_store() as store:
        found = [(each, schedule) for each in store.deployments.list(text=text) for schedule in each.schedules]
    if as_json:
        click.echo(json.dumps([_as_json(each, schedule, now) for each, schedule in found]))
    elif not found and text:
        click.echo("no such schedules; 'jupyter wf schedules' lists all")
    elif not found:
        click.echo("no schedules; 'jupyter wf deploy TARGET --name NAME --cron EXPR' makes one")
    else:
        titles = ("schedule", "deployment", "when", "zone", "next", "runs", "active")
        print_table(titles, (_row(each, schedule, now) for each, schedule in found))
    return 0


def _row(deployment: Deployment, schedule: DeploymentSchedule, now: float) -> list[Styled]:
    active: Styled = "yes" if schedule.active else ("no", "yellow")
    if deployment.paused:
        active = ("paused", "yellow")
    most = "" if schedule.max_runs is None else f" of {schedule.max_runs}"
    return [
        schedule.slug or schedule.id[:8],
        deployment.address,
        words_of(schedule),
        zone_name(schedule),
        next_lines(schedule, now, 1)[0] if schedule.active and not deployment.paused else "",
        f"{schedule.made}{most}",
        active,
    ]


def _as_json(deployment: Deployment, schedule: DeploymentSchedule, now: float) -> dict[str, Any]:
    told: dict[str, Any] = dict(encode_schedule(schedule, now=now))
    return {"deployment": deployment.address, "deployment_id": deployment.id, **told}


@schedules.command("preview", short_help="Show in words when an expression fires, and its next times.")
@click.option("--cron", metavar="EXPR", help='As in crontab: "0 6 * * 1-5".')
@click.option("--every", metavar="TIME", help="At equal distances: 15m, 6h, 1d.")
@click.option("--rrule", metavar="RULE", help="By RFC 5545: FREQ=WEEKLY;BYDAY=MO;BYHOUR=6.")
@click.option("--at", metavar="TIME", help="Once: 2026-12-01T06:00.")
@click.option("--timezone", metavar="ZONE", help="Their zone: Europe/Oslo. UTC if not given.")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1, _MOST), help="So many times.")
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def _preview(
    cron: str | None,
    every: str | None,
    rrule: str | None,
    at: str | None,
    timezone: str | None,
    count: int,
    as_json: bool,
) -> int:
    """Show what an expression means: in words, and its next times in its zone. Nothing is stored."""
    now = time.time()
    given = given_schedules(cron=cron, interval=every, rrule=rrule, at=at, timezone=timezone)
    if given is None or len(given) != 1:
        raise click.UsageError("give one of --cron, --every, --rrule and --at")
    schedule = read_schedule(given[0], now=now)
    if as_json:
        times = [each.isoformat() for each in upcoming(schedule, now, count)]
        told = {"words": words_of(schedule), "timezone": zone_name(schedule), "spec": schedule.spec, "next": times}
        click.echo(json.dumps(told))
        return 0
    for line in schedule_lines(schedule, now, count):
        click.echo(line)
    return 0


@schedules.command("pause", short_help="Switch a schedule off.")
@click.argument("schedule")
def _pause(schedule: str) -> int:
    """Switch SCHEDULE off; the deployment's others go on."""
    return _switch(schedule, active=False)


@schedules.command("unpause", short_help="Switch a schedule on.")
@click.argument("schedule")
def _unpause(schedule: str) -> int:
    """Switch SCHEDULE on again; what came meanwhile is not made up for."""
    return _switch(schedule, active=True)


def _switch(name: str, *, active: bool) -> int:
    now = time.time()
    with reading_store() as store:
        deployment, schedule = _find(store, name)
        wanted = replace(schedule, active=active)
        store.deployments.set_schedule(read_schedule(wanted, deployment.schedules, now=now))
    told = "on" if active else "off"
    following = f"; next {next_lines(wanted, now, 1)[0]}" if active and not deployment.paused else ""
    click.echo(
        f"switched {told} {one_line(schedule.slug or words_of(schedule))} of {one_line(deployment.address)}{following}"
    )
    return 0


@schedules.command("remove", short_help="Remove a schedule from its deployment.")
@click.argument("schedule")
def _remove(schedule: str) -> int:
    """Remove SCHEDULE; runs of it that wait stay."""
    with reading_store() as store:
        deployment, found = _find(store, schedule)
        store.deployments.remove_schedule(found.id)
    click.echo(f"removed {one_line(found.slug or words_of(found))} from {one_line(deployment.address)}")
    return 0


def _find(store: Store, name: str) -> tuple[Deployment, DeploymentSchedule]:
    """Return the one schedule that is meant, with its deployment."""
    address, slash, slug = name.rpartition("/")
    found = [
        (each, schedule)
        for each in store.deployments.list()
        for schedule in each.schedules
        if schedule.id == name
        or (len(name) >= 6 and schedule.id.startswith(name.lower()))
        or (schedule.slug is not None and schedule.slug == name)
        or (slash and schedule.slug == slug and address in (each.address, each.name))
    ]
    if not found:
        raise ScheduleNotFound(name)
    if len(found) > 1:
        known = ", ".join(f"{each.address} {schedule.id[:8]}" for each, schedule in found[:5])
        raise InvalidRequest("SCHEDULE", name, f"several have this name; say which by its id: {known}")
    return found[0]
