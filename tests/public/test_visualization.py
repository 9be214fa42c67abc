"""The graph of a flow without running it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import (
    FlowVisualizationError,
    InvalidRequest,
    JupyterWfError,
    ParameterError,
    VisualizationUnsupportedError,
)
from jupyter_wf.engine.annotations import allow_failure, quote, unmapped
from jupyter_wf.engine.recording import RECORDING
from jupyter_wf.graphs import FlowGraph, Node
from jupyter_wf.visualization import visualize


class Step:
    """Calls as a task or flow makes them while a flow is drawn, without anything else of theirs."""

    def __init__(self, name: str, *, returns: Any = None, is_async: bool = False, kind: str = "task") -> None:
        self.name = name
        self.options: dict[str, Any] = {"viz_return_value": returns, "is_async": is_async, "kind": kind}

    def _record(self, how: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        recorder = RECORDING.get()
        assert recorder is not None
        return recorder.record(self.name, args, kwargs, how=how, **self.options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("call", args, kwargs)

    def submit(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("submit", args, kwargs)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        return self._record("map", args, kwargs)


extract, transform, load = Step("extract"), Step("transform"), Step("load")
later = Step("later", is_async=True)
three = Step("three", returns=["ann", "bob", "cleo"])


def drawn(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> FlowGraph:
    return visualize(fn, "etl", args, kwargs)


def edges(graph: FlowGraph) -> list[str]:
    names = {node.id: node.label for node in graph.nodes}
    return [f"{names[source]} > {names[target]}" for source, target in graph.edges]


def test_nothing_is_stored_and_no_thread_started(wf_home: Path) -> None:
    before = threading.enumerate()
    assert len(drawn(lambda: load(transform.submit(extract()))).nodes) == 3
    assert threading.enumerate() == before
    assert not wf_home.exists()


@dataclass
class Pair:
    left: Any
    right: Any


def test_calls_become_nodes_and_values_edges() -> None:
    def etl(n: int) -> Any:
        rows = [extract(i) for i in range(n)]
        clean = transform.submit(rows)
        return load(clean.result(), wait_for=[rows[0]])

    graph = drawn(etl, n=2)
    assert [node.label for node in graph.nodes] == ["extract-0", "extract-1", "transform-0", "load-0"]
    assert edges(graph) == [
        "extract-0 > transform-0",
        "extract-0 > load-0",
        "extract-1 > transform-0",
        "transform-0 > load-0",
    ]
    assert RECORDING.get() is None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: [x],
        lambda x: {"a": ({x}, frozenset((x,)))},
        lambda x: {x: 1},
        lambda x: Pair(1, [x]),
        unmapped,
        lambda x: allow_failure([x]),
        lambda x: x["key"].column.mean(axis=0)[1:] * 2 + 1,
        lambda x: -(1 - x),
        lambda x: (x > 3) & (x != 4),
        lambda x: x.result(),
    ],
)
def test_a_value_is_followed_wherever_it_goes(wrap: Callable[[Any], Any]) -> None:
    def etl() -> None:
        load(wrap(extract()))
        load.submit(later=wrap(extract.submit()))

    assert edges(drawn(etl)) == ["extract-0 > load-0", "extract-1 > load-1"]


def test_what_holds_no_value_makes_no_edge() -> None:
    def etl() -> None:
        value = extract()
        value.column = 3
        value["a"] = 4
        del value["a"]
        loop: list[Any] = [1]
        loop.append(loop)
        load(quote([value]), loop, f"{value}")

    graph = drawn(etl)
    assert len(graph.nodes) == 2 and graph.edges == ()


def test_a_given_value_stands_for_the_tasks() -> None:
    def etl() -> None:
        first, second = three(), three.submit().result()
        assert first == second == ["ann", "bob", "cleo"]
        for name in first:
            load(name)
        transform(second)
        transform(1, True, None, "")

    assert edges(drawn(etl)) == ["three-0 > load-0", "three-0 > load-1", "three-0 > load-2", "three-1 > transform-0"]


@pytest.mark.parametrize(
    "value",
    ["ann", 12345, -(10**30), 1.5, b"ann", (1.5, "ann"), {"a": {"ann"}}, Path("a"), Pair(1, 2)],
)
def test_a_given_value_of_any_kind_is_equal_and_followed(value: Any) -> None:
    step, other = Step("step", returns=value), Step("other", returns=value)

    def etl() -> None:
        first, second = step(), other()
        assert type(first) is type(value) and first == value
        load(first)
        transform([second])

    assert edges(drawn(etl)) == ["step-0 > load-0", "other-0 > transform-0"]


def test_small_given_values_are_followed_and_still_values() -> None:
    numbers = Step("numbers", returns={"a": 1, "b": [2], "c": "x"})

    def etl() -> None:
        got = numbers()
        assert got == {"a": 1, "b": [2], "c": "x"} and list(range(got["a"])) == [0]
        assert f"{got['a']}{got['c']}" == "1x" and json.dumps(got) == '{"a": 1, "b": [2], "c": "x"}'
        load(got["a"])
        load(got["b"])
        load(got["c"])
        load(1, 2, "x")

    assert edges(drawn(etl)) == ["numbers-0 > load-0", "numbers-0 > load-1", "numbers-0 > load-2"]


def test_a_given_value_that_cannot_be_copied() -> None:
    step = Step("step", returns=threading.Lock())

    def etl() -> None:
        load(step())

    assert edges(drawn(etl)) == ["step-0 > load-0"]


def test_real_tasks_and_flows_hand_their_calls_over(wf_home: Path) -> None:
    called: list[str] = []

    @task
    def get(n: int) -> list[int]:
        called.append("get")
        return [n]

    @task(retries=2)
    async def clean(rows: list[int]) -> list[int]:
        called.append("clean")
        return rows

    @flow
    def report(rows: list[list[int]]) -> None:
        called.append("report")

    @flow
    async def etl(n: int) -> None:
        rows = [get.submit(i) for i in range(n)]
        more = get.map(range(10), wait_for=[rows[0]])
        both = await asyncio.gather(*[clean(row) for row in rows])
        state = get(more[3], return_state=True)
        report([*both, state])

    before = threading.enumerate()
    graph = visualize(etl.fn, etl.name, (2,), {})
    assert edges(graph) == [
        "get-0 > get-2 × 10", "get-0 > clean-0", "get-1 > clean-1", "get-2 × 10 > get-3",
        "clean-0 > report-0", "clean-1 > report-0", "get-3 > report-0",
    ]  # fmt: skip
    assert [node.kind for node in graph.nodes] == ["task"] * 6 + ["flow"]
    assert called == []
    assert threading.enumerate() == before
    assert not wf_home.exists()


def test_maps() -> None:
    def etl() -> None:
        rows = extract.map(range(3), unmapped([1, 2]))
        assert len(rows) == 3
        rows.wait()
        more = transform.map(rows)
        load(more.result())
        open_ended = transform.map(x=load())
        load(open_ended.result())
        transform.map(extract(i) for i in range(2))
        three.map([1])[0].result()[0].upper()

    graph = drawn(etl)
    labels = [node.label for node in graph.nodes]
    assert labels == [
        "extract-0 × 3", "transform-0 × 3", "load-0", "load-1", "transform-1 × ?", "load-2",
        "extract-1", "extract-2", "transform-2 × 2", "three-0",
    ]  # fmt: skip
    assert edges(graph) == [
        "extract-0 × 3 > transform-0 × 3", "transform-0 × 3 > load-0", "load-1 > transform-1 × ?",
        "transform-1 × ? > load-2", "extract-1 > transform-2 × 2", "extract-2 > transform-2 × 2",
    ]  # fmt: skip


def test_sub_flows_states_and_futures() -> None:
    sub = Step("sub", kind="flow")

    def etl() -> None:
        state = extract(return_state=True)
        future = transform.submit(state)
        seen: list[Any] = []
        future.add_done_callback(seen.append)
        future.wait()
        assert future.done() and seen == [future]
        with sub(future) as inner:
            load(inner, state.result())

    graph = drawn(etl)
    assert [(node.name, node.kind) for node in graph.nodes][2] == ("sub-0", "flow")
    assert edges(graph) == ["extract-0 > transform-0", "extract-0 > load-0", "transform-0 > sub-0", "sub-0 > load-0"]


async def async_etl() -> None:
    first = await later(1)
    both = await asyncio.gather(later(first), later(first))
    turned = asyncio.create_task(later(both))  # type: ignore[arg-type]
    load(await turned)
    load(await asyncio.gather(*[extract.submit(), extract.submit()]))


ASYNC_EDGES = [
    "later-0 > later-1", "later-0 > later-2", "later-1 > later-3", "later-2 > later-3", "later-3 > load-0",
    "extract-0 > load-1", "extract-1 > load-1",
]  # fmt: skip


def test_an_async_flow() -> None:
    assert edges(drawn(async_etl)) == ASYNC_EDGES


def test_below_a_running_loop_and_awaited() -> None:
    async def cell() -> list[str]:
        assert edges(drawn(async_etl)) == ASYNC_EDGES
        with pytest.raises(FlowVisualizationError, match="no luck"):
            drawn(failing)
        return edges(await drawn(async_etl))

    async def failing() -> None:
        raise ValueError("no luck")

    assert asyncio.run(cell()) == ASYNC_EDGES


def test_flows_that_yield() -> None:
    rows = Step("rows", is_async=True, returns=["ann", "bob"])

    def etl() -> Iterator[Any]:
        yield load(extract())

    async def async_one() -> AsyncIterator[Any]:
        yield load(await later())
        async for row in rows():
            load(row)

    async def needs_rows() -> None:
        async for row in later():
            load(row)

    assert edges(drawn(etl)) == ["extract-0 > load-0"]
    assert edges(drawn(async_one)) == ["later-0 > load-0", "rows-0 > load-1", "rows-0 > load-2"]
    with pytest.raises(VisualizationUnsupportedError, match="a loop over it needs the value of the task 'later'"):
        drawn(needs_rows)


@pytest.mark.parametrize(
    ("need", "use"),
    [
        ("a condition on it", lambda x: 1 if x else 2),
        ("a condition on it", lambda x: x > 3 and 1),
        ("a loop over it", lambda x: sorted(x.items())),
        ("a loop over it", list),
        ("a loop over it", lambda x: dict(**x)),
        ("its length", len),
        ("looking for something in it", lambda x: 3 in x),
        ("making it a number", int),
        ("using it as a number", range),
    ],
)
def test_a_value_that_decides_the_way_is_asked_for(need: str, use: Callable[[Any], Any]) -> None:
    with pytest.raises(VisualizationUnsupportedError) as caught:
        drawn(lambda: use(extract() + transform.submit().result()))
    assert caught.value.tasks == ("extract", "transform")
    assert str(caught.value).startswith(f"{need} needs the value of the tasks 'extract', 'transform'")
    assert "viz_return_value" in str(caught.value)
    assert isinstance(caught.value, FlowVisualizationError) and isinstance(caught.value, JupyterWfError)


def test_other_failures_of_the_body_keep_their_cause() -> None:
    def etl() -> None:
        raise KeyError("x")

    with pytest.raises(
        FlowVisualizationError, match="'etl' can't be drawn without running it: KeyError: 'x'"
    ) as caught:
        drawn(etl)
    assert isinstance(caught.value.__cause__, KeyError)
    assert RECORDING.get() is None
    with pytest.raises(ParameterError, match="parameter 'etl': too many positional arguments"):
        drawn(etl, 1)


def chain(names: list[str], edges: list[tuple[int, int]], kind: str = "task") -> FlowGraph:
    return FlowGraph("etl", tuple(Node(id=i, name=name, kind=kind) for i, name in enumerate(names)), tuple(edges))


SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert("1")</script> & \x00\ud800\n#35; ' + "長い名前" * 20


def test_the_picture_is_sound_and_its_boxes_do_not_touch() -> None:
    graph = chain(list("abcdef"), [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3), (3, 4), (0, 5)])
    root = ElementTree.fromstring(graph.to_svg())
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = []
    for rect in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        assert x >= 0 and x + w <= width and y >= 0 and y + h <= height
        boxes.append((x, y, x + w, y + h))
    assert len(boxes) == 6
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        for a1, b1, a2, b2 in boxes[:number]:
            assert x2 < a1 or a2 < x1 or y2 < b1 or b2 < y1
    lines = [path.attrib["d"] for path in root.iter(f"{SVG}path")]
    assert len(lines) == 7
    # From the right side of one box to the left side of the other.
    starts = {(float(d[1:].split("C")[0].split("H")[0].split(",")[0])) for d in lines}
    assert starts <= {box[2] for box in boxes}
    # a is before b and c, they are before d, d before e.
    left = [box[0] for box in boxes]
    assert left[0] < left[1] == left[2] == left[5] < left[3] < left[4]


def test_names_of_others_are_shown_as_text() -> None:
    graph = chain([NASTY, "b"], [(0, 1)], kind="flow")
    svg = graph.to_svg()
    root = ElementTree.fromstring(svg.encode())
    assert "<script" not in svg and "\x00" not in svg
    (text, _) = [element.text or "" for element in root.iter(f"{SVG}text")]
    assert text.startswith("<script>") and text.endswith("…長い名前長い名前") and len(text) < 40
    titles = [element.text or "" for element in root.iter(f"{SVG}title")]
    assert any("長い名前" * 20 in title for title in titles)
    mermaid = graph.to_mermaid()
    assert mermaid.splitlines()[0] == "flowchart LR"
    assert "<" not in mermaid and '"1"' not in mermaid and "#60;script#62;" in mermaid
    assert mermaid.splitlines()[-1] == "    n0 --> n1"
    assert len(repr(graph).splitlines()) == 3


def test_a_large_graph_is_drawn_by_tasks() -> None:
    count = 1000
    graph = chain([f"work-{i}" for i in range(count)] + ["all-0"], [(i, count) for i in range(count)])
    small = graph.collapsed()
    assert ([node.label for node in small.nodes], small.edges) == ([f"work × {count}", "all-0"], ((0, count),))
    assert graph.to_svg() == small.to_svg()
    assert len(graph.to_svg()) < 3000
    assert f"{count + 1} nodes, {count} edges" in repr(graph) and "more" in repr(graph)
    assert graph.to_mermaid().count("-->") == count


def test_pictures_stay_of_a_size_that_can_be_shown() -> None:
    # Each call takes the values of all before it: half a million edges.
    count = 1000
    graph = chain([f"work-{i}" for i in range(count)], [(a, b) for b in range(count) for a in range(b)])
    root = ElementTree.fromstring(graph.to_svg())
    assert len(list(root.iter(f"{SVG}rect"))) == 301
    assert len(list(root.iter(f"{SVG}path"))) == 299
    assert [text.text for text in root.iter(f"{SVG}text")][-1] == "… and 700 more"
    # Fewer calls, each of them with another way besides: nothing that is needed is left out.
    wide = chain([f"n{i}" for i in range(100)], [(a, b) for a in range(50) for b in range(50, 100)])
    assert wide.to_svg().count("<path") == 2500
    long = chain([f"n{i}" for i in range(100)], [(i, i + 1) for i in range(99)] + [(i, 99) for i in range(50)])
    assert long.to_svg().count("<path") == 149


def test_saving_and_showing(tmp_path: Path) -> None:
    graph = chain(["a", "b"], [(0, 1), (0, 1)])
    assert graph.edges == ((0, 1),)
    assert graph.save(tmp_path / "g.svg").read_text(encoding="utf-8") == graph.to_svg()
    assert graph.save(str(tmp_path / "g.mmd")).read_text(encoding="utf-8") == graph.to_mermaid()
    with pytest.raises(InvalidRequest, match=r"g\.png.*end it with \.svg or \.mmd"):
        graph.save(tmp_path / "g.png")
    assert graph._repr_mimebundle_() == {"image/svg+xml": graph.to_svg(), "text/plain": repr(graph)}
    assert repr(graph) == "etl: 2 nodes, 1 edges\n  a\n  b ← a"
    empty = chain([], [])
    assert ElementTree.fromstring(empty.to_svg()).attrib["role"] == "img"
    assert repr(empty) == "etl: 0 nodes, 0 edges"
