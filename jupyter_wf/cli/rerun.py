"""``jupyter wf rerun``: a new run of the notebook or flow of an earlier one, with its parameters."""

from __future__ import annotations

import sys

import click

from jupyter_wf.cli.attend import watch_notebook
from jupyter_wf.cli.here import conclude, run_here, stdout_kept_for_json
from jupyter_wf.cli.lines import whole_lines
from jupyter_wf.cli.targets import changed_arguments, load_target, parse_target
from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.engine.handover import changed_call, kept_arguments
from jupyter_wf.engine.runtime import Runtime, load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.services.notebook_runs import rerun_notebook

__all__ = ["rerun"]


@click.command(short_help="Run a notebook or flow again, with the parameters of a run.")
@click.argument("address", metavar="RUN")
@click.option("--from", "from_task", metavar="TASK", help="Only TASK and what depends on it; restore the other tasks.")
@click.option(
    "-p", "--parameter", "--params", "assignments", metavar="NAME=VALUE", multiple=True, help="Change a parameter."
)
@click.option("--json", "as_json", is_flag=True, help="Print the final run as JSON, and nothing else, to stdout.")
def rerun(address: str, from_task: str | None, assignments: tuple[str, ...], as_json: bool) -> int:
    """Start a new run of the notebook or flow that RUN is a run of, and watch it until it ends.

    It gets the parameters of that run, but for those given here. The notebook, or the flow's file, is used as it is
    now. With --from, task cells that are neither TASK nor depend on it are restored from that run, where neither their
    source nor their inputs have changed.

    VALUE is JSON, or a text.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    texts = dict(map(parse_assignment, assignments))
    runtime = Runtime.open(load_settings(), role="cli")
    try:
        run = find_address(runtime.store, address)
        if not run.is_notebook:
            if from_task is not None:
                raise click.UsageError("--from is for notebooks; a flow in Python restores nothing from another run")
            return _rerun_flow(runtime, run, texts, as_json)
        store, settings, process = runtime.store, runtime.settings, runtime.process
        return watch_notebook(
            runtime,
            lambda: rerun_notebook(
                store, settings, run, process=process, texts=texts, from_task=from_task, foreground=True
            ),
            as_json=as_json,
        )
    finally:
        runtime.close()


def _rerun_flow(runtime: Runtime, run: Run, texts: dict[str, str], as_json: bool) -> int:
    entrypoint = run.source.get("entrypoint")
    if run.kind != "flow" or not entrypoint:
        why = "its flow can't be imported from here (it is not in a file or module); call the flow itself"
        raise TargetError(
            short_id(run.id), why if run.kind == "flow" else f"is a {run.kind}; name the run it is part of"
        )
    with whole_lines(), stdout_kept_for_json(as_json) as out:
        flow = load_target(parse_target(str(entrypoint)))
        changed = changed_arguments(flow, texts)
        args, kwargs = changed_call(flow.callee, run.parameters, kept_arguments(runtime, run), changed)
        sys.stdout.flush()
        record = run_here(runtime, out, lambda: flow(*args, **kwargs, return_state=True))
    return record if isinstance(record, int) else conclude(record, as_json=as_json)
