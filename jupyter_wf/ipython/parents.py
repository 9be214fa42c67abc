"""Which cell a display belongs to: the one whose work it is, not the newest one.

ipykernel 7 keeps what a display answers for each context (`contextvars`), and so does the engine for tasks on threads.
ipykernel 6 does it for printed text only, and has all displays answer the newest cell: what a task in the background
displays would appear below whichever cell happens to run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitType

__all__ = ["place_displays"]


def place_displays(shell: InteractiveShell) -> Callable[[], None]:
    """Have each display appear below the cell that its context comes from; return the function that ends it.

    Does nothing where the kernel does so itself, and in a terminal.
    """
    publisher: Any = shell.display_pub
    original: Any = type(publisher)
    if not isinstance(getattr(original, "parent_header", None), TraitType):
        return lambda: None
    newest: dict[str, Any] = publisher.parent_header
    own: ContextVar[dict[str, Any]] = ContextVar("jupyter_wf_parent_header")

    class Placed(original):  # type: ignore[misc]
        """The kernel's publisher, with a parent for each context."""

        @property
        def parent_header(self) -> dict[str, Any]:
            return own.get(newest)

        @parent_header.setter
        def parent_header(self, header: dict[str, Any]) -> None:
            nonlocal newest
            newest = header
            own.set(header)

    publisher.__class__ = Placed

    def end() -> None:
        if type(publisher) is Placed:
            publisher.__class__ = original
            publisher.parent_header = newest

    return end
