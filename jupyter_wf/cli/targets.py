"""What a target on the command line names: a notebook, or a flow in a file or module."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jupyter_wf.core.arguments import signature_arguments
from jupyter_wf.core.errors import TargetError
from jupyter_wf.flows import Flow
from jupyter_wf.sources import load_flow, parse_entrypoint

__all__ = ["Target", "changed_arguments", "load_target", "parse_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A parsed target. ``kind`` is notebook, file or module; ``where`` its path or dotted name."""

    text: str
    kind: str
    where: str


def parse_target(text: str) -> Target:
    """Tell what ``text`` names: ``a.ipynb``, ``a.py``, ``a.py:flow``, ``package.module`` or ``package.module:flow``.

    Raises `TargetError` for anything else.
    """
    if text.endswith(".ipynb"):
        return Target(text=text, kind="notebook", where=text)
    where, _, name = text.rpartition(":")
    if where.endswith(".ipynb"):
        raise TargetError(text, f"a notebook is run as a whole; leave out ':{name}'")
    try:
        entrypoint = parse_entrypoint(text)
    except TargetError:
        raise TargetError(text, "is neither notebook.ipynb nor file.py:flow nor package.module:flow") from None
    return Target(text=text, kind="file" if entrypoint.is_file else "module", where=entrypoint.where)


def load_target(target: Target) -> Flow[..., Any]:
    """Import the file or module and return the flow. Raises `TargetError` where that fails or there is no such flow."""
    # As for `python file.py`, also what is imported while the flow runs is found.
    sys.path.insert(0, str(Path(os.path.abspath(target.where)).parent) if target.kind == "file" else os.getcwd())
    return load_flow(target.text)


def changed_arguments(flow: Flow[..., Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments that are given as texts, of which none is needed: the others stay as they were.

    Raises `ParameterError` for one that the flow does not have, or that does not fit.
    """
    arguments = signature_arguments(flow.fn, f"the flow {flow.name!r}")
    arguments = replace(arguments, items=tuple(replace(item, required=False) for item in arguments.items))
    return arguments.materialise(arguments.bind({}, dict(texts)))
