"""``jupyter wf repair``: run again what failed in a notebook run and what depends on it, and nothing else."""

from __future__ import annotations

import click

from jupyter_wf.cli.attend import watch_notebook
from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.engine.runtime import Runtime, load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.services.notebook_runs import resume_notebook

__all__ = ["repair"]


@click.command(short_help="Run again what failed in a notebook run, and what depends on it.")
@click.argument("address", metavar="RUN")
@click.option(
    "-p", "--parameter", "--params", "assignments", metavar="NAME=VALUE", multiple=True, help="Change a parameter."
)
@click.option("--json", "as_json", is_flag=True, help="Print the final run as JSON, and nothing else, to stdout.")
def repair(address: str, assignments: tuple[str, ...], as_json: bool) -> int:
    """Begin the next attempt of RUN, a run of a notebook, and watch it until it ends.

    Plain cells run again. Task cells that failed or never ran, and those that depend on them, run; the others are
    restored, whatever has changed. The notebook is used as it is now. Ctrl-C cancels the run.

    VALUE is JSON, or a text.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    texts = dict(map(parse_assignment, assignments))
    runtime = Runtime.open(load_settings(), role="cli")
    try:
        run = find_address(runtime.store, address)
        store, settings, process = runtime.store, runtime.settings, runtime.process
        return watch_notebook(
            runtime,
            lambda: resume_notebook(store, settings, run, process=process, texts=texts, repair=True, foreground=True),
            as_json=as_json,
        )
    finally:
        runtime.close()
