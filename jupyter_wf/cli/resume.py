"""``jupyter wf resume``: let a paused run go on, or make the next attempt of one that ended, and watch it."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from jupyter_wf.cli.attend import watch_notebook
from jupyter_wf.cli.here import conclude, run_here, stdout_kept_for_json
from jupyter_wf.cli.lines import whole_lines
from jupyter_wf.cli.targets import changed_arguments, load_target, parse_target
from jupyter_wf.cli.text import label
from jupyter_wf.core.arguments import parse_assignment
from jupyter_wf.core.codec import encode_run
from jupyter_wf.core.errors import JupyterWfError, RunFinished, TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.engine.resumption import answer
from jupyter_wf.engine.runtime import Runtime, load_settings, set_runtime
from jupyter_wf.flow_runs import resume_flow_run
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.services.notebook_runs import resume_notebook

__all__ = ["resume"]


@click.command(short_help="Go on with a run that is paused, suspended or did not complete.")
@click.argument("address", metavar="RUN")
@click.option("--input", "inputs", metavar="NAME=VALUE", multiple=True, help="Give what a paused run asks for.")
@click.option(
    "-p", "--parameter", "--params", "assignments", metavar="NAME=VALUE", multiple=True, help="Change a parameter."
)
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON, and nothing else, to stdout.")
def resume(address: str, inputs: tuple[str, ...], assignments: tuple[str, ...], as_json: bool) -> int:
    """Go on with RUN, a run of a flow or notebook.

    A paused run goes on where it is, and the command ends. One that is suspended, failed, crashed or was cancelled gets
    its next attempt here, which is watched until it ends: tasks that have completed are restored, not called. Of a
    notebook the file is used as it is now; "jupyter wf repair" restores also what has changed.

    VALUE is JSON, or a text. A run that asks for one plain value takes --input VALUE too.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    runtime = Runtime.open(load_settings(), role="cli")
    set_runtime(runtime)
    try:
        runtime.journal.flush()
        run = find_address(runtime.store, address)
        suspended = run.state.name == "Suspended" and run.process_id is None
        if run.state.is_paused() and not suspended:
            return _let_go_on(runtime, run, _input(inputs), as_json)
        if inputs and not suspended:
            raise click.UsageError(f"--input is for runs that are paused; {short_id(run.id)} is {run.state.name}")
        if inputs:
            run = answer(runtime, run, _input(inputs))
        return _continue(runtime, run, dict(map(parse_assignment, assignments)), as_json)
    finally:
        set_runtime(None)
        runtime.close()


def _input(inputs: tuple[str, ...]) -> Any:
    """Return the input as a JSON value: an object of the fields, or the one plain value."""
    if not inputs:
        return None
    try:
        return {name: _value(text) for name, text in map(parse_assignment, inputs)}
    except JupyterWfError:
        if len(inputs) > 1:
            raise
        return _value(inputs[0])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _let_go_on(runtime: Runtime, run: Run, given: Any, as_json: bool) -> int:
    resume_flow_run(run.id, run_input=given)
    if as_json:
        click.echo(json.dumps(encode_run(runtime.store.get_run(run.id)), ensure_ascii=True))
    else:
        click.echo(f"{short_id(run.id)} ({label(run)}) goes on")
    return 0


def _continue(runtime: Runtime, run: Run, texts: dict[str, str], as_json: bool) -> int:
    if run.is_notebook:
        store, settings, process = runtime.store, runtime.settings, runtime.process
        return watch_notebook(
            runtime,
            lambda: resume_notebook(store, settings, run, process=process, texts=texts, foreground=True),
            as_json=as_json,
        )
    if run.state.is_completed():
        raise RunFinished(run.id, run.state.name, "resumed")
    entrypoint = run.source.get("entrypoint")
    if not entrypoint:
        why = "its flow can't be imported from here (it is not in a file or module); call the flow's own resume()"
        raise TargetError(short_id(run.id), why)
    with whole_lines(), stdout_kept_for_json(as_json) as out:
        flow = load_target(parse_target(str(entrypoint)))
        changed = changed_arguments(flow, texts)
        sys.stdout.flush()
        record = run_here(runtime, out, lambda: flow.resume(run.id, return_state=True, **changed))
    return record if isinstance(record, int) else conclude(record, as_json=as_json)
