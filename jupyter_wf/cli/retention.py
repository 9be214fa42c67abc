"""``jupyter wf retention``: what is kept of ended runs where a deployment says nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

import click

from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.retention import apply_all
from jupyter_wf.store.backfills import Keep
from jupyter_wf.store.sqlite import open_store

__all__ = ["retention"]

_N = TypeVar("_N", int, float)


@click.command(short_help="Say what is kept of ended runs.")
@click.option("--keep-last", metavar="N", help="The newest N runs of each flow; all for any number.")
@click.option("--keep-days", metavar="D", help="The runs of the last D days; all for any age.")
@click.option("--apply", "now", is_flag=True, help="Delete at once what is not kept; else services do so by and by.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retention(keep_last: str | None, keep_days: str | None, now: bool, as_json: bool) -> int:
    """Show or set what is kept of ended runs, and of the files that only they need.

    Deployments may have rules of their own (keep_last, keep_days among their policies): this one is for all other runs.
    What is not kept is deleted with its steps, logs and values; notebooks in folders of your own stay.
    """
    settings = load_settings()
    store = open_store(settings)
    try:
        keep = store.retention.rule()
        if keep_last is not None:
            keep = keep._replace(last=None if keep_last == "all" else _number("--keep-last", keep_last, int))
        if keep_days is not None:
            keep = keep._replace(days=None if keep_days == "all" else _number("--keep-days", keep_days, float))
        if keep_last is not None or keep_days is not None:
            store.retention.set_rule(keep)
        deleted = apply_all(store, settings) if now else None
    finally:
        store.close()
    if as_json:
        told: dict[str, object] = {"keep_last": keep.last, "keep_days": keep.days}
        click.echo(json.dumps(told if deleted is None else {**told, "deleted": deleted}))
        return 0
    click.echo(_words(keep))
    if deleted is not None:
        click.echo(f"deleted {deleted:,} run{'' if deleted == 1 else 's'}")
    return 0


def _number(option: str, text: str, kind: Callable[[str], _N]) -> _N:
    try:
        return kind(text)
    except ValueError:
        raise click.UsageError(f"{option} {text!r}: give a number, or all") from None


def _words(keep: Keep) -> str:
    rules = []
    if keep.last is not None:
        rules.append(f"the newest {keep.last:,} of each flow" if keep.last > 1 else "the newest of each flow")
    if keep.days is not None:
        rules.append(f"those of the last {keep.days:g} days")
    return f"of ended runs are kept: {' that are also '.join(rules)}" if rules else "all ended runs are kept"
