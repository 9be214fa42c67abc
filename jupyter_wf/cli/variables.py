"""``jupyter wf variables``: named JSON values that all runs share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.text import columns, moment, one_line
from jupyter_wf.core.codec import iso
from jupyter_wf.core.errors import InvalidRequest, VariableExists
from jupyter_wf.core.shared import StoredVariable
from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime
from jupyter_wf.variables import Variable

__all__ = ["variables"]

_missing: Any = object()


@contextmanager
def _runtime() -> Iterator[None]:
    """Make the state of this user's settings what `Variable` reads and writes, for the block."""
    runtime = Runtime.open(load_settings(), role="cli")
    before = set_runtime(runtime)
    try:
        yield
    finally:
        set_runtime(before)
        runtime.close()


def _unknown(name: str) -> InvalidRequest:
    return InvalidRequest("NAME", name, "there is no variable of this name; 'jupyter wf variables' lists them")


@click.group(short_help="List, read and set variables.", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_context
def variables(ctx: click.Context, as_json: bool) -> int:
    """List the variables; or get, set or unset one. Runs read them with Variable.get(NAME)."""
    if ctx.invoked_subcommand is None:
        return _list(as_json)
    if as_json:
        raise click.UsageError("--json is for the list")
    return 0


@variables.command("list", short_help="List the variables.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def _list_all(as_json: bool) -> int:
    """List the variables by name."""
    return _list(as_json)


def _list(as_json: bool) -> int:
    with reading_store() as store:
        found = store.variables.list()
    if as_json:
        click.echo(json.dumps([_encoded(each) for each in found]))
    elif not found:
        click.echo("no variables; 'jupyter wf variables set NAME VALUE' makes one")
    else:
        titles = tuple(click.style(title, dim=True) for title in ("name", "value", "tags", "updated"))
        rows = [
            (
                one_line(each.name),
                one_line(json.dumps(each.value)),
                one_line(", ".join(each.tags)),
                moment(each.updated_at),
            )
            for each in found
        ]
        for line in columns([titles, *rows]):
            click.echo(line)
    return 0


def _encoded(variable: StoredVariable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "value": variable.value,
        "tags": list(variable.tags),
        "created_at": iso(variable.created_at),
        "updated_at": iso(variable.updated_at),
    }


@variables.command("get", short_help="Print a variable's value.")
@click.argument("name")
def _get(name: str) -> int:
    """Print the value of NAME as JSON."""
    with _runtime():
        value = Variable.get(name, default=_missing)
    if value is _missing:
        raise _unknown(name)
    click.echo(json.dumps(value))
    return 0


@variables.command("set", short_help="Store a value.")
@click.argument("name")
@click.argument("value")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Tag it; may be given more than once.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
def _set(name: str, value: str, tags: tuple[str, ...], overwrite: bool) -> int:
    """Store VALUE, a JSON text or else a plain text, under NAME: lower-case letters, digits and underscores."""
    with _runtime():
        try:
            Variable.set(name, _parsed(value), tags, overwrite)
        except VariableExists:
            raise InvalidRequest("NAME", name, "there is one already; --overwrite replaces it") from None
    click.echo(f"set {name}")
    return 0


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


@variables.command("unset", short_help="Remove a variable.")
@click.argument("name")
def _unset(name: str) -> int:
    """Remove NAME."""
    with _runtime():
        if not Variable.unset(name):
            raise _unknown(name)
    click.echo(f"removed {name}")
    return 0
