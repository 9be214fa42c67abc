"""``jupyter wf run``: run a notebook in a runner process, or a flow in this one, and watch it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jupyter_wf.cli.attend import watch_notebook
from jupyter_wf.cli.files import check_output, read_parameters
from jupyter_wf.cli.here import conclude, run_here, stdout_kept_for_json
from jupyter_wf.cli.lines import whole_lines
from jupyter_wf.cli.targets import Target, load_target, parse_target
from jupyter_wf.core.arguments import parse_assignment, signature_arguments
from jupyter_wf.engine.runtime import Runtime, load_settings
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.source import read_notebook
from jupyter_wf.services.launcher import start_notebook

__all__ = ["run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """What the command line said, beside the target."""

    values: dict[str, Any]
    texts: dict[str, str]
    output: Path | None
    as_json: bool


@click.command(short_help="Run a notebook or a flow and watch it.")
@click.argument("target")
@click.option("-p", "--parameter", "assignments", metavar="NAME=VALUE", multiple=True, help="Set a parameter.")
@click.option(
    "--params-file", type=click.Path(path_type=Path), metavar="FILE", help="Read parameters from JSON or YAML; -p wins."
)
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="PATH", help="Copy the executed notebook to PATH at the end."
)
@click.option("--json", "as_json", is_flag=True, help="Print the final run as JSON, and nothing else, to stdout.")
def run(target: str, assignments: tuple[str, ...], params_file: Path | None, output: Path | None, as_json: bool) -> int:
    """Run TARGET and watch it until it ends.

    TARGET is notebook.ipynb, file.py:flow or package.module:flow. Of a notebook a copy is executed, in a kernel of its
    own that works in the notebook's folder; its parameters are what the cell tagged "parameters" assigns. ":flow" may
    be left out where there is only one.

    Ctrl-C cancels the run; a second one does not wait for it.
    """
    parsed = parse_target(target)
    texts = dict(parse_assignment(text) for text in assignments)
    values = read_parameters(params_file) if params_file else {}
    options = _Options(values=values, texts=texts, output=output, as_json=as_json)
    if parsed.kind == "notebook":
        return _run_notebook(parsed, options)
    if output is not None:
        raise click.UsageError("--output is for notebooks; a flow in Python has no executed copy")
    return _run_flow(parsed, options)


def _run_notebook(target: Target, options: _Options) -> int:
    path = Path(target.where)
    notebook = read_notebook(path)
    parameters = notebook_arguments(notebook).bind(options.values, options.texts)
    if options.output is not None:
        check_output(options.output)
    runtime = Runtime.open(load_settings(), role="cli")
    try:
        return watch_notebook(
            runtime,
            lambda: start_notebook(
                runtime.store,
                runtime.settings,
                path,
                parameters=parameters,
                source={"target": target.text},
                process=runtime.process,
                foreground=True,
            ),
            as_json=options.as_json,
            output=options.output,
        )
    finally:
        runtime.close()


def _run_flow(target: Target, options: _Options) -> int:
    with whole_lines(), stdout_kept_for_json(options.as_json) as out:
        flow = load_target(target)
        arguments = signature_arguments(flow.fn, f"the flow {flow.name!r}")
        called = arguments.materialise(arguments.bind(options.values, options.texts))
        runtime = Runtime.open(load_settings(), role="cli")
        record = run_here(runtime, out, lambda: flow(**called, return_state=True))
    return record if isinstance(record, int) else conclude(record, as_json=options.as_json)
