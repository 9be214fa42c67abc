"""The queue: who may have which run, in which order, how many at once; and what becomes of it when somebody dies."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jupyter_wf.core.deployments import Claimed, Policies, Pool
from jupyter_wf.core.errors import InvalidRequest, RunFinished, RunNotFound
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.models import RunFilter
from jupyter_wf.core.scheduling_errors import LeaseLost
from jupyter_wf.core.states import StateType
from jupyter_wf.store.base import Store
from tests.contracts.processes import dead_process, foreign_process
from tests.contracts.scheduling import T, a_deployment, claim, names, registered, submit


@pytest.fixture
def agent(store: Store) -> str:
    """An agent's process."""
    return registered(store)


def taken(store: Store, agent: str, runner: str, **fields: Any) -> str:
    """Put a run into the queue, have the agent claim it and a runner begin it."""
    run_id = submit(store, **fields)
    assert claim(store, agent, pools=[fields.get("pool", "default")]) == [run_id]
    attempt = store.queue.take(run_id, 1, agent, runner).attempt
    store.journal().append(StateChanged(run_id, T + 1, attempt, "RUNNING", "Running"))
    return run_id


def end(store: Store, run_id: str, type_: str = "FAILED", *, attempt: int = 1) -> None:
    store.journal().append(StateChanged(run_id, T + 2, attempt, type_, type_.capitalize()))
    store.journal().flush()


def test_a_submitted_run_waits(store: Store, opened: Callable[[], Store]) -> None:
    deployment = store.deployments.save(a_deployment())
    run_id = submit(
        store, run_id="0" * 36, parameters={"token": "t", "n": 1}, tags=("a",), deployment_id=deployment.id,
        policies=Policies(retries=3), priority=100, group_id="g", slot=T,
    )  # fmt: skip
    assert run_id == "0" * 36
    run, queued = opened().get_run(run_id), store.queue.get(run_id)
    assert (run.state.name, run.parameters, run.tags, run.max_attempts) == (
        "Scheduled", {"token": "***", "n": 1}, ("a",), 4,
    )  # fmt: skip
    assert run.source["deployment"] == "sales/daily" and run.source["group_id"] == "g"
    assert queued is not None and (queued.parameters, queued.priority) == ({"token": "t", "n": 1}, 100)
    assert (queued.agent_id, queued.lease_until, queued.settled) == (None, None, False)
    assert store.queue.waiting(deployment_id=deployment.id) == store.queue.waiting(pool="default") == [queued]
    assert store.queue.waiting(pool="big") == [] and store.queue.get("nothing") is None
    assert store.queue.runs_of(deployment.id, group_id="g") == [run_id]
    assert store.queue.runs_of(deployment.id, group_id="h") == []
    assert [each.id for each in store.list_runs(RunFilter(deployment=deployment.id)).items] == [run_id]
    assert store.list_runs(RunFilter(deployment="other")).items == ()
    with pytest.raises(InvalidRequest, match="with this id already"):
        submit(store, run_id=run_id)
    for wrong in (
        {"parameters": {"a": {1}}},
        {"pool": ""},
        {"run_id": "a\0"},
        {"due_at": 1e15},
        {"slot": float("nan")},
    ):
        with pytest.raises(InvalidRequest):
            submit(store, **wrong)


def test_a_claim_gives_a_run_to_one_agent(store: Store, opened: Callable[[], Store], agent: str) -> None:
    run_id = submit(store, parameters={"password": "x"})
    other = opened()
    rival = registered(other)
    (given,) = store.queue.claim(["default"], agent, now=T + 1, lease=30)
    assert given == Claimed(queued=store.queue.get(run_id) or given.queued, attempt=1, resume=False)
    assert (given.queued.agent_id, given.queued.lease_until) == (agent, T + 31)
    assert given.queued.parameters == {"password": "x"}
    assert names(store, run_id) == ["Scheduled", "Pending"] and store.get_run(run_id).state.at == T + 1
    assert claim(other, rival, now=T + 2) == [] and store.queue.waiting() == []
    with pytest.raises(InvalidRequest, match="register"):
        submit(store)
        claim(store, "nobody")


