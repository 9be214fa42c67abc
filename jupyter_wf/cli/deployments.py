"""``jupyter wf deployments``: list, show, run, pause, unpause and delete what was deployed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from jupyter_wf.cli.app import CANCELLED, FAILED
from jupyter_wf.cli.deployment_options import texts_of
from jupyter_wf.cli.files import read_parameters
from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.schedule_lines import schedule_lines, spoken_slot
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import COLOURS, columns, one_line, styled
from jupyter_wf.core.codec import encode_run
from jupyter_wf.core.deployment_fields import check_name
from jupyter_wf.core.deployment_json import encode_deployment
from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.core.errors import FlowRunWaitTimeout, InvalidRequest
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.core.parameters import MASK, is_secret
from jupyter_wf.core.policies import policy_text
from jupyter_wf.core.schedules.zones import at_wall
from jupyter_wf.core.telling import moment_in, words_of
from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime
from jupyter_wf.flow_runs import check_times, wait_for_flow_run
from jupyter_wf.services.backfill import zone_of
from jupyter_wf.services.deploying import nobody_there, trigger
from jupyter_wf.store.base import Store

__all__ = ["deployments"]

_SHOWN_RUNS = 5


@click.group(short_help="List deployments, run, pause and delete them.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def deployments(ctx: click.Context, as_json: bool) -> int:
    """List the deployments; or show, run, pause, unpause or delete one.

    NAME is FLOW/NAME, the name alone where there is one of it, an id or how it begins.
    """
    if ctx.invoked_subcommand is None:
        return _list("", None, as_json)
    if as_json:
        raise click.UsageError("--json goes behind the command: jupyter wf deployments list --json")
    return 0


@deployments.command("list", short_help="List the deployments.")
@click.argument("text", default="")
@click.option("--pool", metavar="NAME", help="Only those of this work pool.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_command(text: str, pool: str | None, as_json: bool) -> int:
    """List the deployments, those with TEXT in their address."""
    return _list(text, pool, as_json)


def _list(text: str, pool: str | None, as_json: bool) -> int:
    now = time.time()
    with reading_store() as store:
        found = store.deployments.list(text=text, pool=pool)
        runs = {each.id: _last_runs(store, each, _SHOWN_RUNS) for each in found}
    if as_json:
        told = [
            {"deployment": encode_deployment(each, now=now), "last_runs": [encode_run(run) for run in runs[each.id]]}
            for each in found
        ]
        click.echo(json.dumps(told))
    elif not found and (text or pool):
        click.echo("no such deployments; 'jupyter wf deployments' lists all")
    elif not found:
        click.echo("no deployments; 'jupyter wf deploy TARGET --name NAME' makes one")
    else:
        titles = ("deployment", "when", "next", "last runs", "pool", "target")
        print_table(titles, (_row(each, runs[each.id]) for each in found))
    return 0


def _row(deployment: Deployment, runs: list[Run]) -> list[Styled]:
    when = "; ".join(words_of(each) for each in deployment.schedules if each.active)
    states = " ".join(run.state.name for run in runs)
    last = (states, COLOURS[runs[0].state.type]) if runs else ""
    following: Styled = ("paused", "yellow") if deployment.paused else spoken_slot(deployment)
    return [deployment.address, when, following, last, deployment.pool, deployment.target]


def _last_runs(store: Store, deployment: Deployment, limit: int) -> list[Run]:
    ids = store.queue.runs_of(deployment.id, limit=limit)
    found = store.get_runs(ids)
    return [found[run_id] for run_id in ids if run_id in found]


@deployments.command("show", short_help="Show a deployment, its schedules and last runs.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def _show(name: str, as_json: bool) -> int:
    """Show the deployment NAME: what it runs, when next, how, and its last runs."""
    now = time.time()
    with reading_store() as store:
        found = store.deployments.find(name)
        runs = _last_runs(store, found, 10)
        due = {run.id: _due(store, run) for run in runs}
    if as_json:
        told = {"deployment": encode_deployment(found, now=now), "last_runs": [encode_run(run) for run in runs]}
        click.echo(json.dumps(told))
        return 0
    for line in columns(list(_facts(found))):
        click.echo(line)
    for schedule in found.schedules:
        click.echo("")
        for line in schedule_lines(schedule, now):
            click.echo(line)
    if runs:
        click.echo("")
        zone = zone_of(found)
        print_table(("run", "state", "due", "started", "name"), (_run_row(run, due[run.id], zone) for run in runs))
    return 0


def _due(store: Store, run: Run) -> float:
    """Return when a run was due: its slot, else when it was asked for."""
    queued = store.queue.get(run.id)
    if queued is None:
        return run.created_at
    return queued.due_at if queued.slot is None else queued.slot


def _run_row(run: Run, due: float, zone: ZoneInfo) -> list[Styled]:
    # In the zone of the schedules, which stand above.
    times = ("" if at is None else moment_in(at_wall(at, zone)) for at in (due, run.started_at))
    return [short_id(run.id), (run.state.name, COLOURS[run.state.type]), *times, run.name]


def _facts(found: Deployment) -> Iterator[tuple[str, str]]:
    yield "deployment", one_line(found.address)
    yield "id", found.id
    yield found.kind, one_line(found.target, 500)
    if found.description:
        yield "description", one_line(found.description, 500)
    if found.paused:
        yield "paused", one_line(found.paused_reason or "yes")
    yield "pool", one_line(found.pool)
    for name, value in (("priority", found.priority), ("kernel", found.kernel), ("tags", ", ".join(found.tags))):
        if value:
            yield name, one_line(str(value))
    if found.failures:
        yield "failures in a row", str(found.failures)
    usual = Policies()
    for name in Policies.__slots__:
        value = getattr(found.policies, name)
        if value != getattr(usual, name):
            yield name, one_line(policy_text(name, value))
    for name, value in found.parameters.items():
        yield f"-p {one_line(name, 60)}", MASK if is_secret(name) else one_line(json.dumps(value), 500)


@deployments.command("run", short_help="Run a deployment now.")
@click.argument("name")
@click.option("-p", "--parameter", "assignments", metavar="NAME=VALUE", multiple=True, help="Set a parameter.")
@click.option(
    "--params-file", type=click.Path(path_type=Path), metavar="FILE", help="Parameters in JSON or YAML; -p wins."
)
@click.option("--at", metavar="TIME", help="Run it then (ISO 8601; local time where it has no offset), not now.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Tag the run.")
@click.option("--watch", is_flag=True, help="Wait until it has ended; the exit code is the run's.")
@click.option("--timeout", type=float, metavar="S", help="With --watch: wait at most so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON, and nothing else.")
def _run(
    name: str,
    assignments: tuple[str, ...],
    params_file: Path | None,
    at: str | None,
    tags: tuple[str, ...],
    watch: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """Have the agents run the deployment NAME now, with its parameters, some of them changed.

    With --watch the exit code is 0 for a run that has completed, 130 for a cancelled one, else 1. Ctrl-C ends the
    watching, not the run.
    """
    if timeout is not None and not watch:
        raise click.UsageError("--timeout goes with --watch")
    check_times(**{"--timeout": timeout})
    values = read_parameters(params_file) if params_file else {}
    texts, due_at, now = texts_of(assignments), None if at is None else _moment(at), time.time()
    runtime = Runtime.open(load_settings(), role="cli")
    set_runtime(runtime)
    try:
        store = runtime.store
        found = store.deployments.find(name)
        run_id = trigger(
            store, runtime.settings, found, values, now=now, texts=texts, due_at=due_at, tags=tags, source={}
        )
        if not as_json:
            click.echo(f"{one_line(found.address)} runs as {short_id(run_id)}")
        for problem in nobody_there(store, found.pool, now):
            click.echo(problem, err=True)
        if watch:
            # How it ended is for the exit code; that it has not is said here.
            with suppress(FlowRunWaitTimeout):
                wait_for_flow_run(run_id, timeout=timeout)
        run = store.get_run(run_id)
    finally:
        set_runtime(None)
        runtime.close()
    if as_json:
        click.echo(json.dumps(encode_run(run)))
    elif watch and run.state.is_final():
        click.echo(f"{styled(run.state)}{f'  {one_line(run.state.message)}' if run.state.message else ''}")
    if watch and not run.state.is_final():
        click.echo(f"{short_id(run.id)} is still {run.state.name} after {timeout:g} s; it goes on", err=True)
    return _code(run) if watch else 0


def _code(run: Run) -> int:
    return 0 if run.state.is_completed() else CANCELLED if run.state.is_cancelled() else FAILED


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InvalidRequest("--at", text, "write it like 2026-12-01T06:00 or 2026-12-01T06:00+01:00") from None


@deployments.command("pause", short_help="Have its schedules make no runs.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--reason", default="paused by hand", metavar="TEXT", help="Why.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of the deployments.")
def _pause(names: tuple[str, ...], reason: str, as_json: bool) -> int:
    """Have the schedules of each NAME make no more runs; what runs goes on."""
    check_name("--reason", reason.replace("/", " ").strip() or reason)
    now = time.time()
    with reading_store() as store:
        found = [store.deployments.find(name) for name in names]
        changed = [store.deployments.pause(each.id, reason, now) for each in found]
    return _told(changed, "paused", as_json)


@deployments.command("unpause", short_help="Have its schedules make runs again.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of the deployments.")
def _unpause(names: tuple[str, ...], as_json: bool) -> int:
    """Have the schedules of each NAME make runs again; what came while it was paused is not made up for."""
    now = time.time()
    with reading_store() as store:
        found = [store.deployments.find(name) for name in names]
        changed = [store.deployments.unpause(each.id, now) for each in found]
    return _told(changed, "unpaused", as_json)


def _told(changed: list[Deployment], what: str, as_json: bool) -> int:
    if as_json:
        now = time.time()
        click.echo(json.dumps([encode_deployment(each, now=now) for each in changed]))
        return 0
    for each in changed:
        following = spoken_slot(each)
        click.echo(f"{what} {one_line(each.address)}{f'; next {following}' if following else ''}")
    return 0


@deployments.command("delete", short_help="Delete a deployment and its schedules.")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array of what was deleted.")
def _delete(names: tuple[str, ...], as_json: bool) -> int:
    """Delete each NAME with its schedules; runs that wait are cancelled, those that run or have ended stay."""
    told: list[dict[str, Any]] = []
    with reading_store() as store:
        for each in {found.id: found for found in map(store.deployments.find, names)}.values():
            told.append({"address": each.address, "id": each.id, "cancelled": store.deployments.delete(each.id)})
    if as_json:
        click.echo(json.dumps(told))
        return 0
    for one in told:
        number = one["cancelled"]
        more = f"; {number} waiting run{'' if number == 1 else 's'} cancelled" if number else ""
        click.echo(f"deleted {one_line(one['address'])}{more}")
    return 0
