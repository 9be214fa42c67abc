"""The graph of a flow: what `Flow.visualize` returns. Draws itself as SVG, Mermaid and text."""

from __future__ import annotations

import html
import os
import re
import unicodedata
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import InvalidRequest

__all__ = ["FlowGraph", "Node"]

#: Larger graphs are drawn with the calls of one task in one place as one box.
_MOST = 150
#: So many boxes are drawn at most; and of more lines than that, only those that no longer way stands for.
_MOST_BOXES = 300
_MOST_EDGES = 1_000
#: With more places than that where lines pass a column, they go straight, behind boxes.
_MOST_BENDS = 2_000
_MOST_LINES = 200
_LONGEST = 32
_TAIL = 8
_FONT = 12
_CHARACTER = 7.0
_PADDING = 12
_HEIGHT = 28
_ROW_GAP = 14
_COLUMN_GAP = 56
_MARGIN = 8
_SWEEPS = 4
# In between light and dark, so that they can be read on both; the text on the boxes has a contrast of 4.5 and more.
_FILL = {"task": "#2f6fa7", "flow": "#7d4fa8"}
_LINE = "#7d8590"
#: How a task stands → a sign before its name, and its colour: never the colour alone.
_STATES = {
    "cached": ("≡", "#2a7a4b"),
    "cancelled": ("⊘", "#7d5a0b"),
    "completed": ("✓", "#2a7a4b"),
    "crashed": ("✗", "#b3362d"),
    "failed": ("✗", "#b3362d"),
    "never ran": ("○", "#5f6771"),
    "paused": ("‖", "#7d4fa8"),
    "pending": ("…", "#5f6771"),
    "resumed": ("✓", "#2a7a4b"),
    "running": ("▶", "#2f6fa7"),
    "scheduled": ("…", "#5f6771"),
    "skipped": ("↷", "#5f6771"),
    "stale": ("↻", "#7d5a0b"),
}
_OTHER_STATE = ("•", "#5f6771")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One call of a task or sub-flow (``kind``), or all that one ``map`` makes.

    ``count`` is how many calls it stands for, None where only the run will tell. ``state`` is how it stands, for
    instance ``Completed`` or ``Stale``: it gives the box its colour and a sign. Nothing is said of it where it is None.
    """

    id: int
    name: str
    kind: str = "task"
    count: int | None = 1
    state: str | None = None

    @property
    def label(self) -> str:
        """The name, with the number of calls where it is not one, behind the sign of its state."""
        counted = self.name if self.count == 1 else f"{self.name} × {'?' if self.count is None else self.count}"
        return counted if self.state is None else f"{_look(self.state)[0]} {counted}"


class FlowGraph:
    """The calls that a flow makes and what they take from one another.

    ``nodes`` are in the order of the calls; ``edges`` are pairs of their ids, (from, to), sorted. ``notes`` says of
    edges what is shown of them when they are pointed at. ``kind`` is what it is the graph of: a flow or a notebook. A
    notebook shows the graph as SVG.
    """

    def __init__(
        self,
        name: str,
        nodes: tuple[Node, ...],
        edges: tuple[tuple[int, int], ...],
        *,
        notes: Mapping[tuple[int, int], str] | None = None,
        kind: str = "flow",
    ) -> None:
        self.name = name
        self.nodes = nodes
        self.edges = tuple(sorted(set(edges)))
        self.notes = dict(notes or {})
        self.kind = kind

    def __await__(self) -> Generator[Any, None, FlowGraph]:
        """Return the graph itself, for code that awaits ``flow.visualize()`` because its flow is async."""
        yield from ()
        return self

    def __repr__(self) -> str:
        into: dict[int, list[str]] = {}
        names = {node.id: node.label for node in self.nodes}
        for source, target in self.edges:
            into.setdefault(target, []).append(names[source])
        lines = [f"{_clean(self.name)}: {len(self.nodes)} nodes, {len(self.edges)} edges"]
        for node in self.nodes[:_MOST_LINES]:
            before = f" ← {', '.join(into[node.id])}" if node.id in into else ""
            lines.append(_clean(f"  {node.label}{before}"))
        if len(self.nodes) > _MOST_LINES:
            lines.append(f"  … and {len(self.nodes) - _MOST_LINES} more")
        return "\n".join(lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.to_svg(), "text/plain": repr(self)}

    def collapsed(self) -> FlowGraph:
        """Return a graph where calls of one task that are as far from the beginning are one node."""
        layers = _layers(self)
        merged: dict[tuple[str, str, int], list[Node]] = {}
        for node in self.nodes:
            merged.setdefault((re.sub(r"-\d+$", "", node.name), node.kind, layers[node.id]), []).append(node)
        stands_for: dict[int, int] = {}
        nodes = []
        for (name, kind, _), group in merged.items():
            counts = [node.count for node in group]
            total = None if None in counts else sum(count or 0 for count in counts)
            whole = len(group) == 1
            nodes.append(Node(id=group[0].id, name=group[0].name if whole else name, kind=kind, count=total))
            stands_for.update((node.id, group[0].id) for node in group)
        edges = tuple((stands_for[a], stands_for[b]) for a, b in self.edges)
        return FlowGraph(self.name, tuple(nodes), edges, kind=self.kind)

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for Markdown."""
        lines = ["flowchart LR"]
        for node in self.nodes:
            before, after = ("[[", "]]") if node.kind == "flow" else ("[", "]")
            lines.append(f'    n{node.id}{before}"{_mermaid(node.label)}"{after}')
        lines.extend(f"    n{source} --> n{target}" for source, target in self.edges)
        return "\n".join(lines) + "\n"

    def to_svg(self) -> str:
        """Return the graph as a picture, from left to right.

        Of a large graph that of `collapsed`, of a very large one its beginning.
        """
        shown = _drawable(self)
        plan = _Layout(shown)
        title = html.escape(_clean(f"Graph of the {self.kind} {self.name}"))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{plan.width:g}" height="{plan.height:g}" '
            f'viewBox="0 0 {plan.width:g} {plan.height:g}" style="max-width:100%" '
            f'font-family="system-ui,sans-serif" font-size="{_FONT}">',
            f"<title>{title}</title>",
        ]
        parts.extend(_line(plan.route(edge), shown.notes.get(edge, "")) for edge in shown.edges)
        parts.extend(_box(node, *plan.box(node.id)) for node in shown.nodes)
        return "".join((*parts, "</svg>"))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the graph to a file, as its ending says: ``.svg``, or ``.mmd`` for Mermaid. Return the path.

        Raises `InvalidRequest` for another ending and `OSError` where the file can't be written.
        """
        file = Path(path)
        text = {".svg": self.to_svg, ".mmd": self.to_mermaid}.get(file.suffix.lower())
        if text is None:
            raise InvalidRequest("path", os.fspath(path), "end it with .svg or .mmd (Mermaid)")
        file.write_text(text(), encoding="utf-8")
        return file


def _drawable(graph: FlowGraph) -> FlowGraph:
    """Return as much of the graph as a picture can show."""
    if len(graph.nodes) > _MOST:
        graph = graph.collapsed()
    nodes, edges = graph.nodes, graph.edges
    left = len(nodes) - _MOST_BOXES
    if left > 0:
        nodes = (*nodes[:_MOST_BOXES], Node(id=nodes[-1].id + 1, name=f"… and {left:,} more"))
        known = {node.id for node in nodes}
        edges = tuple((a, b) for a, b in edges if a in known and b in known)
    if len(edges) > _MOST_EDGES:
        edges = _without_shortcuts(nodes, edges)
    return FlowGraph(graph.name, nodes, edges, notes=graph.notes, kind=graph.kind)


def _without_shortcuts(nodes: tuple[Node, ...], edges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return the edges whose ends no longer way connects."""
    after: dict[int, list[int]] = {}
    for source, target in edges:
        after.setdefault(source, []).append(target)
    bit = {node.id: 1 << number for number, node in enumerate(nodes)}
    # What can be reached from each node, as a set of bits.
    reached: dict[int, int] = {}
    kept = []
    for node in sorted(bit, reverse=True):
        covered = 0
        # The nearest first: ids grow along every way.
        for target in sorted(after.get(node, ())):
            if not covered & bit[target]:
                kept.append((node, target))
                covered |= reached[target] | bit[target]
        reached[node] = covered
    return tuple(kept)


