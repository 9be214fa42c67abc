"""A code cell parsed for the dataflow, by itself: what it is, and what can be known of it without the other cells."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.cell_options import CellOptions, parse_cell_options
from jupyter_wf.notebook.cells import function_text
from jupyter_wf.notebook.definitions import Definition, find_definitions
from jupyter_wf.notebook.heads import Head, split_head
from jupyter_wf.notebook.mutations import mutated
from jupyter_wf.notebook.names import CellNames, analyse
from jupyter_wf.notebook.translate import CellText, commented, open_magics, python_of, split_cell

__all__ = ["Fault", "ParsedCell", "parse_cell"]

#: Cells are parsed again and again while one of them is edited.
_REMEMBERED = 512
_OURS = ("task", "flow")
_LOST_MAGIC = re.compile(r"^[ \t]*%%(task|flow)\b", re.MULTILINE)
_TOO_DEEP = "an expression is nested too deeply to be analysed: take it apart"
_COMPILE = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
#: Who parses holds it: the switch that silences warnings is the process's.
_SILENCE = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong in one cell: a kind of `Problem`, and what follows the cell's number in its message."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedCell:
    """A cell. ``task`` is the name of the task that it is, None for a cell that is none.

    ``body`` is its Python text, line n of which is line n of the cell; ``tree`` its syntax tree with the code that
    magics run in their place, without statements where the text is not Python. ``changes`` says which of the names that
    it reads have their values changed in place, and where. ``items`` and ``condition`` are the expressions of ``--map``
    and ``--when``.
    """

    task: str | None
    options: CellOptions
    body: str
    tree: ast.Module
    names: CellNames
    definitions: dict[str, Definition]
    changes: dict[str, tuple[int, str]]
    items: ast.Module | None = None
    condition: ast.Module | None = None
    faults: tuple[Fault, ...] = ()


@lru_cache(maxsize=_REMEMBERED)
def parse_cell(source: str) -> ParsedCell:
    """Parse one code cell. Never raises for what is in it: that are its faults."""
    text = split_cell(source)
    is_plain = text.magic is None
    if text.magic not in _OURS:
        text = CellText(magic=None, line="", body=source, above=0)
    head, options, fault = _head(text)
    defines = head is not None and head.parameters is not None
    faults = [fault] if fault else []
    body, tree = source, _nothing()
    if text.magic is None or head is not None:
        # A cell whose line has no name does not run at all.
        with _SILENCE, warnings.catch_warnings():
            # Python's opinion of the code is not asked for here; who runs the cell hears it.
            warnings.simplefilter("ignore")
            body, tree, wrong = _read(text, head if defines else None)
        # To IPython a magic that stands too late is another one, and not Python's fault.
        late = _LOST_MAGIC.search(source) if is_plain and body != source else None
        if late is not None or wrong is not None:
            faults.append(_late(late) if late else Fault(kind="syntax", message=str(wrong)))
    items = ast.parse(options.map[1]) if options.map else None
    condition = ast.parse(options.when) if options.when else None
    try:
        names, definitions = analyse(tree), find_definitions(tree.body)
        changes = mutated(tree.body, names.reads | names.builtin_reads)
        for expression in filter(None, (items, condition)):
            analyse(expression)
    except RecursionError:
        tree, items, condition = _nothing(), None, None
        names, definitions, changes = analyse(tree), {}, {}
        faults.append(Fault(kind="syntax", message=_TOO_DEEP))
    return ParsedCell(
        task=head.name if head is not None and text.magic == "task" and not defines else None,
        options=options,
        body=body,
        tree=tree,
        names=names,
        definitions=definitions,
        changes=changes,
        items=items,
        condition=condition,
        faults=tuple(faults),
    )


def _nothing() -> ast.Module:
    return ast.Module(body=[], type_ignores=[])


def _head(text: CellText) -> tuple[Head | None, CellOptions, Fault | None]:
    """Return what the line of a cell of ours says, and what is wrong with it."""
    head = None
    options = CellOptions()
    if text.magic is None:
        return head, options, None
    try:
        head = split_head(text.magic, text.line)
        options = parse_cell_options(text.magic, head)
    except CellLineError as error:
        return head, options, Fault(kind="line", message=str(error))
    return head, options, None


def _late(found: re.Match[str]) -> Fault:
    line = found.string.count("\n", 0, found.start(1)) + 1
    reason = f"line {line}: %%{found[1]} must be the first line of its cell; move it up, or split the cell"
    return Fault(kind="line", message=reason)


def _read(text: CellText, function: Head | None) -> tuple[str, ast.Module, str | None]:
    """Return a cell's Python text, its tree, and what is wrong with the text; ``function`` is what the cell defines."""
    body = text.body
    wrong: str | None = None
    for translated in (False, True):
        try:
            # What is Python already is not given to IPython.
            body = _whole(text, python_of(text.body) if translated else text.body, function)
            tree = ast.parse(body)
            if "_magic(" in body:
                tree = open_magics(tree)
            compile(tree, "<cell>", "exec", _COMPILE, dont_inherit=True)
            return body, tree, None
        except SyntaxError as error:
            wrong = f"line {error.lineno}: {error.msg}" if error.lineno else str(error.msg)
        except (RecursionError, MemoryError):
            wrong = _TOO_DEEP
        except ValueError as error:
            wrong = str(error)
    return body, _nothing(), wrong


def _whole(text: CellText, python: str, function: Head | None) -> str:
    """Return the cell's text, with what the line of its magic has become."""
    if text.magic is None:
        return python
    above = "\n" * (text.above - 1)
    plain = above + commented(text.magic, text.line, python)
    if function is None:
        return plain
    # Parsed with its lines where they are, for the errors.
    is_async = analyse(ast.parse(plain)).is_async
    return above + function_text(function.signature, python.rstrip("\n"), returns=function.returns, is_async=is_async)
