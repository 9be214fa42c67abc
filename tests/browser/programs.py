"""Notebooks and flows that stop where a test wants them to: they go on when a file appears."""

from __future__ import annotations

from pathlib import Path

import nbformat

#: Waits for a file beside the notebook, so that a test decides when a task ends.
WAIT = """import time
from pathlib import Path
while not Path({gate!r}).exists():
    time.sleep(0.02)"""


def write_notebook(path: Path, *sources: str) -> Path:
    """Write a notebook of code cells and return its path."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)],
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    )
    nbformat.write(notebook, path)
    return path


def gated_notebook(path: Path, gate: str) -> Path:
    """Write a notebook whose task ``first`` succeeds at its second try and whose ``second`` waits for ``gate``."""
    return write_notebook(
        path,
        "%load_ext jupyter_wf\ntries = []",
        "%%task first --retries 1 --retry-delay 0.1\ntries.append(1)\nprint('try', len(tries))\n"
        "if len(tries) == 1:\n    raise ConnectionError('the line was cut')\nanswer = 41",
        f"%%task second\nprint('waiting for the gate')\n{WAIT.format(gate=gate)}\nresult = answer + 1",
        "%%task third\nprint('result', result)",
    )


def gated_flow(path: Path, gate: str) -> str:
    """Write a file with a flow of three tasks, the last of which waits for ``gate``; return the target to run."""
    wait = WAIT.format(gate=gate).replace("\n", "\n    ")
    path.write_text(
        "from jupyter_wf import flow, task\n\n"
        "@task\ndef fetch(city):\n    return len(city)\n\n"
        f"@task(log_prints=True)\ndef report(numbers):\n    print('numbers', numbers)\n    {wait}\n\n"
        "@flow\ndef weather_report():\n    report([fetch('Seattle'), fetch('Bergen')])\n"
    )
    return f"{path.name}:weather_report"
