"""Where views appear: a kernel with a front end, a kernel whose notebook is only saved, a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.core.tree_json import TreeJSON

__all__ = ["Bundle", "KernelScreen", "Place", "Screen", "TerminalScreen"]

Bundle = dict[str, Any]
#: The message that made the kernel run a cell, at least its ``header``: outputs that answer it appear below that cell.
Place = Mapping[str, Any]


class Screen(Protocol):
    """Where views appear. ``place`` is the cell that an output belongs to, also where another one is running by then.

    All methods may be called from any thread.
    """

    @property
    def has_widgets(self) -> bool:
        """Whether somebody may look at a widget."""

    @property
    def can_change(self) -> bool:
        """Whether what was shown can be replaced."""

    def show(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Show the first form of a view."""

    def update(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Replace what is shown as ``display_id``."""

    def live_widget(self, whole: Callable[[], TreeJSON | None], mode: str) -> Any:
        """Return a `RunView` whose tree ``whole`` gives when it is asked for, or None where it can't be made."""

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return a `RetryOffer`, or None where it can't be made."""


class KernelScreen:
    """Shows views as outputs of cells. ``ask`` takes what a widget's button asks for, on any thread.

    ``headless`` means that the notebook is executed by a runner: nobody looks, so that only final forms matter.
    """

    can_change = True

    def __init__(self, shell: InteractiveShell, ask: Callable[[str, str], None]) -> None:
        self._shell = shell
        self._ask = ask
        self.headless = False

    @property
    def has_widgets(self) -> bool:
        """Whether somebody may look at a widget."""
        return not self.headless

    def show(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Add an output to the cell."""
        self._send(bundle, display_id, place, update=False)

    def update(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Replace every output that is shown as ``display_id``."""
        self._send(bundle, display_id, place, update=True)

    def _send(self, bundle: Bundle, display_id: str, place: Place, *, update: bool) -> None:
        publisher: Any = self._shell.display_pub
        header = place.get("header")
        transient = {"display_id": display_id}
        if not header or not hasattr(publisher, "pub_socket") or self._is_running(publisher, header):
            publisher.publish(bundle, transient=transient, update=update)
            return
        # What a publisher believes to be the parent differs between ipykernel 6 (the newest cell, for all threads) and
        # 7 (one for each context): a view says itself which cell it belongs to.
        if not update:
            # What was printed before comes first.
            sys.stdout.flush()
            sys.stderr.flush()
        kind = "update_display_data" if update else "display_data"
        content = {"data": bundle, "metadata": {}, "transient": transient}
        publisher.session.send(publisher.pub_socket, kind, content, parent=header, ident=publisher.topic)

    def _is_running(self, publisher: Any, header: Mapping[str, Any]) -> bool:
        current = publisher.parent_header
        return bool(current) and current.get("msg_id") == header.get("msg_id")

    def live_widget(self, whole: Callable[[], TreeJSON | None], mode: str) -> Any:
        """Return a `RunView`; None where its front end is not built."""
        # ipywidgets takes a fifth of a second to import: only runs that last pay for it.
        from jupyter_wf.ipython.run_view import RunView, is_built

        return RunView(self._ask, whole=whole, mode=mode) if is_built() else None

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return a `RetryOffer` for the run whose static form has the CSS class ``marker``."""
        from jupyter_wf.ipython.run_view import RetryOffer

        return RetryOffer(self._ask, run_id=run_id, marker=marker)


class TerminalScreen:
    """Prints the final form of a view as text; what is in between is not shown."""

    has_widgets = False
    can_change = False

    def show(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Show nothing: a run that begins has nothing to say yet."""

    def update(self, bundle: Bundle, display_id: str, place: Place) -> None:
        """Print the text form."""
        print(bundle["text/plain"])

    def live_widget(self, whole: Callable[[], TreeJSON | None], mode: str) -> Any:
        """Return None: a terminal has no widgets."""

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return None: a terminal has no widgets."""
