"""From what happens to what is delivered: nothing twice, nothing lost, whatever is down or restarted meanwhile."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.automations import Action, Automation, Delivery, Filters, Occasion
from jupyter_wf.core.deployments import Deployment, Policies, QueuedRun
from jupyter_wf.core.events import Kept
from jupyter_wf.core.secrets import forget_secrets
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.actions import Actions
from jupyter_wf.services.automations import Watcher, on_settled
from jupyter_wf.services.outbox import GIVE_UP_AFTER, Deliverer, pause_after
from jupyter_wf.services.settling import settle_ended
from jupyter_wf.services.targets import Allowed
from jupyter_wf.services.testing_automations import try_automation
from jupyter_wf.services.triggers import add_trigger, arrived
from jupyter_wf.services.webhooks import signature
from jupyter_wf.store.base import Store
from jupyter_wf.store.sqlite import open_store
from tests.contracts.stores import Maker
from tests.services.sinks import OK, Sink, sink

CANARY = "canary-c0ffee"
FLOW = """
from jupyter_wf import flow

@flow
def etl(n: int = 0, result: object = None, body: object = None, password: str = ""):
    return n
"""


class World:
    """A state file, its deployments, a watcher and a deliverer under a clock that the test moves."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.settings = Settings(home=home)
        self.folder = folder
        (folder / "flows.py").write_text(FLOW)
        self.now = 1_800_000_000.0
        self.open()
        self.maker = Maker(self.store)
        self.maker.tick = lambda: self.now  # type: ignore[method-assign]

    def open(self) -> None:
        self.store: Store = open_store(self.settings)
        self.watcher = Watcher(self.store)
        actions = Actions(self.store, self.settings, clock=lambda: self.now, allowed=lambda: Allowed(["127.0.0.1"]))
        self.deliverer = Deliverer(self.store, actions.perform, chance=lambda: 0.5)

    def close(self) -> None:
        self.deliverer.close()
        self.store.close()

    def restart(self) -> None:
        """Be killed and begin again: nothing is written down at the end."""
        self.close()
        self.open()
        self.maker = Maker(self.store)
        self.maker.tick = lambda: self.now  # type: ignore[method-assign]

    def deployment(self, name: str = "daily", **policies: Any) -> Deployment:
        return self.store.deployments.save(
            Deployment(
                id="",
                name=name,
                flow_name="etl",
                kind="flow",
                target=f"{self.folder / 'flows.py'}:etl",
                parameters={},
                policies=Policies(**policies),
                tags=("db",),
                created_at=self.now,
            )
        )

    def run(self, deployment: Deployment, *states: str, seconds: float = 1.0, attempt: int = 1) -> str:
        """Have a run of the deployment queued, claimed and executed through ``states``."""
        queued = QueuedRun(
            run_id="",
            kind="flow",
            target=deployment.target,
            parameters={},
            policies=deployment.policies,
            due_at=self.now,
            deployment_id=deployment.id,
            tags=deployment.tags,
        )
        source = {"deployment": deployment.address, "deployment_id": deployment.id}
        run_id = self.store.queue.submit(queued, name="one", flow_name="etl", now=self.now, source=source)
        self.execute(run_id, *states, seconds=seconds)
        return run_id

    def execute(self, run_id: str, *states: str, seconds: float = 1.0, attempt: int = 1) -> None:
        if not states:
            return
        claimed = self.store.queue.claim(["default"], self.maker.process.id, now=self.now, lease=60)
        assert [each.queued.run_id for each in claimed] == [run_id]
        self.store.queue.take(run_id, attempt, self.maker.process.id, self.maker.process.id)
        self.maker.state(run_id, "RUNNING", attempt=attempt)
        for state in states:
            self.now += seconds
            self.maker.state(run_id, state, attempt=attempt, message=f"it is {state.lower()}")
        self.store.journal().flush(10)

    def automate(self, *actions: Action, when: tuple[str, ...] = ("FAILED",), **fields: Any) -> Automation:
        name = fields.pop("name", f"automation {len(self.store.automations.list())}")
        return self.store.automations.save(Automation(name=name, when=when, actions=actions, **fields), self.now)

    def look(self) -> None:
        while self.watcher.look(self.now):
            pass

    def deliver(self) -> float | None:
        """Deliver what is due, all of it; return when something is due next."""
        soonest = self.deliverer.step(self.now)
        while soonest is not None and soonest <= self.now:
            soonest = self.deliverer.step(self.now)
        return soonest

    def put_in(self) -> list[str]:
        return [each.key for each in self.store.outbox.list(limit=1000)]


