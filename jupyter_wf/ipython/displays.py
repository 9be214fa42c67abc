"""What a task displays in a kernel is shown as ever, and kept as an artifact of the task's run."""

from __future__ import annotations

import base64
import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from jupyter_wf.core.events import ArtifactWritten
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.secrets import mask_values
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.runs import LiveRun

__all__ = [
    "LARGEST",
    "best_form",
    "flush_figures",
    "keep_displays",
    "keep_results",
    "show_nothing",
    "show_value",
]

_log = logging.getLogger(__name__)
#: The largest form (characters of its JSON text) that is kept: it is committed with everything else of the process.
LARGEST = 1024 * 1024
#: The forms of a display that are kept, the best one first.
_FORMS = (
    *("text/html", "text/markdown", "image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"),
    *("text/latex", "application/json", "application/geo+json", "text/plain"),
)
#: Widgets live in the kernel and the page: there is nothing of them to be kept. Ours among them show the run itself.
_LIVE = ("application/vnd.jupyter.widget-view+json",)
_REMEMBERED = 1_000


def best_form(bundle: Mapping[str, Any]) -> tuple[str, Any, str | None] | None:
    """Return the MIME type, the JSON value and perhaps a note of what is kept of a display; None for nothing.

    Images are base64 texts. Where the best form is over 1 MiB another one that is not is taken, else the plain text is
    cut; the note says so.
    """
    if any(mime in bundle for mime in _LIVE):
        return None
    too_large: list[str] = []
    for mime in _FORMS:
        value = bundle.get(mime)
        if value is None:
            continue
        value = _as_json(mime, value)
        size = len(value) if isinstance(value, str) else len(json.dumps(value))
        if size <= LARGEST:
            return mime, value, _note(too_large)
        too_large.append(f"{mime} ({size:,} characters)")
    if not too_large:
        return None
    text = bundle.get("text/plain")
    if isinstance(text, str):
        return "text/plain", f"{text[:LARGEST]}… ({len(text):,} characters)", _note(too_large)
    return "text/plain", "", _note(too_large)


def _as_json(mime: str, value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    return base64.b64encode(value).decode() if mime.startswith("image/") else value.decode("utf-8", "replace")


def _note(too_large: list[str]) -> str | None:
    return f"Left out, as it is over 1 MiB: {', '.join(too_large)}" if too_large else None


class _Keeper:
    """Writes what tasks display to the journal of their process."""

    def __init__(self) -> None:
        self._shown: OrderedDict[tuple[str, str], str] = OrderedDict()

    def keep(self, live: LiveRun, bundle: Any, transient: Any, update: bool) -> None:
        """Keep a display of the run; one that updates what the run has displayed before replaces it."""
        found = best_form(bundle)
        if found is None:
            return
        mime, value, note = found
        text = json.dumps(mask_values(value), allow_nan=False)
        artifact_id = self._ident(live, (transient or {}).get("display_id"), update)
        live.runtime.journal.append(ArtifactWritten(live.id, time.time(), artifact_id, None, mime, note, text))

    def _ident(self, live: LiveRun, display_id: Any, update: bool) -> str:
        if not isinstance(display_id, str):
            return new_id()
        place = live.id, display_id
        known = self._shown.get(place) if update else None
        if known is None:
            known = self._shown[place] = new_id()
            while len(self._shown) > _REMEMBERED:
                self._shown.popitem(last=False)
        return known


def keep_displays(shell: InteractiveShell) -> Callable[[], None]:
    """Have what tasks display, on any thread, kept as artifacts; return the function that ends it.

    The publisher's hooks would not do: each thread has its own.
    """
    publisher = shell.display_pub
    keeper: _Keeper | None = _Keeper()
    shown = publisher.publish

    def publish(data: Any, metadata: Any = None, *args: Any, **more: Any) -> Any:
        result = shown(data, metadata, *args, **more)
        live = current_run()
        if live is not None and live.kind == "task" and keeper is not None:
            try:
                keeper.keep(live, data, more.get("transient"), bool(more.get("update")))
            except Exception:
                # It was shown; that it can't be kept is no reason to fail the task.
                _log.warning("what task run %r has displayed is not kept", live.name, exc_info=True)
        return result

    publisher.publish = publish  # type: ignore[method-assign]

    def end() -> None:
        nonlocal keeper
        keeper = None
        # Somebody may have put a function of their own around ours meanwhile: that one stays.
        if publisher.__dict__.get("publish") is publish:
            del publisher.publish

    return end


def keep_results(shell: InteractiveShell, whose: Callable[[], LiveRun | None]) -> Callable[[], None]:
    """Have the last value of a task cell, which the shell shows when the task has ended, kept as its artifact too.

    ``whose`` returns the run of the cell that is being shown, None for other cells. Returns the function that ends it.
    """
    hook = shell.displayhook
    keeper: _Keeper | None = _Keeper()
    shown = hook.write_format_data

    def write_format_data(format_dict: Any, md_dict: Any = None) -> Any:
        live = whose()
        if live is not None and keeper is not None:
            try:
                keeper.keep(live, format_dict, None, False)
            except Exception:
                _log.warning("what task run %r has left to be shown is not kept", live.name, exc_info=True)
        return shown(format_dict, md_dict)

    hook.write_format_data = write_format_data  # type: ignore[method-assign]

    def end() -> None:
        nonlocal keeper
        keeper = None
        if hook.__dict__.get("write_format_data") is write_format_data:
            del hook.write_format_data

    return end


def flush_figures() -> None:
    """Show the figures that are open now, while they belong to the task: IPython would show them after the cell."""
    backend = sys.modules.get("matplotlib_inline.backend_inline")
    if backend is not None:
        backend.flush_figures()


def show_nothing(value: Any) -> None:
    """Show nothing of the last value of a cell: it ends in a semicolon."""


def show_value(value: Any) -> None:
    """Show the last value of a cell that nobody waits for."""
    if value is not None:
        display(value)  # type: ignore[no-untyped-call]
