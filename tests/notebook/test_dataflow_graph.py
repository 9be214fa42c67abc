"""The picture of a notebook's tasks."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from jupyter_wf.core.states import StateType
from jupyter_wf.graphs import FlowGraph
from jupyter_wf.notebook.dataflow_graph import dataflow_graph
from tests.notebook.test_dataflow import read

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def sources() -> list[str]:
    return ["%%task load\nraw = 1\nkey = 2", "%%task clean\ntidy = raw, key", "%%task plot --after load\ntidy"]


def titles(graph: FlowGraph) -> list[str | None]:
    return [found.text for found in ET.fromstring(graph.to_svg()).iter(f"{SVG}title")]


def test_tasks_and_edges(sources: list[str]) -> None:
    graph = dataflow_graph(read(*sources), name="etl.ipynb")
    assert repr(graph) == "etl.ipynb: 3 nodes, 3 edges\n  load\n  clean ← load\n  plot ← load, clean"
    assert [line.strip() for line in graph.to_mermaid().splitlines()[1:]] == [
        'n0["load"]',
        'n1["clean"]',
        'n2["plot"]',
        "n0 --> n1",
        "n0 --> n2",
        "n1 --> n2",
    ]


def test_edges_tell_their_data_when_pointed_at(sources: list[str]) -> None:
    shown = titles(dataflow_graph(read(*sources), name="a & b"))
    assert shown == [
        "Graph of the notebook a & b",
        "key, raw",
        "--after",
        "tidy",
        "task load",
        "task clean",
        "task plot",
    ]


def test_states_have_a_sign_a_colour_and_a_word(sources: list[str]) -> None:
    states = {"load": "Completed", "clean": "Stale"}
    graph = dataflow_graph(read(*sources), states)
    assert titles(graph)[-3:] == ["task load: Completed", "task clean: Stale", "task plot"]
    picture = ET.fromstring(graph.to_svg())
    assert [text.text for text in picture.iter(f"{SVG}text")] == ["✓ load", "↻ clean", "plot"]
    assert len({box.get("fill") for box in picture.iter(f"{SVG}rect")}) == 3
    assert "✓ load" in repr(graph)


@pytest.mark.parametrize("state", [*StateType, "Stale", "Never ran", "Cached", "Resumed", "Skipped", "Quite else"])
def test_a_box_of_every_state_can_be_read(state: str, sources: list[str]) -> None:
    graph = dataflow_graph(read(*sources), {"load": state})
    fill = re.search(r'<rect [^>]*fill="#(\w{6})"', graph.to_svg())
    assert fill is not None
    parts = [int(fill[1][place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (light + 0.05) >= 4.5
    sign = repr(graph).splitlines()[1].split()[0]
    assert len(sign) == 1 and not sign.isalnum()


def test_a_cycle_can_be_drawn() -> None:
    graph = dataflow_graph(read("%%task a --after b\nx = 1", "%%task b\ny = x"))
    assert (len(graph.nodes), len(graph.edges)) == (2, 1)
    assert "svg" in graph.to_svg()


def test_no_tasks_and_very_many() -> None:
    assert repr(dataflow_graph(read("x = 1"), name="n")) == "n: 0 nodes, 0 edges"
    assert "svg" in dataflow_graph(read("x = 1")).to_svg()
    many = dataflow_graph(read(*(f"%%task t{n}\nv{n} = v{n - 1}" for n in range(400))), {"t0": "Failed"})
    assert len(many.nodes) == 400
    assert "… and 100 more" in many.to_svg()
