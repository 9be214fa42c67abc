"""What is printed when a run has ended: how, how long, where its notebook is, and what opens it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from jupyter_wf.cli.text import clean, columns, elapsed, label, one_line, styled
from jupyter_wf.core.durations import duration
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.core.states import StateType

__all__ = ["print_summary"]

_TRACEBACK_LINES = 30


def print_summary(run: Run, executed: Path | None) -> None:
    """Print the summary of an ended run to stdout, after its error where it has one."""
    if run.error is not None and run.error.traceback:
        lines = clean(run.error.traceback).rstrip().splitlines()
        if len(lines) > _TRACEBACK_LINES:
            click.echo(
                f"… {len(lines) - _TRACEBACK_LINES} lines left out: 'jupyter wf show {short_id(run.id)}' has them"
            )
        click.echo("\n".join(lines[-_TRACEBACK_LINES:]))
    click.echo("")
    rows = [("run", f"{short_id(run.id)}  {label(run)}")]
    message = f"  {one_line(run.state.message)}" if run.state.message else ""
    rows.append(("state", styled(run.state) + message))
    seconds = elapsed(run, run.state.at)
    rows.append(("duration", duration(seconds) if seconds is not None else "it never began"))
    if run.progress is not None and run.progress.total:
        rows.append(("steps", _counts(run)))
    if run.state.name == "Suspended" or run.can_resume:
        rows.append(("go on", f"jupyter wf resume {short_id(run.id)}"))
    if executed is not None:
        rows.append(("notebook", str(executed)))
        rows.append(("open it", f"jupyter lab {shlex.quote(str(executed))}"))
    for line in columns(rows):
        click.echo(line)


def _counts(run: Run) -> str:
    assert run.progress is not None
    counts = [f"{number} {type_.lower()}" for type_ in StateType if (number := run.progress.counts.get(type_.value, 0))]
    left = run.progress.total - sum(run.progress.counts.values())
    if left > 0:
        counts.append(f"{left} not run")
    return ", ".join(counts)