@pytest.fixture
def world(wf_home: Path, tmp_path: Path) -> Iterator[World]:
    with closing(World(wf_home, tmp_path)) as found:
        found.look()
        yield found
    forget_secrets()


@pytest.fixture
def listening() -> Iterator[Sink]:
    with sink() as found:
        yield found


NOTIFY = Action(type="send-notification", options={})


def hook(sink_: Sink, **options: Any) -> Action:
    return Action(type="call-webhook", options={"url": sink_.url(f"/{CANARY}"), **options})


# -- what follows ------------------------------------------------------------------------------------------------


def test_a_state_of_a_run_is_told_once(world: World) -> None:
    automation = world.automate(NOTIFY, when=("COMPLETED",))
    run = world.run(world.deployment(), "COMPLETED")
    world.look()
    world.look()
    assert world.put_in() == [f"{automation.id}:{automation.actions[0].id}:{run}:1:Completed"]
    world.deliver()
    (told,) = world.store.notifications.list()
    assert (told.title, told.level, told.run_id) == ("etl/daily: Completed", "success", run)
    assert told.message == "it is completed (one)"
    world.restart()
    world.look()
    assert len(world.put_in()) == 1 and world.deliver() is None


def test_what_was_before_anybody_watched_is_nobodys_business(wf_home: Path, tmp_path: Path) -> None:
    with closing(World(wf_home, tmp_path)) as world:
        automation = world.automate(NOTIFY, when=("COMPLETED",))
        deployment = world.deployment()
        world.run(deployment, "COMPLETED")
        world.look()
        assert world.put_in() == []
        run = world.run(deployment, "COMPLETED")
        world.look()
        assert [run in key and automation.id in key for key in world.put_in()] == [True]


def test_nothing_is_lost_while_nobody_watches(world: World) -> None:
    world.automate(NOTIFY, when=("COMPLETED",))
    deployment = world.deployment()
    world.close()
    world.open()
    world.maker = Maker(world.store)
    runs = [world.run(deployment, "COMPLETED") for _ in range(3)]
    world.look()
    assert [any(run in key for key in world.put_in()) for run in runs] == [True] * 3


def test_an_automation_knows_nothing_of_what_was_before_it(world: World) -> None:
    deployment = world.deployment()
    world.run(deployment, "COMPLETED")
    world.now += 10
    world.automate(NOTIFY, when=("COMPLETED",))
    world.look()
    assert world.put_in() == []


def test_two_watchers_do_no_harm(world: World) -> None:
    world.automate(NOTIFY, when=("COMPLETED", "RUNNING"))
    with closing(open_store(world.settings)) as other:
        second = Watcher(other)
        second.look(world.now)
        world.run(world.deployment(), "COMPLETED")
        world.look()
        while second.look(world.now):
            pass
    assert len(world.put_in()) == 2


def test_a_failure_is_told_when_no_attempt_follows(world: World) -> None:
    world.automate(NOTIFY, when=("FAILED",))
    deployment = world.deployment(retries=1)
    run = world.run(deployment, "FAILED")
    world.look()
    assert settle_ended(world.store, world.settings, world.now) == 1
    world.look()
    assert world.put_in() == []
    world.execute(run, "FAILED", attempt=2)
    world.look()
    assert world.put_in() == []
    assert settle_ended(world.store, world.settings, world.now) == 1
    world.look()
    assert [key.endswith(f"{run}:2:Failed") for key in world.put_in()] == [True]
    found = world.store.get_run(run)
    queued = world.store.queue.get(run)
    assert queued is not None and on_settled(world.store, found, queued, world.now) == []