def _layers(graph: FlowGraph) -> dict[int, int]:
    """Return how many edges the longest way to each node has."""
    into: dict[int, list[int]] = {}
    for source, target in graph.edges:
        into.setdefault(target, []).append(source)
    layers: dict[int, int] = {}
    # What a call takes was there before it, so nodes come after their sources.
    for node in sorted(graph.nodes, key=lambda node: node.id):
        layers[node.id] = 1 + max((layers[source] for source in into.get(node.id, ())), default=-1)
    return layers


class _Layout:
    """Where things are drawn: nodes in columns by layer, ordered so that few lines cross.

    A line over several columns has a place of its own in each, a bend, so that it does not run behind boxes.
    """

    def __init__(self, graph: FlowGraph) -> None:
        layers = _layers(graph)
        self._bends: dict[tuple[int, int], list[int]] = {}
        self._widths = {node.id: _width(node.label) for node in graph.nodes}
        columns: list[list[int]] = [[] for _ in range(1 + max(layers.values(), default=-1))]
        for node in graph.nodes:
            columns[layers[node.id]].append(node.id)
        before: dict[int, list[int]] = {}
        after: dict[int, list[int]] = {}
        bend = 0
        bends = sum(layers[target] - layers[source] - 1 for source, target in graph.edges) <= _MOST_BENDS
        for edge in graph.edges:
            way = [edge[0]]
            for layer in range(layers[edge[0]] + 1, layers[edge[1]]) if bends else ():
                bend -= 1
                columns[layer].append(bend)
                way.append(bend)
            way.append(edge[1])
            self._bends[edge] = way
            for one, other in pairwise(way):
                after.setdefault(one, []).append(other)
                before.setdefault(other, []).append(one)
        _order(columns, before, after)
        self._place(columns)

    def _place(self, columns: list[list[int]]) -> None:
        # A bend needs less room than a box.
        heights = [[_HEIGHT if item >= 0 else _ROW_GAP for item in column] for column in columns]
        totals = [sum(column) + _ROW_GAP * (len(column) - 1) for column in heights]
        tallest = max(totals, default=0)
        self.height = tallest + 2 * _MARGIN
        self._spots: dict[int, tuple[float, float, float]] = {}
        x = float(_MARGIN)
        for column, tall, total in zip(columns, heights, totals, strict=True):
            width = max((self._widths.get(item, 0.0) for item in column), default=0.0)
            y = _MARGIN + (tallest - total) / 2
            for item, height in zip(column, tall, strict=True):
                self._spots[item] = (x, y + height / 2, width)
                y += height + _ROW_GAP
            x += width + _COLUMN_GAP
        self.width = max(x - _COLUMN_GAP + _MARGIN, 2.0 * _MARGIN)

    def box(self, node: int) -> tuple[float, float, float]:
        """Return a node's left side, its middle's height, and its width."""
        x, y, _ = self._spots[node]
        return x, y, self._widths[node]

    def route(self, edge: tuple[int, int]) -> list[tuple[float, float]]:
        """Return the points that a line goes through, in pairs: it is level between those of a pair."""
        points = []
        for item in self._bends[edge]:
            x, y, width = self._spots[item]
            points += [(x, y), (x + self._widths.get(item, width), y)]
        return points[1:-1]