def test_every_run_is_claimed_once(store: Store, opened: Callable[[], Store]) -> None:
    ids = {submit(store) for _ in range(40)}
    stores = [store, opened(), opened()]

    def work(mine: Store) -> list[str]:
        agent, got = registered(mine), []
        while found := claim(mine, agent, limit=2):
            got += found
        return got

    with ThreadPoolExecutor(3) as pool:
        claimed = [run_id for got in pool.map(work, stores) for run_id in got]
    assert len(claimed) == 40 and set(claimed) == ids


def test_higher_priority_goes_first_then_what_is_due_longer(store: Store, agent: str) -> None:
    a, b, c = submit(store, due_at=T - 1), submit(store, due_at=T - 2), submit(store, due_at=T - 2)
    d = submit(store, due_at=T, priority=5, pool="big")
    later, e = submit(store, due_at=T + 1, priority=9), submit(store, priority=-1, due_at=T - 9)
    assert [each.run_id for each in store.queue.waiting()] == [later, d, b, c, a, e]
    pools = ["default", "big", "default", "none"]
    assert claim(store, agent, pools=pools, limit=3) == [d, b, c]
    assert claim(store, agent, pools=pools, limit=9) == [a, e]
    assert claim(store, agent, pools=pools, now=T + 1) == [later]
    assert claim(store, agent, pools=[]) == [] and claim(store, agent, limit=0) == []


def test_pools_have_limits_and_can_be_paused(store: Store, agent: str) -> None:
    small = store.queue.set_pool(Pool(name="small", limit=2, description="d"))
    assert small == Pool(name="small", limit=2, description="d")
    ids = [submit(store, pool="small") for _ in range(4)]
    pools = ["small"]
    assert claim(store, agent, pools=pools, limit=9) == ids[:2]
    assert claim(store, agent, pools=pools) == []
    store.queue.take(ids[0], 1, agent, agent)
    assert claim(store, agent, pools=pools) == [], "what a runner has still needs its place"
    end(store, ids[0])
    assert claim(store, agent, pools=pools) == [ids[2]], "an end makes room, settled or not"
    store.queue.set_pool(Pool(name="small", paused=True))
    assert claim(store, agent, pools=pools) == []
    assert store.queue.next_due(pools) == T + 60, "the lease of what no runner has taken"
    assert store.queue.remove_pool("small") and not store.queue.remove_pool("small")
    assert claim(store, agent, pools=pools) == [ids[3]]
    for wrong in ({"name": ""}, {"name": "a", "limit": -1}):
        with pytest.raises(InvalidRequest):
            store.queue.set_pool(Pool(**wrong))


def test_pools_are_those_that_anything_names(store: Store, agent: str) -> None:
    store.queue.set_pool(Pool(name="made", limit=1))
    store.deployments.save(a_deployment(pool="deployed"))
    for due_at in (1.0, 2.0):
        submit(store, pool="run", due_at=due_at)
    claim(store, agent, pools=["run"])
    later = submit(store, pool="later", due_at=4e9)
    assert store.queue.pools() == [
        Pool(name="deployed"), Pool(name="later"), Pool(name="made", limit=1), Pool(name="run", waiting=1, running=1),
    ]  # fmt: skip
    store.request(later, "cancel")
    assert [each.name for each in store.queue.pools()] == ["deployed", "made", "run"]


@pytest.mark.parametrize(
    ("policies", "at_once"),
    [
        ({}, 1),
        ({"concurrency_limit": 2}, 2),
        ({"overlap": "cancel_running", "concurrency_limit": 2}, 2),
        ({"overlap": "skip"}, 1),
        ({"concurrency_limit": None}, 3),
        ({"overlap": "allow"}, 3),
    ],
    ids=str,
)
def test_a_deployment_has_so_many_places(store: Store, agent: str, policies: dict[str, Any], at_once: int) -> None:
    deployment = store.deployments.save(a_deployment(**policies))
    ids = [submit(store, deployment_id=deployment.id) for _ in range(3)]
    alone = submit(store, due_at=T, now=T)
    assert claim(store, agent, limit=9) == [*ids[:at_once], alone]
    # The limit is that of the deployment as it is now.
    store.deployments.save(a_deployment(overlap="allow"))
    assert claim(store, agent, limit=9) == ids[at_once:]