def test_runs_that_no_agent_executes_are_told_at_once(world: World) -> None:
    world.automate(NOTIFY, when=("FAILED",), filters=Filters(flows=("by-hand",)))
    world.maker.run("FAILED", flow_name="by-hand")
    world.maker.run("FAILED", flow_name="other")
    world.look()
    assert len(world.put_in()) == 1


def test_a_deployment_that_pauses_itself_says_so(world: World) -> None:
    automation = world.automate(NOTIFY, when=("deployment-paused",))
    deployment = world.deployment(max_consecutive_failures=2)
    for _ in range(2):
        world.run(deployment, "FAILED")
        settle_ended(world.store, world.settings, world.now)
    world.now += 1
    world.look()
    assert world.store.deployments.get(deployment.id).paused
    assert [key.startswith(automation.id) for key in world.put_in()] == [True]
    (told,) = world.store.notifications.list()
    assert told.title == "etl/daily was paused" and "2 runs have failed in a row" in told.message
    assert told.level == "warning" and told.deployment_id == deployment.id


def test_who_pauses_by_hand_is_not_told(world: World) -> None:
    deployment = world.deployment(max_consecutive_failures=2)
    world.store.deployments.pause(deployment.id, "holidays", world.now)
    world.look()
    assert world.store.notifications.list() == []


# -- lateness and silence ----------------------------------------------------------------------------------------


def test_a_deadline_alerts_once(world: World) -> None:
    automation = world.automate(NOTIFY, when=("deadline",))
    run = world.run(world.deployment(deadline=600))
    begun = world.now
    assert world.watcher.look_for_silence(world.now) == begun + 30
    world.now = begun + 590
    assert world.watcher.look_for_silence(world.now) == begun + 600
    assert world.put_in() == []
    world.now = begun + 600
    world.watcher.look_for_silence(world.now)
    world.watcher.look_for_silence(world.now + 1)
    world.restart()
    world.watcher.look_for_silence(world.now + 2)
    assert world.put_in() == [f"{automation.id}:{automation.actions[0].id}:{run}:deadline"]
    (told,) = world.store.notifications.list()
    assert (told.title, told.message) == ("etl/daily is late", "has not ended 10 min 00 s after it was due")


def test_a_run_that_takes_longer_than_usual_is_late(world: World) -> None:
    deployment = world.deployment(deadline_factor=2.0)
    world.run(deployment, "COMPLETED", seconds=10)
    world.run(deployment, "COMPLETED", seconds=20)
    world.run(deployment, "RUNNING", seconds=0)
    begun = world.now
    world.watcher.look_for_silence(begun + 29)
    assert world.store.notifications.list() == []
    world.watcher.look_for_silence(begun + 30)
    (told,) = world.store.notifications.list()
    assert "30.0 s, 2 times as long as usual" in told.message


def test_a_first_run_has_no_usual_duration(world: World) -> None:
    world.run(world.deployment(deadline_factor=2.0), "RUNNING")
    world.watcher.look_for_silence(world.now + 1_000_000)
    assert world.store.notifications.list() == []


def test_a_run_that_has_ended_is_not_late(world: World) -> None:
    world.run(world.deployment(deadline=60), "COMPLETED")
    world.watcher.look_for_silence(world.now + 1_000)
    assert world.store.notifications.list() == []


