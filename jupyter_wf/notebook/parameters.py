"""The parameters of a notebook: what the cell tagged ``parameters`` declares, and the cell that sets them.

As with papermill, given values are assigned in a cell tagged ``injected-parameters`` right after that one. Unlike
there, names and types are checked before anything runs: an annotation says the type, else the default's own does.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from jupyter_wf.core.arguments import ANY, Argument, Arguments, ValueType, materialise, parse_type, type_of
from jupyter_wf.core.errors import TargetError
from jupyter_wf.notebook.source import NotebookSource, cell_tags

__all__ = ["INJECTED_TAG", "PARAMETERS_TAG", "inject", "notebook_arguments"]

PARAMETERS_TAG = "parameters"
INJECTED_TAG = "injected-parameters"
_LONGEST_DEFAULT = 80


def notebook_arguments(notebook: NotebookSource) -> Arguments:
    """Return the arguments that the notebook's parameters cell declares, in its order.

    A notebook without such a cell takes none. Raises `TargetError` where the cell cannot be parsed.
    """
    cell = next(_tagged(notebook, PARAMETERS_TAG), None)
    if cell is None:
        return Arguments(owner="the notebook (no cell is tagged 'parameters')")
    if notebook.language != "python":
        return Arguments(owner=f"the notebook (parameters of {notebook.language} notebooks are not supported)")
    try:
        tree = ast.parse(_without_magics(cell["source"]))
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise TargetError(str(notebook.path), f"its parameters cell can't be parsed{where}: {error.args[0]}") from None
    declared: dict[str, Argument] = {}
    for statement in tree.body:
        for argument in _declared(statement):
            declared[argument.name] = argument
    return Arguments(owner="the notebook", items=tuple(declared.values()))


def _tagged(notebook: NotebookSource, tag: str) -> Iterator[dict[str, Any]]:
    return (cell for cell in notebook.cells if cell["cell_type"] == "code" and tag in cell_tags(cell))


def _without_magics(source: str) -> str:
    """Blank the lines that only IPython understands, so that the numbers of the others stay."""
    return "\n".join("" if line.lstrip()[:1] in ("%", "!", "?") else line for line in source.split("\n"))


def _declared(statement: ast.stmt) -> Iterator[Argument]:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        kind = parse_type(ast.unparse(statement.annotation))
        default = None if statement.value is None else _shown(statement.value)
        yield Argument(name=statement.target.id, type=kind, required=statement.value is None, default=default)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield Argument(name=target.id, type=_guess(statement.value), default=_shown(statement.value))


def _guess(value: ast.expr) -> ValueType:
    """Return the type of a default: of a literal its own, of a call such as ``date(2012, 1, 1)`` the called name's."""
    try:
        return type_of(ast.literal_eval(value))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return parse_type(ast.unparse(value.func)) if isinstance(value, ast.Call) else ANY


def _shown(value: ast.expr) -> str:
    text = ast.unparse(value)
    return text if len(text) <= _LONGEST_DEFAULT else f"{text[: _LONGEST_DEFAULT - 1]}…"


def inject(notebook: NotebookSource, arguments: Arguments, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the notebook's content in which a cell assigns ``values`` (as `Arguments.bind` returned them).

    It stands right after the parameters cell. A cell that an earlier run injected is taken out.
    """
    content = copy.deepcopy(notebook.content)
    content["cells"] = [cell for cell in content["cells"] if INJECTED_TAG not in cell_tags(cell)]
    if not values:
        return content
    kinds = {item.name: item.type for item in arguments.items}
    lines = [f"{name} = {_expression(kinds.get(name, ANY), value)}" for name, value in values.items()]
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": [INJECTED_TAG]},
        "outputs": [],
        "source": "\n".join(["# Parameters of this run", *lines]),
    }
    if content["nbformat_minor"] >= 5:
        cell["id"] = INJECTED_TAG
    places = [i for i, found in enumerate(content["cells"]) if PARAMETERS_TAG in cell_tags(found)]
    content["cells"].insert(places[0] + 1 if places else 0, cell)
    return content


def _expression(kind: ValueType, value: Any) -> str:
    """Return Python source whose value is the object that ``value`` (JSON) stands for."""
    return _source(materialise(kind, value))


def _source(value: Any) -> str:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f"float({str(value)!r})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_source(k)}: {_source(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_source, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_source(item)}, " for item in value).strip() + ")"
    if isinstance(value, set):
        return "{" + ", ".join(map(_source, value)) + "}" if value else "set()"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return _constructed(value)


def _constructed(value: Any) -> str:
    """Return source that needs no import of the notebook's, for dates and paths."""
    module = "pathlib" if hasattr(value, "parts") else "datetime"
    name = "Path" if module == "pathlib" else type(value).__name__
    call = f"{name}({str(value)!r})" if module == "pathlib" else f"{name}.fromisoformat({value.isoformat()!r})"
    return f"__import__({module!r}).{call}"
