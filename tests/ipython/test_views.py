"""The board of views: how often it paints, what it leaves behind, and when its thread is there."""

from __future__ import annotations

import time

import pytest

from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.states import State, StateType
from jupyter_wf.ipython.views import Board
from tests.ipython.boards import Live, Screen
from tests.waiting import until


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def board(screen: Screen) -> Board:
    return Board(screen)


def test_a_run_that_ends_at_once_is_shown_twice(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.RUNNING), live.enter(StateType.COMPLETED)])
    board.settle()
    assert [list(bundle) for bundle in (*screen.shown, *screen.updates)] == [["text/html", "text/plain"]] * 2
    assert "Completed" in screen.updates[-1]["text/plain"]
    assert (screen.widgets, screen.offers) == ([], [])


def test_a_lasting_run_gets_a_widget_and_leaves_none(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.RUNNING)])
    screen.wait(lambda: bool(screen.updates))
    assert screen.updates[0].keys() == {"widget", "text/html", "text/plain"}
    board.on_commit(2, [live.enter(StateType.COMPLETED)])
    screen.wait(lambda: "widget" not in screen.updates[-1])
    board.settle()
    assert screen.widgets[0].is_closed
    assert len(screen.updates) == 2


def test_ten_paints_a_second_whatever_the_number_of_tasks(screen: Screen, board: Board) -> None:
    live = Live()
    began = time.monotonic()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(0, [live.enter(StateType.RUNNING)])
    for number in range(3000):
        run_id = f"t{number}"
        board.on_commit(
            number,
            [
                RunCreated(run_id, 2.0, "task", run_id, None, run_id, "r", "r", "p"),
                StateChanged(run_id, 2.0, 1, "RUNNING", "Running"),
                StateChanged(run_id, 2.0, 1, "COMPLETED", "Completed"),
            ],
        )
    board.on_commit(3000, [live.enter(StateType.COMPLETED)])
    board.settle()
    assert sum(len(widget.told) for widget in screen.widgets) <= (time.monotonic() - began) / 0.1 + 1
    assert "3,000 of 3,000 tasks" in screen.updates[-1]["text/plain"]
    assert "and 2,800 more" in screen.updates[-1]["text/plain"]


def test_the_thread_ends_with_the_last_view(screen: Screen, board: Board) -> None:
    one, two = Live("one"), Live("two")
    for live in (one, two):
        board.on_root(live)  # type: ignore[arg-type]
    assert board.is_painting
    board.on_commit(1, [one.enter(StateType.COMPLETED), two.enter(StateType.COMPLETED)])
    board.settle()
    deadline = time.monotonic() + 10
    while board.is_painting:
        assert time.monotonic() < deadline


def test_a_run_that_outlives_its_cell_is_painted_to_its_end(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.settle()
    assert screen.updates == []
    board.on_commit(1, [live.enter(StateType.FAILED)])
    screen.wait(lambda: any("Failed" in bundle["text/plain"] for bundle in screen.updates))


def test_a_failed_run_is_offered_again(screen: Screen, board: Board) -> None:
    live = Live()
    request = {"header": {"msg_id": "m"}, "metadata": {"cellId": "c"}, "content": {"code": "x" * 1000}}
    board.on_root(live, request)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.FAILED)])
    board.settle()
    (offer,) = screen.offers
    assert board.reopen(live) == {**request, "content": {}}  # type: ignore[arg-type]
    board.show_again("r")
    assert offer.is_closed
    # The end of the first attempt is not the end of the second one.
    board.settle()
    assert len(screen.updates) == 1
    board.on_commit(2, [live.enter(StateType.RUNNING, 2), live.enter(StateType.COMPLETED, 2)])
    board.settle()
    assert "Completed" in screen.updates[-1]["text/plain"]
    assert board.reopen(live) == {}  # type: ignore[arg-type]


def test_only_the_newest_failures_are_offered(screen: Screen, board: Board) -> None:
    for number in range(25):
        board.new_cell()
        live = Live(f"r{number}")
        board.on_root(live)  # type: ignore[arg-type]
        board.on_commit(number, [live.enter(StateType.FAILED)])
        board.settle()
    assert [offer.is_closed for offer in screen.offers] == [True] * 5 + [False] * 20
    board.close()
    assert all(offer.is_closed for offer in screen.offers)


def test_a_view_ends_though_the_store_refused_its_end(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    live.enter(StateType.CANCELLED)
    board.settle(timeout=0.01)
    assert "Cancelled" in screen.updates[-1]["text/plain"]


def test_without_widgets_there_are_only_static_forms() -> None:
    screen = Screen(has_widgets=False)
    board = Board(screen)
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.FAILED)])
    board.settle()
    assert (screen.widgets, screen.offers, len(screen.updates)) == ([], [], 1)


def test_widgets_off_shows_nothing(screen: Screen, board: Board) -> None:
    board.enabled = False
    board.on_root(Live())  # type: ignore[arg-type]
    assert screen.shown == []
    assert not board.is_painting


def test_a_run_that_is_resumed_has_a_view_of_its_own_with_what_was_done_before(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.RUNNING), live.enter(StateType.FAILED)])
    board.settle()
    assert len(screen.offers) == 1 and not screen.offers[0].is_closed

    resumed = Live()
    resumed.enter(StateType.PENDING, 2)
    earlier = [
        RunCreated("t", 1.0, "task", "step-0", None, "step", "r", "r", "p"),
        StateChanged("t", 2.0, 1, "COMPLETED", "Completed"),
    ]
    board.on_root(resumed, None, earlier)  # type: ignore[arg-type]
    assert screen.offers[0].is_closed
    board.on_commit(2, [resumed.enter(StateType.RUNNING, 2), resumed.enter(StateType.COMPLETED, 2)])
    board.settle()
    first, second = screen.updates[0]["text/plain"], screen.updates[-1]["text/plain"]
    assert "Failed" in first and "step-0" not in first
    assert "Completed" in second and "attempt 2" in second and "step-0" in second and "1 of 1 tasks" in second


def test_a_suspended_run_has_a_last_picture(screen: Screen, board: Board) -> None:
    live = Live()
    board.on_root(live)  # type: ignore[arg-type]
    board.on_commit(1, [live.enter(StateType.RUNNING)])
    live.state = State(type=StateType.PAUSED, name="Suspended", at=3.0)
    board.on_commit(2, [StateChanged("r", 3.0, 1, "PAUSED", "Suspended", "waits for its input")])
    board.settle()
    assert "Suspended" in screen.updates[-1]["text/plain"]
    until(lambda: not board.is_painting, "the painter to end")
