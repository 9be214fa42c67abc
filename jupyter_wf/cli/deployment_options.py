"""The options of the command line that say how something is deployed, and what they give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from jupyter_wf.cli.files import read_parameters
from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.core.policies import FORMATS
from jupyter_wf.services.given_schedules import given_schedules

__all__ = ["deployment_options", "given_by_options", "texts_of"]

_F = TypeVar("_F", bound=Callable[..., Any])


_SCHEDULES = (
    click.option("--cron", multiple=True, metavar="EXPR", help='When, as in crontab: "0 6 * * 1-5".'),
    click.option("--every", multiple=True, metavar="TIME", help="At equal distances: 15m, 6h, 1d."),
    click.option("--rrule", multiple=True, metavar="RULE", help="When, by RFC 5545: FREQ=WEEKLY;BYDAY=MO;BYHOUR=6."),
    click.option("--at", multiple=True, metavar="TIME", help="Once: 2026-12-01T06:00."),
    click.option("--timezone", metavar="ZONE", help="The zone of these times: Europe/Oslo. UTC if not given."),
    click.option("--start", "start_at", metavar="TIME", help="The schedules begin then."),
    click.option("--end", "end_at", metavar="TIME", help="The schedules end then."),
    click.option("--max-runs", type=int, metavar="N", help="The schedules make so many runs, then no more."),
    click.option("--jitter", metavar="TIME", help="Each run is put off by up to so much."),
    click.option("--no-schedules", is_flag=True, help="Remove the schedules that the deployment has."),
)
_RUNS = (
    click.option("-p", "--parameter", "assignments", metavar="NAME=VALUE", multiple=True, help="Set a parameter."),
    click.option(
        "--params-file", type=click.Path(path_type=Path), metavar="FILE", help="Parameters in JSON or YAML; -p wins."
    ),
    click.option("--pool", metavar="NAME", help="The work pool whose agents execute the runs."),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Tag the runs."),
    click.option("--description", metavar="TEXT", help="What it is for."),
    click.option("--priority", type=int, metavar="N", help="Which of several waiting runs goes first: the higher."),
    click.option("--kernel", metavar="NAME", help="The kernelspec, where the notebook's own is not meant."),
    click.option("--paused/--no-paused", default=None, help="Whether its schedules make no runs for now."),
)
_POLICIES = (
    click.option("--missed", metavar="WHICH", help="Runs that were missed while no server ran: skip, latest, all."),
    click.option("--missed-limit", type=int, metavar="N", help="With --missed all: the newest N."),
    click.option("--grace", metavar="TIME", help="How late a run may be and still be on time."),
    click.option("--overlap", metavar="HOW", help="While one runs: allow, skip, queue, cancel_running."),
    click.option("--concurrency-limit", metavar="N", help="So many runs at the same time; none for any number."),
    click.option("--retries", type=int, metavar="N", help="So many more attempts after one that failed."),
    click.option("--retry-delay", metavar="TIME", help="How long after it."),
    click.option("--timeout", metavar="TIME", help="How long an attempt may take."),
    click.option("--on-crash", metavar="HOW", help="When its process is gone: fail, resume."),
    click.option("--keep-last", type=int, metavar="N", help="Keep the newest N ended runs."),
    click.option("--keep-days", type=float, metavar="D", help="Keep ended runs for D days."),
    click.option("--max-consecutive-failures", type=int, metavar="N", help="Pause it after N failures in a row."),
    click.option("--deadline", metavar="TIME", help="Alert when a run has not completed so long after it was due."),
    click.option("--deadline-factor", type=float, metavar="X", help="Alert when it takes X times the average."),
    click.option("--snapshot", metavar="WHICH", help="The notebook as it is then (current) or as it is now (pinned)."),
    click.option("--output", metavar="TEMPLATE", help="Where to save it: reports/{name}-{scheduled:%Y-%m-%d}.ipynb."),
    click.option("--format", "formats", multiple=True, metavar="NAME", help=f"What to save: {', '.join(FORMATS)}."),
)
_POLICY_OPTIONS = (
    "missed",
    "missed_limit",
    "grace",
    "overlap",
    "concurrency_limit",
    "retries",
    "retry_delay",
    "timeout",
    "on_crash",
    "keep_last",
    "keep_days",
    "max_consecutive_failures",
    "deadline",
    "deadline_factor",
    "snapshot",
    "output",
    "formats",
)


def deployment_options(command: _F) -> _F:
    """Give a command the options about schedules, runs and policies."""
    for option in reversed((*_SCHEDULES, *_RUNS, *_POLICIES)):
        command = option(command)
    return command


def given_by_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say, in the form of `services.deploying.build_deployment`; the rest is not in it."""
    given: dict[str, Any] = {"name": name}
    if options["params_file"]:
        given["parameters"] = read_parameters(options["params_file"])
    if options["tags"]:
        given["tags"] = list(options["tags"])
    for key in ("pool", "description", "priority", "kernel", "paused"):
        if options[key] is not None:
            given[key] = options[key]
    policies = {key: options[key] for key in _POLICY_OPTIONS if options[key] not in (None, ())}
    limit = policies.get("concurrency_limit")
    if limit is not None:
        policies["concurrency_limit"] = None if limit.lower() == "none" else int(limit) if limit.isdecimal() else limit
    given["policies"] = {key: list(value) if isinstance(value, tuple) else value for key, value in policies.items()}
    schedules = _schedules(options)
    if schedules is not None:
        given["schedules"] = schedules
    return given


def _schedules(options: dict[str, Any]) -> list[Any] | None:
    names = (("cron", "cron"), ("interval", "every"), ("rrule", "rrule"), ("at", "at"))
    rules = {key: list(options[name]) or None for key, name in names}
    found = given_schedules(timezone=options["timezone"], **rules)
    bounds = {key: options[key] for key in ("start_at", "end_at", "max_runs", "jitter") if options[key] is not None}
    if options["no_schedules"]:
        if found:
            raise click.UsageError("--no-schedules goes without --cron, --every, --rrule and --at")
        return []
    if bounds and not found:
        raise click.UsageError("--start, --end, --max-runs and --jitter go with --cron, --every, --rrule or --at")
    return None if found is None else [{**each, **bounds} for each in found]


def texts_of(assignments: tuple[str, ...]) -> dict[str, str]:
    """Return the parameters that ``-p NAME=VALUE`` gave, as texts by name."""
    return dict(parse_assignment(text) for text in assignments)
