"""From a cell with ``%%task`` or ``%%flow`` to Python text whose line numbers are the cell's."""

from __future__ import annotations

import ast
from collections import OrderedDict
from dataclasses import dataclass

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.cells import compile_body, compile_function, function_text
from jupyter_wf.notebook.heads import Head, split_head
from jupyter_wf.notebook.names import analyse_source
from jupyter_wf.notebook.translate import commented, translate

__all__ = ["CellSource", "CellTransformer", "read_cell"]

_CALL = "get_ipython().run_cell_magic('"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSource:
    """A cell as Python text: line n of ``text`` is line n of the cell.

    The first line is a comment, or the ``def`` of a callable task. ``is_async`` tells whether running it needs
    ``await`` (a definition never does).
    """

    head: Head
    text: str
    is_async: bool


def read_cell(shell: InteractiveShell, kind: str, line: str, body: str) -> CellSource:
    """Translate the magics of a cell's body and make its text.

    Raises `CellLineError` for the first line, and `SyntaxError` for the body, with ``text`` of the error's cell in
    its attribute ``print_file_and_line`` left as Python sets it.
    """
    head = split_head(kind, line)
    python = translate(body, shell.transform_cell)
    flags = shell.compile.flags
    if head.parameters is None:
        text = commented(kind, line, python)
        made = compile_body(text, filename="<cell>", name=head.name, flags=flags)
        return CellSource(head=head, text=text, is_async=made.is_async)
    is_async = analyse_source(python).is_async
    text = function_text(head.signature, python.rstrip("\n"), returns=head.returns, is_async=is_async)
    compile_function(text, filename="<cell>", flags=flags)
    return CellSource(head=head, text=text, is_async=is_async)


class CellTransformer:
    """An input transformer that looks at translated cells of ours before IPython compiles them.

    A cell whose body awaits is awaited (IPython drops the coroutine that a cell magic returns). A cell whose body is
    not Python is given to IPython as text, so that it reports the error as for any other cell.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._known: OrderedDict[tuple[str, str, str], CellSource] = OrderedDict()

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines that IPython compiles."""
        text = "".join(lines)
        if not text.startswith((f"{_CALL}task'", f"{_CALL}flow'")):
            return lines
        kind, line, body = _arguments(text)
        try:
            source = self.read(kind, line, body)
        except CellLineError:
            return lines
        except SyntaxError:
            return self._broken(kind, line, body) or lines
        awaited = source.is_async and source.head.parameters is None
        return [f"await {text}"] if awaited else lines

    def read(self, kind: str, line: str, body: str) -> CellSource:
        """Return what `read_cell` does; the last few cells are remembered, so that each is translated once."""
        key = (kind, line, body)
        if key not in self._known:
            self._known[key] = read_cell(self._shell, kind, line, body)
            while len(self._known) > 16:
                self._known.popitem(last=False)
        return self._known[key]

    def _broken(self, kind: str, line: str, body: str) -> list[str] | None:
        """Return text that fails to compile where the cell is wrong; None where only we can tell what is wrong."""
        python = translate(body, self._shell.transform_cell)
        head = split_head(kind, line)
        texts = [commented(kind, line, python)]
        if head.parameters is not None:
            try:
                is_async = analyse_source(python).is_async
                texts.insert(0, function_text(head.signature, python.rstrip("\n"), is_async=is_async))
            except SyntaxError:
                pass
        for text in texts:
            try:
                compile(text, "<cell>", "exec", self._shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            except SyntaxError:
                return text.splitlines(keepends=True)
        return None


def _arguments(text: str) -> tuple[str, str, str]:
    """Return the three texts in ``get_ipython().run_cell_magic('task', 'line', 'body')``."""
    call = ast.parse(text.strip(), mode="eval").body
    assert isinstance(call, ast.Call)
    kind, line, body = (ast.literal_eval(argument) for argument in call.args)
    return kind, line, body
