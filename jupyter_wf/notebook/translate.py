"""A cell as Python text whose line numbers are the cell's: the cell magic taken off, magics and ``!`` translated.

No running shell is needed, and what is Python already is left alone, so that IPython is only loaded for the cells that
need it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["CellText", "commented", "open_magics", "python_of", "split_cell", "translate"]

#: Magics that run the code behind or below them in the notebook's namespace; the last binds a name too.
_RUNNERS = frozenset(("time", "prun", "capture"))
#: What IPython takes for a magic without ``%`` where it stands alone in a cell.
_AUTOMAGIC = re.compile(
    r"(?:autoreload|cat|cd|conda|config|cp|env|history|less|ll|load_ext|ls|mamba|man|matplotlib|micromamba|mkdir|more|"
    r"mv|pip|pwd|pylab|reload_ext|rm|rmdir|run|store|time|timeit|uv|wf|who|whos)(?:[ \t]+[^=\s(].*)?"
)
_HELP = re.compile(r"%%\w+\?")
_CAPTURED = re.compile(r"(?:^|\s)([^\W\d]\w*)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellText:
    """A cell taken apart: the name of its cell magic, None where it has none, the magic's line, and what is below.

    ``above`` is the number of the cell's lines above the body. The body of a plain cell is the whole cell.
    """

    magic: str | None
    line: str
    body: str
    above: int


def split_cell(source: str) -> CellText:
    """Take a cell apart as IPython does: blank lines may come before a cell magic, and it may be indented."""
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    head = lines[first].strip()
    if not head.startswith("%%") or not head[2:].strip() or _HELP.match(head):
        return CellText(magic=None, line="", body=source, above=0)
    magic, _, line = head[2:].partition(" ")
    indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
    body = "\n".join(below.removeprefix(indent) for below in lines[first + 1 :])
    return CellText(magic=magic, line=line.strip(), body=body, above=first + 1)


def commented(kind: str, line: str, python: str) -> str:
    """Return the text of a cell whose line magic ``%%kind line`` has become a comment."""
    return f"# %%{kind} {' '.join(line.split())}\n{python}"


def translate(body: str, transform: Callable[[str], str]) -> str:
    """Return the body with shell commands and magics as Python by ``transform``, every line where it was.

    IPython takes blank lines at the beginning away.
    """
    stripped = body.lstrip("\n")
    blank = len(body) - len(stripped)
    lines = stripped.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
        blank += 1
    return "\n" * blank + transform("\n".join(lines))


def python_of(body: str) -> str:
    """Return a cell's body as Python text, with the same lines. What can't be translated is left as it is."""
    if _is_python(body):
        return body
    if _AUTOMAGIC.fullmatch(body.strip()):
        body = f"{body[: len(body) - len(body.lstrip())]}%{body.lstrip()}"
    return translate(body, _transformer())


def _is_python(body: str) -> bool:
    try:
        ast.parse(body)
    except (SyntaxError, ValueError):
        return False
    return True


@lru_cache(maxsize=1)
def _transformer() -> Callable[[str], str]:
    from IPython.core.inputtransformer2 import TransformerManager

    manager = TransformerManager()  # type: ignore[no-untyped-call]

    def transform(text: str) -> str:
        try:
            translated: str = manager.transform_cell(text)
        except SyntaxError:
            return text
        return translated

    return transform


def open_magics(tree: ast.Module) -> ast.Module:
    """Return the tree with the code that ``%time``, ``%%capture`` and the like run in place of the calls that run it.

    To be looked at, not to be run: the lines are right, the magics' own work is gone.
    """
    opened = _Opener().visit(tree)
    assert isinstance(opened, ast.Module)
    return opened


class _Opener(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        match node.value:
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr="run_line_magic"),
                args=[ast.Constant(value=magic), ast.Constant(value=str(code))],
            ) if magic in _RUNNERS:
                return _statements(code, node.lineno - 1) or node
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="get_ipython")), attr="run_cell_magic"),
                args=[ast.Constant(value=magic), ast.Constant(value=str(line)), ast.Constant(value=str(code))],
            ) if magic in _RUNNERS:
                inside = _statements(python_of(code), node.lineno)
                if inside is not None:
                    return [*_captured(line if magic == "capture" else "", node), *inside] or node
        return node


def _statements(code: str, above: int) -> list[ast.stmt] | None:
    """Return the statements of some code with so many lines above it; None where it is not Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return None
    for statement in tree.body:
        ast.increment_lineno(statement, above)
    return [statement for part in tree.body for statement in _opened(part)]


def _opened(statement: ast.stmt) -> list[ast.stmt]:
    found = _Opener().visit(statement)
    return found if isinstance(found, list) else [found]


def _captured(line: str, node: ast.expr | ast.stmt) -> list[ast.stmt]:
    """Return what binds the name on the line of ``%%capture``."""
    found = _CAPTURED.search(line)
    if found is None:
        return []
    bound = ast.parse(f"{found[1]} = None").body
    return [ast.increment_lineno(statement, node.lineno - 1) for statement in bound]
