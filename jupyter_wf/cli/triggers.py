"""``jupyter wf triggers``: what makes runs of a deployment beside its schedules."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.state_words import strange_states
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import moment, one_line
from jupyter_wf.core.automation_json import encode_trigger
from jupyter_wf.core.durations import duration
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.ids import short_id
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.triggers import add_trigger
from jupyter_wf.store.base import Store

__all__ = ["triggers"]


@click.group(short_help="List, add, switch and remove event triggers.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def triggers(ctx: click.Context, as_json: bool) -> int:
    """List the event triggers: other deployments' ends, files, webhooks and silence that make runs of deployments."""
    if ctx.invoked_subcommand is None:
        return _list(None, as_json)
    if as_json:
        raise click.UsageError("--json goes behind the command: jupyter wf triggers list --json")
    return 0


@triggers.command("list", short_help="List the triggers.")
@click.option("--deployment", metavar="D", help="Only those of this deployment.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_command(deployment: str | None, as_json: bool) -> int:
    """List the triggers, oldest first."""
    return _list(deployment, as_json)


def _list(deployment: str | None, as_json: bool) -> int:
    with reading_store() as store:
        ident = None if deployment is None else store.deployments.find(deployment).id
        found = store.triggers.list(deployment_id=ident)
        names = {each.id: each.address for each in store.deployments.list()}
    if as_json:
        click.echo(json.dumps([encode_trigger(each) for each in found]))
    elif not found:
        click.echo("no triggers; 'jupyter wf triggers add DEPLOYMENT --file PATH' makes one")
    else:
        rows = (_row(each, names.get(each.deployment_id, "(gone)")) for each in found)
        print_table(("id", "runs", "on", "active", "fired", "trouble"), rows)
    return 0


def _row(trigger: EventTrigger, address: str) -> list[Styled]:
    active: Styled = "yes" if trigger.enabled else ("no", "yellow")
    fired = "" if trigger.fired_at is None else moment(trigger.fired_at)
    return [short_id(trigger.id), address, _on(trigger), active, fired, (trigger.error or "", "red")]


def _on(trigger: EventTrigger) -> str:
    spec = trigger.spec
    if trigger.kind == "deployment":
        return f"{spec['deployment']} {', '.join(spec['on'])}"
    if trigger.kind == "file":
        return str(spec["path"])
    if trigger.kind == "no-success":
        return f"no success for {duration(spec['after'])}"
    return "webhook"


@triggers.command("add", short_help="Make a trigger.")
@click.argument("deployment")
@click.option("--after-deployment", "other", metavar="D", help="When a run of D enters a state (--on).")
@click.option("--on", "words", multiple=True, metavar="STATE", help="With --after-deployment: completed by default.")
@click.option("--result-as", metavar="NAME", help="With --after-deployment: its run's result becomes this parameter.")
@click.option("--file", "path", metavar="PATH", help="When a file is new or changed; PATH may hold *, ? and **.")
@click.option("--debounce", metavar="TIME", help="With --file: how long it must be quiet, 1s by default.")
@click.option("--changed-as", metavar="NAME", help="With --file: the changed paths become this parameter.")
@click.option("--webhook", is_flag=True, help="When somebody POSTs to the address that is printed, this once.")
@click.option("--body-as", metavar="NAME", help="With --webhook: the body becomes this parameter.")
@click.option("--no-success", "after", metavar="TIME", help="When no run has completed for so long, such as 26h.")
@click.option("--json", "as_json", is_flag=True, help="Print the trigger as JSON.")
def _add(deployment: str, as_json: bool, **options: Any) -> int:
    """Have a run of DEPLOYMENT made when something happens: another deployment's end, a file, a webhook, silence."""
    given = _given(options)
    with reading_store() as store:
        found = store.deployments.find(deployment)
        made = add_trigger(store, found, given, time.time(), load_settings())
    for note in strange_states(given["spec"].get("on", ())):
        click.echo(note, err=True)
    if as_json:
        path = None if made.secret is None else f"/jupyter_wf/api/triggers/{made.secret}"
        click.echo(json.dumps(encode_trigger(made, path)))
        return 0
    click.echo(f"added {short_id(made.id)}: {one_line(found.address)} runs on {one_line(_on(made))}")
    if made.secret is not None:
        click.echo(f"POST to <the server's address>/jupyter_wf/api/triggers/{made.secret}")
        click.echo("this is shown once: only its hash is kept")
    return 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    words = [word.strip() for each in options["words"] for word in each.split(",") if word.strip()]
    path = options["path"] and os.path.abspath(os.path.expanduser(options["path"]))
    spec_of: dict[str, dict[str, Any]] = {
        "deployment": {"deployment": options["other"], "on": words or None, "result_as": options["result_as"]},
        "file": {"path": path, "debounce": options["debounce"], "changed_as": options["changed_as"]},
        "webhook": {"body_as": options["body_as"]},
        "no-success": {"after": options["after"]},
    }
    chosen = {
        "deployment": options["other"],
        "file": path,
        "webhook": options["webhook"],
        "no-success": options["after"],
    }
    kinds = [kind for kind, value in chosen.items() if value]
    if len(kinds) != 1:
        raise click.UsageError("give one of --after-deployment, --file, --webhook and --no-success")
    lost = [name for kind, spec in spec_of.items() if kind != kinds[0] for name, value in spec.items() if value]
    if lost:
        raise InvalidRequest(lost[0], "", f"does not go with a {kinds[0]} trigger")
    return {"kind": kinds[0], "spec": {name: value for name, value in spec_of[kinds[0]].items() if value is not None}}


@triggers.command("enable", short_help="Switch a trigger on.")
@click.argument("trigger")
def _enable(trigger: str) -> int:
    """Switch TRIGGER on; what happened while it was off is not made up for."""
    return _switch(trigger, enabled=True)


@triggers.command("disable", short_help="Switch a trigger off.")
@click.argument("trigger")
def _disable(trigger: str) -> int:
    """Switch TRIGGER off."""
    return _switch(trigger, enabled=False)


def _switch(trigger: str, *, enabled: bool) -> int:
    with reading_store() as store:
        found = store.triggers.enable(trigger, enabled)
        click.echo(f"{'enabled' if enabled else 'disabled'} {short_id(found.id)} of {_address(store, found)}")
    return 0


@triggers.command("remove", short_help="Remove a trigger.")
@click.argument("trigger")
def _remove(trigger: str) -> int:
    """Forget TRIGGER, and what of it was not begun."""
    with reading_store() as store:
        found = store.triggers.get(trigger)
        store.triggers.remove(found.id)
        click.echo(f"removed {short_id(found.id)} of {_address(store, found)}")
    return 0


def _address(store: Store, trigger: EventTrigger) -> str:
    names = {each.id: each.address for each in store.deployments.list()}
    return one_line(names.get(trigger.deployment_id, "a deployment that is gone"))
