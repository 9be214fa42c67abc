"""The widgets: the live view of a run, and the Retry button of a failed run's static form.

Importing this module imports ipywidgets (a fifth of a second): only kernels in which a run lasts pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from jupyter_wf.core.tree_json import TreeJSON

__all__ = ["RetryOffer", "RunView", "is_built"]

_HERE = Path(__file__).parent
_ESM = _HERE / "static" / "run_view.js"
_CSS = _HERE / "static" / "run_view.css"

#: Called with what was asked ("cancel" or "retry") and the run's id; it may be called beside the main thread.
_Ask = Callable[[str, str], None]


def is_built() -> bool:
    """Return whether the front end of `RunView` is there (a source checkout without node has none)."""
    return _ESM.is_file()


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def _as_sent(_: Any, subshell_id: str | None) -> str | None:
    return subshell_id


class _Asking(anywidget.AnyWidget):
    """A widget whose buttons ask for something by a custom message ``{"type": …, "run_id": …}``."""

    def __init__(self, ask: _Ask, **traits: Any) -> None:
        super().__init__(**traits)
        self._ask = ask
        self.on_msg(self._on_message)

    def open(self) -> None:
        """Make the widget known to the page, and let its clicks arrive beside a cell that is running.

        ipykernel 7.4 hands what a page says to the subshell that last wrote to the widget; that is the running cell's,
        so a click would wait for the cell. JupyterLab sends a click to a subshell of its own: let it go there.
        """
        super().open()
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = _as_sent

    def close(self) -> None:
        """Close the widget and its layout, which ipywidgets would keep."""
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        # The message comes from a page: only the words, and texts, are let through.
        if not isinstance(content, dict):
            return
        run_id = content.get("run_id")
        if content.get("type") in ("cancel", "retry") and isinstance(run_id, str):
            self._ask(content["type"], run_id)
        elif content.get("type") == "sync":
            self._sync()

    def _sync(self) -> None:
        """Send again what the page has missed."""


def _no_tree() -> TreeJSON | None:
    return None


class RunView(_Asking):
    """Shows one run and what is below it, live; what is sent is said in `jupyter_wf.core.tree_json`.

    ``view`` is the whole tree: it is made when a page asks for the widget's state, and held nowhere. ``whole`` makes
    it, on whichever thread. ``mode`` is ``full`` or ``compact``: the header only, until somebody opens the rest.
    """

    _esm = _read(_ESM)
    _css = _read(_CSS)
    # The page gets what `_whole` makes; what it may send is left out.
    view = traitlets.Dict().tag(
        sync=True, to_json=lambda _, widget: widget._whole() or {}, from_json=lambda _, widget: {}
    )
    mode = traitlets.Enum(("full", "compact"), "full").tag(sync=True)

    def __init__(self, ask: _Ask, *, whole: Callable[[], TreeJSON | None], mode: str = "full") -> None:
        self._whole = whole
        super().__init__(ask, mode=mode)

    def tell(self, tree: TreeJSON) -> None:
        """Send the page what has changed."""
        self.send({"type": "tree", "tree": tree})

    def close(self) -> None:
        """Close the widget and let go of the tree."""
        super().close()
        self._whole = _no_tree

    def _sync(self) -> None:
        tree = self._whole()
        if tree is not None:
            self.tell(tree)


class RetryOffer(_Asking):
    """Puts a Retry button into the static form of a failed run for as long as the kernel that can try it again lives.

    It is never displayed itself: a saved notebook holds the static form only, so that one which is opened without its
    kernel shows no broken widget. ``marker`` is the CSS class of the static form, ``run_id`` the run.
    """

    _esm = _read(_HERE / "retry.js")
    marker = traitlets.Unicode().tag(sync=True)
    run_id = traitlets.Unicode().tag(sync=True)
