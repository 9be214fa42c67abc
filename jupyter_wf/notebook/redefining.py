"""A cell's imports, functions and classes, made again without running the rest of the cell.

They are no data: what restores a cell's outputs, or gets them from another process, makes these anew in the notebook's
own namespace, so that functions see the notebook's names and an object's class is the one that the notebook knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from jupyter_wf.notebook.cells import Namespace
from jupyter_wf.notebook.names import analyse

__all__ = ["define_again", "defined_around", "why_not_again"]

_DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def define_again(source: str, namespace: Namespace, *, filename: str, flags: int = 0) -> list[str]:
    """Execute the definitions at the top level of a cell (Python text) in ``namespace``.

    Those that need a name which is not there yet (a default value that the cell computes) are left out; returns their
    names, to be tried again when it is there. Private ones (leading underscore) are made too, where they are not
    there: functions may call them. Raises what the definitions raise.
    """
    left: list[str] = []
    for statement in ast.parse(source, filename).body:
        if not isinstance(statement, _DEFINITIONS):
            continue
        module = ast.Module([statement], [])
        try:
            exec(compile(module, filename, "exec", flags, dont_inherit=True), namespace)
        except NameError:
            left.append(getattr(statement, "name", ""))
    return left


@contextmanager
def defined_around(source: str, namespace: Namespace, *, filename: str, flags: int = 0) -> Iterator[None]:
    """Make a cell's definitions again around a block that reads its values and binds them.

    Before it, because the values may be objects of the cell's classes; after it once more where a definition needs a
    value. Raises what the definitions raise.
    """
    left = define_again(source, namespace, filename=filename, flags=flags)
    yield
    if left:
        define_again(source, namespace, filename=filename, flags=flags)


@lru_cache(maxsize=1_000)
def why_not_again(source: str) -> str | None:
    """Return why `define_again` can't make all that a cell (Python text) defines, None where it can.

    What a function keeps of the cell, and what is defined inside of other statements, takes running the cell.
    """
    tree = ast.parse(source)
    definitions: list[ast.stmt] = [statement for statement in tree.body if isinstance(statement, _DEFINITIONS)]
    whole, again = analyse(tree), analyse(ast.Module(definitions, []))
    used = again.reads | again.captured
    for name in sorted((whole.private - again.private) & used):
        return f"what it defines uses {name!r}, which stays in the cell"
    for name in sorted((whole.imports | whole.definitions) - (again.imports | again.definitions)):
        return f"{name!r} is defined inside of another statement of it"
    return None
