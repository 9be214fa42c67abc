"""``jupyter wf pools``: the named queues that agents take their runs from."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import one_line
from jupyter_wf.core.deployment_fields import check_description, check_name
from jupyter_wf.core.deployments import Pool
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.scheduling_json import encode_pool
from jupyter_wf.store.base import Store

__all__ = ["pools"]


@click.group(short_help="List, set, pause and remove work pools.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def pools(ctx: click.Context, as_json: bool) -> int:
    """List the work pools, with what waits and runs in each; or set, pause, unpause or remove one."""
    if ctx.invoked_subcommand is None:
        return _list(as_json)
    if as_json:
        raise click.UsageError("--json goes behind the command: jupyter wf pools list --json")
    return 0


@pools.command("list", short_help="List the pools.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_command(as_json: bool) -> int:
    """List the pools: those that were set, and those that deployments, runs or agents name."""
    return _list(as_json)


def _list(as_json: bool) -> int:
    with reading_store() as store:
        found = store.queue.pools()
    if as_json:
        click.echo(json.dumps([encode_pool(each) for each in found]))
    elif not found:
        click.echo("no pools; 'jupyter wf pools set NAME' makes one")
    else:
        print_table(("name", "limit", "waiting", "running", "active", "description"), map(_row, found))
    return 0


def _row(pool: Pool) -> list[Styled]:
    active: Styled = ("paused", "yellow") if pool.paused else "yes"
    limit = "none" if pool.limit is None else str(pool.limit)
    return [pool.name, limit, str(pool.waiting), str(pool.running), active, pool.description]


@pools.command("set", short_help="Make or change a pool.")
@click.argument("name")
@click.option("--limit", metavar="N", help="At most so many of its runs at the same time; none for any number.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@click.option("--json", "as_json", is_flag=True, help="Print the pool as JSON.")
def _set(name: str, limit: str | None, description: str | None, as_json: bool) -> int:
    """Make the pool NAME, or change what is given of it."""
    with reading_store() as store:
        pool = _known(store, name) or Pool(name=check_name("NAME", name))
        if limit is not None:
            pool = replace(pool, limit=_limit(limit))
        if description is not None:
            pool = replace(pool, description=check_description(description))
        pool = store.queue.set_pool(pool)
    if as_json:
        click.echo(json.dumps(encode_pool(pool)))
    else:
        click.echo(f"{one_line(pool.name)}: {'no limit' if pool.limit is None else f'at most {pool.limit} at a time'}")
    return 0


def _limit(text: str) -> int | None:
    if text.lower() == "none":
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidRequest("--limit", text, "give a whole number, or none")
    return int(text)


@pools.command("pause", short_help="Have no run of a pool begin.")
@click.argument("name")
def _pause(name: str) -> int:
    """Have no run of the pool NAME begin; what runs goes on, what comes waits."""
    return _switch(name, paused=True)


@pools.command("unpause", short_help="Let the runs of a pool begin again.")
@click.argument("name")
def _unpause(name: str) -> int:
    """Let the runs of the pool NAME begin again."""
    return _switch(name, paused=False)


def _switch(name: str, *, paused: bool) -> int:
    with reading_store() as store:
        pool = _known(store, name)
        if pool is None:
            raise InvalidRequest("NAME", name, "there is no pool of this name; 'jupyter wf pools' lists them")
        store.queue.set_pool(replace(pool, paused=paused))
    click.echo(f"{'paused' if paused else 'unpaused'} {one_line(name)}")
    return 0


def _known(store: Store, name: str) -> Pool | None:
    return next((each for each in store.queue.pools() if each.name == name), None)


@pools.command("remove", short_help="Forget a pool's settings.")
@click.argument("name")
def _remove(name: str) -> int:
    """Forget what was set of the pool NAME; deployments and runs keep its name."""
    with reading_store() as store:
        if not store.queue.remove_pool(name):
            raise InvalidRequest("NAME", name, "nothing was set of a pool of this name; 'jupyter wf pools' lists them")
    click.echo(f"removed {one_line(name)}")
    return 0
