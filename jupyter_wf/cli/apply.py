"""``jupyter wf apply``: make the deployments what a ``workflows.yaml`` says they are."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from jupyter_wf.cli.runs import reading_store
from jupyter_wf.cli.targets import load_target, parse_target
from jupyter_wf.cli.text import one_line
from jupyter_wf.cli.workflows_file import Declared, declared_file, read_declared
from jupyter_wf.core.deployments import Policies
from jupyter_wf.core.errors import InvalidRequest, ParameterError, TargetError
from jupyter_wf.core.parameters import MASK, is_secret
from jupyter_wf.core.policies import policy_text
from jupyter_wf.core.scheduling_errors import ScheduleError
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.services.declaring import Change, FieldChange, Wanted, carry_out, plan_changes
from jupyter_wf.services.deployables import find_deployable
from jupyter_wf.services.deploying import build_deployment, find_stored, without_options
from jupyter_wf.store.base import Store

__all__ = ["apply"]

_USUAL = Policies()
_MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "unchanged": ("=", "white"), "delete": ("-", "red")}


@click.command(short_help="Make deployments what a workflows.yaml declares.")
@click.argument("path", metavar="[FILE|FOLDER]", default=".", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
@click.option("--prune", is_flag=True, help="Delete what the file declared before and does not any more.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as a JSON array.")
def apply(path: Path, dry_run: bool, prune: bool, as_json: bool) -> int:
    r"""Create and change deployments as FILE, or the workflows.yaml in FOLDER (here), declares them.

    Everything is checked before anything is changed. What would be or was changed is printed field by field.

    \b
    deployments:
      - name: nightly
        target: report.ipynb          # or flows.py:etl, or package.module:etl
        schedules:
          - cron: "0 6 * * 1-5"
            timezone: Europe/Oslo
        parameters: {rows: 100}
        policies: {missed: latest, retries: 2, timeout: 30m}
    """
    file = declared_file(path)
    settings, now = load_settings(), time.time()
    declared = read_declared(file)
    with reading_store() as store:
        wanted = _judged(store, settings, declared, now)
        changes = plan_changes(store, wanted, declared_in=str(file), prune=prune)
        if not dry_run:
            carry_out(store, settings, changes, now=now)
    if as_json:
        click.echo(json.dumps([_as_json(change) for change in changes]))
        return 0
    for change in changes:
        for line in _lines(change):
            click.echo(line)
    click.echo(_summary(changes, dry_run))
    return 0


def _judged(store: Store, settings: Settings, declared: list[Declared], now: float) -> list[Wanted]:
    """Return the deployments that are declared. Raises `TargetError`, with the line, for the first that can't be."""
    wanted: list[Wanted] = []
    seen: set[str] = set()
    for each in declared:
        try:
            found = _wanted(store, settings, each, now)
            if found.deployment.address in seen:
                raise TargetError(found.deployment.address, "it is declared twice")
        except (InvalidRequest, ParameterError, ScheduleError, TargetError) as error:
            raise each.located(error) from None
        seen.add(found.deployment.address)
        wanted.append(found)
    return wanted


def _wanted(store: Store, settings: Settings, declared: Declared, now: float) -> Wanted:
    parsed = parse_target(declared.target)
    what = find_deployable(declared.target if parsed.kind == "notebook" else load_target(parsed))
    name = declared.given["name"]
    before = find_stored(store, what.flow_name, name)
    # What the file does not say is as usual; only the schedules' progress and the pause are the store's.
    given = {"schedules": [], **declared.given}
    deployment = build_deployment(
        settings,
        what,
        given,
        now=now,
        base=None if before is None else without_options(before),
        declared_in=str(declared.file),
        keep=False,
    )
    return Wanted(deployment=deployment, what=what, paused=declared.given.get("paused"))


def _lines(change: Change) -> Iterator[str]:
    mark, colour = _MARKS[change.action]
    yield click.style(f"{mark} {change.action:<9} {one_line(change.address)}", fg=colour)
    for field in change.fields:
        before, after = (_value(field.field, value) for value in _shown(field))
        told = after if change.action == "create" else f"{before or 'nothing'} → {after or 'nothing'}"
        yield f"    {one_line(field.field, 100)}: {told}"


def _shown(field: FieldChange) -> tuple[Any, Any]:
    """Return the values before and after, secrets masked."""
    if not is_secret(field.field.rpartition(".")[2]):
        return field.before, field.after
    return None if field.before is None else MASK, None if field.after is None else MASK


def _value(field: str, value: Any) -> str | None:
    """Return a value as people write it; of a policy that is not given its default, None for nothing else."""
    kind, _, name = field.partition(".")
    if kind == "policies":
        return f"{policy_text(name, getattr(_USUAL, name))} (default)" if value is None else policy_text(name, value)
    if value is None:
        return None
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 300)


def _summary(changes: list[Change], dry_run: bool) -> str:
    counts = [(sum(change.action == action for change in changes), action) for action in _MARKS]
    told = ", ".join(f"{number} {action}" for number, action in counts if number) or "nothing is declared"
    return f"{told}{' (dry run: nothing was changed)' if dry_run else ''}"


def _as_json(change: Change) -> dict[str, Any]:
    fields = [{"field": each.field, "before": _shown(each)[0], "after": _shown(each)[1]} for each in change.fields]
    return {"action": change.action, "address": change.address, "fields": fields}
