"""``jupyter wf limits``: the concurrency and rate limits that all runs share."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.text import columns, one_line
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.shared import Limit

__all__ = ["limits"]


@click.group(short_help="List, set and remove limits.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def limits(ctx: click.Context, as_json: bool) -> int:
    """List the limits, with what is taken of each now; or set or remove one.

    A limit bounds how many blocks "with concurrency(NAME)" are inside at the same time, or how often rate_limit(NAME)
    lets somebody through. That of tasks with the tag TAG has the name "tag:TAG".
    """
    if ctx.invoked_subcommand is None:
        with reading_store() as store:
            found = store.limits.list()
        if as_json:
            click.echo(json.dumps([asdict(limit) for limit in found]))
        elif not found:
            click.echo("no limits; 'jupyter wf limits set NAME SLOTS' makes one")
        else:
            for line in _table(found):
                click.echo(line)
    elif as_json:
        raise click.UsageError("--json is for the list")
    return 0


def _table(found: list[Limit]) -> list[str]:
    rows = [tuple(click.style(title, dim=True) for title in ("name", "slots", "taken", "back per second", "active"))]
    rows += [
        (
            one_line(limit.name),
            str(limit.slots),
            f"{limit.taken:g}",
            f"{limit.decay:g}" if limit.decay else "",
            "yes" if limit.active else "no",
        )
        for limit in found
    ]
    return list(columns(rows))


@limits.command("set", short_help="Make or change a limit.")
@click.argument("name")
@click.argument("slots", type=click.IntRange(0))
@click.option("--decay", default=0.0, metavar="X", help="A rate limit: X slots come back each second.")
@click.option("--inactive", is_flag=True, help="Let everybody through for now.")
def _set(name: str, slots: int, decay: float, inactive: bool) -> int:
    """Let SLOTS of NAME be taken at the same time; who holds some now keeps them."""
    with reading_store() as store:
        limit = store.limits.set(name, slots, decay=decay, active=not inactive)
    rate = f", {limit.decay:g} come back each second" if limit.decay else ""
    click.echo(f"{one_line(limit.name)}: {limit.slots} slots{rate}{'' if limit.active else ', not active'}")
    return 0


@limits.command("remove", short_help="Remove a limit.")
@click.argument("name")
def _remove(name: str) -> int:
    """Remove the limit NAME, and what is taken of it."""
    with reading_store() as store:
        if not store.limits.remove(name):
            raise InvalidRequest("NAME", name, "there is no limit of this name; 'jupyter wf limits' lists them")
    click.echo(f"removed {one_line(name)}")
    return 0