def test_silence_is_told_again_and_again(world: World) -> None:
    deployment = world.deployment()
    hours = 3600.0
    world.automate(NOTIFY, when=("no-success",), after=26 * hours, filters=Filters(deployments=("etl/*",)))
    world.run(deployment, "COMPLETED")
    last = world.now
    for passed, told in ((25.9, 0), (26.1, 1), (27, 1), (52.1, 2)):
        world.watcher.look_for_silence(last + passed * hours)
        assert len(world.put_in()) == told, passed
    world.now = last + 53 * hours
    world.run(deployment, "COMPLETED")
    world.watcher.look_for_silence(world.now + 25 * hours)
    assert len(world.put_in()) == 2
    world.watcher.look_for_silence(world.now + 27 * hours)
    assert len(world.put_in()) == 3
    world.store.deployments.pause(deployment.id, "holidays", world.now)
    world.watcher.look_for_silence(world.now + 1000 * hours)
    assert len(world.put_in()) == 3


# -- delivering --------------------------------------------------------------------------------------------------


def test_a_webhook_is_told_and_signed(world: World, listening: Sink) -> None:
    world.automate(hook(listening, secret="env:HOOK_KEY", headers={"Authorization": f"Bearer {CANARY}"}), name="tell")
    run = world.maker.run("FAILED", flow_name="etl", tags='["db"]')
    world.look()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOOK_KEY", "the key")
        assert world.deliver() is None
    (request,) = listening.requests
    assert request.line.startswith(f"POST /{CANARY} ") and request.headers["Authorization"] == f"Bearer {CANARY}"
    told = json.loads(request.body)
    assert (told["event"], told["automation"], told["run"]["id"], told["run"]["tags"]) == ("state", "tell", run, ["db"])
    assert told["run"]["state"] == {"type": "FAILED", "name": "Failed"} and told["deployment"] is None
    assert told["delivery"] == request.headers["X-Jupyter-WF-Delivery"] == world.put_in()[0]
    stamp = request.headers["X-Jupyter-WF-Timestamp"]
    assert request.headers["X-Jupyter-WF-Signature"] == signature("the key", stamp, request.body)


def test_an_hour_of_downtime_is_survived_over_restarts(world: World, listening: Sink) -> None:
    listening.answer = lambda _: OK.replace(b"200 OK", b"503 Down")
    world.automate(hook(listening))
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    begun, tries = world.now, 0
    while world.now < begun + 3600:
        soonest = world.deliver()
        assert soonest is not None and soonest > world.now
        tries += 1
        if tries % 3 == 0:
            world.restart()
            world.look()
        world.now = soonest
    assert 8 <= tries <= 14 and len(listening.requests) == tries
    (row,) = world.store.outbox.list()
    assert (row.state, row.attempts, row.error) == ("waiting", tries, "it answered 503")
    listening.answer = lambda _: OK
    assert world.deliver() is None
    (row,) = world.store.outbox.list()
    assert (row.state, row.outcome, row.error) == ("sent", "answered 200", None)
    assert len({each.headers["X-Jupyter-WF-Delivery"] for each in listening.requests}) == 1
    assert world.store.notifications.list() == []


def test_it_gives_up_after_a_day_and_says_so(world: World, listening: Sink, caplog: pytest.LogCaptureFixture) -> None:
    listening.answer = lambda _: OK.replace(b"200 OK", b"503 Down")
    world.automate(hook(listening))
    run = world.maker.run("FAILED", flow_name="etl")
    world.look()
    begun = world.now
    while (soonest := world.deliver()) is not None:
        world.now = soonest
    assert begun + GIVE_UP_AFTER - 1200 < world.now <= begun + GIVE_UP_AFTER
    (row,) = world.store.outbox.list()
    assert (row.state, row.error) == ("failed", "given up after a day: it answered 503")
    (told,) = world.store.notifications.list()
    assert (told.title, told.level, told.run_id) == ("An automation could not act", "error", run)
    assert caplog.messages[-1].startswith("automation 'automation 0', for ")
    assert caplog.messages[-1].endswith(": given up after a day: it answered 503")


