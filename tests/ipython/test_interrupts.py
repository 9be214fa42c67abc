"""Interrupts that come where Python or IPython would lose them."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import weakref
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


class Thing:
    """Something that can be gone."""


@pytest.mark.parametrize("heeding", [HeededInterrupts, raised_interrupts])
def test_one_that_a_callback_of_the_garbage_collector_loses_comes_again(
    collecting: Callable[[], None], heeding: Callable[[], Any]
) -> None:
    with pytest.raises(KeyboardInterrupt), heeding():
        collecting()
        gc.collect()
        threading.Event().wait(60)
        raise AssertionError("the interrupt was lost")


@pytest.mark.parametrize("heeding", [HeededInterrupts, raised_interrupts])
def test_one_that_who_hears_of_an_end_loses_comes_again(
    collecting: Callable[[], None], heeding: Callable[[], Any]
) -> None:
    thing = Thing()
    told = weakref.ref(thing, lambda ref: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), heeding():
        del thing
        assert told() is None
        threading.Event().wait(60)
        raise AssertionError("the interrupt was lost")


def test_other_ignored_errors_are_told_as_ever(collecting: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: told.append(unraisable.exc_type))
    hook = sys.unraisablehook
    with HeededInterrupts():
        thing = Thing()
        gone = weakref.ref(thing, lambda ref: 1 // 0)
        del thing
    assert gone() is None and told == [ZeroDivisionError] and sys.unraisablehook is hook
