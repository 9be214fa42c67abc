"""The threads: files that really change, runs that are told of while everything runs, and who does it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jupyter_wf.core.automations import Action, Automation
from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.core.event_triggers import EventTrigger
from jupyter_wf.core.settings import Settings
from jupyter_wf.services import files
from jupyter_wf.services.files import FileTriggers, listing, root_of
from jupyter_wf.services.targets import Allowed
from jupyter_wf.services.triggers import Triggers, add_trigger
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store
from tests.contracts.stores import Maker
from tests.services.sinks import sink
from tests.waiting import until

FLOW = "from jupyter_wf import flow\n\n@flow\ndef etl(changed: list = (), body: object = None):\n    return changed\n"
NOW = 1_900_000_000.0


@pytest.fixture
def settings(wf_home: Path) -> Settings:
    return Settings(home=wf_home)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with closing(open_store(settings)) as found:
        yield found


@pytest.fixture
def deployment(store: Store, tmp_path: Path) -> Deployment:
    (tmp_path / "flows.py").write_text(FLOW)
    target = f"{tmp_path / 'flows.py'}:etl"
    return store.deployments.save(
        Deployment(id="", name="daily", flow_name="etl", kind="flow", target=target, parameters={}, policies=Policies())
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    found.mkdir()
    return found


def watching(store: Store, deployment: Deployment, path: object, **spec: object) -> EventTrigger:
    given = {"kind": "file", "spec": {"path": str(path), "changed_as": "changed", "debounce": 0, **spec}}
    return add_trigger(store, deployment, given, NOW)


def changed(store: Store) -> list[list[str]]:
    """What was told of, a list for each firing, oldest first."""
    return [list((each.payload or {})["changed"]) for each in reversed(store.outbox.list())]


# -- looking at files --------------------------------------------------------------------------------------------


def test_new_and_changed_files_are_told_once(store: Store, deployment: Deployment, folder: Path) -> None:
    watching(store, deployment, folder / "*.csv")
    old, new = folder / "old.csv", folder / "new.csv"
    old.write_text("1")
    looking = FileTriggers(store)
    assert looking.look(NOW) is None and changed(store) == []
    new.write_text("1")
    (folder / "new.txt").write_text("1")
    looking.look(NOW)
    looking.look(NOW)
    assert changed(store) == [[str(new)]]
    old.write_text("22")
    new.write_text("22")
    looking.look(NOW)
    assert changed(store)[1:] == [[str(new), str(old)]]


def test_what_changes_while_nobody_looks_is_told_later(store: Store, deployment: Deployment, folder: Path) -> None:
    watching(store, deployment, folder / "*.csv")
    FileTriggers(store).look(NOW)
    (folder / "a.csv").write_text("1")
    FileTriggers(store).look(NOW)
    FileTriggers(store).look(NOW)
    assert changed(store) == [[str(folder / "a.csv")]]


def test_what_is_removed_and_comes_back_is_told_again(store: Store, deployment: Deployment, folder: Path) -> None:
    watching(store, deployment, folder / "flag")
    looking, flag, aside = FileTriggers(store), folder / "flag", folder / "aside"
    looking.look(NOW)
    flag.write_text("x")
    looking.look(NOW)
    for _ in range(2):
        flag.rename(aside)
        looking.look(NOW)
        aside.rename(flag)
        looking.look(NOW)
    assert changed(store) == [[str(flag)]] * 3


def test_it_waits_until_a_file_is_quiet(store: Store, deployment: Deployment, folder: Path) -> None:
    watching(store, deployment, folder / "*", debounce=5)
    looking, path = FileTriggers(store), folder / "big"
    looking.look(NOW)
    path.write_text("1")
    assert looking.look(NOW + 10) == NOW + 15
    path.write_text("22")
    assert looking.look(NOW + 15) == NOW + 20
    assert looking.look(NOW + 19) == NOW + 20 and changed(store) == []
    assert looking.look(NOW + 20) is None and changed(store) == [[str(path)]]


def test_two_who_look_tell_once(store: Store, settings: Settings, deployment: Deployment, folder: Path) -> None:
    watching(store, deployment, folder / "*")
    one = FileTriggers(store)
    one.look(NOW)
    with closing(open_store(settings)) as other:
        two = FileTriggers(other)
        for number in range(5):
            (folder / str(number)).write_text("x")
            one.look(NOW)
            two.look(NOW)
    assert len(changed(store)) == 5


def test_what_is_off_paused_or_gone_is_not_looked_at(store: Store, deployment: Deployment, folder: Path) -> None:
    trigger = watching(store, deployment, folder / "*")
    looking = FileTriggers(store)
    looking.look(NOW)
    store.triggers.enable(trigger.id, False)
    (folder / "a").write_text("x")
    looking.look(NOW)
    store.triggers.enable(trigger.id, True)
    looking.look(NOW)
    assert changed(store) == []
    store.deployments.pause(deployment.id, "holidays", NOW)
    (folder / "b").write_text("x")
    assert looking.triggers() == [] and looking.look(NOW) is None and changed(store) == []
    store.deployments.delete(deployment.id)
    assert looking.triggers() == []


def test_too_many_files_are_trouble_that_is_shown(
    store: Store, deployment: Deployment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 3)
    for number in range(4):
        (folder / str(number)).write_text("")
    trigger = watching(store, deployment, folder / "*")
    FileTriggers(store).look(NOW)
    assert "more than 3 files" in (store.triggers.get(trigger.id).error or "")


def test_what_a_path_matches(folder: Path) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    for name in ("a.csv", "b.txt", "sub/c.csv", "sub/deep/d.csv"):
        (folder / name).write_text("x")
    (folder / "broken.csv").symlink_to(folder / "nowhere")

    def names(pattern: str) -> set[str]:
        return {os.path.relpath(each, folder) for each in listing(str(folder / pattern))}

    assert names("*.csv") == {"a.csv"}
    assert names("**/*.csv") == {"a.csv", "sub/c.csv", "sub/deep/d.csv"}
    assert names("*") == {"a.csv", "b.txt"} and names("nothing") == set()
    assert root_of(str(folder / "*.csv")) == (folder, False)
    assert root_of(str(folder / "a.csv")) == (folder, False)
    assert root_of(str(folder / "**" / "*.csv")) == (folder, True)
    assert root_of(str(folder / "later" / "x.csv")) == (folder, True)


# -- the threads -------------------------------------------------------------------------------------------------


def triggers(store: Store, settings: Settings) -> Triggers:
    process = this_process("server")
    store.register(process)
    return Triggers(store, settings, process=process, allowed=lambda: Allowed(["127.0.0.1"]))


def test_a_file_that_changes_makes_a_run(
    store: Store, settings: Settings, deployment: Deployment, folder: Path
) -> None:
    trigger = watching(store, deployment, folder / "**" / "*.csv")
    running = triggers(store, settings)
    running.start()
    try:
        until(lambda: store.triggers.seen(trigger.id) is not None, "the first look")
        (folder / "sub").mkdir()
        path = folder / "sub" / "a.csv"
        path.write_text("1")
        (made,) = until(lambda: store.queue.runs_of(deployment.id), "a run")
        queued = store.queue.get(made)
        assert queued is not None and queued.parameters == {"changed": [str(path)]}
        other = add_trigger(
            store, deployment, {"kind": "file", "spec": {"path": str(folder / "*.txt"), "debounce": 0}}, NOW
        )
        until(lambda: store.triggers.seen(other.id) is not None, "the first look at another")
        (folder / "b.txt").write_text("1")
        until(lambda: len(store.queue.runs_of(deployment.id)) == 2, "a second run")
    finally:
        running.stop()


def test_without_notices_files_are_looked_at_now_and_then(
    store: Store, settings: Settings, deployment: Deployment, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    monkeypatch.setattr(files, "_LOOK", 0.02)
    trigger = watching(store, deployment, folder / "*")
    running = triggers(store, settings)
    running.start()
    try:
        until(lambda: store.triggers.seen(trigger.id) is not None, "the first look")
        (folder / "a").write_text("1")
        until(lambda: store.queue.runs_of(deployment.id), "a run")
    finally:
        running.stop()


def test_a_run_is_told_of_within_moments(store: Store, settings: Settings) -> None:
    with sink() as listening:
        hook = Action(type="call-webhook", options={"url": listening.url()})
        automation = Automation(name="a", when=("FAILED",), actions=(hook,))
        store.automations.save(automation, 0.0)
        running = triggers(store, settings)
        running.start()
        try:
            until(lambda: store.outbox.cursor() is not None, "the first look")
            Maker(store).run("FAILED", flow_name="etl")
            until(lambda: listening.requests, "the webhook")
        finally:
            running.stop()
            running.stop()
        assert store.outbox.cursor() == store.last_seq()
        assert store.services.holder("automations") is None and store.services.holder("outbox") is None


def test_one_of_two_hosts_works_and_the_other_takes_over(store: Store, settings: Settings) -> None:
    with sink() as listening, closing(open_store(settings)) as other:
        hook = Action(type="call-webhook", options={"url": listening.url()})
        store.automations.save(Automation(name="a", when=("FAILED",), actions=(hook,)), 0.0)
        one, two = triggers(store, settings), triggers(other, settings)
        one.start()
        until(lambda: store.services.holder("outbox") and store.services.holder("automations"), "the first host")
        holder = store.services.holder("outbox")
        two.start()
        maker = Maker(store)
        try:
            for _ in range(5):
                maker.run("FAILED", flow_name="etl")
            until(lambda: len(listening.requests) == 5, "five webhooks")
            assert store.services.holder("outbox") == holder
            one.stop()
            maker.run("FAILED", flow_name="etl")
            until(lambda: len(listening.requests) == 6, "the other host")
        finally:
            one.stop()
            two.stop()
        ids = [each.headers["X-Jupyter-WF-Delivery"] for each in listening.requests]
        assert len(ids) == len(set(ids)) == 6


def test_trouble_does_not_end_a_thread(
    store: Store,
    settings: Settings,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("jupyter_wf.services.triggers._AFTER_TROUBLE", 0.01)
    running = triggers(store, settings)
    failed = threading.Event()
    look = running._watcher.look

    def trouble(now: float) -> bool:
        if failed.is_set():
            return look(now)
        failed.set()
        raise RuntimeError("a bug in the watcher")

    monkeypatch.setattr(running._watcher, "look", trouble)
    running.start()
    try:
        until(failed.is_set)
        Maker(store).run("FAILED", flow_name="etl")
        until(lambda: store.outbox.cursor() is not None, "the next look")
    finally:
        running.stop()
    assert "a bug in the watcher" in caplog.text
