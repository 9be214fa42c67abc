"""``jupyter wf artifacts``: what a run has made to be looked at."""

from __future__ import annotations

import json
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.text import columns, label, moment, one_line
from jupyter_wf.core.codec import iso
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.shared import Artifact
from jupyter_wf.notebook.addresses import find_address

__all__ = ["artifacts"]

_SHOWN = 60


@click.command(short_help="List the artifacts of a run.")
@click.argument("address", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, with the data.")
def artifacts(address: str, as_json: bool) -> int:
    """List the artifacts of RUN, and of everything below it, oldest first.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    with reading_store() as store:
        run = find_address(store, address)
        found = store.artifacts.of_run(run.id, tree=True)
        makers = store.get_runs(each.run_id for each in found if each.run_id is not None)
    if as_json:
        click.echo(json.dumps([_encoded(each) for each in found]))
    elif not found:
        click.echo(f"{label(run)} has no artifacts")
    else:
        titles = tuple(click.style(title, dim=True) for title in ("id", "type", "key", "updated", "run", "data"))
        rows = [
            (
                short_id(each.id),
                one_line(each.type, 30),
                one_line(each.key or "", 40),
                moment(each.updated_at),
                label(makers[each.run_id]) if each.run_id in makers else "",
                one_line(each.data if isinstance(each.data, str) else json.dumps(each.data), _SHOWN),
            )
            for each in found
        ]
        for line in columns([titles, *rows]):
            click.echo(line)
    return 0


def _encoded(artifact: Artifact) -> dict[str, Any]:
    return {
        "id": artifact.id,
        "run_id": artifact.run_id,
        "key": artifact.key,
        "type": artifact.type,
        "description": artifact.description,
        "data": artifact.data,
        "created_at": iso(artifact.created_at),
        "updated_at": iso(artifact.updated_at),
    }
