"""The one writer of a process: order, durability, what it refuses, and how it ends."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.events import Entry, LogWritten, ResultStored, RunCreated, RunPatched, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.models import StoredResult
from jupyter_wf.store.base import Store
from tests.contracts.stores import Maker
from tests.waiting import until


def test_what_was_flushed_is_seen_by_others(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    other = opened()
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    assert other.get_run(run_id).state.type == "RUNNING"


def test_a_process_reads_its_own_writes(store: Store, maker: Maker) -> None:
    for _ in range(50):
        run_id = maker.run("RUNNING")
        assert store.get_run(run_id).state.type == "RUNNING"
        maker.log(run_id, "here")
        assert [line.message for line in store.logs(run_id)] == ["here"]
        before = store.last_seq()
        maker.state(run_id, "COMPLETED")
        assert store.last_seq() == before + 1


def test_times_of_an_attempt(store: Store, maker: Maker) -> None:
    run_id = maker.run("PENDING")
    assert store.get_run(run_id).started_at is None
    started = maker.state(run_id, "RUNNING")
    maker.state(run_id, "PAUSED")
    maker.state(run_id, "RUNNING", "Resumed")
    assert store.get_run(run_id).started_at == started
    assert store.get_run(run_id).ended_at is None
    ended = maker.state(
        run_id, "FAILED", message="no", error=json.dumps({"type": "E", "message": "m", "traceback": "t"})
    )
    run = store.get_run(run_id)
    assert (run.started_at, run.ended_at, run.attempt) == (started, ended, 1)
    assert run.error is not None and (run.error.type, run.error.message, run.error.traceback) == ("E", "m", "t")


def test_a_new_attempt_begins_anew(store: Store, maker: Maker) -> None:
    run_id = maker.run("PENDING", max_attempts=3)
    maker.state(run_id, "RUNNING")
    maker.state(run_id, "FAILED", error='{"type": "E", "message": "m"}')
    maker.state(run_id, "SCHEDULED", "AwaitingRetry", attempt=2)
    run = store.get_run(run_id)
    assert (run.attempt, run.started_at, run.ended_at, run.error) == (2, None, None, None)
    started = maker.state(run_id, "RUNNING", "Retrying", attempt=2)
    ended = maker.state(run_id, "COMPLETED", attempt=2)
    run = store.get_run(run_id)
    assert (run.state.type, run.attempt, run.started_at, run.ended_at) == ("COMPLETED", 2, started, ended)
    payloads = [event.payload for event in store.states(run_id)]
    assert [(each["name"], each["attempt"]) for each in payloads] == [
        ("Pending", 1),
        ("Running", 1),
        ("Failed", 1),
        ("AwaitingRetry", 2),
        ("Retrying", 2),
        ("Completed", 2),
    ]
    assert payloads[2]["error"] == {"type": "E", "message": "m"}


@pytest.mark.parametrize("flushed", [False, True], ids=["one batch", "two batches"])
def test_a_terminal_state_is_left_by_a_new_attempt_only(
    store: Store, maker: Maker, caplog: pytest.LogCaptureFixture, flushed: bool
) -> None:
    run_id = maker.run("COMPLETED")
    if flushed:
        maker.journal.flush(10)
    maker.state(run_id, "FAILED")
    maker.state(run_id, "CRASHED")
    run = store.get_run(run_id)
    assert run.state.type == "COMPLETED"
    assert [event.payload["type"] for event in store.states(run_id)] == ["PENDING", "RUNNING", "COMPLETED"]
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    maker.state(run_id, "RUNNING", attempt=2)
    assert store.get_run(run_id).state.type == "RUNNING"


def test_a_run_that_was_never_called_stays_so(store: Store, maker: Maker) -> None:
    run_id = maker.run("PENDING")
    maker.state(run_id, "PENDING", "NotReady")
    maker.state(run_id, "RUNNING")
    run = store.get_run(run_id)
    assert (run.state.name, run.started_at, run.ended_at) == ("NotReady", None, None)


def test_an_older_attempt_has_no_say(store: Store, maker: Maker) -> None:
    run_id = maker.run("PENDING")
    maker.state(run_id, "RUNNING", attempt=3)
    maker.state(run_id, "COMPLETED", attempt=2)
    assert (store.get_run(run_id).state.type, store.get_run(run_id).attempt) == ("RUNNING", 3)


def test_entries_of_an_unknown_run_are_left_out(store: Store, maker: Maker) -> None:
    known = maker.run("RUNNING")
    maker.state("unknown", "RUNNING")
    maker.log("unknown", "hello")
    maker.patch("unknown", name="x")
    maker.state(known, "COMPLETED")
    assert store.get_run(known).state.type == "COMPLETED"
    assert {event.run_id for event in store.events(after=0)} == {known}


@pytest.mark.parametrize("flushed", [False, True], ids=["one batch", "two batches"])
def test_patches(store: Store, maker: Maker, flushed: bool) -> None:
    run_id = maker.run("RUNNING", source='{"notebook": "n.ipynb", "folder": "f"}', parameters='{"a": 1}')
    if flushed:
        maker.journal.flush(10)
    maker.patch(run_id, name="new name", expected=9, source={"folder": "g", "executed": "/x"}, parameters={"b": 2})
    maker.patch(run_id, source={"executed": "/y"})
    run = store.get_run(run_id)
    assert (run.name, run.expected, run.parameters) == ("new name", 9, {"b": 2})
    assert run.source == {"notebook": "n.ipynb", "folder": "g", "executed": "/y"}
    assert run.state.type == "RUNNING"
    assert [event.payload for event in store.events(after=0) if event.kind == "patch"][1] == {
        "source": {"executed": "/y"}
    }


def test_a_patch_gives_a_run_an_owner_until_it_is_suspended(store: Store, maker: Maker) -> None:
    taken, suspended = maker.run("RUNNING"), maker.run("RUNNING")
    maker.journal.flush(10)
    maker.patch(taken, process_id="another")
    maker.patch(suspended, process_id="another")
    maker.state(suspended, "PAUSED", name="Suspended")
    assert store.get_run(taken).process_id == "another"
    assert store.get_run(suspended).process_id is None


@pytest.mark.parametrize(
    "bad",
    [
        RunPatched("RUN", 1.0, "not json"),
        RunPatched("RUN", 1.0, "[]"),
        RunPatched("RUN", 1.0, '{"expected": "many"}'),
        RunPatched("RUN", 1.0, '{"name": 3}'),
        StateChanged("RUN", float("nan"), 1, "COMPLETED", "Completed"),
        StateChanged("RUN", 1.0, 10**30, "COMPLETED", "Completed"),
        LogWritten("RUN", 1.0, 20, "x", 3),  # type: ignore[arg-type]
        RunCreated("RUN", 1.0, "task", "again", None, None, None, "RUN", None),
    ],
)
def test_what_cannot_be_stored_does_not_take_others_with_it(store: Store, maker: Maker, bad: Entry) -> None:
    first, last = maker.run("RUNNING"), maker.run("RUNNING")
    maker.journal.append(bad._replace(run_id=first))
    if isinstance(bad, RunCreated):
        maker.journal.append(bad._replace(run_id=first))
    maker.state(last, "COMPLETED")
    assert store.get_run(first).state.type == "RUNNING"
    assert store.get_run(last).state.type == "COMPLETED"
    assert store.get_run(first).name == "a-run"
    maker.state(first, "COMPLETED")
    assert store.get_run(first).state.type == "COMPLETED"


def test_results_by_key(store: Store, maker: Maker) -> None:
    first, second = maker.run(), maker.run()
    append = maker.journal.append
    append(ResultStored(first, 1.0, "k", 100.0, "json", b"1"))
    found = StoredResult(run_id=first, format="json", data=b"1", expires_at=100.0, at=1.0)
    assert store.find_result("k", 99.0) == found
    assert store.find_result("k", 100.0) is None
    assert store.find_result("other", 1.0) is None
    before = store.last_seq()
    append(ResultStored(second, 2.0, "k", None, "pickle", b"\0\xff"))
    append(ResultStored(second, 2.0, "\ud800\0", None, "pickle", b""))
    assert store.find_result("k", 1e12) == StoredResult(run_id=second, format="pickle", data=b"\0\xff", at=2.0)
    assert store.find_result("\ud800\0", 1.0) is not None
    assert store.last_seq() == before


def test_subscribers_hear_of_what_is_committed(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    other = opened()
    heard: list[tuple[int, list[Entry], str, int]] = []

    def listen(seq: int, entries: Sequence[Entry]) -> None:
        runs = [entry.run_id for entry in entries]
        heard.append((seq, list(entries), other.get_run(runs[-1]).state.type, threading.get_ident()))

    end = maker.journal.subscribe(listen)
    run_id = maker.run("COMPLETED")
    maker.state(run_id, "FAILED")
    maker.journal.flush(10)
    entries = [entry for _, batch, _, _ in heard for entry in batch]
    assert [getattr(entry, "type", "created") for entry in entries] == ["created", "PENDING", "RUNNING", "COMPLETED"]
    assert heard[-1][0] == other.last_seq() and heard[-1][2] == "COMPLETED"
    assert {thread for *_, thread in heard} != {threading.get_ident()}
    end()
    end()
    count = len(heard)
    maker.run("RUNNING")
    maker.journal.flush(10)
    assert len(heard) == count


def test_a_failing_subscriber_harms_nobody(store: Store, maker: Maker, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def fail(seq: int, entries: Sequence[Entry]) -> None:
        raise RuntimeError("the subscriber's own fault")

    maker.journal.subscribe(fail)
    maker.journal.subscribe(lambda seq, entries: heard.append(seq))
    run_id = maker.run("RUNNING")
    maker.state(run_id, "COMPLETED")
    assert store.get_run(run_id).state.type == "COMPLETED"
    assert heard and "the subscriber's own fault" in caplog.text


def test_a_subscriber_may_read_and_append(store: Store, maker: Maker) -> None:
    told = threading.Event()
    read: list[str] = []

    def listen(seq: int, entries: Sequence[Entry]) -> None:
        if told.is_set():
            return
        told.set()
        run_id = entries[0].run_id
        read.append(store.get_run(run_id).id)
        maker.journal.append(LogWritten(run_id, 1.0, 20, "x", "from the subscriber"))
        maker.journal.flush(10)
        store.request(run_id, "cancel")

    maker.journal.subscribe(listen)
    run_id = maker.run("RUNNING")
    until(lambda: [line.message for line in store.logs(run_id)] == ["from the subscriber"], "its line")
    assert read == [run_id]
    assert [each.kind for each in store.requests()] == ["cancel"]


def test_many_threads_append(store: Store, maker: Maker) -> None:
    root = maker.run("RUNNING")
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(10)
        for index in range(200):
            maker.log(root, f"{number}:{index}")
            if index % 50 == 0:
                maker.journal.flush(10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    lines = [line.message.split(":") for line in store.logs(root, limit=10_000)]
    assert len(lines) == 1_600
    for number in range(8):
        assert [int(index) for each, index in lines if int(each) == number] == list(range(200))


def test_closing_commits_what_waits(opened: Callable[[], Store]) -> None:
    first = opened()
    maker = Maker(first)
    ids = [maker.run("COMPLETED") for _ in range(100)]
    first.close()
    first.close()
    assert set(opened().get_runs(ids)) == set(ids)
    with pytest.raises(StoreError, match="closed"):
        maker.run()
    maker.journal.flush(1)
    with pytest.raises(StoreError, match="closed"):
        first.list_runs()
    with pytest.raises(StoreError, match="closed"):
        first.request(ids[0], "cancel")


def test_the_journal_may_close_before_the_store(store: Store, maker: Maker, opened: Callable[[], Store]) -> None:
    run_id = maker.run("COMPLETED")
    maker.journal.close()
    maker.journal.close()
    assert store.get_run(run_id).state.type == "COMPLETED"


def test_a_run_whose_state_is_still_to_come(store: Store, maker: Maker) -> None:
    run_id = new_id()
    maker.journal.append(RunCreated(run_id, 5.0, "flow", "x", None, None, None, run_id, maker.process.id))
    assert (store.get_run(run_id).state.type, store.states(run_id)) == ("PENDING", [])
    maker.state(run_id, "SCHEDULED", attempt=0)
    assert [event.payload["type"] for event in store.states(run_id)] == ["SCHEDULED"]
