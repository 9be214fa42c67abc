"""The picture of a run tree, and its static forms."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from jupyter_wf.core.events import LogWritten, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.tree import RunTree
from jupyter_wf.ipython.html import duration, mark_stale, marker, view_html, view_text
from jupyter_wf.ipython.snapshot import MOST_ROWS, picture

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>\x1b[31m\x00\u202eevil\nnext"


def created(run_id: str, parent: str | None = "root", **facts: object) -> RunCreated:
    fields = {"kind": "task", "name": run_id, "flow_name": None, "task_name": run_id, "process_id": "p", **facts}
    return RunCreated(run_id=run_id, at=1.0, parent_id=parent, root_id="root", **fields)  # type: ignore[arg-type]


def state(run_id: str, type_: str, at: float = 2.0, attempt: int = 1, **facts: str | None) -> StateChanged:
    return StateChanged(run_id, at, attempt, type_, facts.pop("name", None) or type_.capitalize(), **facts)


def error(type_: str, message: str) -> str:
    return json.dumps({"type": type_, "message": message, "traceback": "tb"})


@pytest.fixture
def tree() -> RunTree:
    made = RunTree(created("root", None, kind="flow", name="brave-otter", flow_name="etl", task_name=None))
    made.feed([state("root", "RUNNING", 2.0)])
    return made


def test_rows_follow_the_entries(tree: RunTree) -> None:
    tree.feed([created("a", max_attempts=2)])
    for entry in (
        state("a", "PENDING"),
        state("a", "RUNNING", 3.0),
        LogWritten("a", 3.5, 20, "x", "half way"),
        state("a", "SCHEDULED", 4.0, name="AwaitingRetry", error=error("ValueError", "no")),
        state("a", "RUNNING", 5.0, attempt=2, name="Retrying"),
    ):
        tree.feed([entry])
    (row,) = picture(tree, now=6.0)["tasks"]
    assert (row["state"]["name"], row["attempt"], row["max_attempts"]) == ("Retrying", 2, 2)
    assert (row["last_log"], row["ended_at"], row["error"]) == ("half way", None, None)
    assert row["started_at"] == "1970-01-01T00:00:03.000000Z"


def test_progress_counts_direct_children(tree: RunTree) -> None:
    for run_id in "abc":
        tree.feed([created(run_id)])
        tree.feed([state(run_id, "PENDING")])
    tree.feed([created("below", "a")])
    tree.feed([state("below", "RUNNING")])
    tree.feed([state("a", "COMPLETED")])
    tree.feed([state("b", "PENDING", name="NotReady")])
    tree.feed([RunPatched("root", 3.0, json.dumps({"expected": 5, "name": "new", "source": {"cell": 1}}))])
    view = picture(tree, now=4.0)
    assert view["progress"] == {"total": 5, "done": 2, "counts": {"COMPLETED": 1, "PENDING": 2}}
    assert (view["run"]["name"], view["run"]["source"]) == ("new", {"cell": 1})
    assert view["tasks"][0]["progress"] == {"total": 1, "done": 0, "counts": {"RUNNING": 1}}


def test_strangers_are_ignored(tree: RunTree) -> None:
    tree.feed([created("x", "other")])
    tree.feed([state("x", "RUNNING")])
    assert picture(tree, now=1.0)["tasks"] == []


def test_the_run_s_own_last_line(tree: RunTree) -> None:
    assert picture(tree, now=1.0)["last_log"] is None
    tree.feed([LogWritten("root", 2.0, 20, "x", "step 7")])
    assert picture(tree, now=3.0)["last_log"] == "step 7"


def test_the_end_of_the_root(tree: RunTree) -> None:
    assert picture(tree, now=3.0, can_retry=True)["can_retry"] is False
    tree.feed([state("root", "FAILED", 4.0, error=error("KeyError", "'k'"))])
    view = picture(tree, now=9.0, can_retry=True)
    assert (tree.is_closed, view["live"], view["can_retry"]) == (True, False, True)
    assert view["run"]["error"] == {"type": "KeyError", "message": "'k'", "traceback": "tb"}
    tree.feed([state("root", "RUNNING", 5.0, attempt=2)])
    assert (tree.is_closed, tree.attempts[0], picture(tree, now=9.0)["run"]["ended_at"]) == (False, 2, None)


def test_of_many_rows_the_running_the_failed_and_the_newest_are_shown(tree: RunTree) -> None:
    ids = [f"t{index:04}" for index in range(1000)]
    for run_id in ids:
        tree.feed([created(run_id)])
        tree.feed([state(run_id, "RUNNING")])
        if run_id not in ("t0003", "t0500"):
            tree.feed([state(run_id, "FAILED" if run_id in ("t0001", "t0700") else "COMPLETED")])
    view = picture(tree, now=3.0)
    shown = [row["name"] for row in view["tasks"]]
    assert len(shown) == MOST_ROWS
    assert view["more"] == 1000 - MOST_ROWS
    assert shown == sorted(shown)
    assert {"t0001", "t0003", "t0500", "t0700", "t0999"} <= set(shown)
    assert shown[4:] == ids[-(MOST_ROWS - 4) :]


class Page(HTMLParser):
    """Notes every tag and attribute, and whether tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def hostile(tree: RunTree) -> RunTree:
    tree = RunTree(created("root", None, kind="flow", name=HOSTILE))
    tree.feed([created("a", name=HOSTILE)])
    tree.feed([LogWritten("a", 2.0, 20, "x", HOSTILE)])
    tree.feed([state("a", "FAILED", name=HOSTILE, message=HOSTILE, error=error(HOSTILE, HOSTILE * 100))])
    tree.feed([state("root", "FAILED", name=HOSTILE, error=error(HOSTILE, HOSTILE))])
    return tree


