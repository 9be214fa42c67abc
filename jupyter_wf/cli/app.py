"""The command group, and what becomes of errors: one line on standard error and an exit code.

Exit codes: 0 done, 1 the run failed or crashed (or the state file can't be used), 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from jupyter_wf._version import __version__
from jupyter_wf.core.errors import JupyterWfError, StoreError

__all__ = ["CANCELLED", "FAILED", "USAGE", "main"]

FAILED = 1
USAGE = 2
CANCELLED = 130

#: Command → the module that has it (in an attribute of the same name) and its line in the overview.
_COMMANDS = {
    "run": ("jupyter_wf.cli.run", "Run a notebook or a flow and watch it."),
    "resume": ("jupyter_wf.cli.resume", "Go on with a run that is paused, suspended or did not complete."),
    "repair": ("jupyter_wf.cli.repair", "Run again what failed in a notebook run, and what depends on it."),
    "rerun": ("jupyter_wf.cli.rerun", "Run a notebook or flow again, with the parameters of a run."),
    "runs": ("jupyter_wf.cli.runs", "List runs, newest first, or delete some."),
    "show": ("jupyter_wf.cli.runs", "Show one run and what is below it."),
    "logs": ("jupyter_wf.cli.logs", "Print the log lines of a run."),
    "notebook": ("jupyter_wf.cli.notebook", "Copy the notebook of a run to a file."),
    "cancel": ("jupyter_wf.cli.runs", "Ask a run to stop."),
    "deploy": ("jupyter_wf.cli.deploy", "Have a notebook or flow run by schedules, and by name."),
    "apply": ("jupyter_wf.cli.apply", "Make deployments what a workflows.yaml declares."),
    "deployments": ("jupyter_wf.cli.deployments", "List deployments, run, pause and delete them."),
    "schedules": ("jupyter_wf.cli.schedules", "List schedules, preview and switch them."),
    "automations": ("jupyter_wf.cli.automations", "List, add, switch, test and remove automations."),
    "triggers": ("jupyter_wf.cli.triggers", "List, add, switch and remove event triggers."),
    "backfill": ("jupyter_wf.cli.backfill", "Run the slots of a time that has passed."),
    "backfills": ("jupyter_wf.cli.backfill", "List backfills, look at one, or cancel it."),
    "pools": ("jupyter_wf.cli.pools", "List, set, pause and remove work pools."),
    "agents": ("jupyter_wf.cli.agents", "List the agents."),
    "retention": ("jupyter_wf.cli.retention", "Say what is kept of ended runs."),
    "check": ("jupyter_wf.cli.check", "Look for mistakes in a notebook's tasks, without running it."),
    "graph": ("jupyter_wf.cli.graph", "Draw the graph of a notebook's tasks, without running it."),
    "artifacts": ("jupyter_wf.cli.artifacts", "List the artifacts of a run."),
    "task": ("jupyter_wf.cli.task", "Serve background tasks."),
    "agent": ("jupyter_wf.cli.agent", "Execute queued runs on this machine."),
    "server": ("jupyter_wf.cli.server", "Run the scheduler and its services without JupyterLab."),
    "limits": ("jupyter_wf.cli.limits", "List, set and remove limits."),
    "variables": ("jupyter_wf.cli.variables", "List, read and set variables."),
}


class _LazyGroup(click.Group):
    """Loads a command's module when the command is used: listing runs must not wait for what running needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(
    cls=_LazyGroup,
    name="jupyter wf",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 completed, 1 failed or crashed, 2 wrong usage, 130 cancelled.",
)
@click.version_option(__version__, prog_name="jupyter wf")
def _app() -> None:
    """Workflows in Jupyter: run notebooks and flows, and look at their runs.

    Runs are kept in $JUPYTER_WF_HOME, or in the folder jupyter_wf below Jupyter's data folder.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line (``sys.argv`` when ``args`` is None) and return its exit code."""
    try:
        result = _app.main(args, prog_name="jupyter wf", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        return _complain(error, error.format_message(), USAGE)
    except click.Abort:
        return CANCELLED
    except StoreError as error:
        return _complain(None, str(error), FAILED)
    except JupyterWfError as error:
        return _complain(None, str(error), USAGE)
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        # Who read our output has had enough, as in "jupyter wf runs | head". Keeps Python quiet about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _complain(error: click.ClickException | None, message: str, code: int) -> int:
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "jupyter wf"
    line = " ".join(message.split())
    if ctx is not None and isinstance(error, click.UsageError):
        line += f" (see '{path} --help')"
    click.echo(f"{path}: {line}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
