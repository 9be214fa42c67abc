"""Who asks and who owns: requests, answers, claims and the reaper."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from jupyter_wf.core.errors import InvalidRequest, RunFinished, RunNotFound
from jupyter_wf.core.models import Progress, RunFilter
from jupyter_wf.core.processes import Request
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from tests.contracts.processes import dead_process, foreign_process
from tests.contracts.stores import Maker


@pytest.fixture
def doomed(store: Store) -> Maker:
    """Makes runs of a process that is dead already."""
    return Maker(store, dead_process())


def test_a_request_waits_for_its_answer(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    run_id, other = maker.run(), maker.run()
    client = opened()
    maker.journal.flush(10)
    request = client.request(run_id, "cancel")
    assert (request.run_id, request.kind, request.outcome) == (run_id, "cancel", None)
    assert client.request(run_id, "cancel") == request
    second = client.request(other, "cancel")
    assert store.requests() == [request, second]
    assert store.requests(after=request.id) == [second]
    assert store.requests(process_id=maker.process.id) == [request, second]
    assert store.requests(process_id="somebody else") == []
    assert client.get_request(request.id) == request
    store.answer(request.id, "cancelled")
    store.answer(request.id, "again")
    assert client.get_request(request.id).outcome == "cancelled"
    assert store.requests() == [second]
    assert client.request(run_id, "cancel").id > second.id
    with pytest.raises(InvalidRequest):
        store.answer(12345, "done")
    with pytest.raises(InvalidRequest):
        store.get_request(12345)


def test_asking_for_nonsense(store: Store, maker: Maker) -> None:
    run_id = maker.run()
    with pytest.raises(InvalidRequest):
        store.request(run_id, "explode")  # type: ignore[arg-type]
    with pytest.raises(RunNotFound):
        store.request("unknown", "cancel")


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])
def test_nothing_is_left_to_cancel(store: Store, maker: Maker, state: str) -> None:
    run_id = maker.run(state)
    with pytest.raises(RunFinished) as caught:
        store.request(run_id, "cancel")
    assert caught.value.state == state.capitalize()
    assert store.requests() == []


def test_a_run_that_nobody_owns_is_cancelled_at_once(store: Store, maker: Maker) -> None:
    run_id = maker.run("SCHEDULED", owned=False)
    child = maker.run("PENDING", parent=run_id, owned=False)
    grandchild = maker.run("RUNNING", parent=child)
    done = maker.run("COMPLETED", parent=run_id, owned=False)
    never = maker.run("PENDING", parent=run_id, owned=False)
    maker.state(never, "PENDING", "NotReady")
    request = store.request(run_id, "cancel")
    assert request.outcome is not None
    runs = store.get_runs([run_id, child, grandchild, done, never])
    assert [runs[each].state.name for each in runs] == ["Cancelled", "Cancelled", "Running", "Completed", "NotReady"]
    assert runs[run_id].ended_at is not None
    assert [event.payload["type"] for event in store.states(child)][-1] == "CANCELLED"
    # The one that lives is asked; it is not taken from its owner.
    assert [(each.run_id, each.kind) for each in store.requests()] == [(grandchild, "cancel")]
    with pytest.raises(RunFinished):
        store.request(run_id, "cancel")
    # Whoever thought it was his own hears nothing, but changes nothing either.
    maker.state(run_id, "RUNNING")
    assert store.get_run(run_id).state.type == "CANCELLED"


def test_a_run_shown_as_crashed_cannot_be_cancelled(store: Store, doomed: Maker) -> None:
    run_id = doomed.run("RUNNING")
    with pytest.raises(RunFinished, match="Crashed"):
        store.request(run_id, "cancel")


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "CRASHED"])
def test_what_failed_can_be_retried_by_its_owner(store: Store, maker: Maker, state: str) -> None:
    run_id = maker.run(state)
    request = store.request(run_id, "retry")
    assert (request.kind, request.outcome) == ("retry", None)
    assert store.request(run_id, "retry") == request
    assert store.requests(process_id=maker.process.id) == [request]


def test_a_run_that_waits_for_its_next_attempt_can_be_retried_now(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.state(run_id, "SCHEDULED", "AwaitingRetry")
    assert store.request(run_id, "retry").outcome is None


@pytest.mark.parametrize("state", ["COMPLETED", "RUNNING", "PENDING"])
def test_what_did_not_fail_cannot_be_retried(store: Store, maker: Maker, state: str) -> None:
    with pytest.raises(RunFinished, match=state.capitalize()):
        store.request(maker.run(state), "retry")


@pytest.mark.parametrize("state", ["FAILED", "RUNNING"])
def test_nobody_can_retry_for_a_dead_process(store: Store, doomed: Maker, state: str) -> None:
    with pytest.raises(RunFinished, match="is gone"):
        store.request(doomed.run(state), "retry")


def test_a_claim_makes_an_owner(store: Store, maker: Maker) -> None:
    run_id = maker.run("SCHEDULED", owned=False)
    agent, late = this_process("runner"), this_process("runner")
    with pytest.raises(InvalidRequest):
        store.claim(run_id, agent.id)
    store.register(agent)
    store.register(agent)
    store.register(late)
    run = store.claim(run_id, agent.id)
    assert (run.id, run.process_id) == (run_id, agent.id)
    assert store.claim(run_id, agent.id) == run
    with pytest.raises(RunFinished, match="claimed"):
        store.claim(run_id, late.id)
    assert store.get_run(run_id).process_id == agent.id
    with pytest.raises(RunNotFound):
        store.claim("unknown", agent.id)
    cancelled = maker.run("PENDING", owned=False)
    store.request(cancelled, "cancel")
    with pytest.raises(RunFinished, match="Cancelled"):
        store.claim(cancelled, late.id)


def test_one_of_many_gets_the_claim(maker: Maker, opened: Callable[[], Store]) -> None:
    runs = [maker.run("SCHEDULED", owned=False) for _ in range(20)]
    maker.journal.flush(10)
    winners: list[tuple[str, str]] = []
    start = threading.Barrier(4)

    def work(store: Store) -> None:
        me = this_process("runner")
        store.register(me)
        start.wait(10)
        for run_id in runs:
            try:
                store.claim(run_id, me.id)
            except RunFinished:
                continue
            winners.append((run_id, me.id))

    threads = [threading.Thread(target=work, args=(opened(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(run_id for run_id, _ in winners) == sorted(runs)
    store = opened()
    assert all(store.get_run(run_id).process_id == owner for run_id, owner in winners)


def test_a_hundred_cancels_are_one_request(maker: Maker, opened: Callable[[], Store]) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    made: list[Request] = []
    stores = [opened() for _ in range(3)]

    def work(store: Store) -> None:
        made.extend(store.request(run_id, "cancel") for _ in range(33))

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 99 and len({request.id for request in made}) == 1
    assert len([event for event in stores[0].events(after=0) if event.kind == "request"]) == 1


def test_a_dead_process_is_seen_everywhere(store: Store, maker: Maker, doomed: Maker) -> None:
    flow = doomed.run("RUNNING", expected=3)
    task = doomed.run("RUNNING", parent=flow)
    done = doomed.run("COMPLETED", parent=flow)
    never = doomed.run("PENDING", parent=flow)
    doomed.state(never, "PENDING", "NotReady")
    living = maker.run("RUNNING", parent=flow)
    nobodys = maker.run("PENDING", parent=flow, owned=False)
    last = store.events(after=0)[-1]
    before = last.seq
    run = store.get_run(flow)
    assert (run.state.type, run.state.name) == ("CRASHED", "Crashed")
    assert run.state.message == f"the process that ran it (pid {doomed.process.pid}) is gone"
    assert run.started_at is not None and run.state.at == run.ended_at
    assert run.started_at <= run.ended_at <= last.at
    assert run.progress == Progress(total=5, done=3, counts={"CRASHED": 1, "COMPLETED": 1, "RUNNING": 1, "PENDING": 2})
    found = {each: state.state.name for each, state in store.get_runs([task, done, never, living, nobodys]).items()}
    assert list(found.values()) == ["Crashed", "Completed", "NotReady", "Running", "Pending"]

    def ids(*states: str) -> set[str]:
        return {each.id for each in store.list_runs(RunFilter(states=states)).items}

    assert ids("CRASHED") == ids("crashed") == {flow, task}
    assert ids("RUNNING") == {living}
    assert ids("Pending") == {never, nobodys}
    # Reading changed nothing.
    assert store.last_seq() == before


def test_the_reaper_makes_it_so(store: Store, maker: Maker, doomed: Maker, opened: Callable[[], Store]) -> None:
    flow = doomed.run("RUNNING")
    task = doomed.run("RUNNING", parent=flow)
    done = doomed.run("COMPLETED", parent=flow)
    orphan = maker.run("PENDING", parent=task, owned=False)
    living = maker.run("RUNNING", parent=flow)
    apart = maker.run("PENDING", owned=False)
    maker.journal.flush(10)
    other = opened()
    shown = other.get_run(flow).state
    now = 2_000_000_000.0
    assert set(other.reap(now)) == {flow, task, orphan}
    assert other.reap(now) == []
    runs = store.get_runs([flow, task, done, orphan, living, apart])
    assert [run.state.type for run in runs.values()] == [
        "CRASHED",
        "CRASHED",
        "COMPLETED",
        "CRASHED",
        "RUNNING",
        "PENDING",
    ]
    assert runs[flow].state == shown and runs[flow].ended_at == shown.at <= now
    assert [event.payload["name"] for event in store.states(task)] == ["Pending", "Running", "Crashed"]
    assert store.states(flow)[-1].payload["message"] == shown.message
    # A finished run has no open child that the same process owned.
    doomed.state(flow, "COMPLETED")
    assert store.get_run(flow).state.type == "CRASHED"


def test_the_reaper_answers_what_nobody_will(store: Store, maker: Maker) -> None:
    agent = this_process("runner")
    store.register(agent)
    run_id = maker.run("PENDING", owned=False)
    maker.journal.flush(10)
    gone = Maker(store, dead_process())
    lost = gone.run("RUNNING")
    # Asked while it lived: written by hand, because the store would refuse it now.
    store.claim(run_id, agent.id)
    kept = store.request(run_id, "cancel")
    assert store.reap(maker.tick()) == [lost]
    assert store.requests() == [kept]


def test_who_cannot_be_judged_is_left_alone(store: Store) -> None:
    foreign = Maker(store, foreign_process())
    run_id = foreign.run("RUNNING")
    assert store.get_run(run_id).state.type == "RUNNING"
    assert store.reap(foreign.tick()) == []
    assert store.request(run_id, "cancel").outcome is None


def test_a_retry_is_offered_where_somebody_is_there_to_make_it(store: Store, maker: Maker) -> None:
    failed = maker.run("FAILED")
    waiting = maker.run("RUNNING", parent=maker.run("RUNNING"))
    maker.state(waiting, "SCHEDULED", "AwaitingRetry")
    offered = {failed, waiting, maker.run("CANCELLED")}
    others = {maker.run("COMPLETED"), maker.run("RUNNING"), maker.run("FAILED", parent=maker.run("RUNNING"))}
    others.add(Maker(store, dead_process()).run("FAILED"))
    runs = store.get_runs(offered | others)
    assert {run_id for run_id, run in runs.items() if run.can_retry} == offered
    for run_id in offered:
        assert store.request(run_id, "retry").kind == "retry"
