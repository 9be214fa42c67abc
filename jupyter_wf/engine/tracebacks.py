"""Tracebacks as users want to see them: their own frames, without those of the engine in between."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from jupyter_wf.core.lifecycle import describe
from jupyter_wf.core.secrets import mask

if TYPE_CHECKING:
    from jupyter_wf.core.models import RunError

__all__ = ["FULL_VARIABLE", "clean", "is_ours", "run_error", "show_user_frames_first", "without_own_frames"]

#: Set to anything, it leaves the engine's own frames in what a program prints when it ends with an exception.
FULL_VARIABLE = "JUPYTER_WF_FULL_TRACEBACK"

_LONGEST_TRACEBACK = 20_000
_LONGEST_MESSAGE = 2_000
_MOST_FRAMES = 60
_OURS = "jupyter_wf."


def is_ours(frame: FrameType) -> bool:
    """Return whether the frame runs code of this package, not of the user."""
    return str(frame.f_globals.get("__name__", "")).startswith(_OURS)


def without_own_frames(tb: TracebackType | None) -> TracebackType | None:
    """Return the traceback without our own frames; as it is where there are no others, or all are asked for."""
    if os.environ.get(FULL_VARIABLE):
        return tb
    kept = []
    each = tb
    while each is not None:
        if not is_ours(each.tb_frame):
            kept.append(each)
        each = each.tb_next
    if not kept:
        return tb
    for before, after in zip(kept, [*kept[1:], None], strict=True):
        before.tb_next = after
    return kept[0]


def clean(error: BaseException) -> None:
    """Take our own frames out of the tracebacks of an exception, its causes and contexts, and what it groups."""
    for each in _related(error):
        each.__traceback__ = without_own_frames(each.__traceback__)


def _related(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, then all that are shown with it."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def run_error(error: BaseException) -> RunError:
    """Return what is stored of an exception: type name, text, and the traceback without the engine's own frames."""
    told = traceback.TracebackException(type(error), error, error.__traceback__, limit=-_MOST_FRAMES, compact=True)
    _drop_own_frames(told, error)
    try:
        text = "".join(told.format())
    except Exception as broken:
        text = f"<the traceback can't be shown: {type(broken).__name__}>"
    if len(text) > _LONGEST_TRACEBACK:
        half = _LONGEST_TRACEBACK // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    message = describe(error, _LONGEST_MESSAGE).removeprefix(f"{type(error).__name__}: ")
    # Only runs that fail need it.
    from jupyter_wf.core.models import RunError

    return RunError(type=type(error).__name__, message=mask(message), traceback=mask(text))


def _drop_own_frames(told: traceback.TracebackException, error: BaseException) -> None:
    left: list[tuple[traceback.TracebackException | None, BaseException | None]] = [(told, error)]
    while left:
        text, each = left.pop()
        if text is None or each is None:
            continue
        ours = [is_ours(frame) for frame, _ in traceback.walk_tb(each.__traceback__)][-_MOST_FRAMES:]
        kept = [summary for summary, own in zip(text.stack, ours, strict=False) if not own]
        if kept:
            text.stack[:] = kept
        left += ((text.__cause__, each.__cause__), (text.__context__, each.__context__))
        if isinstance(each, BaseExceptionGroup):
            left += zip(text.exceptions or (), each.exceptions, strict=False)


def show_user_frames_first() -> None:
    """Have a program that ends with an exception print the user's frames only, unless it prints in a way of its own."""
    if sys.excepthook is sys.__excepthook__ and not os.environ.get(FULL_VARIABLE):
        sys.excepthook = _print


def _print(kind: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    clean(error)
    sys.__excepthook__(kind, error, without_own_frames(tb))