def test_a_limited_tag_has_so_many_places(store: Store, agent: str) -> None:
    store.limits.set("tag:db", 2)
    store.limits.set("tag:off", 0, active=False)
    store.limits.set("db", 0)
    ids = [submit(store, tags=("db", "off")) for _ in range(3)]
    free = submit(store, tags=("other",))
    assert claim(store, agent, limit=9) == [*ids[:2], free]
    assert store.queue.next_due(["default"]) == T + 60, "the lease of what no runner has taken"
    store.queue.take(ids[0], 1, agent, agent)
    end(store, ids[0])
    # A task elsewhere holds a slot of it; one of a dead process counts for nothing.
    assert store.limits.take("lease", ["tag:db"], 1, process_id=registered(store)) is None
    assert claim(store, agent) == []
    store.limits.release("lease")
    assert store.limits.take("lease", ["tag:db"], 1, process_id=registered(store, foreign_process())) is None
    assert claim(store, agent) == []
    store.limits.release("lease")
    assert store.limits.take("dead", ["tag:db"], 1, process_id=registered(store, dead_process())) is None
    assert claim(store, agent) == [ids[2]]


def test_what_an_agent_had_that_is_gone_waits_again(store: Store, opened: Callable[[], Store], agent: str) -> None:
    dead = registered(store, dead_process())
    begun, claimed = submit(store), submit(store)
    assert claim(store, dead, limit=2, lease=1000) == [begun, claimed]
    store.queue.take(begun, 1, dead, registered(store))
    assert claim(opened(), agent, now=T + 1, limit=9) == [claimed], "a runner that lives keeps its run"
    assert names(store, claimed) == ["Scheduled", "Pending", "Scheduled", "Pending"]
    assert [event.payload["message"] for event in store.states(claimed)][2] == "waits again: its agent is gone"


def test_what_an_agent_has_that_is_silent_waits_again(store: Store, agent: str) -> None:
    far = registered(store, foreign_process())
    run_id, begun = submit(store), submit(store)
    assert claim(store, far, limit=2, lease=10) == [run_id, begun]
    store.queue.take(begun, 1, far, far)
    assert store.queue.extend([run_id, begun, "x"], far, until=T + 20) == [run_id, begun]
    assert claim(store, agent, now=T + 19) == []
    assert store.queue.next_due(["default"]) == T + 20
    assert claim(store, agent, now=T + 20, limit=9) == [run_id]
    assert store.queue.extend([run_id, begun], far, until=T + 99) == [begun], "that one it must stop"
    with pytest.raises(LeaseLost, match="another has it"):
        store.queue.take(run_id, 1, far, far)
    assert store.queue.take(run_id, 1, agent, agent).process_id == agent


def test_only_the_runner_of_its_agent_takes_a_run(store: Store, agent: str) -> None:
    other, runner = registered(store), registered(store)
    run_id = submit(store)
    for held in ((1, agent), (2, agent)):
        with pytest.raises(LeaseLost):
            store.queue.take(run_id, *held, runner)
    claim(store, agent)
    for *held, why in ((2, agent, "not 2"), (0, agent, "not 0"), (1, other, "has lost it")):
        with pytest.raises(LeaseLost, match=str(why)):
            store.queue.take(run_id, *held, runner)
    for outside in (store.claim, store.take_over):
        with pytest.raises(LeaseLost, match="only an agent"):
            outside(run_id, runner)
    with pytest.raises(InvalidRequest):
        store.queue.take(run_id, 1, agent, "nobody")
    with pytest.raises(RunNotFound):
        store.queue.take("nothing", 1, agent, runner)
    run = store.queue.take(run_id, 1, agent, runner)
    assert (run.id, run.process_id, run.state.name, run.attempt) == (run_id, runner, "Pending", 1)
    assert store.queue.take(run_id, 1, agent, runner).process_id == runner, "an interrupt may have hidden the answer"
    with pytest.raises(RunFinished, match="another runner"):
        store.queue.take(run_id, 1, agent, other)
    store.journal().append(RunCreated("free", T, "flow", "a", None, None, None, "free", None))
    store.journal().append(StateChanged("free", T, 1, "PENDING", "Pending"))
    with pytest.raises(LeaseLost, match="in no queue"):
        store.queue.take("free", 1, agent, runner)
    assert store.claim("free", runner).process_id == runner


