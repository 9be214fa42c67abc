"""Runs are read as they were written: one, several, by the beginning of an id, in filtered pages."""

from __future__ import annotations

import base64
import json

import pytest

from jupyter_wf.core.errors import AmbiguousRunId, InvalidRequest, RunNotFound
from jupyter_wf.core.events import RunCreated
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import Progress, RunFilter
from jupyter_wf.store.base import Store
from tests.contracts.stores import Maker

HOSTILE = {
    "nul": "before\0after",
    "lone surrogate": "a \ud800 b \udfff",
    "emoji": "party 🎉👩‍🔬",
    "right to left": "‮שלום עולם‬",
    "quotes": "Robert'); DROP TABLE runs;--\"\\",
    "control": "\x1b[31mred\x07\r\n\t",
    "markup": "<script>alert(1)</script>&amp;",
    "written escape": "\\ud800 \\u0000",
    "empty": "",
}
VISIBLE = {"nul": "before\\x00after", "lone surrogate": "a \\ud800 b \\udfff"}


def test_a_run_is_read_as_it_was_created(store: Store, maker: Maker) -> None:
    run_id = new_id()
    maker.journal.append(
        RunCreated(
            run_id,
            10.5,
            "flow",
            "brave-otter",
            "etl",
            "load",
            "parent",
            "root",
            maker.process.id,
            parameters='{"year": 2013, "deep": {"list": [1, null, "x"]}}',
            tags='["a", "b"]',
            upstream='["one"]',
            source='{"notebook": "n.ipynb", "cell": 3}',
            expected=7,
            max_attempts=4,
        )
    )
    maker.state(run_id, "PENDING", at=11.0)
    run = store.get_run(run_id)
    assert (run.id, run.kind, run.name, run.flow_name, run.task_name) == (run_id, "flow", "brave-otter", "etl", "load")
    assert (run.parent_id, run.root_id, run.process_id) == ("parent", "root", maker.process.id)
    assert run.parameters == {"year": 2013, "deep": {"list": [1, None, "x"]}}
    assert (run.tags, run.upstream, run.source) == (("a", "b"), ("one",), {"notebook": "n.ipynb", "cell": 3})
    assert (run.expected, run.max_attempts, run.attempt, run.created_at) == (7, 4, 1, 10.5)
    assert (run.state.type, run.state.name, run.state.message, run.state.at) == ("PENDING", "Pending", None, 11.0)
    assert (run.started_at, run.ended_at, run.error) == (None, None, None)
    assert run.progress == Progress(total=7, done=0, counts={})


@pytest.mark.parametrize("run_id", ["", "no-such-run", "0" * 36, "x" * 100_000, "\0", "\ud800", "' OR 1=1 --"])
def test_an_unknown_run_is_not_found(store: Store, maker: Maker, run_id: str) -> None:
    maker.run()
    for ask in (store.get_run, store.states, store.logs, lambda each: store.request(each, "cancel")):
        with pytest.raises(RunNotFound):
            ask(run_id)
    assert store.get_runs([run_id]) == {}


def test_several_runs_by_id(store: Store, maker: Maker) -> None:
    ids = [maker.run() for _ in range(3)]
    found = store.get_runs([ids[2], "unknown", ids[0], ids[2]])
    assert list(found) == [ids[2], ids[0]]
    assert all(found[run_id].id == run_id for run_id in found)
    assert store.get_runs([]) == {}


def test_an_id_may_be_shortened(store: Store, maker: Maker) -> None:
    for run_id in ("aaaa1111", "aaaa2222", "bbbb", "ffff"):
        maker.run(run_id=f"{run_id:0<8}-0000-4000-8000-000000000000")
    assert store.find_run("B").id.startswith("bbbb")
    assert store.find_run("f" * 4).id.startswith("ffff")
    assert store.find_run("AAAA1").id.startswith("aaaa1111")
    assert store.find_run("aaaa2222-0000-4000-8000-000000000000").id.startswith("aaaa2222")
    with pytest.raises(AmbiguousRunId) as caught:
        store.find_run("aaaa")
    assert len(caught.value.matches) == 2
    with pytest.raises(RunNotFound):
        store.find_run("aaab")


