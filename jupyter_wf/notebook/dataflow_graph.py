"""The dataflow of a notebook as a graph to look at."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_wf.graphs import FlowGraph, Node
from jupyter_wf.notebook.dataflow import Dataflow

__all__ = ["dataflow_graph"]


def dataflow_graph(dataflow: Dataflow, states: Mapping[str, str] | None = None, *, name: str = "") -> FlowGraph:
    """Return the graph of a notebook's tasks, in the order in which they can run.

    ``states`` says by task how it stands: a state's name, or ``Stale``, or ``Never ran``. ``name`` is the notebook's.
    Pointed at, an edge tells which data go along it. In a cycle the edges that go back are left out.
    """
    order = dataflow.order()
    place = {task: number for number, task in enumerate(order)}
    known = states or {}
    notes = {
        (place[writer], place[reader]): ", ".join(names) or "--after"
        for (writer, reader), names in dataflow.carried.items()
        if place[writer] < place[reader]
    }
    nodes = tuple(Node(id=number, name=task, state=known.get(task)) for task, number in place.items())
    return FlowGraph(name, nodes, tuple(notes), notes=notes, kind="notebook")
