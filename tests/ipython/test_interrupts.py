"""Interrupts that come where Python or IPython would lose them."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_wf.ipython.interrupts import HeededInterrupts, raised_interrupts


@pytest.fixture
def collecting() -> Iterator[Callable[[], None]]:
    """Have the next garbage collection interrupted in a callback, as the stop button does now and then."""
    armed: list[bool] = []

    def interrupted(phase: str, info: Any) -> None:
        if armed:
            armed.clear()
            signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: armed.append(True)
    signal.signal(signal.SIGINT, before)
    gc.callbacks.remove(interrupted)


@pytest.mark.parametrize("slow_hook", [False, True])
@pytest.mark.parametrize("heeding", [HeededInterrupts, raised_interrupts])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_one_that_a_callback_of_the_garbage_collector_loses_comes_again(
    collecting: Callable[[], None], heeding: Callable[[], Any], slow_hook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if slow_hook:
        # Who is told of ignored errors may take his time, and errors of his are ignored too.
        monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: threading.Event().wait(0.3))
    with pytest.raises(KeyboardInterrupt), heeding():
        collecting()
        gc.collect()
        threading.Event().wait(60)
        raise AssertionError("the interrupt was lost")
