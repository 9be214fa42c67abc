"""Automations, the outbox, notifications and event triggers: what every store holds of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.automations import Action, Automation, Delivery, Filters, Notification, Occasion
from jupyter_wf.core.deployments import Deployment, Policies, QueuedRun
from jupyter_wf.core.errors import InvalidRequest
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.scheduling_errors import AutomationNotFound, TriggerNotFound
from jupyter_wf.store.base import Store
from tests.contracts.stores import Maker

NOW = 1_800_000_000.0
CANARY = "canary-9f31c2"
OCCASION = Occasion(event="state", key="r:1:Failed", at=NOW, run_id="r", state_type="FAILED", state_name="Failed")
HOOK = Action(
    type="call-webhook",
    options={"url": f"https://x.example/{CANARY}", "secret": CANARY, "headers": {"Authorization": f"Bearer {CANARY}"}},
)
ALERT = Automation(
    name="alert", when=("FAILED", "deadline"), actions=(HOOK, Action(type="send-notification", options={}))
)


def delivery(key: str = "k", **fields: Any) -> Delivery:
    return Delivery(key=key, occasion=OCCASION, **fields)


def deployment(store: Store, name: str = "daily", **fields: Any) -> Deployment:
    values = {"id": "", "flow_name": "etl", "kind": "flow", "target": "x.py:etl", "parameters": {}}
    return store.deployments.save(Deployment(name=name, policies=Policies(), **(values | fields)))


# -- automations -------------------------------------------------------------------------------------------------


def test_an_automation_comes_back_with_its_secrets_masked(store: Store) -> None:
    given = replace(ALERT, filters=Filters(deployments=("etl/*",), tags=("db",)), after=90.0, description="x\ny")
    saved = store.automations.save(given, NOW)
    assert (saved.created_at, saved.updated_at, len(saved.id)) == (NOW, NOW, 36)
    assert store.automations.get(saved.id) == saved == store.automations.find("alert")
    assert store.automations.find(saved.id[:8]) == saved and store.automations.list() == [saved]
    assert saved.filters == given.filters and saved.after == 90.0 and saved.when == given.when
    hook, told = saved.actions
    assert hook.options == {"url": "https://***", "secret": "***", "headers": {"Authorization": "***"}}
    assert hook.id and told.id and hook.id != told.id
    whole = store.automations.whole(saved.id)
    assert whole.actions[0].options == HOOK.options and whole.actions[0].id == hook.id


def test_what_was_masked_when_it_was_read_stays_what_it_was(store: Store) -> None:
    saved = store.automations.save(ALERT, NOW)
    hook = saved.actions[0]
    changed = replace(hook, options={**hook.options, "secret": "another", "headers": {}})
    again = store.automations.save(replace(saved, name="other", actions=(changed,)), NOW + 1)
    assert (again.id, again.created_at, again.updated_at) == (saved.id, NOW, NOW + 1)
    whole = store.automations.whole(saved.id).actions[0]
    assert whole.options == {"url": HOOK.options["url"], "secret": "another", "headers": {}}
    with pytest.raises(InvalidRequest, match="masked"):
        store.automations.save(replace(saved, id="", name="copy"), NOW)
    with pytest.raises(InvalidRequest, match="masked"):
        store.automations.save(replace(saved, actions=(replace(hook, id="nobody"),)), NOW)


def test_references_are_shown_as_they_are(store: Store) -> None:
    action = Action(type="send-message", options={"url": "env:SLACK_URL"})
    saved = store.automations.save(replace(ALERT, actions=(action,)), NOW)
    assert saved.actions[0].options == {"url": "env:SLACK_URL"}


def test_names_are_unique_and_unknown_ones_refused(store: Store) -> None:
    saved = store.automations.save(ALERT, NOW)
    with pytest.raises(InvalidRequest, match="already"):
        store.automations.save(ALERT, NOW)
    assert store.automations.save(saved, NOW).id == saved.id
    for wrong in ("nobody", "\0", "", saved.id + "x"):
        for call in (store.automations.get, store.automations.find, store.automations.remove, store.automations.whole):
            with pytest.raises(AutomationNotFound):
                call(wrong)
    with pytest.raises(AutomationNotFound):
        store.automations.save(replace(saved, id="nobody", name="new"), NOW)
    for name in ("", "a\0b", "x" * 251):
        with pytest.raises(InvalidRequest):
            store.automations.save(replace(ALERT, name=name), NOW)


def test_removing_one_forgets_what_it_had_yet_to_do(store: Store) -> None:
    saved = store.automations.save(ALERT, NOW)
    store.outbox.put([delivery("a", automation_id=saved.id), delivery("b", automation_id="other")], NOW)
    store.automations.remove(saved.id)
    assert store.automations.list() == [] and [each.key for each in store.outbox.due(NOW)] == ["b"]


# -- the outbox --------------------------------------------------------------------------------------------------


def test_what_is_put_in_twice_is_there_once(store: Store, opened: Callable[[], Store]) -> None:
    given = delivery("k", automation_id="a", action_id="x")
    assert store.outbox.put([given, given, delivery("l")], NOW) == ["k", "l"]
    assert opened().outbox.put([given], NOW + 5) == []
    found = store.outbox.due(NOW)
    assert [each.key for each in found] == ["k", "l"] and found[0].occasion == OCCASION
    assert found[0] == replace(given, id=found[0].id, created_at=NOW, next_at=NOW)


def test_of_many_threads_one_puts_it_in(opened: Callable[[], Store]) -> None:
    stores = [opened() for _ in range(4)]
    ready, new = threading.Barrier(4), []

    def put(store: Store) -> None:
        ready.wait(10)
        for number in range(20):
            new.extend(store.outbox.put([delivery(str(number))], NOW))

    threads = [threading.Thread(target=put, args=(each,)) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(new) == sorted(map(str, range(20)))


def test_a_row_is_tried_again_and_done(store: Store) -> None:
    store.outbox.put([delivery("a", trigger_id="t", payload={"x": [1]}), delivery("b")], NOW)
    a, b = store.outbox.due(NOW)
    assert a.payload == {"x": [1]} and store.outbox.next_at() == NOW
    store.outbox.again(a.id, "refused\0", NOW + 60)
    assert [each.key for each in store.outbox.due(NOW + 59)] == ["b"]
    store.outbox.sent(b.id, "answered 200", NOW + 1)
    assert store.outbox.next_at() == NOW + 60
    (again,) = store.outbox.due(NOW + 60)
    assert (again.attempts, again.error, again.payload) == (1, "refused\\x00", {"x": [1]})
    store.outbox.fail(again.id, "given up", NOW + 61)
    store.outbox.sent(again.id, "too late", NOW + 62)
    assert store.outbox.next_at() is None
    failed, sent = sorted(store.outbox.list(), key=lambda each: each.state)
    assert (failed.state, failed.attempts, failed.error, failed.done_at, failed.payload) == (
        *("failed", 2, "given up", NOW + 61),
        None,
    )
    assert (sent.state, sent.outcome, sent.attempts, sent.error) == ("sent", "answered 200", 1, None)
    assert [each.key for each in store.outbox.list(trigger_id="t")] == ["a"]
    assert store.outbox.prune(NOW + 61) == 1 and [each.key for each in store.outbox.list()] == ["a"]


def test_what_was_tried_least_comes_first(store: Store) -> None:
    store.outbox.put([delivery("old")], NOW)
    store.outbox.again(store.outbox.due(NOW)[0].id, "no", NOW + 1)
    store.outbox.put([delivery("new")], NOW + 2)
    assert [each.key for each in store.outbox.due(NOW + 2)] == ["new", "old"]
    assert [each.key for each in store.outbox.due(NOW + 2, limit=1)] == ["new"]


def test_the_cursor_goes_forward_only(store: Store) -> None:
    assert store.outbox.cursor() is None
    store.outbox.put((), NOW, cursor=7)
    store.outbox.put((), NOW, cursor=3)
    assert store.outbox.cursor() == 7


# -- what is watched ---------------------------------------------------------------------------------------------


def test_only_states_of_roots_are_watched(store: Store, maker: Maker) -> None:
    source = json.dumps({"deployment": "etl/daily", "deployment_id": "d", "queued": True})
    root = maker.run("RUNNING", flow_name="etl", tags='["db"]', source=source)
    child = maker.run("COMPLETED", parent=root)
    maker.log(root, "a line")
    at = maker.state(root, "FAILED", message="no", error='{"type": "ValueError", "message": "bad"}', attempt=1)
    watched = store.outbox.watch(0)
    assert [each.state_name for each in watched.occasions] == ["Pending", "Running", "Failed"]
    assert {each.run_id for each in watched.occasions} == {root} and child
    last = watched.occasions[-1]
    assert last == Occasion(
        event="state",
        key=f"{root}:1:Failed",
        at=at,
        run_id=root,
        run_name="a-run",
        flow_name="etl",
        state_type="FAILED",
        state_name="Failed",
        message="no",
        tags=("db",),
        deployment_id="d",
        deployment="etl/daily",
        queued=True,
    )
    assert watched.seq == store.last_seq() and store.outbox.watch(watched.seq) == ([], watched.seq)
    assert Occasion.of_json(json.loads(json.dumps(last.as_json()))) == last


def test_watching_goes_in_pages_and_loses_nothing(store: Store, maker: Maker) -> None:
    runs = [maker.run("COMPLETED") for _ in range(7)]
    seq, found = 0, []
    while (page := store.outbox.watch(seq, limit=2)).occasions:
        assert len(page.occasions) <= 2
        found += page.occasions
        seq = page.seq
    assert [each.run_id for each in found if each.state_name == "Completed"] == runs
    assert len(found) == 21 and seq == store.last_seq()


def test_an_errors_text_stands_in_for_a_message(store: Store, maker: Maker) -> None:
    run = maker.run("RUNNING")
    maker.state(run, "CRASHED", error='{"type": "MemoryError", "message": "out"}')
    assert store.outbox.watch(0).occasions[-1].message == "MemoryError: out"


def test_a_paused_deployment_is_seen_once(store: Store) -> None:
    saved = deployment(store)
    store.deployments.pause(saved.id, "3 runs have failed", NOW)
    store.deployments.pause(saved.id, "again", NOW)
    found = store.outbox.watch(0).occasions
    assert len({each.key for each in found}) == 1
    assert (found[0].event, found[0].deployment, found[0].deployment_id, found[0].flow_name) == (
        *("deployment-paused", "etl/daily", saved.id),
        "etl",
    )


def test_open_runs_with_a_deadline_and_what_completed(store: Store, maker: Maker) -> None:
    saved = deployment(store)

    def submit(**policies: Any) -> str:
        queued = QueuedRun(
            run_id="",
            kind="flow",
            target=saved.target,
            parameters={},
            policies=Policies(**policies),
            due_at=NOW,
            deployment_id=saved.id,
        )
        source = {"deployment": saved.address, "deployment_id": saved.id}
        return store.queue.submit(queued, name="one", flow_name="etl", now=NOW, source=source)

    late, usual, _ = submit(deadline=60), submit(deadline_factor=2.0), submit()
    found = {each.occasion.run_id: each for each in store.outbox.with_deadline()}
    assert set(found) == {late, usual}
    assert (found[late].due_at, found[late].started_at, found[late].deadline, found[late].factor) == (
        *(NOW, None, 60),
        None,
    )
    assert found[usual].factor == 2.0 and found[usual].occasion.deployment == "etl/daily"
    assert store.outbox.durations(saved.id) == [] and store.outbox.last_success(saved.id) is None
    (claimed,) = store.queue.claim(["default"], maker.process.id, now=NOW, lease=60)
    assert claimed.queued.run_id == late
    store.queue.take(late, 1, maker.process.id, maker.process.id)
    start = maker.state(late, "RUNNING")
    end = maker.state(late, "COMPLETED", at=start + 30)
    assert store.outbox.durations(saved.id) == [30.0] and store.outbox.last_success(saved.id) == end
    assert [each.occasion.run_id for each in store.outbox.with_deadline()] == [usual]


# -- notifications -----------------------------------------------------------------------------------------------


def test_a_notification_is_there_once_and_is_an_event(store: Store) -> None:
    given = Notification(title="late\0", message="<b>", level="warning", run_id="r")
    assert store.notifications.last_id() == 0
    assert store.notifications.add("k", given, NOW) is True
    assert store.notifications.add("k", given, NOW + 1) is False
    assert store.notifications.add("l", Notification(title="t", message=""), NOW + 2) is True
    first, second = store.notifications.list()
    assert (first.title, first.message, first.level, first.run_id, first.at) == (
        "late\\x00",
        "<b>",
        "warning",
        "r",
        NOW,
    )
    assert store.notifications.list(after=first.id) == [second] and store.notifications.last_id() == second.id
    events = [each for each in store.events(after=0) if each.kind == "notification"]
    assert [each.run_id for each in events] == ["", ""]
    assert events[0].payload == {
        "id": first.id,
        "title": "late\\x00",
        "message": "<b>",
        "level": "warning",
        "run_id": "r",
        "deployment_id": None,
    }


# -- triggers ----------------------------------------------------------------------------------------------------


def test_triggers_are_kept_and_found(store: Store) -> None:
    one = store.triggers.add(EventTrigger(deployment_id="d", kind="file", spec={"path": "/x/*"}), NOW)
    two = store.triggers.add(EventTrigger(deployment_id="e", kind="no-success", spec={"after": 3}, enabled=False), NOW)
    assert one.secret is None and one.created_at == NOW and one.enabled and not two.enabled
    assert store.triggers.get(one.id) == one == store.triggers.get(one.id[:8])
    assert {each.id for each in store.triggers.list()} == {one.id, two.id}
    assert store.triggers.list(deployment_id="e") == [two] == store.triggers.list(kind="no-success")
    store.triggers.trouble(one.id, "no such folder")
    assert store.triggers.get(one.id).error == "no such folder"
    assert store.triggers.enable(one.id, False).enabled is False and store.triggers.get(one.id).error is None
    store.triggers.remove(one.id)
    for wrong in (one.id, "", "x", "\0"):
        for call in (store.triggers.get, store.triggers.remove):
            with pytest.raises(TriggerNotFound):
                call(wrong)


def test_of_a_secret_only_its_hash_is_kept(store: Store, wf_home: Path) -> None:
    made = store.triggers.add(EventTrigger(deployment_id="d", kind="webhook", spec={}), NOW)
    other = store.triggers.add(EventTrigger(deployment_id="d", kind="webhook", spec={}), NOW)
    secret = made.secret
    assert secret is not None and len(secret) == 32 and secret != other.secret
    assert store.triggers.get(made.id).secret is None
    found = store.triggers.by_secret(secret)
    assert found is not None and found.id == made.id
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), "", "x" * 100_000, "\ud800", "\0"):
        assert store.triggers.by_secret(wrong) is None
    store.close()
    for path in wf_home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_trigger_fires_once_with_what_it_has_seen(store: Store, opened: Callable[[], Store]) -> None:
    trigger = store.triggers.add(EventTrigger(deployment_id="d", kind="file", spec={"path": "/x/*"}), NOW)
    assert store.triggers.seen(trigger.id) is None
    assert store.triggers.fire(trigger.id, None, NOW, seen={"n": 0}) is True
    assert store.triggers.get(trigger.id).fired_at is None
    row = delivery("f1", trigger_id=trigger.id, payload={"p": 1})
    assert store.triggers.fire(trigger.id, row, NOW + 1, seen={"n": 1}, before={"n": 0}) is True
    other = opened()
    assert other.triggers.fire(trigger.id, row, NOW + 2, seen={"n": 1}, before={"n": 0}) is False
    assert other.triggers.fire(trigger.id, delivery("f2"), NOW + 2, seen={"n": 1}, before={"n": 0}) is False
    assert other.triggers.fire(trigger.id, row, NOW + 2, seen={"n": 2}, before={"n": 1}) is False
    assert other.triggers.seen(trigger.id) == {"n": 1}
    assert [each.key for each in store.outbox.due(NOW + 5)] == ["f1"]
    assert store.triggers.get(trigger.id).fired_at == NOW + 1
    store.triggers.enable(trigger.id, False)
    assert store.triggers.fire(trigger.id, delivery("f3"), NOW + 3) is False
    store.triggers.enable(trigger.id, True)
    # What has changed while it was off is not made up for.
    assert store.triggers.seen(trigger.id) is None
    store.triggers.remove(trigger.id)
    assert store.triggers.fire(trigger.id, delivery("f4"), NOW + 3) is False
    assert store.outbox.list() == []


def test_a_deployment_takes_its_triggers_along(store: Store) -> None:
    gone, stays = deployment(store, "gone"), deployment(store, "stays")
    made = [
        store.triggers.add(EventTrigger(deployment_id=each.id, kind="no-success", spec={"after": 9}), NOW)
        for each in (gone, stays)
    ]
    store.outbox.put([delivery(each.id, trigger_id=each.id) for each in made], NOW)
    store.deployments.delete(gone.id)
    assert [each.id for each in store.triggers.list()] == [made[1].id] == [each.key for each in store.outbox.list()]


def test_it_is_all_there_after_a_restart(store: Store, opened: Callable[[], Store]) -> None:
    saved = store.automations.save(ALERT, NOW)
    trigger = store.triggers.add(EventTrigger(deployment_id="d", kind="file", spec={"path": "/x"}), NOW)
    store.outbox.put([delivery("k", automation_id=saved.id)], NOW, cursor=5)
    store.notifications.add("k", Notification(title="t", message="m"), NOW)
    store.close()
    again = opened()
    assert again.automations.list() == [saved] and again.triggers.list() == [trigger]
    assert again.outbox.cursor() == 5 and [each.key for each in again.outbox.due(NOW)] == ["k"]
    assert again.notifications.add("k", Notification(title="t", message="m"), NOW) is False
