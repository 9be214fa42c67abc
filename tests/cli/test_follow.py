"""The board of what `jupyter wf run` shows."""

from __future__ import annotations

from jupyter_wf import flow, runtime, task
from jupyter_wf.cli.follow import Board
from jupyter_wf.engine.runtime import current_runtime
from tests.contracts.scheduling import a_deployment


def test_a_run_below_another_one_is_followed_with_what_is_below_it() -> None:
    @task
    def work() -> None:
        pass

    @flow
    def inner() -> str:
        work()
        return str(runtime.flow_run.id)

    @flow
    def outer() -> str:
        work()
        return inner()

    store = current_runtime().store
    board = Board(outer())
    # What becomes of deployments is told in the same stream, and is about no run.
    store.deployments.save(a_deployment())
    events = store.events(after=0, limit=1000)
    assert "" in {event.run_id for event in events}
    seen = board.take(store, events)
    assert board.ended
    assert [(run.kind, run.parent_id) for run in board.rows()] == [("task", board.root_id)]
    assert {event.run_id for event in seen} == set(board.runs)
