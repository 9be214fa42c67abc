"""``jupyter wf task serve``: execute the background runs of tasks, until it is stopped."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from jupyter_wf.cli.app import CANCELLED
from jupyter_wf.cli.text import clock, one_line
from jupyter_wf.core.durations import duration
from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime
from jupyter_wf.engine.serving import TaskServer
from jupyter_wf.sources import load_tasks, parse_entrypoint
from jupyter_wf.tasks import Task

__all__ = ["task"]


@click.group(short_help="Serve background tasks.", context_settings={"help_option_names": ["-h", "--help"]})
def task() -> None:
    """Execute what was left by task.delay(…)."""


@task.command("serve", short_help="Execute the background runs of tasks.")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(1, 10_000), help="At most so many at the same time."
)
def _serve(targets: tuple[str, ...], limit: int) -> int:
    """Execute the background runs of the tasks that each TARGET names, until Ctrl-C or SIGTERM.

    TARGET is file.py:task or package.module:task; without ":task" all tasks that the file or module defines. Any number
    of processes may serve the same tasks: each run is executed by one of them.
    """
    # As for `python file.py`, also what is imported while a task runs is found.
    folders = [Path(parsed.where).absolute().parent for each in targets if (parsed := parse_entrypoint(each)).is_file]
    sys.path[:0] = list(dict.fromkeys([*map(str, folders), str(Path.cwd())]))
    runtime = Runtime.open(load_settings(), role="cli")
    set_runtime(runtime)
    try:
        found: dict[int, Task[..., object]] = {}
        for target in targets:
            tasks = load_tasks(target)
            if not tasks:
                raise TargetError(target, "it defines no task")
            found.update((id(each), each) for each in tasks)
        names = {str(number): each.callee for number, each in enumerate(found.values())}
        server = TaskServer(names, limit=limit, on_change=_Lines())
        _say(f"serving {', '.join(sorted(one_line(each.name) for each in found.values()))} (Ctrl-C ends it)")
        server.serve()
    except KeyboardInterrupt:
        return CANCELLED
    finally:
        set_runtime(None)
        runtime.close()
    return 0


class _Lines:
    """Prints a line for each run that begins or ends."""

    def __call__(self, live: LiveRun) -> None:
        state = live.state
        parts = [clock(time.time()), f"{'Running' if live.is_open else one_line(state.name):<10}"]
        parts.append(f"{one_line(live.name)} ({short_id(live.id)})")
        if not live.is_open and live.started_at is not None:
            parts.append(duration(state.at - live.started_at))
        if live.attempt > 1:
            parts.append(f"attempt {live.attempt}")
        if state.message and not live.is_open:
            parts.append(one_line(state.message))
        _say("  ".join(parts))


def _say(line: str) -> None:
    # Runs are executed, whether anybody reads of it or not.
    with suppress(BrokenPipeError):
        # In one piece: tasks may print at the same time.
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