def _order(columns: list[list[int]], before: dict[int, list[int]], after: dict[int, list[int]]) -> None:
    """Sort each column by the mean place of its items' neighbours, to and fro."""
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        neighbours = before if forth else after
        ordered = columns if forth else columns[::-1]
        for fixed, column in pairwise(ordered):
            place = {item: number for number, item in enumerate(fixed)}
            own = {item: number for number, item in enumerate(column)}
            keys = {}
            for item in column:
                near = [place[other] for other in neighbours.get(item, ()) if other in place]
                keys[item] = sum(near) / len(near) if near else float(own[item])
            column.sort(key=lambda item: keys[item])


def _look(state: str) -> tuple[str, str]:
    return _STATES.get(state.lower(), _OTHER_STATE)


def _line(points: list[tuple[float, float]], note: str) -> str:
    x, y = points[0]
    path = f"M{x:g},{y:g}"
    for (x1, y1), (x2, y2) in pairwise(points):
        middle = (x1 + x2) / 2
        path += f"H{x2:g}" if y1 == y2 else f"C{middle:g},{y1:g} {middle:g},{y2:g} {x2:g},{y2:g}"
    x, y = points[-1]
    head = f"M{x - 6:g},{y - 4:g}L{x:g},{y:g}L{x - 6:g},{y + 4:g}"
    line = f'<path d="{path}{head}" fill="none" stroke="{_LINE}" stroke-width="1.5"'
    return f"{line}><title>{html.escape(_clean(note))}</title></path>" if note else f"{line}/>"