def test_what_can_never_work_is_given_up_at_once(world: World, listening: Sink) -> None:
    listening.answer = lambda _: OK.replace(b"200 OK", b"404 Gone")
    world.automate(hook(listening))
    world.automate(replace(hook(listening), options={"url": "http://[::1]:9/"}))
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    assert world.deliver() is None
    errors = sorted(each.error or "" for each in world.store.outbox.list())
    assert errors[0] == "it answered 404" and "inside of this machine" in errors[1]
    assert len(world.store.notifications.list()) == 2


def test_a_mended_url_delivers_what_waits(world: World, listening: Sink) -> None:
    broken = world.automate(Action(type="call-webhook", options={"url": "env:NOT_THERE"}))
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    soonest = world.deliver()
    assert soonest is not None and "NOT_THERE" in (world.store.outbox.list()[0].error or "")
    mended = replace(hook(listening), id=broken.actions[0].id)
    world.store.automations.save(replace(broken, actions=(mended,)), world.now)
    world.now = soonest
    assert world.deliver() is None and len(listening.requests) == 1


def test_one_that_fails_does_not_hold_up_the_others(world: World) -> None:
    performed: list[str] = []

    def perform(delivery: Delivery) -> str:
        performed.append(delivery.key)
        if delivery.key == "bad":
            raise RuntimeError("a bug")
        return "done"

    occasion = Occasion(event="state", key="k", at=world.now)
    world.store.outbox.put([Delivery(key=key, occasion=occasion) for key in ("bad", "a", "b")], world.now)
    with closing(Deliverer(world.store, perform, chance=lambda: 0.0)) as deliverer:
        soonest = deliverer.step(world.now)
    assert sorted(performed) == ["a", "b", "bad"] and soonest == world.now + 4.0
    states = {each.key: (each.state, each.error) for each in world.store.outbox.list()}
    assert states == {"a": ("sent", None), "b": ("sent", None), "bad": ("waiting", "RuntimeError: a bug")}


def test_pauses_grow_and_are_spread() -> None:
    assert [pause_after(n, 0.5) for n in (1, 2, 3, 8, 9, 1000)] == [5, 10, 20, 640, 900, 900]
    assert pause_after(1, 0.0) == 4 and pause_after(1, 1.0) == 6


# -- other actions -----------------------------------------------------------------------------------------------


def test_a_deployment_is_started_once_with_the_result(world: World) -> None:
    source, target = world.deployment("source"), world.deployment("target")
    start = Action(
        type="run-deployment",
        options={"deployment": "etl/target", "parameters": {"n": 3}, "result_as": "result"},
    )
    world.automate(start, when=("COMPLETED",), filters=Filters(deployments=("etl/source",)))
    run = world.run(source, "RUNNING")
    world.maker.state(run, "COMPLETED", kept=Kept("json", b'{"rows": 7}'))
    world.look()
    world.deliver()
    (made,) = world.store.queue.runs_of(target.id)
    queued = world.store.queue.get(made)
    assert queued is not None and queued.parameters == {"n": 3, "result": {"rows": 7}}
    assert world.store.get_run(made).source["triggered_by"] == run
    (row,) = world.store.outbox.list()
    assert row.outcome == f"run {made}"
    # As if the process had died between the run and the note that it was done.
    world.store.outbox.put([replace(row, key=row.key)], world.now)
    actions = Actions(world.store, world.settings, clock=lambda: world.now, allowed=Allowed)
    assert actions.perform(row) == f"run {made}" and world.store.queue.runs_of(target.id) == [made]


def test_a_result_that_is_no_json_is_refused_unread(world: World) -> None:
    source = world.deployment("source")
    world.deployment("target")
    start = Action(type="run-deployment", options={"deployment": "target", "result_as": "result"})
    world.automate(start, when=("COMPLETED",), filters=Filters(deployments=("source",)))
    run = world.run(source, "RUNNING")
    world.maker.state(run, "COMPLETED", kept=Kept("pickle", b"cos\nsystem\n(S'false'\ntR."))
    world.look()
    assert world.deliver() is None
    (row,) = world.store.outbox.list()
    assert row.state == "failed" and "no JSON value" in (row.error or "")