@pytest.mark.parametrize("prefix", ["", "xyz", "%", "_", "aaaa%", "a" * 37, "é", "a\0", "\ud800", "a b"])
def test_what_cannot_begin_an_id_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(InvalidRequest):
        store.find_run(prefix)


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_texts_of_all_kinds_are_kept(store: Store, maker: Maker, case: str) -> None:
    text = HOSTILE[case]
    seen = VISIBLE.get(case, text)
    json_text = json.dumps({"key": text, text: 1})
    run_id = new_id()
    root = maker.run(
        run_id=run_id,
        name=text,
        flow_name=text,
        task_name=text,
        parameters=json_text,
        tags=json.dumps([text]),
        source=json_text,
    )
    maker.state(root, "FAILED", text or None, message=text, error=json.dumps({"type": text, "message": text}))
    maker.log(root, text, logger=text)
    run = store.get_run(root)
    assert (run.name, run.flow_name, run.task_name, run.tags) == (seen, seen, seen, (seen,))
    assert run.parameters == {"key": seen, seen: 1} == run.source
    assert run.state.message == seen
    assert run.error is not None and (run.error.type, run.error.message) == (seen, seen)
    assert [(line.logger, line.message) for line in store.logs(root)] == [(seen, seen)]
    last = store.states(root)[-1].payload
    assert (last["message"], last["error"]) == (seen, {"type": seen, "message": seen})
    assert [r.id for r in store.list_runs(RunFilter(flow=text)).items] == [root]
    assert [r.id for r in store.list_runs(RunFilter(text=text)).items] == [root]
    # Whatever is read can be written somewhere else.
    json.dumps([run.name, run.parameters["key"]], ensure_ascii=False).encode()


def test_filters(store: Store, maker: Maker) -> None:
    flow = maker.run("RUNNING", flow_name="etl", name="brave-otter")
    done = maker.run("COMPLETED", parent=flow, task_name="load", name="load-0")
    failed = maker.run("FAILED", parent=flow, task_name="50%_off^", name="odd")
    cell = maker.run("RUNNING", parent=flow, kind="cell", name="In [3]")
    waiting = maker.run(None, parent=done, task_name="deep")
    maker.state(waiting, "SCHEDULED", "AwaitingRetry")
    other = maker.run("RUNNING", flow_name="report", name="calm-fox")

    def found(**where: object) -> set[str]:
        return {run.id for run in store.list_runs(RunFilter(**where)).items}  # type: ignore[arg-type]

    assert found() == {flow, done, failed, cell, waiting, other}
    assert found(kinds=("cell",)) == {cell}
    assert found(kinds=("flow", "cell")) == {flow, cell, other}
    assert found(states=("running",)) == {flow, cell, other}
    assert found(states=("Failed", "COMPLETED")) == {done, failed}
    assert found(states=("awaitingretry",)) == {waiting}
    assert found(states=("SCHEDULED",)) == {waiting}
    assert found(states=("nonsense",)) == set()
    assert found(flow="etl") == {flow}
    assert found(parent_id=flow) == {done, failed, cell}
    assert found(root_id=flow) == {flow, done, failed, cell, waiting}
    assert found(roots_only=True) == {flow, other}
    assert found(text="OTTER") == {flow}
    assert found(text="load") == {done}
    assert found(text="50%_off^") == {failed}
    assert found(text="%") == {failed}
    assert found(text="_") == {failed}
    assert found(roots_only=True, states=("RUNNING",), flow="report") == {other}
    assert found(text="") == found()