def _box(node: Node, x: float, y: float, width: float) -> str:
    label = _clean(node.label)
    colour = _look(node.state)[1] if node.state is not None else _FILL.get(node.kind, _FILL["task"])
    round_ = 4 if node.kind == "flow" else _HEIGHT // 2
    box = (
        f'<rect x="{x:g}" y="{y - _HEIGHT / 2:g}" width="{width:g}" height="{_HEIGHT}" rx="{round_}" fill="{colour}"/>'
    )
    inner = (
        f'<rect x="{x + 3:g}" y="{y - _HEIGHT / 2 + 3:g}" width="{width - 6:g}" height="{_HEIGHT - 6}" rx="2" '
        'fill="none" stroke="#fff" stroke-opacity="0.6"/>'
        if node.kind == "flow"
        else ""
    )
    text = (
        f'<text x="{x + width / 2:g}" y="{y + _FONT / 3:g}" text-anchor="middle" fill="#fff">'
        f"{html.escape(_cut(label))}</text>"
    )
    title = f"{node.kind} {label}" if node.state is None else f"{node.kind} {_clean(node.name)}: {_clean(node.state)}"
    return f"<g><title>{html.escape(title)}</title>{box}{inner}{text}</g>"


def _clean(text: str) -> str:
    """Return the text on one line, without what XML has no place for."""
    return "".join(" " if c in "\t\r\n" else "\ufffd" if not c.isprintable() and _is_forbidden(c) else c for c in text)


def _is_forbidden(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cs") or c in "\ufffe\uffff"


def _columns(text: str) -> int:
    """Return how many narrow characters a text takes the room of."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _cut(text: str) -> str:
    """Return the text, without its middle where it is long: calls of one task differ at the end."""
    if _columns(text) <= _LONGEST:
        return text
    end, begin = text[-_TAIL:], text[: _LONGEST - _TAIL]
    while _columns(begin) + _columns(end) >= _LONGEST:
        begin = begin[:-1]
    return f"{begin}…{end}"


def _width(label: str) -> float:
    return _CHARACTER * _columns(_cut(_clean(label))) + 2 * _PADDING


def _mermaid(text: str) -> str:
    """Return a text for Mermaid's quotes, where ``#34;`` is a character by its number."""
    return re.sub(r"[^\w .,:;/()×?-]", lambda found: f"#{ord(found[0])};", _clean(text))