def test_a_deployment_is_paused_and_a_run_cancelled(world: World) -> None:
    deployment = world.deployment()
    world.automate(
        Action(type="pause-deployment", options={}),
        Action(type="cancel-flow-run", options={}),
        when=("RUNNING",),
        name="stop",
    )
    run = world.run(deployment, "RUNNING")
    world.look()
    world.deliver()
    paused = world.store.deployments.get(deployment.id)
    assert paused.paused and paused.paused_reason == "by the automation 'stop'"
    assert [(each.run_id, each.kind) for each in world.store.requests()] == [(run, "cancel")]
    assert {each.outcome for each in world.store.outbox.list()} == {"paused etl/daily", "asked the run to stop"}


def test_actions_that_make_no_sense_say_so(world: World) -> None:
    gone = Action(type="run-deployment", options={"deployment": "nobody/knows"})
    wrong = Action(type="run-deployment", options={"deployment": "etl/daily", "parameters": {"unknown": 1}})
    world.deployment()
    world.automate(gone, wrong, Action(type="pause-deployment", options={}))
    world.maker.run("FAILED", flow_name="by-hand")
    world.look()
    assert world.deliver() is None
    errors = {each.error for each in world.store.outbox.list()}
    assert all(each.state == "failed" for each in world.store.outbox.list()) and len(errors) == 3
    assert any("nobody/knows" in (each or "") for each in errors) and any("unknown" in (each or "") for each in errors)


def test_a_test_does_no_harm(world: World, listening: Sink) -> None:
    deployment = world.deployment()
    found = world.automate(
        NOTIFY,
        hook(listening),
        Action(type="run-deployment", options={"deployment": "daily"}),
        Action(type="pause-deployment", options={"deployment": "etl/daily"}),
        Action(type="cancel-flow-run", options={}),
        Action(type="run-deployment", options={"deployment": "gone"}),
    )
    result = try_automation(
        world.store, world.settings, found.id, now=world.now, allowed=lambda: Allowed(["127.0.0.1"])
    )
    assert [each["ok"] for each in result["actions"]] == [True] * 5 + [False] and not result["ok"]
    assert [each["message"] for each in result["actions"]][:5] == [
        "shown in JupyterLab",
        "answered 200",
        "would run etl/daily",
        "would pause etl/daily",
        "would cancel the run",
    ]
    assert json.loads(listening.requests[0].body)["event"] == "test" and len(world.store.notifications.list()) == 1
    assert world.store.queue.runs_of(deployment.id) == [] and not world.store.deployments.get(deployment.id).paused
    assert world.put_in() == []


# -- triggers ----------------------------------------------------------------------------------------------------


def test_a_deployment_runs_after_another(world: World) -> None:
    source, target = world.deployment("source"), world.deployment("target")
    trigger = add_trigger(world.store, target, {"kind": "deployment", "spec": {"deployment": "source"}}, world.now)
    assert trigger.spec["deployment"] == "etl/source"
    run = world.run(source, "COMPLETED")
    world.look()
    world.restart()
    world.look()
    world.deliver()
    (made,) = world.store.queue.runs_of(target.id)
    told = world.store.get_run(made).source
    assert (told["trigger"], told["trigger_id"], told["triggered_by"]) == ("deployment", trigger.id, run)
    fired = world.store.triggers.get(trigger.id)
    assert fired.error is None and fired.fired_at is not None


def test_triggers_of_a_paused_deployment_rest(world: World) -> None:
    source, target = world.deployment("source"), world.deployment("target")
    add_trigger(world.store, target, {"kind": "deployment", "spec": {"deployment": "source"}}, world.now)
    add_trigger(world.store, target, {"kind": "no-success", "spec": {"after": 60}}, world.now)
    hook_ = add_trigger(world.store, target, {"kind": "webhook"}, world.now)
    world.store.deployments.pause(target.id, "holidays", world.now)
    world.run(source, "COMPLETED")
    world.look()
    world.watcher.look_for_silence(world.now + 1_000)
    assert arrived(world.store, hook_, {}, world.now, once="1") is False and world.put_in() == []
    with pytest.raises(ValueError, match="never end"):
        add_trigger(world.store, target, {"kind": "deployment", "spec": {"deployment": "target"}}, world.now)


