"""What a run leaves for its next attempt, and who may begin that: kept values, suspension, taking over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.core.errors import InvalidRequest, RunFinished, RunNotFound
from jupyter_wf.core.events import Kept, ResultStored, RunCreated, RunKept, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import Earlier, RunFilter, StoredResult
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from tests.contracts.processes import child, dead_process, foreign_process
from tests.contracts.stores import Maker

KEPT = Kept("json", b"41", "0123456789abcdef", '{"x": 1}')
LARGE = Kept("pickle", bytes(range(256)) * 256, None, None)


@pytest.fixture(params=[False, True], ids=["one batch", "two batches"])
def flushed(request: pytest.FixtureRequest) -> bool:
    """Whether what is stored first is committed before what follows."""
    return bool(request.param)


@pytest.fixture
def doomed(store: Store) -> Maker:
    """Makes runs of a process that is dead already."""
    return Maker(store, dead_process())


def suspended(maker: Maker) -> str:
    run_id = maker.run("RUNNING")
    maker.state(run_id, "PAUSED", "Suspended", message="until somebody looks")
    return run_id


# -- what is kept ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [KEPT, LARGE, Kept("json", b"null"), Kept("file:pickle", b"")])
def test_a_completed_run_keeps_its_value(store: Store, maker: Maker, kept: Kept, flushed: bool) -> None:
    run_id = maker.run("RUNNING")
    if flushed:
        maker.journal.flush(10)
    maker.state(run_id, "COMPLETED", kept=kept)
    expected = StoredResult(
        run_id=run_id,
        format=kept.format,
        data=kept.data,
        code=kept.code,
        inputs=kept.inputs,
        at=store.get_run(run_id).ended_at,
    )
    assert store.run_result(run_id) == expected


def test_what_a_run_keeps_may_be_said_after_its_end(store: Store, maker: Maker, flushed: bool) -> None:
    run_id, other = maker.run("COMPLETED"), maker.run("RUNNING")
    if flushed:
        maker.journal.flush(10)
    assert store.run_result(run_id) is None
    seq = store.last_seq()
    for attempt, late in ((1, run_id), (2, run_id), (1, other), (1, "unknown")):
        kept = KEPT if attempt == 1 else LARGE
        maker.journal.append(RunKept(late, 9.0, attempt, kept))
    found = store.run_result(run_id)
    assert found is not None and (found.format, found.data) == (KEPT.format, KEPT.data)
    assert store.run_result(other) is None
    assert store.last_seq() == seq
    maker.state(run_id, "RUNNING", "Retrying", attempt=2)
    maker.journal.append(RunKept(run_id, 9.0, 1, KEPT))
    maker.state(run_id, "COMPLETED", attempt=2)
    assert store.run_result(run_id) is None


def test_runs_that_keep_nothing(store: Store, maker: Maker) -> None:
    assert [store.run_result(maker.run(state)) for state in ("RUNNING", "COMPLETED", "FAILED")] == [None] * 3
    failed = maker.run("RUNNING")
    maker.state(failed, "FAILED", kept=KEPT)
    assert store.run_result(failed) is None
    for unknown in ("unknown", "\0", "\ud800", "x" * 5000):
        with pytest.raises(RunNotFound):
            store.run_result(unknown)


def test_a_new_attempt_forgets_what_was_kept(store: Store, maker: Maker, flushed: bool) -> None:
    parent = maker.run("RUNNING")
    run_id = maker.run("RUNNING", parent=parent)
    maker.state(run_id, "COMPLETED", kept=KEPT)
    if flushed:
        maker.journal.flush(10)
    maker.state(run_id, "RUNNING", "Retrying", attempt=2)
    assert store.run_result(run_id) is None
    (left,) = store.earlier(parent)
    assert (left.attempt, left.format, left.data, left.code, left.inputs) == (2, None, None, None, None)
    maker.state(run_id, "COMPLETED", attempt=2)
    assert store.run_result(run_id) is None


def test_a_refused_state_keeps_nothing(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.state(run_id, "COMPLETED", kept=KEPT)
    maker.state(run_id, "COMPLETED", kept=LARGE)
    found = store.run_result(run_id)
    assert found is not None and found.data == KEPT.data


def test_what_is_kept_may_hold_any_text(store: Store, maker: Maker) -> None:
    parent = maker.run("RUNNING")
    run_id = maker.run("RUNNING", parent=parent, call_number=3)
    maker.state(run_id, "COMPLETED", kept=Kept("json", b"\0\xff", "\0\ud800", '{"x": "\ud800"}'))
    bad = [maker.run("RUNNING", parent=parent) for _ in range(2)]
    maker.state(bad[0], "COMPLETED", kept=Kept("json", 3))  # type: ignore[arg-type]
    maker.state(bad[1], "COMPLETED", kept=Kept("json", b"", 5))  # type: ignore[arg-type]
    huge = new_id()
    maker.journal.append(
        RunCreated(huge, 1.0, "task", "x", None, None, parent, parent, None, call_number=10**30),
    )
    last = maker.run("RUNNING", parent=parent)
    assert [each.id for each in store.earlier(parent)] == [run_id, *bad, last]
    (first, *rest) = store.earlier(parent)
    assert (first.data, first.call_number, first.inputs) == (b"\0\xff", 3, '{"x": "\\\\ud800"}')
    assert [each.state.type for each in rest] == ["RUNNING"] * 3
    assert [each.format for each in rest] == [None] * 3


def test_the_children_of_an_earlier_attempt(store: Store, maker: Maker, doomed: Maker) -> None:
    flow = maker.run("RUNNING")
    first = maker.run("RUNNING", parent=flow, task_name="load", call_number=0, parameters='{"x": 1}', name="load-0")
    done = maker.state(first, "COMPLETED", kept=KEPT, message="all's well")
    second = maker.run("FAILED", parent=flow, task_name="load", call_number=1)
    below = maker.run("COMPLETED", parent=flow, kind="flow", flow_name="inner", call_number=0)
    maker.run("COMPLETED", parent=below)
    lost = doomed.run("RUNNING", parent=flow, at=maker.tick())
    earlier = store.earlier(flow)
    assert [each.id for each in earlier] == [first, second, below, lost]
    state = earlier[0].state
    assert earlier[0] == Earlier(
        id=first,
        kind="task",
        name="load-0",
        flow_name=None,
        task_name="load",
        call_number=0,
        attempt=1,
        state=state,
        parameters='{"x": 1}',
        code=KEPT.code,
        inputs=KEPT.inputs,
        format="json",
        data=b"41",
    )
    assert (state.type, state.name, state.message, state.at) == ("COMPLETED", "Completed", "all's well", done)
    assert (earlier[1].call_number, earlier[1].data, earlier[1].state.type) == (1, None, "FAILED")
    assert (earlier[2].kind, earlier[2].flow_name, earlier[2].task_name) == ("flow", "inner", None)
    # As everywhere: the run of a dead process is shown CRASHED.
    assert (earlier[3].state.name, earlier[3].call_number) == ("Crashed", None)
    assert earlier[3].state == store.get_run(lost).state
    for nobody in (first, "unknown", "\0", "\ud800"):
        assert store.earlier(nobody) == []


def test_the_last_result_of_a_task(store: Store, maker: Maker) -> None:
    run_id = maker.run()
    append = maker.journal.append
    append(ResultStored(run_id, 5.0, "k", 6.0, "json", b"1", "load", "c1", '{"x": 1}'))
    append(ResultStored(run_id, 9.0, "m", None, "json", b"2", "other"))
    append(ResultStored(run_id, 4.0, "n", None, "json", b"3", "load"))
    append(ResultStored(run_id, 9.0, "o", None, "json", b"4"))
    found = StoredResult(run_id=run_id, format="json", data=b"1", expires_at=6.0, code="c1", inputs='{"x": 1}', at=5.0)
    assert store.last_result("load") == found
    assert store.find_result("k", 5.5) == found
    assert store.last_result("unknown") is None and store.last_result("\ud800\0") is None
    append(ResultStored(run_id, 5.0, "p", None, "json", b"5", "load"))
    newest = store.last_result("load")
    assert newest is not None and newest.data == b"5"
    append(ResultStored(run_id, 1.0, "q", None, "json", b"6", "\ud800\0"))
    odd = store.last_result("\ud800\0")
    assert odd is not None and odd.data == b"6"


# -- suspended runs ----------------------------------------------------------------------------------------------


def test_a_suspended_run_has_no_owner(store: Store, maker: Maker, flushed: bool) -> None:
    run_id = maker.run("RUNNING")
    if flushed:
        maker.journal.flush(10)
    maker.state(run_id, "PAUSED", "Suspended")
    run = store.get_run(run_id)
    assert (run.state.type, run.state.name, run.process_id, run.ended_at) == ("PAUSED", "Suspended", None, None)
    assert run.can_retry is False
    # Its owner of before has no say any more.
    maker.state(run_id, "RUNNING", "Resumed")
    maker.state(run_id, "CRASHED")
    assert store.get_run(run_id) == run


def test_a_paused_run_keeps_its_owner(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.state(run_id, "PAUSED")
    assert store.get_run(run_id).process_id == maker.process.id
    maker.state(run_id, "RUNNING", "Resumed")
    assert store.get_run(run_id).state.name == "Resumed"


def test_a_suspended_run_outlives_its_process(store: Store, doomed: Maker) -> None:
    run_id = suspended(doomed)
    lost = doomed.run("RUNNING")
    other = doomed.run("RUNNING")
    inner = doomed.run("RUNNING", parent=other)
    doomed.state(inner, "PAUSED", "Suspended")
    assert store.get_run(run_id).state.name == "Suspended"
    assert {run.id for run in store.list_runs(RunFilter(states=("suspended",))).items} == {run_id, inner}
    assert {run.id for run in store.list_runs(RunFilter(states=("PAUSED",), roots_only=True)).items} == {run_id}
    assert set(store.reap(doomed.tick())) == {lost, other}
    assert [store.get_run(each).state.name for each in (run_id, inner)] == ["Suspended", "Suspended"]


def test_anybody_may_cancel_a_suspended_run(store: Store, doomed: Maker, opened: Callable[[], Store]) -> None:
    run_id = suspended(doomed)
    waiting = doomed.run("PENDING", parent=run_id, owned=False)
    doomed.journal.flush(10)
    request = opened().request(run_id, "cancel")
    assert request.outcome is not None
    run = store.get_run(run_id)
    assert (run.state.name, run.state.message) == ("Cancelled", "cancelled while it was suspended")
    assert store.get_run(waiting).state.name == "Cancelled"
    assert store.requests() == []


# -- asking to pause and to resume -------------------------------------------------------------------------------


def test_asking_to_pause_and_to_resume(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    with pytest.raises(RunFinished, match="only a run that is paused"):
        store.request(run_id, "resume")
    pause = store.request(run_id, "pause")
    assert (pause.kind, pause.outcome, pause.payload) == ("pause", None, None)
    maker.state(run_id, "PAUSED")
    with pytest.raises(RunFinished, match="Paused"):
        store.request(run_id, "pause")
    resume = store.request(run_id, "resume", '{"ok": "\ud800", "n": [1, null]}')
    assert resume.payload == '{"ok": "\\ud800", "n": [1, null]}'
    assert store.request(run_id, "resume", "2") == resume
    assert store.requests(process_id=maker.process.id) == [pause, resume]
    told = [event.payload["kind"] for event in store.events(after=0) if event.kind == "request"]
    assert told == ["pause", "resume"]


@pytest.mark.parametrize("state", ["PENDING", "SCHEDULED", "COMPLETED", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("asked", ["pause", "resume"])
def test_what_does_not_run_is_neither_paused_nor_resumed(store: Store, maker: Maker, state: str, asked: str) -> None:
    with pytest.raises(RunFinished, match=state.capitalize()):
        store.request(maker.run(state), asked)  # type: ignore[arg-type]


def test_nobody_is_there_to_pause_or_resume(store: Store, maker: Maker, doomed: Maker) -> None:
    with pytest.raises(RunFinished, match="take it over"):
        store.request(suspended(maker), "resume", "1")
    with pytest.raises(RunFinished, match="only a run that a process is executing"):
        store.request(maker.run("RUNNING", owned=False), "pause")
    lost = doomed.run("RUNNING")
    for kind in ("pause", "resume"):
        with pytest.raises(RunFinished, match="Crashed"):
            store.request(lost, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", ["", "{", "NaN", "'x'", "[" * 100_000, "1" * 5000, '"\0"', 3, b"1", {}])
def test_a_payload_is_json(store: Store, maker: Maker, payload: str) -> None:
    run_id = maker.run("RUNNING")
    maker.state(run_id, "PAUSED")
    with pytest.raises(InvalidRequest, match="payload"):
        store.request(run_id, "resume", payload)
    assert store.requests() == []


# -- taking over -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["FAILED", "CRASHED", "CANCELLED"])
def test_the_next_attempt_of_an_ended_run(store: Store, maker: Maker, state: str) -> None:
    run_id = maker.run("RUNNING")
    maker.state(run_id, state, error='{"type": "E", "message": "m"}', message="why", kept=KEPT)
    me = this_process("runner")
    store.register(me)
    run = store.take_over(run_id, me.id)
    assert run == store.get_run(run_id)
    assert (run.attempt, run.process_id) == (2, me.id)
    assert (run.state.type, run.state.name, run.state.message) == ("SCHEDULED", "Resuming", None)
    assert (run.error, run.started_at, run.ended_at) == (None, None, None)
    last = store.states(run_id)[-1].payload
    assert (last["type"], last["name"], last["attempt"]) == ("SCHEDULED", "Resuming", 2)
    assert store.run_result(run_id) is None
    # Whatever the owner of before still writes is of an attempt that is over.
    maker.state(run_id, "COMPLETED")
    assert store.get_run(run_id) == run
    mine = Maker(store, me)
    mine.state(run_id, "RUNNING", attempt=2)
    assert store.get_run(run_id).state.type == "RUNNING"
    with pytest.raises(RunFinished, match="a process has it"):
        store.take_over(run_id, maker.process.id)
    with pytest.raises(RunFinished, match="a process has it"):
        store.take_over(run_id, me.id)


def test_who_may_not_take_over(store: Store, maker: Maker) -> None:
    me = maker.process.id
    with pytest.raises(RunNotFound):
        store.take_over("unknown", me)
    with pytest.raises(RunNotFound):
        store.take_over("\ud800\0", me)
    failed = maker.run("FAILED")
    for stranger in ("nobody", "\ud800", 3):
        with pytest.raises(InvalidRequest, match="register"):
            store.take_over(failed, stranger)  # type: ignore[arg-type]
    with pytest.raises(RunFinished, match="Completed"):
        store.take_over(maker.run("COMPLETED"), me)
    for state in ("RUNNING", "PAUSED", "PENDING", "CANCELLING"):
        with pytest.raises(RunFinished, match="a process has it"):
            store.take_over(maker.run(state), me)
    # Whether a process of another host lives can't be told from here.
    with pytest.raises(RunFinished, match="a process has it"):
        store.take_over(Maker(store, foreign_process()).run("RUNNING"), me)
    assert store.get_run(failed).attempt == 1


def test_its_owner_has_been_asked_to_retry_it(store: Store, maker: Maker) -> None:
    run_id = maker.run("FAILED")
    request = store.request(run_id, "retry")
    with pytest.raises(RunFinished, match="asked to retry"):
        store.take_over(run_id, maker.process.id)
    store.answer(request.id, "no")
    assert store.take_over(run_id, maker.process.id).attempt == 2


def test_the_same_process_may_ask_again(store: Store, maker: Maker) -> None:
    run_id = maker.run("FAILED")
    me, other = this_process("runner"), this_process("runner")
    store.register(me)
    store.register(other)
    assert store.take_over(run_id, me.id).attempt == 2
    with pytest.raises(RunFinished, match="Resuming"):
        store.take_over(run_id, other.id)
    assert store.take_over(run_id, me.id).attempt == 3


def test_a_run_that_waits_for_an_owner(store: Store, maker: Maker) -> None:
    for state in ("SCHEDULED", "PENDING"):
        run = store.take_over(maker.run(state, owned=False), maker.process.id)
        assert (run.attempt, run.state.name, run.process_id) == (2, "Resuming", maker.process.id)
    with pytest.raises(RunFinished):
        store.take_over(maker.run("RUNNING", owned=False), maker.process.id)


def test_a_suspended_run_goes_on_elsewhere(store: Store, doomed: Maker, maker: Maker) -> None:
    run_id = suspended(doomed)
    done = doomed.run("RUNNING", parent=run_id)
    doomed.state(done, "COMPLETED", kept=KEPT)
    inner = doomed.run("RUNNING", parent=run_id)
    doomed.state(inner, "PAUSED", "Suspended")
    forgotten = doomed.run("RUNNING", parent=run_id)
    run = store.take_over(run_id, maker.process.id)
    assert (run.attempt, run.state.name, run.process_id) == (2, "Resuming", maker.process.id)
    assert [each.payload["name"] for each in store.states(run_id)] == ["Pending", "Running", "Suspended", "Resuming"]
    assert [(each.id, each.state.name) for each in store.earlier(run_id)] == [
        (done, "Completed"),
        (inner, "Suspended"),
        (forgotten, "Crashed"),
    ]
    kept = store.run_result(done)
    assert kept is not None and kept.data == b"41"
    assert store.take_over(inner, maker.process.id).attempt == 2


def test_a_dead_owners_run_is_closed_first(store: Store, doomed: Maker, maker: Maker) -> None:
    run_id = doomed.run("RUNNING")
    task = doomed.run("RUNNING", parent=run_id)
    below = doomed.run("PENDING", parent=task, owned=False)
    done = doomed.run("COMPLETED", parent=run_id)
    living = maker.run("RUNNING", parent=run_id)
    shown = store.get_run(run_id).state
    run = store.take_over(run_id, maker.process.id)
    assert (run.attempt, run.state.name) == (2, "Resuming")
    names = [each.payload["name"] for each in store.states(run_id)]
    assert names == ["Pending", "Running", "Crashed", "Resuming"]
    crashed = store.states(run_id)[2]
    assert (crashed.payload["message"], crashed.payload["attempt"]) == (shown.message, 1)
    found = store.get_runs([task, below, done, living])
    assert [each.state.name for each in found.values()] == ["Crashed", "Crashed", "Completed", "Running"]
    assert store.reap(maker.tick()) == []


def test_a_child_is_resumed_with_the_run_above_it(store: Store, doomed: Maker, maker: Maker) -> None:
    flow = doomed.run("RUNNING")
    inner = doomed.run("FAILED", parent=flow, kind="flow")
    with pytest.raises(RunFinished, match="which called it, is Crashed"):
        store.take_over(inner, maker.process.id)
    store.take_over(flow, maker.process.id)
    assert store.take_over(inner, maker.process.id).attempt == 2
    ended = maker.run("RUNNING")
    last = maker.run("FAILED", parent=ended)
    maker.state(ended, "COMPLETED")
    with pytest.raises(RunFinished, match="which called it, is Completed"):
        store.take_over(last, maker.process.id)


def test_requests_to_the_attempt_before(store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    cancel, pause = store.request(run_id, "cancel"), store.request(run_id, "pause")
    maker.state(run_id, "PAUSED", "Suspended")
    other = this_process("runner")
    store.register(other)
    store.take_over(run_id, other.id)
    # Who asked to cancel it is heard by its new owner; that it is to pause was said to the one before.
    assert store.requests(process_id=other.id) == [cancel]
    store.answer(pause.id, "too late")
    ended = maker.run("RUNNING")
    store.request(ended, "cancel")
    maker.state(ended, "FAILED")
    store.take_over(ended, other.id)
    assert store.requests() == [cancel]


def test_one_thread_of_many_takes_over(maker: Maker, opened: Callable[[], Store]) -> None:
    runs = [maker.run("FAILED") for _ in range(10)] + [suspended(maker) for _ in range(10)]
    maker.journal.flush(10)
    winners: list[tuple[str, str]] = []
    start = threading.Barrier(4)

    def work(store: Store) -> None:
        me = this_process("runner")
        store.register(me)
        start.wait(10)
        for run_id in runs:
            try:
                store.take_over(run_id, me.id)
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
    found = {run_id: store.get_run(run_id) for run_id in runs}
    assert all(found[run_id].process_id == owner for run_id, owner in winners)
    assert {run.attempt for run in found.values()} == {2}


def test_one_process_of_two_takes_over_what_a_killed_one_left(
    kind: str, wf_home: Path, store: Store, opened: Callable[[], Store]
) -> None:
    with child(kind, wf_home) as victim:
        flow, *tasks = victim.ask("begin", 3)
        assert store.get_run(flow).state.type == "RUNNING"
        victim.kill()
    with child(kind, wf_home) as first, child(kind, wf_home) as second:
        rivals = {rival.info["process_id"]: rival for rival in (first, second)}
        for rival in rivals.values():
            rival.tell("take_over", flow)
        answers = {name: rival.read() for name, rival in rivals.items()}
        (winner,) = [name for name, answer in answers.items() if answer == [2, "Resuming"]]
        (loser,) = set(answers) - {winner}
        assert "a process has it" in answers[loser]
        run = opened().get_run(flow)
        assert (run.process_id, run.state.name, run.attempt) == (winner, "Resuming", 2)
        # By a store that has known the victim alive: what it left open is closed for everybody, not only shown so.
        assert [each.payload["name"] for each in store.states(flow)] == ["Pending", "Running", "Crashed", "Resuming"]
        assert [each.state.name for each in store.earlier(flow)] == ["Crashed"] * len(tasks)
        assert {store.states(task)[-1].payload["name"] for task in tasks} == {"Crashed"}


def test_a_process_that_was_seen_alive_just_now_may_be_dead(kind: str, wf_home: Path, store: Store) -> None:
    me = this_process("runner")
    store.register(me)
    with child(kind, wf_home) as victim:
        flow, *_ = victim.ask("begin", 1)
        with pytest.raises(RunFinished):
            store.take_over(flow, me.id)
        assert store.get_run(flow).state.type == "RUNNING"
        victim.kill()
        assert store.take_over(flow, me.id).attempt == 2


def test_an_entry_says_what_it_keeps_by_name() -> None:
    """What is written most often is written by position: the order is part of the contract."""
    assert StateChanged._fields[-1] == "kept" and RunCreated._fields[-1] == "call_number"
    assert Kept._fields == ("format", "data", "code", "inputs")