@pytest.mark.parametrize(
    "where",
    [
        RunFilter(kinds=("flow", "nonsense")),
        RunFilter(text="x" * 100_000),
        RunFilter(flow="x" * 100_000),
        RunFilter(states=("RUNNING",) * 5_000),
        RunFilter(states=("x" * 100_000,)),
        RunFilter(parent_id="x" * 100_000),
    ],
)
def test_hostile_filters_are_refused(store: Store, where: RunFilter) -> None:
    with pytest.raises(InvalidRequest):
        store.list_runs(where)


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**30, True, 1.5, "5", None])
def test_hostile_limits_are_refused(store: Store, limit: int) -> None:
    with pytest.raises(InvalidRequest):
        store.list_runs(limit=limit)


def _b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "a",
        "é",
        "\0",
        "\ud800",
        "x" * 100_000,
        _b64({}),
        _b64([1]),
        _b64(["1", "x"]),
        _b64([float("nan"), 1]),
        _b64([1.0, 10**30]),
        _b64([10**400, 1]),
        _b64([1.0, -1]),
        _b64([1.0, True]),
        _b64([[[[1]]], 1]),
    ],
)
def test_hostile_cursors_are_refused(store: Store, maker: Maker, cursor: str) -> None:
    maker.run()
    with pytest.raises(InvalidRequest):
        store.list_runs(cursor=cursor)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_neither_repeat_nor_hide_while_runs_are_made(store: Store, maker: Maker, oldest_first: bool) -> None:
    # Many runs share a moment, as those of one loop do.
    before = [maker.run("PENDING", at=1_000.0 + index // 7) for index in range(300)]
    where = RunFilter(oldest_first=oldest_first)
    seen: list[str] = []
    cursor: str | None = None
    pages = 0
    while True:
        page = store.list_runs(where, limit=11, cursor=cursor)
        seen += [run.id for run in page.items]
        pages += 1
        for at in (1_000.0 + pages, 1.0, 9_000.0):
            maker.run("PENDING", at=at)
        cursor = page.next_cursor
        if cursor is None or len(seen) > 1_000:
            break
    assert len(seen) == len(set(seen))
    expected = before if oldest_first else before[::-1]
    assert [run_id for run_id in seen if run_id in set(before)] == expected


def test_a_thousand_rows_in_one_page(store: Store, maker: Maker) -> None:
    for _ in range(1_001):
        maker.run(None)
    page = store.list_runs(limit=1_000)
    assert len(page.items) == 1_000 and page.next_cursor is not None
    last = store.list_runs(limit=1_000, cursor=page.next_cursor)
    assert len(last.items) == 1 and last.next_cursor is None


def test_an_empty_store(store: Store) -> None:
    assert store.list_runs().items == () and store.list_runs().next_cursor is None
    assert store.last_seq() == 0 and store.events(after=0) == [] and store.requests() == []
    assert store.location() and store.engine_version()


def test_progress_counts_direct_children(store: Store, maker: Maker) -> None:
    flow = maker.run("RUNNING", expected=2)
    task = maker.run("RUNNING", parent=flow)
    assert store.get_run(flow).progress == Progress(total=2, done=0, counts={"RUNNING": 1})
    maker.run("COMPLETED", parent=flow)
    maker.run("FAILED", parent=flow)
    never = maker.run("PENDING", parent=flow)
    maker.state(never, "PENDING", "NotReady")
    maker.run("RUNNING", parent=task)
    counts = {"RUNNING": 1, "COMPLETED": 1, "FAILED": 1, "PENDING": 1}
    assert store.get_run(flow).progress == Progress(total=4, done=3, counts=counts)
    assert store.get_run(task).progress == Progress(total=1, done=0, counts={"RUNNING": 1})
    assert store.get_run(never).progress is None
    empty = maker.run("RUNNING")
    assert store.get_run(empty).progress == Progress(total=0, done=0, counts={})
    assert [run.progress for run in store.list_runs(RunFilter(roots_only=True)).items] == [
        store.get_run(empty).progress,
        store.get_run(flow).progress,
    ]
