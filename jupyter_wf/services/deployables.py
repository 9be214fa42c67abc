"""What can be deployed: a notebook or a flow, where agents find it, and the parameters that it takes."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_wf.core.arguments import ANY, Argument, Arguments, parse_type, signature_arguments, type_of
from jupyter_wf.core.deployments import Deployment, DeploymentKind
from jupyter_wf.core.errors import TargetError
from jupyter_wf.core.settings import Settings
from jupyter_wf.flows import Flow
from jupyter_wf.notebook.parameters import notebook_arguments
from jupyter_wf.notebook.snapshots import read_snapshot
from jupyter_wf.notebook.source import NotebookSource, read_notebook
from jupyter_wf.sources import entrypoint_of, load_flow, parse_entrypoint

__all__ = ["Deployable", "as_pinned", "deployable_of", "find_deployable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployable:
    """A notebook or flow as it is now.

    ``target`` is the notebook's absolute path, or what `sources.load_object` finds the flow by; ``arguments`` are what
    it takes; ``description`` is the flow's own.
    """

    kind: DeploymentKind
    target: str
    flow_name: str
    arguments: Arguments
    notebook: NotebookSource | None = None
    description: str = ""


def find_deployable(target: str | os.PathLike[str] | Flow[..., Any]) -> Deployable:
    """Return what a path (``nb.ipynb``), an entrypoint (``flows.py:etl``, ``package.module:etl``) or a flow names.

    A flow's file or module is imported. Raises `TargetError` where there is no such notebook or flow, and for a flow
    that no other process can import: one of a notebook's cell, of the prompt, or inside of a function.
    """
    if isinstance(target, Flow):
        return _of_flow(target)
    text = os.fspath(target)
    if text.endswith(".ipynb"):
        return _of_notebook(read_notebook(Path(text).expanduser()))
    if text.rpartition(":")[0].endswith(".ipynb"):
        raise TargetError(text, f"a notebook is deployed as a whole; leave out ':{text.rpartition(':')[2]}'")
    try:
        parse_entrypoint(text)
    except TargetError:
        raise TargetError(text, "is neither notebook.ipynb nor file.py:flow nor package.module:flow") from None
    return _of_flow(load_flow(text))


def deployable_of(settings: Settings, deployment: Deployment) -> Deployable:
    """Return what a deployment's next run will execute; no code of the user's is imported for that.

    The parameters of a flow are read off its file; where that does not show them, any are taken. Raises `TargetError`
    where the notebook, or its snapshot, is gone.
    """
    if deployment.kind == "notebook":
        path = Path(deployment.target)
        if deployment.policies.snapshot == "pinned" and deployment.digest is not None:
            return _of_notebook(read_snapshot(settings, deployment.digest, path))
        return _of_notebook(read_notebook(path))
    return Deployable(
        kind="flow",
        target=deployment.target,
        flow_name=deployment.flow_name,
        arguments=_read_off(deployment.target, f"the flow {deployment.flow_name!r}"),
    )


def as_pinned(settings: Settings, what: Deployable, digest: str) -> Deployable:
    """Return a notebook as it was when it was kept under a digest. Raises `TargetError` where that is gone."""
    return _of_notebook(read_snapshot(settings, digest, Path(what.target)))


def _of_notebook(notebook: NotebookSource) -> Deployable:
    return Deployable(
        kind="notebook",
        target=str(notebook.path),
        flow_name=notebook.path.stem,
        arguments=notebook_arguments(notebook),
        notebook=notebook,
    )


def _of_flow(flow: Flow[..., Any]) -> Deployable:
    entrypoint = entrypoint_of(flow)
    if entrypoint is None:
        raise TargetError(
            flow.name,
            "no other process can import this flow: where it is defined in a notebook's cell, deploy the notebook "
            "(jupyter_wf.deployments.deploy('notebook.ipynb', name=…)); else move it to a file's top level",
        )
    return Deployable(
        kind="flow",
        target=entrypoint,
        flow_name=flow.name,
        arguments=signature_arguments(flow.fn, f"the flow {flow.name!r}"),
        description=flow.description or "",
    )


def _read_off(entrypoint: str, owner: str) -> Arguments:
    """Return the arguments of a function in a file, by its text."""
    anything = Arguments(owner=owner, open_ended=True)
    try:
        parsed = parse_entrypoint(entrypoint)
    except TargetError:
        # That of a flow that only the process can execute which serves it.
        return anything
    if not parsed.is_file:
        return anything
    try:
        tree = ast.parse(Path(parsed.where).read_bytes())
    except OSError:
        raise TargetError(entrypoint, "there is no such file any more") from None
    except (SyntaxError, ValueError):
        return anything
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    found = next((each for each in functions if each.name == parsed.name), None)
    return anything if found is None else _declared(found, owner)


def _declared(function: ast.FunctionDef | ast.AsyncFunctionDef, owner: str) -> Arguments:
    given = function.args
    plain = given.posonlyargs + given.args
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    pairs = [*zip(plain, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    items = [_argument(arg, default) for arg, default in pairs if arg not in given.posonlyargs]
    return Arguments(owner=owner, items=tuple(items), open_ended=given.kwarg is not None)


def _argument(arg: ast.arg, default: ast.expr | None) -> Argument:
    shown = None if default is None else ast.unparse(default)
    if arg.annotation is not None:
        return Argument(
            name=arg.arg, type=parse_type(ast.unparse(arg.annotation)), required=default is None, default=shown
        )
    try:
        kind = ANY if default is None else type_of(ast.literal_eval(default))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        kind = ANY
    return Argument(name=arg.arg, type=kind, required=default is None, default=shown)