def test_a_claimed_run_is_given_back(store: Store, agent: str) -> None:
    run_id, begun = submit(store), submit(store)
    with pytest.raises(LeaseLost):
        store.queue.give_back(run_id, agent)
    claim(store, agent, limit=2)
    store.queue.take(begun, 1, agent, agent)
    for theirs, whose in ((run_id, registered(store)), (begun, agent), ("nothing", agent)):
        with pytest.raises(LeaseLost):
            store.queue.give_back(theirs, whose)
    store.queue.give_back(run_id, agent)
    assert names(store, run_id) == ["Scheduled", "Pending", "Scheduled"]
    assert claim(store, registered(store), limit=9) == [run_id]
    with pytest.raises(LeaseLost):
        store.queue.take(run_id, 1, agent, agent)


def test_what_is_cancelled_leaves_the_queue(store: Store, agent: str) -> None:
    waiting, claimed, running = submit(store), submit(store, due_at=T - 1), submit(store, due_at=T - 2)
    assert claim(store, agent, limit=2) == [running, claimed]
    store.queue.take(running, 1, agent, agent)
    for run_id in (waiting, claimed, running):
        store.request(run_id, "cancel")
    assert store.queue.waiting() == [] and claim(store, agent, limit=9, now=T + 999) == []
    assert [each.run_id for each in store.queue.unsettled()] == [waiting, claimed]
    assert [each.run_id for each in store.requests()] == [running], "its owner is asked"
    with pytest.raises(RunFinished):
        store.queue.take(claimed, 1, agent, registered(store))


def test_the_end_is_settled_once(store: Store, opened: Callable[[], Store], agent: str) -> None:
    run_id = taken(store, agent, agent)
    assert store.queue.unsettled() == [] and not store.queue.settle(run_id, 1), "it has not ended"
    end(store, run_id)
    (ended,) = opened().queue.unsettled()
    assert ended.run_id == run_id and not ended.settled
    assert not store.queue.settle(run_id, 2) and not store.queue.settle("nothing", 1)
    assert store.queue.settle(run_id, 1) and not opened().queue.settle(run_id, 1)
    assert store.queue.unsettled() == []
    settled = store.queue.get(run_id)
    assert settled is not None and settled.settled


def test_a_crash_is_settled_after_it_was_reaped(store: Store, agent: str) -> None:
    deployment = store.deployments.save(a_deployment())
    run_id = taken(store, agent, registered(store, dead_process()), deployment_id=deployment.id)
    next_one = submit(store, deployment_id=deployment.id)
    assert claim(store, agent) == [next_one], "the dead need no place"
    assert store.queue.unsettled() == []
    assert store.reap(T + 9) == [run_id]
    assert [each.run_id for each in store.queue.unsettled()] == [run_id]


def test_the_next_attempt_waits(store: Store, agent: str) -> None:
    run_id = taken(store, agent, agent, parameters={"n": 1})
    assert not store.queue.retry(run_id, 1, due_at=T + 5, message="again"), "it has not ended"
    end(store, run_id)
    assert not store.queue.retry(run_id, 2, due_at=T + 5, message="again")
    assert not store.queue.retry("nothing", 1, due_at=T + 5, message="again")
    assert store.queue.retry(run_id, 1, due_at=T + 5, message="in 5 s")
    assert not store.queue.retry(run_id, 1, due_at=T + 5, message="in 5 s"), "once"
    assert store.queue.settle(run_id, 1) is False, "the retry has settled it"
    run = store.get_run(run_id)
    assert (run.attempt, run.state.type, run.state.name, run.state.message) == (
        2, StateType.SCHEDULED, "AwaitingRetry", "in 5 s",
    )  # fmt: skip
    assert (run.process_id, run.ended_at, run.started_at, run.error) == (None, None, None, None)
    assert store.queue.unsettled() == [] and claim(store, agent, now=T + 4.9) == []
    assert store.queue.next_due(["default"]) == T + 5
    (given,) = store.queue.claim(["default"], agent, now=T + 5, lease=9)
    assert (given.attempt, given.resume, given.queued.parameters) == (2, True, {"n": 1})
    with pytest.raises(LeaseLost):
        store.queue.take(run_id, 1, agent, agent)
    runner = registered(store)
    run = store.queue.take(run_id, 2, agent, runner)
    assert (run.attempt, run.state.name, run.process_id) == (2, "Resuming", runner)
    # The fence of the journal: what a runner of the first attempt still says is refused.
    store.journal().append(StateChanged(run_id, T + 7, 1, "COMPLETED", "Completed"))
    store.journal().append(StateChanged(run_id, T + 8, 2, "RUNNING", "Running"))
    end(store, run_id, "COMPLETED", attempt=2)
    assert store.get_run(run_id).state.is_completed() and store.get_run(run_id).attempt == 2
    assert not store.queue.retry(run_id, 2, due_at=T, message="again"), "it completed"
    assert store.queue.settle(run_id, 2)