def test_a_long_silence_makes_a_run(world: World) -> None:
    deployment = world.deployment()
    add_trigger(world.store, deployment, {"kind": "no-success", "spec": {"after": "26h"}}, world.now)
    for hours in (25, 27, 28, 51):
        world.watcher.look_for_silence(world.now + hours * 3600)
    world.now += 51 * 3600
    world.deliver()
    assert len(world.store.queue.runs_of(deployment.id)) == 1


def test_a_webhooks_body_becomes_a_parameter_once(world: World) -> None:
    deployment = world.deployment()
    trigger = add_trigger(world.store, deployment, {"kind": "webhook", "spec": {"body_as": "body"}}, world.now)
    for once in ("a", "a", "b"):
        assert arrived(world.store, trigger, {"from": once}, world.now, once=once)
    world.deliver()
    queued = [world.store.queue.get(each) for each in world.store.queue.runs_of(deployment.id)]
    assert sorted(each.parameters["body"]["from"] for each in queued if each) == ["a", "b"]
    assert all(each.payload is None for each in world.store.outbox.list())


def test_a_trigger_that_can_not_start_its_run_shows_why(world: World, caplog: pytest.LogCaptureFixture) -> None:
    deployment = world.deployment()
    trigger = add_trigger(world.store, deployment, {"kind": "webhook", "spec": {"body_as": "nothing"}}, world.now)
    arrived(world.store, trigger, {}, world.now, once="a")
    assert world.deliver() is None
    assert "nothing" in (world.store.triggers.get(trigger.id).error or "")
    (told,) = world.store.notifications.list()
    assert told.title == "A trigger could not start its run"
    assert f"webhook trigger {trigger.id[:8]} of {deployment.address}, for " in caplog.text
    assert "given up: " in caplog.text


# -- secrets -----------------------------------------------------------------------------------------------------


def test_a_secret_is_found_nowhere(
    world: World, listening: Sink, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is named by a reference is in no file; what is given is in nothing that is read or logged."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("JUPYTER_WF_SECRET_HOOK", f"http://127.0.0.1:1/{CANARY}")
    monkeypatch.setenv("HOOK_KEY", CANARY)
    named = Action(type="call-webhook", options={"url": "secret:hook", "secret": "env:HOOK_KEY"})
    echo = Action(type="send-message", options={"url": "env:HOOK_KEY", "message": "{message}"})
    world.automate(named, echo)
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    # Actions are done at the same time: a secret is known when the one that uses it has begun.
    world.deliver()
    world.automate(replace(NOTIFY, options={"message": f"the key is {CANARY}"}), name="tells")
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    world.deliver()
    texts = [repr(world.store.outbox.list()), repr(world.store.notifications.list()), caplog.text]
    texts += [repr(each.payload) for each in world.store.events(after=0)]
    assert [text for text in texts if CANARY in text] == [] and "***" in texts[1]
    found = world.automate(replace(named, options={"url": f"http://127.0.0.1:1/{CANARY}"}))
    assert CANARY not in repr(world.store.automations.get(found.id)) + repr(found)
    result = try_automation(world.store, world.settings, found.id, now=world.now, allowed=Allowed)
    assert CANARY not in json.dumps(result)


def test_what_is_named_is_in_no_file(world: World, listening: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_URL", listening.url(f"/{CANARY}"))
    world.automate(Action(type="call-webhook", options={"url": "env:HOOK_URL"}))
    world.maker.run("FAILED", flow_name="etl")
    world.look()
    assert world.deliver() is None and CANARY in listening.requests[0].line
    world.close()
    for path in world.settings.home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path
    world.open()
