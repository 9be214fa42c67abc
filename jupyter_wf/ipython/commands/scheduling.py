"""``%wf schedule``: have agents run this notebook by a schedule."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import available_timezones

from IPython.core.error import UsageError

from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.core.deployments import Deployment, DeploymentSchedule
from jupyter_wf.core.errors import JupyterWfError
from jupyter_wf.core.telling import moment_in, upcoming, words_of, zone_name
from jupyter_wf.ipython.commands.base import Command
from jupyter_wf.ipython.commands.tables import NO_WRAP, Cell, Table, one_line
from jupyter_wf.ipython.looks import QUIET
from jupyter_wf.services.deployables import Deployable, find_deployable
from jupyter_wf.services.deploying import build_deployment, find_stored, nobody_there, save_deployment
from jupyter_wf.services.given_schedules import given_schedules
from jupyter_wf.store.base import Store

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["COMMANDS", "Schedules"]

_ALIASES = ("@daily", "@hourly", "@monthly", "@weekly", "@yearly")
_OFF = "switched off by %wf schedule --off"


class _When(NamedTuple):
    """A deployment's schedule, as it is shown."""

    deployment: Deployment
    schedule: DeploymentSchedule


class Schedules:
    """Schedules of a notebook: each in words, with its next times. ``deployments`` are what they belong to."""

    def __init__(self, deployments: Sequence[Deployment], *, now: float, count: int, hints: Sequence[str] = ()) -> None:
        self.deployments = tuple(deployments)
        self.hints = tuple(hints)
        self._rows = [_When(each, schedule) for each in self.deployments for schedule in each.schedules]
        self._now = now
        self._count = count

    def _table(self) -> Table:
        return Table(
            ("Deployment", "When", "Zone", "Next"),
            [self._row(each) for each in self._rows],
            empty='This notebook has no schedule: %wf schedule "0 6 * * *" gives it one.',
        )

    def _row(self, when: _When) -> list[Cell]:
        deployment, schedule = when
        if deployment.paused:
            following = one_line(f"paused: {deployment.paused_reason}")
        elif not schedule.active:
            following = "switched off"
        else:
            times = [moment_in(each) for each in upcoming(schedule, self._now, self._count)]
            following = "\n".join(times) or "no more runs"
        return [
            Cell(one_line(deployment.address)),
            Cell(one_line(words_of(schedule))),
            Cell(zone_name(schedule)),
            Cell(following, QUIET if deployment.paused or not schedule.active else NO_WRAP),
        ]

    def __repr__(self) -> str:
        if self._count == 1 or not self._rows:
            return "\n".join((repr(self._table()), *self.hints))
        lines: list[str] = []
        for when in self._rows:
            address, said, zone, following = (cell.text for cell in self._row(when))
            lines.append(f"{address}: {said}, {zone}")
            lines += [f"  {line}" for line in following.split("\n")]
        return "\n".join((*lines, *self.hints))

    def _repr_html_(self) -> str:
        hints = Table(("",), [[Cell(hint, QUIET)] for hint in self.hints])._repr_html_() if self.hints else ""
        return self._table()._repr_html_() + hints


class _Schedule(Command):
    name = "schedule"
    help = "Have agents run this notebook by a schedule; without an expression, list its schedules."

    def declare(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("cron", nargs="?", metavar="CRON", help='When, as in crontab: "0 6 * * 1-5".')
        parser.add_argument("--every", metavar="TIME", help="At equal distances: 15m, 6h, 1d.")
        parser.add_argument("--rrule", metavar="RULE", help="By RFC 5545: FREQ=WEEKLY;BYDAY=MO;BYHOUR=6.")
        parser.add_argument("--at", metavar="TIME", help="Once: 2026-12-01T06:00.")
        parser.add_argument("--timezone", metavar="ZONE", help="The zone of these times: Europe/Oslo. UTC otherwise.")
        parser.add_argument("--name", metavar="NAME", help="The deployment's name; otherwise the notebook's.")
        parser.add_argument(
            "-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="Set a parameter."
        )
        parser.add_argument("--off", action="store_true", help="Switch the notebook's schedules off, or --name's.")
        parser.add_argument("--on", action="store_true", help="Switch them on again.")

    def run(self, session: Session, args: argparse.Namespace) -> Schedules:
        what = find_deployable(_notebook(session))
        store, now = session.runtime.store, time.time()
        given = given_schedules(cron=args.cron, interval=args.every, rrule=args.rrule, at=args.at)
        if args.on or args.off:
            if given or args.parameter or args.timezone or (args.on and args.off):
                raise UsageError("%wf schedule: --on and --off go alone, or with --name")
            return self._switch(store, what, args, now)
        if given is None:
            if args.parameter or args.timezone:
                raise UsageError("%wf schedule: say when: a cron expression, --every, --rrule or --at")
            found = _deployments(store, what, args.name)
            return Schedules(found, now=now, count=1)
        if args.timezone is not None:
            given = [{**each, "timezone": args.timezone} for each in given]
        return self._deploy(session, what, args, given, now)

    def _deploy(
        self, session: Session, what: Deployable, args: argparse.Namespace, given: list[Any], now: float
    ) -> Schedules:
        store, settings = session.runtime.store, session.runtime.settings
        name = args.name or what.flow_name
        # What else was said of the deployment, in JupyterLab or by the command line, stays.
        deployment = build_deployment(
            settings,
            what,
            {"name": name, "schedules": given},
            now=now,
            base=find_stored(store, what.flow_name, name),
            texts=dict(map(parse_assignment, args.parameter)),
        )
        stored = save_deployment(store, deployment, paused=False, now=now)
        hints = ["It runs the notebook as it is saved then.", *nobody_there(store, stored.pool, now)]
        return Schedules([stored], now=now, count=5, hints=hints)

    def _switch(self, store: Store, what: Deployable, args: argparse.Namespace, now: float) -> Schedules:
        found = _deployments(store, what, args.name)
        if not found:
            raise UsageError("%wf schedule: this notebook has no schedule to be switched")
        changed = [
            store.deployments.unpause(each.id, now) if args.on else store.deployments.pause(each.id, _OFF, now)
            for each in found
        ]
        return Schedules(changed, now=now, count=1)

    def complete(self, session: Session, words: Sequence[str]) -> list[str]:
        option = words[-2] if len(words) > 1 else ""
        if option == "--timezone":
            return sorted(available_timezones())
        if option in ("--name", "-p", "--parameter"):
            try:
                what = find_deployable(_notebook(session))
            except (UsageError, JupyterWfError):
                return []
            if option == "--name":
                return [each.name for each in _deployments(session.runtime.store, what, None)] or [what.flow_name]
            return [f"{each.name}=" for each in what.arguments.items]
        return list(_ALIASES) if len(words) == 1 else []


def _notebook(session: Session) -> Path:
    path = session.notebook_path
    if path is None:
        raise UsageError(
            "%wf schedule: this kernel was not told where its notebook is saved; "
            "'jupyter wf deploy NOTEBOOK --name NAME --cron EXPR' does the same"
        )
    return path


def _deployments(store: Store, what: Deployable, name: str | None) -> list[Deployment]:
    found = store.deployments.list(target=what.target)
    return [each for each in found if name is None or name in (each.name, each.address)]


COMMANDS: tuple[Command, ...] = (_Schedule(),)