def test_a_retry_closes_what_the_dead_have_left_open(store: Store, agent: str) -> None:
    dead = registered(store, dead_process())
    run_id = taken(store, agent, dead)
    journal = store.journal()
    journal.append(RunCreated("child", T, "task", "t", None, "t", run_id, run_id, dead))
    journal.append(StateChanged("child", T, 1, "RUNNING", "Running"))
    end(store, run_id)
    assert store.queue.retry(run_id, 1, due_at=T, message="again")
    assert names(store, "child") == ["Running", "Crashed"]


def test_a_run_goes_on_outside_of_the_queue(store: Store, agent: str) -> None:
    run_id = taken(store, agent, agent)
    end(store, run_id)
    assert store.queue.settle(run_id, 1)
    mine = registered(store)
    assert store.take_over(run_id, mine).attempt == 2
    assert claim(store, agent, now=T + 999) == [] and store.queue.extend([run_id], agent, until=T + 9) == []
    assert not store.queue.settle(run_id, 2)
    end(store, run_id, "COMPLETED", attempt=2)
    assert [each.run_id for each in store.queue.unsettled()] == [run_id], "and its end is settled too"
    assert store.queue.settle(run_id, 2)


def test_a_suspended_run_needs_no_place_and_is_not_given_away(store: Store, agent: str) -> None:
    deployment = store.deployments.save(a_deployment())
    run_id = taken(store, agent, agent, deployment_id=deployment.id)
    store.journal().append(StateChanged(run_id, T + 2, 1, "PAUSED", "Suspended"))
    store.journal().flush()
    assert store.get_run(run_id).process_id is None
    other = submit(store, deployment_id=deployment.id)
    assert claim(store, agent, now=T + 999, limit=9) == [other]
    assert store.queue.unsettled() == [] and store.slots.mark_late(T + 999, 0) == []


def test_the_queue_survives_a_restart(store: Store, opened: Callable[[], Store], agent: str) -> None:
    waiting, running = submit(store, due_at=T + 1), submit(store)
    assert claim(store, agent) == [running]
    store.queue.take(running, 1, agent, agent)
    before = store.queue.get(running), store.queue.get(waiting)
    store.close()
    later = opened()
    assert (later.queue.get(running), later.queue.get(waiting)) == before
    assert later.queue.extend([running], agent, until=T + 99) == [running]
    assert claim(later, agent, now=T + 2, limit=9) == [waiting]


def test_the_next_due_run(store: Store, agent: str) -> None:
    assert store.queue.next_due(["default"]) is None
    submit(store, due_at=T + 9)
    submit(store, due_at=T + 7, priority=-1)
    submit(store, due_at=T + 5, pool="big")
    assert store.queue.next_due(["default"]) == T + 7
    assert store.queue.next_due(["big", "default"]) == T + 5 and store.queue.next_due([]) is None
    deployment = store.deployments.save(a_deployment())
    for due in (T, T + 1):
        submit(store, due_at=due, deployment_id=deployment.id)
    assert store.queue.next_due(["default"]) == T
    run_id = claim(store, agent, now=T)[0]
    store.queue.take(run_id, 1, agent, agent)
    assert store.queue.next_due(["default"]) == T + 7, "its deployment has no free place"
