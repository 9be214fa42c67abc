"""Putting what a run was given into the namespace, and its source into a new cell."""

# mypy: disable-error-code="no-untyped-call"
# (IPython's own functions have no types)
from __future__ import annotations

import html
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from jupyter_wf.core.ids import short_id
from jupyter_wf.core.models import Run
from jupyter_wf.engine.decorated import Decorated
from jupyter_wf.ipython.commands.inputs import Inputs, arguments_of, inputs_of_cell
from jupyter_wf.ipython.commands.stored import stored_json
from jupyter_wf.ipython.commands.tables import Cell, Table, label, one_line
from jupyter_wf.notebook.cells import identifier
from jupyter_wf.notebook.failures import brief
from jupyter_wf.notebook.keys import cell_key

if TYPE_CHECKING:
    from jupyter_wf.ipython.session import Session

__all__ = ["Loaded", "load"]


class Loaded:
    """What was loaded of a run.

    ``names`` are those that are in the namespace now, ``replaced`` those of them that had another value before;
    ``missing`` says of the others why they can't be had. ``source`` is the text of the new cell; ``has_cell`` tells
    whether there is one, or the text is to be shown.
    """

    def __init__(self, run: Run, inputs: Inputs, replaced: list[str], kept: list[str], source: str, has_cell: bool):
        self.run = run
        self.names = sorted(inputs.values)
        self.missing = dict(inputs.missing)
        self.replaced = replaced
        self.source = source
        self.has_cell = has_cell
        rows = [
            (
                Cell(name),
                Cell(brief(name, inputs.values[name])),
                Cell("replaced what it was" if name in replaced else ""),
            )
            for name in self.names
        ]
        rows += [(Cell(name), Cell("as it is in this notebook"), Cell("")) for name in kept]
        rows += [(Cell(name), Cell("missing"), Cell(one_line(why))) for name, why in sorted(self.missing.items())]
        self._table = Table(("name", "value", ""), rows, empty="It takes nothing.")

    @property
    def _title(self) -> str:
        where = "its source is in a new cell" if self.has_cell else "its source"
        return f"{label(self.run)} ({short_id(self.run.id)}, {one_line(self.run.state.name)}): its inputs, and {where}"

    def __repr__(self) -> str:
        text = f"{self._title}\n{self._table!r}"
        return text if self.has_cell else f"{text}\n\n{self.source}"

    def _repr_html_(self) -> str:
        source = "" if self.has_cell else f"<pre>{html.escape(self.source)}</pre>"
        return (
            f"<p style='font-size:13px;margin:4px 0'>{html.escape(self._title)}</p>{self._table._repr_html_()}{source}"
        )


def load(session: Session, run: Run) -> Loaded:
    """Put a run's inputs into the namespace and its source into a new cell; tell what was done.

    Where there is no front end that makes cells the source is only told. Raises `UsageError` where the run's source is
    not known.
    """
    namespace = session.shell.user_ns
    cell = stored_json(session, cell_key(run.id))
    if isinstance(cell, dict):
        inputs = inputs_of_cell(session, run, cell.get("reads", ()))
        source = f"# {one_line(run.name, 60)}, as it was in run {short_id(run.id)}\n{cell.get('body', '').strip()}\n"
    elif run.kind == "cell" or (run.kind == "task" and run.task_name is None):
        raise UsageError(f"the source of {label(run)} ({short_id(run.id)}) was not stored: it is a plain cell")
    else:
        inputs = arguments_of(session, run)
        source = _call(run, inputs, namespace)
    kept = [name for name in sorted(inputs.missing) if isinstance(cell, dict) and name in namespace]
    for name in kept:
        del inputs.missing[name]
    missing = object()
    replaced = [
        name
        for name, value in sorted(inputs.values.items())
        if namespace.get(name, missing) is not missing and namespace[name] is not value
    ]
    session.shell.push(inputs.values)
    has_cell = hasattr(session.shell, "kernel") and not session.headless
    if has_cell:
        session.shell.set_next_input(source, replace=False)
    return Loaded(run, inputs, replaced, kept, source, has_cell)


def _call(run: Run, inputs: Inputs, namespace: Mapping[str, Any]) -> str:
    """Return the call that made a run, of the function as it is found in the namespace."""
    called = run.flow_name if run.kind == "flow" else run.task_name
    found = [
        (name, value)
        for name, value in list(namespace.items())
        if isinstance(value, Decorated) and value.kind == run.kind and value.name == called and not name.startswith("_")
    ]
    lines = [f"# {one_line(run.name, 60)}, as it was called in run {short_id(run.id)}"]
    if found:
        name, function = found[0]
        signature = function.callee.signature
        awaits = "await " if function.isasync and not function.isgenerator else ""
    else:
        name, signature, awaits = identifier(called or run.name), None, ""
        lines.append(
            f"# There is no {run.kind} {one_line(str(called), 60)!r} in the namespace: define or import it first."
        )
    lines += [
        f"# {one_line(missing)} is missing: it {one_line(why)}" for missing, why in sorted(inputs.missing.items())
    ]
    lines.append(f"{awaits}{name}({', '.join(_arguments(signature, inputs.values))})")
    return "\n".join(lines) + "\n"


def _arguments(signature: inspect.Signature | None, values: Mapping[str, Any]) -> list[str]:
    if signature is None:
        return [f"{name}={name}" for name in values]
    forms: dict[Any, str] = {
        inspect.Parameter.POSITIONAL_ONLY: "{0}",
        inspect.Parameter.VAR_POSITIONAL: "*{0}",
        inspect.Parameter.VAR_KEYWORD: "**{0}",
    }
    told = []
    positional = any(p.kind is p.VAR_POSITIONAL and values.get(p.name) for p in signature.parameters.values())
    for parameter in signature.parameters.values():
        if parameter.name in values:
            form = forms.get(parameter.kind, "{0}={0}")
            if positional and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                form = "{0}"
            told.append(form.format(parameter.name))
    return told