def test_hostile_texts_stay_text(hostile: RunTree) -> None:
    page = Page()
    text = view_html(picture(hostile, now=3.0))
    page.feed(text)
    assert page.open == []
    assert page.tags == {"table", "tr", "td", "th", "b", "span"}
    assert page.attributes <= {"style", "class", "colspan"}
    assert "&lt;script&gt;" in text
    for bad in ("\x1b", "\x00", "\u202e"):
        assert bad not in text
        assert bad not in view_text(picture(hostile, now=3.0))


def test_hostile_ids_make_no_class() -> None:
    assert marker("'><b>a-1") == "jupyter-wf-run-ba-1"


def test_text_form(tree: RunTree) -> None:
    tree.feed([created("load")])
    tree.feed([state("load", "RUNNING", 2.0)])
    tree.feed([state("load", "FAILED", 3.5, attempt=2, error=error("ValueError", "bad\nline"))])
    tree.feed([created("rest")])
    tree.feed([state("rest", "COMPLETED", 3.0)])
    tree.feed([state("root", "FAILED", 4.0, error=error("ValueError", "bad"))])
    assert view_text(picture(tree, now=9.0)).split("\n") == [
        "✗ Flow run brave-otter of etl · Failed · 2.0 s · 2 of 2 tasks · 1 failed · id root",
        "  ValueError: bad",
        "  ✗ load  1.5 s  attempt 2  ValueError: bad line",
        "  ✓ rest",
    ]


def test_html_is_readable_without_styles(tree: RunTree) -> None:
    tree.feed([created("load")])
    tree.feed([state("load", "COMPLETED", 3.0)])
    text = view_html(picture(tree, now=4.0))
    for word in ("Flow run", "brave-otter", "of etl", "▶ Running", "1 of 1 tasks", "load", "✓ Completed"):
        assert word in text


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("1970-01-01T00:00:00.012000Z", "12 ms"),
        ("1970-01-01T00:00:00.999700Z", "1.0 s"),
        ("1970-01-01T00:00:59.960000Z", "1 min 00 s"),
        ("1970-01-01T00:02:05.000000Z", "2 min 05 s"),
        ("1970-01-01T01:03:59.000000Z", "1 h 03 min"),
        ("1969-12-31T23:59:59.000000Z", "0 ms"),
        (None, ""),
    ],
)
def test_durations(end: str | None, expected: str) -> None:
    assert duration("1970-01-01T00:00:00.000000Z", end) == expected


def calls(tree: RunTree, task: str, count: int, parent: str = "root", type_: str = "COMPLETED") -> list[str]:
    ids = [f"{task}-{number}" for number in range(count)]
    for number, run_id in enumerate(ids):
        tree.feed([created(run_id, parent, task_name=task), state(run_id, "RUNNING", 2.0 + number)])
        tree.feed([state(run_id, type_, 3.0 + number, error=error("ValueError", "no") if type_ == "FAILED" else None)])
    return ids


