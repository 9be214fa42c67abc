"""``jupyter wf deploy``: have a notebook or flow run by agents, by schedules or when it is asked for."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from jupyter_wf.cli.deployment_options import deployment_options, given_by_options, texts_of
from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.schedule_lines import schedule_lines
from jupyter_wf.cli.targets import load_target, parse_target
from jupyter_wf.cli.text import in_shell, one_line
from jupyter_wf.core.deployment_json import encode_deployment
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.deployables import Deployable, find_deployable
from jupyter_wf.services.deploying import find_stored, nobody_there, put_deployment

__all__ = ["deploy"]


@click.command(short_help="Have a notebook or flow run by schedules, and by name.")
@click.argument("target")
@click.option("--name", required=True, metavar="NAME", help="The deployment's name; its address is FLOW/NAME.")
@deployment_options
@click.option("--json", "as_json", is_flag=True, help="Print the deployment as JSON, and nothing else.")
def deploy(target: str, name: str, as_json: bool, **options: Any) -> int:
    """Deploy TARGET: notebook.ipynb, file.py:flow or package.module:flow.

    A deployment of the same address is replaced; its schedules are kept where none are given. Lengths of time are
    seconds, or 30s, 15m, 1h30m, 2d; times are ISO 8601, in --timezone where they have no offset.
    """
    given = given_by_options(name, options)
    texts = texts_of(options["assignments"])
    what = _find(target)
    now = time.time()
    with reading_store() as store:
        is_new = find_stored(store, what.flow_name, name) is None
        stored = put_deployment(store, load_settings(), what, given, now=now, texts=texts)
        problems = nobody_there(store, stored.pool, now)
    if as_json:
        click.echo(json.dumps(encode_deployment(stored, now=now)))
        return 0
    click.echo(f"{'deployed' if is_new else 'changed'} {one_line(stored.address)}")
    _tell(stored, now)
    for problem in problems:
        click.echo(f"{problem}", err=True)
    return 0


def _find(target: str) -> Deployable:
    parsed = parse_target(target)
    return find_deployable(target if parsed.kind == "notebook" else load_target(parsed))


def _tell(deployment: Deployment, now: float) -> None:
    for schedule in deployment.schedules:
        for line in schedule_lines(schedule, now):
            click.echo(line)
    address = in_shell(deployment.address)
    if deployment.paused:
        told = f"paused: {one_line(deployment.paused_reason or '')}"
        click.echo(f"{told}; 'jupyter wf deployments unpause {address}'")
    elif not deployment.schedules:
        click.echo(f"no schedule; 'jupyter wf deployments run {address}' runs it")
