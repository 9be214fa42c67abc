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

#: Cell magics below which ordinary code runs in the notebook's namespace, the second binding a name itself.
_TRANSPARENT = frozenset(("time", "capture", "prun"))
#: Line magics that run the code behind them.
_RUNNERS = frozenset(("time", "prun"))
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
    """Return a cell's body as Python text, with the same lines. What can't be translated is left as it is.

    Of cell magics that only time code, or capture what it prints, the code is returned.
    """
    text = split_cell(body)
    if text.magic in _TRANSPARENT:
        captured = _CAPTURED.search(text.line) if text.magic == "capture" else None
        above = "\n" * (text.above - 1) + (f"{captured[1]} = None" if captured else "") + "\n"
        return above + python_of(text.body)
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
    """Return the tree with the code behind ``%time`` and ``%prun`` in place of the calls that run it."""
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
                try:
                    statements = ast.parse(code).body
                except (SyntaxError, ValueError):
                    return node
                for statement in statements:
                    ast.increment_lineno(statement, node.lineno - 1)
                return statements or [node]
        return node
