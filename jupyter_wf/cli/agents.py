"""``jupyter wf agents``: who executes the runs of deployments."""

from __future__ import annotations

import json
import time

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.tables import Styled, print_table
from jupyter_wf.cli.text import moment
from jupyter_wf.core.deployments import Agent
from jupyter_wf.core.durations import duration
from jupyter_wf.core.scheduling_json import encode_agent

__all__ = ["agents"]


@click.command(short_help="List the agents.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def agents(as_json: bool) -> int:
    """List the agents that are there, and those that were within the last day."""
    now = time.time()
    with reading_store() as store:
        found = store.agents.list(now)
    if as_json:
        click.echo(json.dumps([encode_agent(each) for each in found]))
    elif not found:
        click.echo("no agents; a Jupyter server has one, or run 'jupyter wf agent start'")
    else:
        titles = ("name", "status", "pools", "runs", "limit", "seen", "since", "process")
        print_table(titles, (_row(each, now) for each in found))
    return 0


def _row(agent: Agent, now: float) -> list[Styled]:
    status: Styled = (agent.status, "green" if agent.status == "online" else "yellow")
    if not agent.alive and agent.status != "offline":
        status = ("gone", "red")
    return [
        agent.name,
        status,
        ", ".join(agent.pools),
        str(agent.running),
        str(agent.limit),
        f"{duration(now - agent.seen_at)} ago",
        moment(agent.started_at),
        f"{agent.pid} on {agent.host}",
    ]
