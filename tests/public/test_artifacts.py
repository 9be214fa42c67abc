"""Artifacts: what is kept of each kind, whose they are, and what can be none."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import json
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from jupyter_wf import artifacts as module
from jupyter_wf import flow, task
from jupyter_wf.artifacts import (
    Artifact,
    StoredArtifact,
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    get_artifact,
    update_progress_artifact,
)
from jupyter_wf.core.errors import ArtifactNotFound, InvalidRequest
from jupyter_wf.core.models import Event
from jupyter_wf.core.secrets import forget_secrets
from jupyter_wf.core.tables import MOST_ROWS, table_data
from jupyter_wf.engine.context import current_run, set_ambient_parent
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.secrets import Secret


def stored(artifact_id: str) -> StoredArtifact:
    found = get_artifact(artifact_id)
    assert found is not None
    return found


def rows(table: Any) -> tuple[list[str], list[list[Any]]]:
    data = table_data(table)
    assert data["total"] == len(data["rows"]) and json.loads(json.dumps(data, allow_nan=False)) == data
    return data["columns"], data["rows"]


def test_each_kind_is_kept_as_it_was_made() -> None:
    markdown = create_markdown_artifact("# Report", key="report", description="what was *found*")
    assert str(uuid.UUID(markdown)) == markdown
    made = stored(markdown)
    assert (made.type, made.key, made.description, made.data) == (
        "markdown",
        "report",
        "what was *found*",
        "# Report",
    )
    assert made.run_id is None and made.created_at == made.updated_at
    link = stored(create_link_artifact("https://example.org/x", "the page", key="link"))
    assert (link.type, link.data) == ("link", {"url": "https://example.org/x", "text": "the page"})
    assert stored(create_link_artifact("file.csv")).data == {"url": "file.csv", "text": "file.csv"}
    image = stored(create_image_artifact(image_url="https://example.org/x.png", description="a picture"))
    assert (image.type, image.data) == ("image", {"url": "https://example.org/x.png"})
    table = stored(create_table_artifact(table=[{"a": 1}], key="rows-1"))
    assert (table.type, table.data) == ("table", {"columns": ["a"], "rows": [[1]], "total": 1})


def test_artifacts_belong_to_the_run_that_makes_them() -> None:
    @task
    def work() -> tuple[str, str]:
        run = current_run()
        assert run is not None
        return create_markdown_artifact("from a task", key="mine"), run.id

    @flow
    def pipeline() -> tuple[str, str, str, str]:
        run = current_run()
        assert run is not None
        in_thread, thread_run = work.submit().result()
        assert stored(in_thread).run_id == thread_run
        return (*work(), create_markdown_artifact("from the flow"), run.id)

    of_task, task_run, of_flow, flow_run = pipeline()
    assert (stored(of_task).run_id, stored(of_flow).run_id) == (task_run, flow_run)
    store = current_runtime().store
    assert len(store.artifacts.of_run(flow_run, tree=True)) == 3
    events = [event for event in store.events(after=0, limit=1000) if event.kind == "artifact"]
    assert {event.run_id for event in events} >= {task_run, flow_run}
    outside = create_markdown_artifact("outside any run")
    assert stored(outside).run_id is None
    set_ambient_parent(flow_run)
    try:
        assert stored(create_markdown_artifact("in a headless notebook")).run_id == flow_run
    finally:
        set_ambient_parent(None)


def test_in_async_code() -> None:
    @task
    async def work() -> list[str]:
        made = [
            await module.acreate_markdown_artifact("a"),
            await module.acreate_link_artifact("b"),
            await module.acreate_image_artifact("c"),
            await module.acreate_table_artifact({"d": [1]}),
            await module.acreate_progress_artifact(10),
        ]
        made.append(await module.aupdate_progress_artifact(made[-1], 20))
        # Prefect's functions are awaited without the ``a`` too, and may be called without awaiting.
        made.append(await create_markdown_artifact("e"))  # type: ignore[misc]
        made.append(create_markdown_artifact("f"))
        return made

    @flow
    async def pipeline() -> list[str]:
        return await work()

    ids = asyncio.run(pipeline())
    assert [stored(each).type for each in ids] == [
        *("markdown", "link", "image", "table", "progress", "progress", "markdown", "markdown")
    ]
    assert stored(ids[4]).data == 20 and len(set(ids)) == 7
    assert {stored(each).run_id for each in ids} == {stored(ids[0]).run_id} != {None}


def test_a_progress_bar_moves() -> None:
    bar = create_progress_artifact(0.0, key="load", description="loading")
    first = stored(bar)
    assert (first.type, first.data, first.description) == ("progress", 0.0, "loading")
    for percent in range(1, 51):
        assert update_progress_artifact(bar, percent) == bar
    moved = stored(bar)
    assert (moved.data, moved.key, moved.description) == (50, "load", "loading")
    assert (moved.created_at, moved.updated_at >= first.updated_at) == (first.created_at, True)
    update_progress_artifact(bar, np.float32(100.00001), description="done")
    module._progress.known.clear()
    update_progress_artifact(uuid.UUID(bar), 100)  # type: ignore[arg-type]
    assert (stored(bar).data, stored(bar).description, stored(bar).key) == (100, "done", "load")
    assert len(current_runtime().store.artifacts.latest()) == 1
    update_progress_artifact(bar, -3)
    assert stored(bar).data == 0


def test_only_progress_bars_move() -> None:
    with pytest.raises(ArtifactNotFound, match="nothing"):
        update_progress_artifact("nothing", 1)
    with pytest.raises(InvalidRequest, match="markdown, not progress"):
        update_progress_artifact(create_markdown_artifact("text"), 1)
    for wrong in (float("nan"), "half", None, True, [1]):
        with pytest.raises(InvalidRequest, match="from 0 to 100"):
            create_progress_artifact(wrong)  # type: ignore[arg-type]


def test_progress_bars_of_long_processes_are_forgotten_in_memory_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    bars = [create_progress_artifact(0, key=f"bar-{index}") for index in range(5)]
    assert len(module._progress.known) == 3
    update_progress_artifact(bars[0], 7)
    assert (stored(bars[0]).data, stored(bars[0]).key) == (7, "bar-0")


@pytest.mark.parametrize("key", ["", "Report", "a b", "a_b", "ä", "a/b", "x" * 256, "a\n", 3])
def test_what_can_be_no_key(key: Any) -> None:
    with pytest.raises(InvalidRequest, match="lower-case letters, digits and dashes"):
        create_markdown_artifact("text", key=key)
    with pytest.raises(InvalidRequest):
        Artifact.get(key)


def test_what_can_be_no_artifact() -> None:
    for call in (
        lambda: create_markdown_artifact(3),  # type: ignore[arg-type]
        lambda: create_markdown_artifact("a", description=3),  # type: ignore[arg-type]
        lambda: create_link_artifact(None),  # type: ignore[arg-type]
        lambda: create_link_artifact("a", 3),  # type: ignore[arg-type]
        lambda: create_image_artifact(b"png"),  # type: ignore[arg-type]
        lambda: create_markdown_artifact("x" * 10 * 1024 * 1024),
        lambda: Artifact(type="chart", data={1, 2}).create(),
        lambda: Artifact(type="chart", data=float("nan")).create(),
    ):
        with pytest.raises(InvalidRequest):
            call()
    assert current_runtime().store.artifacts.latest() == []


def test_versions_have_the_same_key() -> None:
    assert Artifact.get("report") is None
    create_markdown_artifact("one", key="report")
    create_markdown_artifact("two", key="report")
    newest = Artifact.get("report")
    assert newest is not None and newest.data == "two"
    assert asyncio.run(Artifact.aget("report")) == newest
    assert Artifact.get_or_create("report", type="markdown", data="three") == (newest, False)
    made, is_new = Artifact.get_or_create("chart", type="application/x-chart", description="d", data={"x": [1]})
    assert is_new and (made.key, made.type, made.data) == ("chart", "application/x-chart", {"x": [1]})
    assert get_artifact("nothing") is None
    assert stored(asyncio.run(Artifact(type="x", data=None).acreate())).data is None


@pytest.fixture
def secret() -> Iterator[str]:
    """A secret that was used."""
    yield Secret("hunter2-and-more").get()
    forget_secrets()


def test_secrets_are_masked(secret: str) -> None:
    made = stored(create_markdown_artifact(f"with {secret}", description=f"and {secret}"))
    assert (made.data, made.description) == ("with ***", "and ***")
    table = create_table_artifact([{"a": f"{secret}!", "b": Secret("x"), "c": {"password": "y"}}])
    assert stored(table).data["rows"] == [["***!", "***", {"password": "***"}]]


def test_tables_of_plain_values() -> None:
    assert rows([{"a": 1, "b": "x"}, {"c": None, "a": True}]) == (
        ["a", "b", "c"],
        [[1, "x", None], [True, None, None]],
    )
    assert rows({"a": [1, 2], "b": (3.5,), 7: range(2)}) == (["a", "b", "7"], [[1, 3.5, 0], [2, None, 1]])
    assert rows([[1, 2], (3,)]) == (["0", "1"], [[1, 2], [3, None]])
    assert rows([]) == rows({}) == ([], [])


def test_cells_become_json() -> None:
    class Rude:
        def __str__(self) -> str:
            raise ZeroDivisionError

    cells = [float("nan"), float("inf"), 2**60, np.int64(3), np.float32(0.5), np.float64("nan"), np.bool_(True)]
    cells += [datetime.date(2024, 5, 17), decimal.Decimal("1.10"), pd.NaT, pd.NA, Rude(), [1, (2, "x")], "x" * 10_001]
    ((first, second, *rest),) = rows([cells])[1]
    assert (first, second, rest[:5]) == (None, "inf", [str(2**60), 3, 0.5, None, True])
    assert rest[5:9] == ["2024-05-17", "1.10", None, None] and rest[10] == [1, [2, "x"]]
    assert "ZeroDivisionError" in rest[9]
    assert rest[11].endswith("(10001 characters)")


def test_tables_of_pandas() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    assert rows(frame) == (["a", "b"], [[1, "x"], [2, None]])
    assert rows(frame.set_index("b")) == (["b", "a"], [["x", 1], [None, 2]])
    assert rows(frame.groupby(["a", "b"], dropna=False).size().to_frame("n")) == (
        ["a", "b", "n"],
        [[1, "x", 1], [2, None, 1]],
    )
    wide = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]), index=["k"])
    assert rows(wide) == (["", "a / 1", "a / 2"], [["k", 1, 2]])
    twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert rows(twice) == (["a", "a"], [[1, 2]])
    times = pd.DataFrame({"t": pd.to_datetime(["2024-05-17", None])})
    assert rows(times) == (["t"], [["2024-05-17 00:00:00"], [None]])


def test_tables_of_polars_and_arrow() -> None:
    frame = pl.DataFrame({"a": [1, None], "b": [[1, 2], []], "c": [datetime.date(2024, 5, 17), None]})
    expected = (["a", "b", "c"], [[1, [1, 2], "2024-05-17"], [None, [], None]])
    assert rows(frame) == expected
    assert rows(frame.to_arrow()) == expected


def test_long_tables_are_cut() -> None:
    number = MOST_ROWS + 5
    column = list(range(number))
    tables = [{"a": column}, [{"a": each} for each in column], [[each] for each in column]]
    for table in (*tables, pd.DataFrame({"a": column}), pl.DataFrame({"a": column})):
        data = table_data(table)
        assert (data["total"], len(data["rows"]), data["rows"][-1]) == (number, MOST_ROWS, [MOST_ROWS - 1])


@pytest.mark.parametrize(
    "table", ["text", 3, None, {"a": 1}, {"a": "text"}, [1, 2], [{"a": 1}, [2]], pl.LazyFrame({"a": [1]}), {1, 2}]
)
def test_what_is_no_table(table: Any) -> None:
    with pytest.raises(InvalidRequest, match="DataFrame"):
        create_table_artifact(table)


def test_an_artifact_names_itself_in_its_event() -> None:
    @flow
    def pipeline() -> str:
        return create_markdown_artifact("text", key="report")

    ident = pipeline()
    (event,) = [each for each in current_runtime().store.events(after=0, limit=100) if each.kind == "artifact"]
    assert isinstance(event, Event) and event.payload["id"] == ident and event.payload["key"] == "report"
