"""What views show besides one run: loops, runs in the background, staleness, waits; and what is left of them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

from jupyter_wf.core.events import LogWritten
from jupyter_wf.core.states import StateType
from jupyter_wf.core.tree import RunTree
from jupyter_wf.ipython.view import View
from jupyter_wf.ipython.views import Board
from tests.ipython.boards import Live, Screen, child, state
from tests.waiting import until


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def board(screen: Screen) -> Board:
    return Board(screen)


def begin(board: Board, run_id: str, task: str = "work", kind: str = "flow", **more: Any) -> Live:
    live = Live(run_id)
    live.kind, live.flow_name, live.task_name = kind, task, task
    board.on_root(live, **more)  # type: ignore[arg-type]
    return live


def end(board: Board, live: Live, type_: StateType = StateType.COMPLETED) -> None:
    board.on_commit(1, [live.enter(StateType.RUNNING), live.enter(type_)])


def text(screen: Screen) -> str:
    return str(screen.updates[-1]["text/plain"])


# -- loops -------------------------------------------------------------------------------------------------------------


def test_a_loop_has_one_view(screen: Screen, board: Board) -> None:
    board.new_cell()
    for number in range(13):
        end(board, begin(board, f"r{number}"), StateType.FAILED if number == 5 else StateType.COMPLETED)
    board.settle()
    assert (len(screen.shown), set(screen.ids)) == (1, {"jupyter-wf-r0"})
    assert "Flow run r12" in text(screen)
    assert "run 13, 12 earlier runs: 11 completed, 1 failed" in text(screen)
    assert board.rest() is None
    # Another cell has a view of its own, and its count begins anew.
    board.new_cell()
    end(board, begin(board, "again"))
    board.settle()
    assert len(screen.shown) == 2 and "earlier" not in text(screen)


def test_a_thousand_runs_in_a_loop_are_few_messages(screen: Screen, board: Board) -> None:
    board.new_cell()
    began = time.monotonic()
    for number in range(1_000):
        end(board, begin(board, f"r{number}", kind="task"))
    board.settle()
    told = sum(len(widget.told) for widget in screen.widgets)
    assert len(screen.shown) + len(screen.updates) + told <= 4 + (time.monotonic() - began) / 0.1
    assert "run 1,000, 999 earlier runs: 999 completed" in text(screen)


def test_the_widget_of_a_loop_turns_to_the_next_run(screen: Screen, board: Board) -> None:
    board.new_cell()
    first = begin(board, "one")
    board.on_commit(1, [first.enter(StateType.RUNNING), child("a", "one")])
    until(lambda: screen.widgets, "a widget")
    board.on_commit(2, [first.enter(StateType.COMPLETED)])
    second = begin(board, "two")
    board.on_commit(3, [second.enter(StateType.RUNNING), child("b", "two")])
    until(lambda: screen.widgets[0].told[-1]["run"]["id"] == "two", "the next run")
    told = screen.widgets[0].told
    turned = next(tree for tree in told if tree["run"]["id"] == "two")
    assert (turned["reset"], turned["earlier"]) == (True, {"total": 1, "counts": {"Completed": 1}})
    assert [tree["seq"] for tree in told] == list(range(1, len(told) + 1))
    board.on_commit(4, [second.enter(StateType.COMPLETED)])
    board.settle()
    assert len(screen.widgets) == 1 and screen.widgets[0].is_closed


def test_a_view_that_had_its_last_form_is_used_again(screen: Screen, board: Board) -> None:
    board.new_cell()
    end(board, begin(board, "one"))
    board.settle()
    end(board, begin(board, "two"))
    board.settle()
    assert len(screen.shown) == 1 and "Flow run two" in text(screen) and "1 earlier run: 1 completed" in text(screen)


def test_different_flows_have_a_view_each_and_the_rest_is_counted(screen: Screen, board: Board) -> None:
    board.new_cell()
    for number in range(10):
        for turn in range(2):
            end(board, begin(board, f"r{number}-{turn}", f"flow {number}"))
    board.settle()
    assert len(screen.shown) == 8
    assert board.rest() == "… and 4 more runs (4 completed); %wf runs lists them"


def test_runs_of_one_flow_at_the_same_time_have_a_view_each(screen: Screen, board: Board) -> None:
    board.new_cell()
    runs = [begin(board, f"r{number}") for number in range(3)]
    assert len(screen.shown) == 3
    for live in runs:
        end(board, live)
    board.settle()
    assert len(set(screen.ids)) == 3


# -- runs that outlive their cell --------------------------------------------------------------------------------------


def test_a_cell_does_not_wait_for_the_end_of_another_one_s_run(screen: Screen, board: Board) -> None:
    board.new_cell()
    behind = begin(board, "behind", "load", request={"header": {"msg_id": "first"}})
    board.settle()
    board.rest()
    board.new_cell()
    # It has ended, but that is not committed: the cell that ends now has nothing to do with it.
    behind.enter(StateType.COMPLETED)
    began = time.monotonic()
    board.settle(timeout=60.0)
    assert time.monotonic() - began < 30.0
    assert screen.updates == []
    board.on_commit(1, [state("behind", "RUNNING"), behind.enter(StateType.COMPLETED)])
    screen.wait(lambda: bool(screen.updates))
    assert "Completed" in text(screen)
    assert screen.places[-1]["header"] == {"msg_id": "first"}


def test_a_run_in_the_background_whose_end_is_refused_ends_all_the_same(screen: Screen, board: Board) -> None:
    board.new_cell()
    live = begin(board, "behind")
    board.rest()
    live.enter(StateType.CANCELLED)
    screen.wait(lambda: bool(screen.updates) and "Cancelled" in text(screen))
    until(lambda: not board.is_painting, "the painter to end")


def test_a_run_that_ended_is_shown_live_while_its_cell_may_call_it_again(screen: Screen, board: Board) -> None:
    board.new_cell()
    live = begin(board, "one")
    until(lambda: screen.widgets, "a widget")
    end(board, live)
    until(lambda: screen.widgets[0].told[-1]["run"]["state"]["type"] == "COMPLETED", "the end")
    assert not screen.widgets[0].is_closed
    # The cell goes on with something else: the view gets its last form without it.
    until(lambda: screen.widgets[0].is_closed, "the last form")
    assert "Completed" in text(screen)


# -- staleness ---------------------------------------------------------------------------------------------------------


def test_a_finished_task_is_marked_and_that_is_taken_back(screen: Screen, board: Board) -> None:
    end(board, begin(board, "one", "clean", "task", request={"header": {"msg_id": "m"}}))
    board.settle()
    before = screen.updates[-1]
    board.mark_stale({"one": "load <ran> again", "nobody": "why"})
    assert text(screen) == before["text/plain"] + "\n  ○ out of date: load <ran> again"
    assert "out of date:</span> load &lt;ran&gt; again</td></tr></table>" in screen.updates[-1]["text/html"]
    assert (screen.ids[-1], screen.places[-1]["header"]) == ("jupyter-wf-one", {"msg_id": "m"})
    board.mark_stale({"one": "load <ran> again"})
    assert len(screen.updates) == 2
    board.mark_stale({"one": None})
    assert screen.updates[-1] == before


def test_an_open_task_says_that_it_is_stale(screen: Screen, board: Board) -> None:
    live = begin(board, "one", "clean", "task")
    until(lambda: screen.widgets, "a widget")
    board.mark_stale({"one": "load ran again"})
    until(lambda: screen.widgets[0].told[-1]["stale"] == "load ran again", "the mark")
    end(board, live)
    board.settle()
    assert text(screen).endswith("out of date: load ran again")
    board.mark_stale({"one": None})
    assert "out of date" not in text(screen)


def test_only_the_newest_views_can_be_marked(screen: Screen, board: Board) -> None:
    for number in range(205):
        board.new_cell()
        end(board, begin(board, f"r{number}", "clean", "task"))
        board.settle()
    updates = len(screen.updates)
    board.mark_stale({f"r{number}": "why" for number in range(205)})
    assert len(screen.updates) - updates == 200


# -- waits -------------------------------------------------------------------------------------------------------------


def test_a_wait_is_shown_and_says_how_long_it_took(screen: Screen, board: Board) -> None:
    with board.waiting(["load", "clean"]):
        screen.wait(lambda: bool(screen.shown))
        assert screen.shown[0]["text/plain"] == "waiting for load, clean … 0 s"
        screen.wait(lambda: bool(screen.updates))
        assert text(screen) == "waiting for load, clean … 1 s"
    assert text(screen).startswith("waited 1.") and text(screen).endswith(" s for load, clean")
    assert len(set(screen.ids)) == 1 and len(screen.shown) == 1
    until(lambda: not board.is_painting, "the painter to end")


def test_a_short_wait_is_not_shown_also_where_it_fails(screen: Screen, board: Board) -> None:
    with pytest.raises(KeyError), board.waiting(["load"]):
        raise KeyError
    assert (screen.shown, screen.updates) == ([], [])
    until(lambda: not board.is_painting, "the painter to end")


def test_no_wait_is_shown_where_views_are_off(screen: Screen, board: Board) -> None:
    board.enabled = False
    with board.waiting(["load"]):
        assert not board.is_painting


def test_names_of_a_wait_stay_text(screen: Screen, board: Board) -> None:
    with board.waiting(["<b>\n" + "x" * 500, *"abcdefg"]):
        screen.wait(lambda: bool(screen.shown))
    shown = screen.shown[0]["text/html"]
    assert "&lt;b&gt; xxx" in shown and "<b>" not in shown
    assert "a, b, c, d and 3 more" in shown and len(shown) < 1_000


# -- modes and bounds --------------------------------------------------------------------------------------------------


def test_a_compact_view_has_its_rows_folded(screen: Screen, board: Board) -> None:
    board.mode = "compact"
    live = begin(board, "r")
    board.on_commit(1, [child("a")])
    until(lambda: screen.widgets, "a widget")
    assert screen.widgets[0].mode == "compact"
    board.mode = "full"
    assert (board.mode, screen.widgets[0].mode) == ("full", "full")
    board.mode = "compact"
    end(board, live)
    board.settle()
    assert "<details><summary>Tasks</summary><table" in screen.updates[-1]["text/html"]
    assert len(text(screen).splitlines()) == 1


def test_a_burst_of_lines_is_cut(screen: Screen, board: Board) -> None:
    live = begin(board, "r")
    until(lambda: screen.widgets, "a widget")
    board.on_commit(1, [LogWritten("r", 1.0, 20, "x", f"line {number}") for number in range(3_000)])
    until(lambda: any(tree["lines"] for tree in screen.widgets[0].told), "the lines")
    message = next(tree for tree in screen.widgets[0].told if tree["lines"])
    assert (len(message["lines"]), message["dropped"]) == (500, 2_500)
    end(board, live)
    board.settle()


def test_what_the_page_asks_for_is_as_new_as_what_it_was_told(screen: Screen, board: Board) -> None:
    live = begin(board, "r")
    board.on_commit(1, [child("a"), state("a", "RUNNING")])
    until(lambda: screen.widgets, "a widget")
    widget = screen.widgets[0]
    board.on_commit(2, [child("b")])
    until(lambda: widget.told[-1]["made"] and widget.told[-1]["made"][-1][1] == "b", "the second task")
    assert widget.whole is not None
    whole = widget.whole()
    assert (whole["seq"], whole["reset"]) == (widget.told[-1]["seq"], True)
    assert [row[1] for row in whole["made"]] == ["a", "b"]
    end(board, live)
    board.settle()
    assert widget.whole() is None


def test_the_journal_s_thread_does_nothing_for_each_entry(screen: Screen, board: Board) -> None:
    class Untouched(list[Any]):
        """Entries that must not be looked at."""

        def __iter__(self) -> Any:
            raise AssertionError("looked at on the journal's thread")

    live = begin(board, "r")
    painter = board._painter
    with painter.work:
        # The painter can't work meanwhile.
        board.on_commit(1, Untouched([state("r", "RUNNING")]))
        assert isinstance(painter._waiting.pop(), Untouched)
    end(board, live)
    board.settle()


def test_a_view_that_can_not_be_painted_is_left_and_the_others_go_on(
    screen: Screen, board: Board, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, fine = begin(board, "broken", "a"), begin(board, "fine", "b")
    paint = View.paint_live

    def fail(view: View, *args: Any) -> Any:
        if view.live.id == "broken":
            raise OSError("the socket is gone")
        return paint(view, *args)

    monkeypatch.setattr(View, "paint_live", fail)
    until(lambda: screen.widgets, "the other view's widget")
    assert "the view of run broken can't be painted" in caplog.text
    for live in (broken, fine):
        end(board, live)
    board.settle()
    assert "Flow run fine" in text(screen)


# -- what is left ------------------------------------------------------------------------------------------------------


def test_nothing_is_left_of_a_finished_view(screen: Screen, board: Board) -> None:
    gc.collect()
    before = {id(found) for found in gc.get_objects() if isinstance(found, RunTree | View)}
    board.new_cell()
    live: Live | None = begin(board, "r", kind="task")
    board.on_commit(1, [child(f"t{number}") for number in range(100)])
    until(lambda: screen.widgets, "a widget")
    end(board, live, StateType.FAILED)  # type: ignore[arg-type]
    board.settle()
    board.rest()
    gone = weakref.ref(live)
    live = None
    screen.widgets.clear()
    gc.collect()
    assert [found for found in gc.get_objects() if isinstance(found, RunTree | View) and id(found) not in before] == []
    assert gone() is None
    assert len(screen.offers) == 1
    until(lambda: not any(thread.name == "jupyter-wf-views" for thread in threading.enumerate()), "the painter to end")
    board.mark_stale({"r": "why"})
    assert text(screen).endswith("out of date: why")
