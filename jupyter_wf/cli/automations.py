"""``jupyter wf automations``: what follows from the states of runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.state_words import strange_states
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import moment, one_line
from jupyter_wf.core.automation_forms import read_automation
from jupyter_wf.core.automation_json import encode_automation, encode_delivery
from jupyter_wf.core.automations import Action, Automation, Delivery
from jupyter_wf.core.durations import duration
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.parameters import MASK
from jupyter_wf.core.scheduling_errors import AmbiguousDeployment, DeploymentNotFound
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.testing_automations import try_automation
from jupyter_wf.store.base import Store

__all__ = ["automations"]

_STYLES = {"sent": "green", "failed": "red", "waiting": "yellow"}


@click.group(short_help="List, add, switch, test and remove automations.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def automations(ctx: click.Context, as_json: bool) -> int:
    """List the automations: what is done when a run enters a state, is late, or a deployment is paused."""
    if ctx.invoked_subcommand is None:
        return _list(as_json)
    if as_json:
        raise click.UsageError("--json goes behind the command: jupyter wf automations list --json")
    return 0


@automations.command("list", short_help="List the automations.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_command(as_json: bool) -> int:
    """List the automations by name."""
    return _list(as_json)


def _list(as_json: bool) -> int:
    with reading_store() as store:
        found = store.automations.list()
    if as_json:
        click.echo(json.dumps([encode_automation(each) for each in found]))
    elif not found:
        click.echo("no automations; 'jupyter wf automations add NAME --on failed --notify' makes one")
    else:
        print_table(("id", "name", "active", "on", "of", "does"), map(_row, found))
    return 0


def _row(automation: Automation) -> list[Styled]:
    active: Styled = "yes" if automation.enabled else ("no", "yellow")
    words = [*automation.when, *([f"after {duration(automation.after)}"] if automation.after else [])]
    does = ", ".join(_said(each) for each in automation.actions)
    return [short_id(automation.id), automation.name, active, ", ".join(words), _of(automation), does]


def _of(automation: Automation) -> str:
    filters = automation.filters
    tags = [f"tag:{tag}" for tag in filters.tags]
    return ", ".join([*filters.deployments, *filters.flows, *tags]) or "everything"


def _said(action: Action) -> str:
    target = action.options.get("deployment") or action.options.get("url") or ""
    return f"{action.type} {target}".strip()


@automations.command("add", short_help="Make an automation.")
@click.argument("name")
@click.option(
    "--on",
    "words",
    multiple=True,
    metavar="STATE",
    help="A state (failed,crashed; or more than once), or deadline, deployment-paused, no-success.",
)
@click.option("--after", metavar="TIME", help="With no-success: how long nothing may have completed, such as 26h.")
@click.option("--deployment", "deployments", multiple=True, metavar="D", help="Only of this one; may hold * and ?.")
@click.option("--flow", "flows", multiple=True, metavar="F", help="Only of this flow or notebook.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only of runs with this tag.")
@click.option("--notify", is_flag=True, help="Show a notification in JupyterLab.")
@click.option("--webhook", "webhooks", multiple=True, metavar="URL", help="Send JSON to URL, env:NAME or secret:NAME.")
@click.option("--signing-secret", metavar="TEXT", help="Sign what --webhook sends; env:NAME or secret:NAME names it.")
@click.option(
    "--send",
    "messages",
    multiple=True,
    metavar="URL",
    help="Send a message to a URL of Apprise (mailtos://, slack://, …), env:NAME or secret:NAME.",
)
@click.option("--run", "runs", multiple=True, metavar="D", help="Start a deployment.")
@click.option("--result-as", metavar="NAME", help="With --run: give it the run's result as this parameter.")
@click.option("-p", "--parameter", "assignments", multiple=True, metavar="NAME=VALUE", help="With --run: a parameter.")
@click.option("--pause", is_flag=True, help="Pause the deployment of the run.")
@click.option("--cancel", is_flag=True, help="Cancel the run.")
@click.option("--disabled", is_flag=True, help="Do not switch it on.")
@click.option(
    "--file", "source", type=click.File(), metavar="FILE", help="Read it as JSON instead; - is standard input."
)
@click.option("--json", "as_json", is_flag=True, help="Print the automation as JSON.")
def _add(name: str, source: Any, as_json: bool, **options: Any) -> int:
    """Make the automation NAME: what is done (--notify, --webhook, --send, --run, --pause, --cancel) on what.

    Beside states, --on takes deadline (a run is late), deployment-paused and no-success (with --after). URLs on a
    command line can be seen by others of this machine: env:NAME and secret:NAME keep them out of it.
    """
    given = _from_file(source, name) if source is not None else _from_options(name, options)
    with reading_store() as store:
        saved = store.automations.save(read_automation(given), time.time())
        notes = [*strange_states(saved.when), *_not_there(store, saved)]
    for note in notes:
        click.echo(note, err=True)
    _print(saved, as_json, "added")
    return 0


def _not_there(store: Store, automation: Automation) -> Iterator[str]:
    """Say which deployments are to be started that there are not."""
    for action in automation.actions:
        name = action.options.get("deployment")
        if isinstance(name, str):
            try:
                store.deployments.find(name)
            except (DeploymentNotFound, AmbiguousDeployment) as error:
                yield f"{error}; until then it can't be done"


def _from_file(source: Any, name: str) -> dict[str, Any]:
    try:
        found = json.load(source)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("--file", getattr(source, "name", "-"), f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest("--file", type(found).__name__, "it must hold one JSON object")
    return {**found, "name": name}


def _from_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    words = [word.strip() for each in options["words"] for word in each.split(",") if word.strip()]
    if not words:
        raise InvalidRequest("--on", "", "say on which states, such as --on failed,crashed")
    actions: list[dict[str, Any]] = [{"type": "send-notification"}] if options["notify"] else []
    actions += [{"type": "call-webhook", "url": u, "secret": options["signing_secret"]} for u in options["webhooks"]]
    actions += [{"type": "send-message", "url": url} for url in options["messages"]]
    parameters = dict(map(_assigned, options["assignments"]))
    actions += [
        {"type": "run-deployment", "deployment": d, "parameters": parameters, "result_as": options["result_as"]}
        for d in options["runs"]
    ]
    actions += [{"type": "pause-deployment"}] if options["pause"] else []
    actions += [{"type": "cancel-flow-run"}] if options["cancel"] else []
    if not actions:
        raise InvalidRequest("NAME", name, "say what is done: --notify, --webhook, --send, --run, --pause or --cancel")
    filters = {key: list(options[key]) for key in ("deployments", "flows", "tags")}
    return {
        "name": name,
        "when": words,
        "after": options["after"],
        "filters": filters,
        "actions": actions,
        "enabled": not options["disabled"],
    }


def _assigned(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest("-p", MASK if equals else text, "give NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


@automations.command("show", short_help="Print an automation as JSON.")
@click.argument("automation")
def _show(automation: str) -> int:
    """Print AUTOMATION (its name or id) as JSON, with its secrets masked."""
    with reading_store() as store:
        click.echo(json.dumps(encode_automation(store.automations.find(automation)), indent=2))
    return 0


@automations.command("remove", short_help="Remove an automation.")
@click.argument("automation")
def _remove(automation: str) -> int:
    """Forget AUTOMATION, and what it has yet to do."""
    with reading_store() as store:
        found = store.automations.find(automation)
        store.automations.remove(found.id)
    click.echo(f"removed {one_line(found.name)}")
    return 0


@automations.command("enable", short_help="Switch an automation on.")
@click.argument("automation")
@click.option("--json", "as_json", is_flag=True, help="Print the automation as JSON.")
def _enable(automation: str, as_json: bool) -> int:
    """Switch AUTOMATION on; what happened while it was off is not made up for."""
    return _switch(automation, enabled=True, as_json=as_json)


@automations.command("disable", short_help="Switch an automation off.")
@click.argument("automation")
@click.option("--json", "as_json", is_flag=True, help="Print the automation as JSON.")
def _disable(automation: str, as_json: bool) -> int:
    """Switch AUTOMATION off; what it has yet to do is still done."""
    return _switch(automation, enabled=False, as_json=as_json)


def _switch(automation: str, *, enabled: bool, as_json: bool) -> int:
    with reading_store() as store:
        found = store.automations.find(automation)
        saved = store.automations.save(replace(found, enabled=enabled), time.time())
    _print(saved, as_json, "enabled" if enabled else "disabled")
    return 0


def _print(automation: Automation, as_json: bool, done: str) -> None:
    if as_json:
        click.echo(json.dumps(encode_automation(automation)))
    else:
        click.echo(f"{done} {one_line(automation.name)} ({short_id(automation.id)})")


@automations.command("test", short_help="Send an automation's messages once.")
@click.argument("automation")
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
def _test(automation: str, as_json: bool) -> int:
    """Send the messages of AUTOMATION once, and say of its other actions what they would do."""
    with reading_store() as store:
        found = store.automations.find(automation)
        result = try_automation(store, load_settings(), found.id, now=time.time())
    if as_json:
        click.echo(json.dumps(result))
    else:
        for action in result["actions"]:
            word = click.style("ok", fg="green") if action["ok"] else click.style("failed", fg="red")
            click.echo(f"{action['type']}: {word}, {one_line(action['message'], 500)}")
    return 0 if result["ok"] else 1


@automations.command("deliveries", short_help="List what an automation has done.")
@click.argument("automation")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _deliveries(automation: str, limit: int, as_json: bool) -> int:
    """List what AUTOMATION has done, and has yet to do, newest first."""
    with reading_store() as store:
        found = store.outbox.list(automation_id=store.automations.find(automation).id, limit=limit)
    if as_json:
        click.echo(json.dumps([encode_delivery(each) for each in found]))
    elif not found:
        click.echo("it has had nothing to do yet")
    else:
        print_table(("at", "event", "run", "state", "tries", "said"), map(_delivery_row, found))
    return 0


def _delivery_row(delivery: Delivery) -> list[Styled]:
    run = short_id(delivery.occasion.run_id) if delivery.occasion.run_id else ""
    state: Styled = (delivery.state, _STYLES[delivery.state])
    what = delivery.occasion.state_name or delivery.occasion.event
    said = delivery.outcome or delivery.error or ""
    return [moment(delivery.created_at), what, run, state, str(delivery.attempts), said]