def test_of_many_calls_of_a_task_one_row_is_left_and_those_that_failed(tree: RunTree) -> None:
    calls(tree, "load", 3)
    calls(tree, "clean", 10_000)
    tree.feed([state(f"clean-{n}", "FAILED", 20.0, error=error("ValueError", f"no {n}")) for n in (5, 7)])
    view = picture(tree, now=99_999.0)
    assert [row["name"] for row in view["tasks"]] == ["load-0", "load-1", "load-2", "clean", "clean-5", "clean-7"]
    group = view["tasks"][3]
    assert (group["members"], group["state"]["type"], view["more"]) == (10_000, "FAILED", 0)
    assert (group["started_at"], group["ended_at"]) == ("1970-01-01T00:00:02.000000Z", "1970-01-01T02:46:42.000000Z")
    lines = view_text(view).split("\n")
    assert lines[4] == "  ✗ clean × 10,000 · 2 failed, 9,998 completed  2 h 46 min"
    assert lines[5].endswith("ValueError: no 5")
    assert "clean × 10,000 · 2 failed, 9,998 completed</td>" in view_html(view)


def test_few_calls_keep_their_rows(tree: RunTree) -> None:
    calls(tree, "clean", 20)
    assert len(picture(tree, now=30.0)["tasks"]) == 20
    calls(tree, "other", 11)
    assert [row["members"] for row in picture(tree, now=30.0)["tasks"]] == [20, 11]


def test_a_group_has_the_name_of_its_state_where_all_have_it(tree: RunTree) -> None:
    for number in range(40):
        tree.feed([created(f"c{number}", task_name="c"), state(f"c{number}", "COMPLETED", 3.0, name="Cached")])
    (row,) = picture(tree, now=4.0)["tasks"]
    assert row["state"]["name"] == "Cached"
    tree.feed([created("c40", task_name="c")])
    (row,) = picture(tree, now=4.0)["tasks"]
    assert (row["state"]["name"], row["ended_at"], row["progress"] and row["progress"]["done"]) == ("Pending", None, 40)


def test_many_failures_of_one_task_are_ten_rows(tree: RunTree) -> None:
    calls(tree, "load", 100, type_="FAILED")
    view = picture(tree, now=200.0)
    assert (len(view["tasks"]), view["more"]) == (11, 0)


def test_a_mapped_cell_is_one_row(tree: RunTree) -> None:
    tree.feed([created("cell", expected=5), state("cell", "RUNNING", 2.0), created("plain")])
    calls(tree, "item", 3, "cell")
    calls(tree, "wrong", 1, "cell", "FAILED")
    view = picture(tree, now=9.0)
    assert [row["name"] for row in view["tasks"]] == ["cell", "plain"]
    assert "▶ cell 4 of 5, 1 failed" in view_text(view)
    assert "cell 4 of 5, 1 failed</td>" in view_html(view)


def test_the_calls_of_a_mapped_cell_are_one_row_of_its_own_view() -> None:
    tree = RunTree(created("root", None, name="clean"))
    calls(tree, "item", 5)
    assert [row["members"] for row in picture(tree, now=9.0)["tasks"]] == [5]


def test_beyond_two_hundred_rows_groups_stay(tree: RunTree) -> None:
    calls(tree, "load", 50)
    for number in range(400):
        tree.feed([created(f"t{number}"), state(f"t{number}", "COMPLETED")])
    view = picture(tree, now=60.0)
    assert (len(view["tasks"]), view["tasks"][0]["members"], view["more"]) == (MOST_ROWS, 50, 201)


def test_runs_without_a_place_are_counted() -> None:
    tree = RunTree(created("root", None, kind="flow"), most_rows=10)
    for number in range(25):
        tree.feed([created(f"t{number}")])
    assert picture(tree, now=2.0)["more"] == 15


def test_a_compact_form_is_closed_as_it_should_be_and_safe(hostile: RunTree) -> None:
    hostile.mark_stale("root", HOSTILE)
    view = picture(hostile, now=3.0, compact=True, earlier={"total": 1, "counts": {HOSTILE: 1}})
    page = Page()
    page.feed(view_html(view))
    assert page.open == []
    assert page.tags == {"table", "tr", "td", "th", "b", "span", "details", "summary"}
    assert page.attributes <= {"style", "class", "colspan"}


def test_marking_a_form_is_as_if_it_had_said_so(tree: RunTree) -> None:
    tree.feed([created("a"), state("a", "COMPLETED")])
    plain = picture(tree, now=3.0)
    tree.mark_stale("root", HOSTILE)
    marked = picture(tree, now=3.0)
    assert mark_stale(view_html(plain), view_text(plain), HOSTILE) == (view_html(marked), view_text(marked))
    assert mark_stale("<table></table>", "text", None) == ("<table></table>", "text")


def test_a_brief_picture_only_counts_many_rows(tree: RunTree) -> None:
    calls(tree, "load", 150)
    assert len(picture(tree, now=9.0, brief=True)["tasks"]) == 1
    calls(tree, "clean", 150)
    view = picture(tree, now=9.0, brief=True)
    assert (view["tasks"], view["more"], view["progress"]["done"]) == ([], 300, 300)
