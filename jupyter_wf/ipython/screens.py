"""Where views appear: a kernel with a front end, a kernel whose notebook is only saved, a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.ipython.snapshot import RunViewJSON
from jupyter_wf.ipython.views import Bundle

__all__ = ["KernelScreen", "TerminalScreen"]


class KernelScreen:
    """Shows views as outputs of cells. ``ask`` takes what a widget's button asks for, on any thread.

    ``headless`` means that the notebook is executed by a runner: nobody looks, so that only final forms matter.
    """

    def __init__(self, shell: InteractiveShell, ask: Callable[[str, str], None]) -> None:
        self._shell = shell
        self._ask = ask
        self.headless = False

    @property
    def has_widgets(self) -> bool:
        """Whether somebody may look at a widget."""
        return not self.headless

    def show(self, bundle: Bundle, display_id: str) -> None:
        """Add an output to the current cell."""
        self._shell.display_pub.publish(bundle, transient={"display_id": display_id})

    def update(self, bundle: Bundle, display_id: str) -> None:
        """Replace every output that is shown as ``display_id``."""
        self._shell.display_pub.publish(bundle, transient={"display_id": display_id}, update=True)

    def live_widget(self, view: RunViewJSON) -> Any:
        """Return a `RunView`; None where its front end is not built."""
        # ipywidgets takes a fifth of a second to import: only runs that last pay for it.
        from jupyter_wf.ipython.run_view import RunView, is_built

        return RunView(self._ask, view=view) if is_built() else None

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return a `RetryOffer` for the run whose static form has the CSS class ``marker``."""
        from jupyter_wf.ipython.run_view import RetryOffer

        return RetryOffer(self._ask, run_id=run_id, marker=marker)


class TerminalScreen:
    """Prints the final form of a view as text; what is in between is not shown."""

    has_widgets = False

    def show(self, bundle: Bundle, display_id: str) -> None:
        """Show nothing: a run that begins has nothing to say yet."""

    def update(self, bundle: Bundle, display_id: str) -> None:
        """Print the text form."""
        print(bundle["text/plain"])

    def live_widget(self, view: RunViewJSON) -> Any:
        """Return None: a terminal has no widgets."""

    def retry_offer(self, run_id: str, marker: str) -> Any:
        """Return None: a terminal has no widgets."""
