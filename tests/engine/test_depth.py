"""At the recursion limit: wherever it strikes, in the user's code or in the engine's, every run is closed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.models import Run
from jupyter_wf.engine import depth

Runs = Callable[[], list[Run]]


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("frames", range(12))
def test_every_run_is_closed_wherever_it_strikes(frames: int, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "_MOST", 0)

    @task
    def down(n: int) -> int:
        return down(n + 1)

    @flow
    def main() -> int:
        return down(0)

    def below(n: int) -> Any:
        return main(return_state=True) if n == 0 else below(n - 1)

    state = below(frames)
    assert state.name == "Failed"
    assert isinstance(state.result(raise_on_failure=False), RecursionError)
    assert all(run.state.is_final() for run in runs())


def test_room_is_made_once_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever ran before in this process may have made room already.
    monkeypatch.setattr(depth, "_limit_before", 0)
    before = sys.getrecursionlimit()
    depth.make_room(15)
    first = sys.getrecursionlimit()
    assert first > before
    depth.make_room(0)
    assert sys.getrecursionlimit() == first, "it is never lowered"
    depth.make_room(10**6)
    assert sys.getrecursionlimit() < 10_000
