"""A whole tree in one answer: what a run's page begins with."""

from __future__ import annotations

from jupyter_wf.core.events import StateChanged
from tests.server.harness import Seed, Server


def test_a_tree_in_one_answer(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING", name="report")
    first = seed.run(kind="task", name="load", parent=root)
    inner = seed.run("RUNNING", name="clean", parent=root)
    leaf = seed.run("FAILED", kind="task", name="drop", parent=inner, root=root, upstream=f'["{first}"]')
    stranger = seed.run(kind="task", name="other")
    seed.log(leaf, "no rows", level=40)
    seed.flush()
    newest = seed.store.last_seq()
    tree = server.get(f"runs/{root}/tree")
    assert tree["reset"] is True and tree["live"] is True and tree["seq"] == newest
    assert tree["run"] == server.get(f"runs/{root}")
    assert [(made[0], made[1], made[2], made[4], made[8]) for made in tree["made"]] == [
        (0, first, -1, "task", []),
        (1, inner, -1, "flow", []),
        (2, leaf, 1, "task", [first]),
    ]
    assert stranger not in str(tree)
    rows = {row[0]: row for row in tree["changed"]}
    assert {index: row[1] for index, row in rows.items()} == {
        -1: "RUNNING",
        0: "COMPLETED",
        1: "RUNNING",
        2: "FAILED",
    }
    assert rows[1][8] == {"total": 1, "done": 1, "counts": {"FAILED": 1}}
    assert rows[2][6] == "no rows"
    ((seq, _, index, level, message),) = tree["lines"]
    assert (index, level, message) == (2, 40, "no rows") and 0 < seq <= newest
    assert tree["dropped"] == 0


def test_what_follows_the_tree_comes_by_the_stream(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING")
    seq = server.get(f"runs/{root}/tree")["seq"]
    child = seed.run("RUNNING", kind="task", parent=root)
    assert {event.run_id for event in seed.store.events(after=seq)} == {child}


def test_a_part_of_a_tree_begins_at_any_run(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING")
    inner = seed.run("RUNNING", parent=root)
    leaf = seed.run(kind="task", parent=inner, root=root)
    seed.run(kind="task", parent=root)
    tree = server.get(f"runs/{inner[:18]}/tree")
    assert tree["run"]["id"] == inner
    assert [(made[1], made[2]) for made in tree["made"]] == [(leaf, -1)]


def test_attempts_and_waiting_are_told(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING")
    task = seed.run("RUNNING", kind="task", parent=root, max_attempts=2)
    journal = seed.store.journal()
    at = seed.store.get_run(task).state.at
    for passed, attempt, state, name in (
        (1, 1, "SCHEDULED", "AwaitingRetry"),
        (3, 2, "RUNNING", "Running"),
        (4, 2, "COMPLETED", "Completed"),
    ):
        journal.append(StateChanged(task, at + passed, attempt, state, name))
    journal.flush(10)
    tree = server.get(f"runs/{root}/tree")
    spans = next(row[4] for row in tree["changed"] if row[0] == 0)
    told = [spans[place : place + 4] for place in range(0, len(spans), 4)]
    assert [(kind, attempt) for kind, attempt, _, _ in told if kind == "run"] == [("run", 1), ("run", 2)]
    assert [round(end - start) for kind, _, start, end in told if kind == "run"] == [1000, 1000]
    assert any(kind == "wait" and round(end - start) == 2000 for kind, _, start, end in told)


def test_an_unknown_run_is_404(server: Server) -> None:
    answer = server.fetch("GET", "runs/00000000-0000-7000-8000-000000000000/tree")
    assert answer.status == 404 and answer.json["error"] == "RunNotFound"


def test_older_lines_are_counted_as_dropped(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING")
    for number in range(1003):
        seed.log(root, f"line {number}")
    seed.flush()
    tree = server.get(f"runs/{root}/tree")
    assert [tree["lines"][0][4], tree["lines"][-1][4]] == ["line 3", "line 1002"]
    assert tree["dropped"] == 1
