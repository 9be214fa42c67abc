"""What a cell reads from the notebook's namespace and what it leaves there: pure analysis of the syntax tree.

The rules, where Python alone does not decide them:

- A name is *read* when it may be used before this cell has certainly bound it. ``if`` without ``else``, a ``match``
  without a catch-all and the body of a ``try`` may not have run; a loop is taken to run at least once.
- A function's or method's names are read when the cell first mentions the function after defining it, at the latest at
  the cell's end (another cell may call it). A lambda's and a comprehension's names are read on the spot, but for a
  lambda that is plainly assigned to a name: that is a function.
- Names that begin with an underscore are *private*: they stay in the cell.
- The target of ``except … as name`` is neither read nor written: Python deletes it again.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jupyter_wf.notebook.walk import CellWalk

__all__ = ["BUILTINS", "CellNames", "analyse", "analyse_source"]

#: Names that are there without a cell's doing.
BUILTINS = frozenset(dir(builtins)) | {"get_ipython", "display", "wf_return", "__name__", "__file__", "__builtins__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellNames:
    """The names of one cell.

    ``reads`` come from the namespace; ``builtin_reads`` too, but Python's builtins have them as well. ``writes`` are
    the public names that the cell binds at its top level or by ``global``; ``imports`` and ``definitions`` (functions
    and classes) are those of them that are not data. ``deletes`` are public names that ``del`` removes, ``private`` the
    bound ones with a leading underscore, ``handlers`` targets of ``except … as``. ``captured`` are the names that
    functions and classes of the cell will look up later; ``lazy`` those of the reads that only they do, which the cell
    itself does not use: another cell may, when there is something to be read. ``global_writes`` are bound inside
    functions by ``global``. ``is_async`` tells that the top level awaits; ``dynamic`` that the syntax does not show
    every name (star import, ``exec``, ``locals``, a line or cell magic).
    """

    reads: frozenset[str]
    builtin_reads: frozenset[str]
    writes: frozenset[str]
    deletes: frozenset[str]
    private: frozenset[str]
    imports: frozenset[str]
    definitions: frozenset[str]
    handlers: frozenset[str]
    captured: frozenset[str]
    lazy: frozenset[str]
    global_writes: frozenset[str]
    is_async: bool
    dynamic: bool


def analyse_source(source: str) -> CellNames:
    """Return the names of a cell given as Python text (magics already translated). Raises `SyntaxError`."""
    return analyse(ast.parse(source))


def _no_helper(name: str) -> tuple[str, ...]:
    return ()


def analyse(tree: ast.Module, helper: Callable[[str], Iterable[str]] = _no_helper) -> CellNames:
    """Return the names of a cell given as a syntax tree; the tree is not changed.

    ``helper`` gets a name that the cell reads and returns what it leads to: for a function of another cell, the names
    that it looks up when it is called. The cell reads those too, where it has not bound them itself by then.
    """
    walk = CellWalk(helper)
    walk.run(tree.body)
    public = {name for name in walk.bound if not name.startswith("_")}
    reads = frozenset(walk.reads)
    return CellNames(
        reads=reads - BUILTINS,
        builtin_reads=reads & BUILTINS,
        writes=frozenset(public | {name for name in walk.global_writes if not name.startswith("_")}),
        deletes=frozenset(name for name in walk.deleted if not name.startswith("_")),
        private=frozenset(name for name in walk.bound | walk.deleted if name.startswith("_")),
        imports=frozenset(walk.imports),
        definitions=frozenset(walk.definitions),
        handlers=frozenset(walk.handlers - walk.bound),
        captured=frozenset(walk.captured),
        lazy=reads - walk.certain_reads,
        global_writes=frozenset(walk.global_writes),
        is_async=walk.awaits,
        dynamic=walk.dynamic,
    )
