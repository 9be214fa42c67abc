"""``jupyter wf notebook``: the notebook of a run, as it was executed or as it was when it was run."""

from __future__ import annotations

from pathlib import Path

import click

from jupyter_wf.cli.files import check_output, copy_output
from jupyter_wf.cli.runs import reading_store
from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.runtime import load_settings
from jupyter_wf.notebook.addresses import find_address
from jupyter_wf.notebook.snapshots import snapshot_path

__all__ = ["notebook"]


@click.command(short_help="Copy the notebook of a run to a file.")
@click.argument("address", metavar="RUN")
@click.option("--snapshot", is_flag=True, help="The notebook as it was when it was run, before anything was executed.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Where to; without: print where.")
def notebook(address: str, snapshot: bool, output: Path | None) -> int:
    """Copy the executed notebook of RUN to FILE, or print where it lies.

    RUN is the id of a run or how it begins, the name of a run, flow or task (the newest one is meant), or last.
    """
    if output is not None:
        check_output(output)
    with reading_store() as store:
        run = find_address(store, address)
    path = _path(load_settings(), run, snapshot)
    if not path.is_file():
        raise TargetError(short_id(run.id), f"the notebook is not there any more: {path}")
    if output is None:
        click.echo(str(path))
        return 0
    copy_output(path, output)
    return 0


def _path(settings: Settings, run: Run, snapshot: bool) -> Path:
    if not run.is_notebook:
        raise TargetError(short_id(run.id), "is not a run of a notebook that was run as a workflow")
    return snapshot_path(settings, str(run.source.get("digest"))) if snapshot else Path(str(run.source["executed"]))
