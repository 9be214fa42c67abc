"""``jupyter wf graph``: which tasks a notebook has and what they take from one another, without running it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from jupyter_wf.cli.check import load_dataflow
from jupyter_wf.cli.text import clean
from jupyter_wf.notebook.dataflow import encode_dataflow
from jupyter_wf.notebook.dataflow_graph import dataflow_graph

__all__ = ["graph"]


@click.command(short_help="Draw the graph of a notebook's tasks.")
@click.argument("notebook")
@click.option("--json", "as_json", is_flag=True, help="Print tasks, edges and problems as JSON; cells count from 0.")
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart, for Markdown.")
@click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="Write a picture; - is stdout.")
def graph(notebook: str, as_json: bool, mermaid: bool, svg: str | None) -> int:
    """Print which tasks NOTEBOOK has, and after which others each one runs. Nothing is run."""
    if as_json + mermaid + (svg is not None) > 1:
        raise click.UsageError("--json, --mermaid and --svg exclude one another; give one of them")
    dataflow = load_dataflow(notebook)
    drawn = dataflow_graph(dataflow, name=Path(notebook).name)
    if as_json:
        click.echo(json.dumps(encode_dataflow(dataflow), ensure_ascii=True))
    elif mermaid:
        click.echo(drawn.to_mermaid(), nl=False)
    elif svg == "-":
        click.echo(drawn.to_svg())
    elif svg is not None:
        _write(svg, drawn.to_svg())
    else:
        click.echo(clean(repr(drawn)))
    if dataflow.problems and not as_json:
        number = len(dataflow.problems)
        click.echo(f"{number} problem{'' if number == 1 else 's'}; 'jupyter wf check' lists them", err=True)
    return 0


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{path!r} can't be written: {error.strerror or error}") from None
