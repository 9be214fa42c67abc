"""Show the traceback of a failure as if the code had run without us: the user's frames, at the cells' lines."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.tracebacks import FULL_VARIABLE, clean

__all__ = ["leave_out_our_frames", "show_line", "show_user_frames", "user_frames"]

_OURS = "jupyter_wf."


def user_frames(traceback: TracebackType | None) -> TracebackType | None:
    """Return the traceback without the frames of this package; None where there are no others."""
    if os.environ.get(FULL_VARIABLE):
        return traceback
    links: list[TracebackType] = []
    while traceback is not None:
        if not traceback.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
            links.append(traceback)
        traceback = traceback.tb_next
    kept: TracebackType | None = None
    for link in reversed(links):
        kept = TracebackType(kept, link.tb_frame, link.tb_lasti, link.tb_lineno)
    return kept


def show_user_frames(shell: InteractiveShell, error: BaseException) -> None:
    """Make the shell show only the user's frames of ``error``, the next time that it shows it.

    Call it where the error is caught, before it goes on to IPython: what its way there adds is not shown. IPython asks
    an exception for its ``_render_traceback_`` (as ipyparallel's have); ours removes itself when it was used, so that
    the exception is an ordinary one again.
    """
    frames = user_frames(error.__traceback__)
    clean(error)
    if isinstance(error, KeyboardInterrupt):
        _forget_interrupts(error)

    def render() -> Any:
        vars(error).pop("_render_traceback_", None)
        return shell.InteractiveTB.structured_traceback(type(error), error, frames, tb_offset=0)

    rendering: Callable[[], Any] = render
    vars(error)["_render_traceback_"] = rendering


def show_line(error: BaseException, line: str) -> None:
    """Have the shell show ``error``, the next time that it shows it, as a line of text and nothing else."""

    def render() -> Any:
        vars(error).pop("_render_traceback_", None)
        return [line]

    vars(error)["_render_traceback_"] = render


def _forget_interrupts(error: BaseException) -> None:
    """Drop the interrupts that came before this one: the stop button was pressed more than once, in our code."""
    while isinstance(error.__context__, (KeyboardInterrupt, Interruption)):
        error.__context__ = error.__context__.__context__


def leave_out_our_frames(shell: InteractiveShell) -> Callable[[], None]:
    """Make the shell show every error without the frames of this package; return what undoes it.

    A task that is called in an ordinary cell then fails as a plain function would. An error with no other frames is
    shown as it is.
    """
    formatter = shell.InteractiveTB
    original = formatter.structured_traceback

    def structured(kind: Any, error: Any, traceback: TracebackType | None = None, *args: Any, **options: Any) -> Any:
        if isinstance(error, BaseException):
            clean(error)
        return original(kind, error, user_frames(traceback) or traceback, *args, **options)

    show = shell.showtraceback

    def show_traceback(exc_tuple: Any = None, *args: Any, **options: Any) -> Any:
        try:
            _, error, trace = shell._get_exc_info(exc_tuple)  # type: ignore[no-untyped-call]
        except ValueError:
            # There is nothing to be shown, which IPython says itself.
            return show(exc_tuple, *args, **options)
        if not _has_group(error):
            return show(exc_tuple, *args, **options)
        # IPython has no form of its own for groups: it prints them as Python does, and so do we.
        clean(error)
        traceback.print_exception(type(error), error, user_frames(trace) or trace)

    def undo() -> None:
        vars(formatter).pop("structured_traceback", None)
        vars(shell).pop("showtraceback", None)

    vars(formatter)["structured_traceback"] = structured
    vars(shell)["showtraceback"] = show_traceback
    return undo


def _has_group(error: BaseException | None) -> bool:
    """Return whether an exception, or one that it was raised in the handling of, is a group."""
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            return True
        error = error.__context__
    return False
