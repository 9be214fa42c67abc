"""The WebSocket: what is committed anywhere is seen by everyone who listens, once and in order."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import websocket

from jupyter_wf.core.codec import EventJSON, RunJSON, StreamJSON
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.server.events import EventsHandler
from jupyter_wf.store.sqlite import open_store
from tests.contracts.scheduling import a_deployment
from tests.server.harness import TOKEN, Closed, Listener, Seed, Server
from tests.waiting import until

WRITER = """
import json, sys, time
from contextlib import closing
from pathlib import Path
from jupyter_wf.core.events import RunCreated, StateChanged
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

with closing(open_store(Settings(home=Path(sys.argv[1])))) as store:
    me = this_process("python")
    store.register(me)
    journal = store.journal()
    for line in sys.stdin:
        run_id = new_id()
        journal.append(RunCreated(run_id, time.time(), "flow", line.strip(), line.strip(), None, None, run_id, me.id))
        for state in ("PENDING", "RUNNING", "COMPLETED"):
            journal.append(StateChanged(run_id, time.time(), 1, state, state.title()))
        journal.flush(10)
        print(json.dumps([run_id, time.time()]), flush=True)
"""


class Writer:
    """Another process that writes one whole run for each line it is given."""

    def __init__(self, server: Server) -> None:
        command = [sys.executable, "-c", WRITER, str(server.home)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, name: str) -> tuple[str, float]:
        """Have a run written; return its id and when it was committed."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        run_id, at = json.loads(self._process.stdout.readline())
        return run_id, at

    def close(self) -> None:
        self._process.communicate(timeout=20)
        assert self._process.returncode == 0


@pytest.fixture(scope="module")
def writer(server: Server) -> Iterator[Writer]:
    found = Writer(server)
    yield found
    found.close()


def states(listener: Listener, run_id: str) -> list[str]:
    return [
        event["payload"]["type"] for event in listener.events if event["run_id"] == run_id and event["kind"] == "state"
    ]


def test_runs_of_another_process_arrive(server: Server, writer: Writer) -> None:
    with server.listen() as listener:
        first = listener.next()
        assert first == {"seq": server.get("meta")["seq"], "events": [], "runs": []}
        run_id, _ = writer.write("from elsewhere")
        listener.until(lambda: "COMPLETED" in states(listener, run_id))
    assert states(listener, run_id) == ["PENDING", "RUNNING", "COMPLETED"]
    assert listener.runs[run_id] == server.get(f"runs/{run_id}")
    seqs = [event["seq"] for event in listener.events]
    assert seqs == sorted(set(seqs)) and seqs[0] > first["seq"]
    assert listener.messages[-1]["seq"] >= seqs[-1]
    message = listener.messages[-1]
    assert set(message) == set(StreamJSON.__annotations__)
    assert set(message["events"][0]) == set(EventJSON.__annotations__)
    assert set(message["runs"][0]) == set(RunJSON.__annotations__)


def test_a_commit_is_seen_at_once(server: Server, writer: Writer) -> None:
    delay = 1.0
    with server.listen() as listener:
        listener.next()
        # One of many, so that a busy machine does not matter; the promise is 0.2 s.
        for number in range(50):
            run_id, committed = writer.write(f"quick {number}")
            listener.until(lambda run_id=run_id: "COMPLETED" in states(listener, run_id))
            delay = min(delay, time.time() - committed)
            if delay < 0.2:
                break
    assert delay < 0.2


def test_reconnecting_with_after_loses_nothing(server: Server, writer: Writer) -> None:
    made, seen = [], []
    after: dict[str, int] = {}
    for visit in range(4):
        made.append(writer.write(f"visit {visit}")[0])
        with server.listen(**after) as listener:
            if not after:
                listener.next()
                made.append(writer.write("during the first")[0])
                del made[0]
            made.append(writer.write(f"during {visit}")[0])
            listener.until(lambda: listener.runs.get(made[-1], {}).get("state", {}).get("type") == "COMPLETED")
            after = {"after": listener.messages[-1]["seq"]}
            seen += [(event["seq"], event["run_id"], event["kind"]) for event in listener.events]
    assert [seq for seq, _, _ in seen] == sorted({seq for seq, _, _ in seen})
    for run_id in made:
        assert sum(found == run_id for _, found, _ in seen) == 4, run_id


def test_changes_of_deployments_arrive_without_a_run(own_server: Server) -> None:
    with closing(open_store(Settings(home=own_server.home))) as store, own_server.listen() as listener:
        listener.next()
        deployment = store.deployments.save(a_deployment())
        store.deployments.pause(deployment.id, "for now", 1.0)
        store.deployments.delete(deployment.id)
        listener.until(lambda: len(listener.events) == 3)
    told = [(event["kind"], event["run_id"], event["payload"]) for event in listener.events]
    assert told == [
        ("deployment", "", {"deployment_id": deployment.id, "address": "sales/daily", "change": change})
        for change in ("saved", "paused", "deleted")
    ]
    assert all(found["runs"] == [] for found in listener.messages)
    with own_server.listen(after=0) as later:
        later.until(lambda: len(later.events) == 3)
    assert later.events == listener.events


def test_a_long_past_comes_in_pages(own_server: Server, own_seed: Seed) -> None:
    parent = own_seed.run("RUNNING")
    children = [own_seed.run(kind="task", parent=parent) for _ in range(600)]
    newest = own_server.get("meta")["seq"]
    with own_server.listen(after=0) as listener:
        listener.until(lambda: listener.messages and listener.messages[-1]["seq"] >= newest)
    assert [event["seq"] for event in listener.events] == list(range(1, newest + 1))
    assert max(len(found["events"]) for found in listener.messages) == 1000
    assert set(children) <= set(listener.runs)
    assert listener.runs[parent]["progress"]["done"] == 600


def test_after_of_another_database(server: Server, writer: Writer) -> None:
    with server.listen(after=10**12) as listener:
        newest = server.get("meta")["seq"]
        assert listener.next() == {"seq": newest, "events": [], "runs": []}
        run_id, _ = writer.write("afterwards")
        listener.until(lambda: run_id in listener.runs)
    assert listener.messages[-1]["seq"] > newest


def test_the_flow_moves_with_its_tasks(server: Server, seed: Seed) -> None:
    flow = seed.run("RUNNING", expected=3)
    task = seed.run("RUNNING", kind="task", parent=flow)
    with server.listen() as listener:
        listener.next()
        seed.state(task, "COMPLETED", flush=True)
        listener.until(lambda: flow in listener.runs)
    assert listener.runs[flow]["progress"] == {"total": 3, "done": 1, "counts": {"COMPLETED": 1}}
    assert {event["run_id"] for event in listener.events} == {task}


def test_log_lines_only_of_the_tree_that_was_asked_for(server: Server, seed: Seed) -> None:
    flow, other = seed.run("RUNNING"), seed.run("RUNNING")
    task = seed.run("RUNNING", kind="task", parent=flow)
    inner = seed.run("RUNNING", kind="task", parent=task, root=flow)
    before = server.get("meta")["seq"]

    def write(word: str) -> None:
        for run_id in (other, flow, task, inner):
            seed.log(run_id, f"{word} {run_id}")
        seed.flush()

    def lines(listener: Listener) -> list[str]:
        return [event["payload"]["message"] for event in listener.events if event["kind"] == "log"]

    write("past")
    with (
        server.listen(after=before, logs=flow) as whole,
        server.listen(after=before, logs=task[:18]) as part,
        server.listen(after=before) as none,
    ):
        for listener in (whole, part):
            listener.until(lambda listener=listener: any(inner in line for line in lines(listener)))
        none.next()
        write("live")
        end = seed.run()
        for listener in (whole, part, none):
            listener.until(lambda listener=listener: end in listener.runs)
    assert lines(whole) == [f"{word} {run_id}" for word in ("past", "live") for run_id in (flow, task, inner)]
    assert lines(part) == [f"{word} {run_id}" for word in ("past", "live") for run_id in (task, inner)]
    assert lines(none) == []


def test_many_changes_come_in_few_messages(server: Server, seed: Seed) -> None:
    with server.listen() as listener:
        listener.next()
        begun = time.monotonic()
        for _ in range(150):
            last = seed.run(kind="task")
        listener.until(lambda: last in listener.runs and listener.runs[last]["state"]["type"] == "COMPLETED")
        spent = time.monotonic() - begun
    # A message each 0.05 s at most, and the two at the ends.
    assert len(listener.messages) <= spent / EventsHandler.pause + 2


def test_heartbeats(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventsHandler, "heartbeat", 0.05)
    with server.listen() as listener:
        seq = listener.next()["seq"]
        for _ in range(3):
            assert listener.next() == {"seq": seq, "events": [], "runs": []}
    assert EventsHandler.__dict__["heartbeat"] == 0.05


def closes(listener: Listener) -> int:
    with pytest.raises(Closed) as closed:
        while True:
            listener.next()
    code: int = closed.value.args[0]
    return code


def test_a_revoked_token_closes_the_socket(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventsHandler, "heartbeat", 0.05)
    provider = server.app.identity_provider
    with server.listen() as listener:
        listener.next()
        listener.next()
        provider.token = "another"
        try:
            assert closes(listener) == 1008
        finally:
            provider.token = TOKEN


def test_rights_that_are_taken_away_close_the_socket(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventsHandler, "heartbeat", 0.05)
    with server.listen() as listener:
        listener.next()
        monkeypatch.setattr(type(server.app.authorizer), "is_authorized", lambda *_: False)
        assert closes(listener) == 1008


def test_a_client_that_talks_is_closed(server: Server) -> None:
    with server.listen() as listener:
        listener.socket.send('{"seq":1}')
        assert closes(listener) == 1003


def test_a_slow_reader_is_dropped_and_may_come_back(
    server: Server, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EventsHandler, "limit", 2_000_000)
    with server.listen(buffer=4096) as slow, server.listen() as quick:
        after = slow.next()["seq"]
        quick.next()
        feed = server.backend._feed
        assert feed is not None
        until(lambda: len(feed._subscriptions) >= 2)
        listening = len(feed._subscriptions)
        parameters = json.dumps({"text": "x" * 500_000})
        made = []
        # More than what the sockets' own buffers take: nobody reads on the slow side.
        while len(feed._subscriptions) == listening:
            made.append(seed.run(kind="task", parameters=parameters))
            quick.until(lambda: made[-1] in quick.runs)
            assert len(made) < 200
        last = made[-1]
        quick.until(lambda: quick.runs[last]["state"]["type"] == "COMPLETED")
        got = slow_reads(slow)
        assert got["code"] in (1013, None)
        assert len(slow.events) < 4 * len(made)
    with server.listen(after=slow.messages[-1]["seq"] if slow.messages else after) as back:
        back.until(lambda: last in back.runs)
    assert {event["run_id"] for found in (slow, back) for event in found.events} >= set(made)


def slow_reads(listener: Listener) -> dict[str, Any]:
    """Read what was on its way; return the code of the close, None where the line was cut instead."""
    try:
        return {"code": closes(listener)}
    except (websocket.WebSocketConnectionClosedException, ConnectionResetError):
        return {"code": None}


def test_the_state_file_fails_while_somebody_catches_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.listen() as listener:
        listener.next()
    describer = server.backend._describer

    def fail(*_args: object, **_more: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(describer, "page", fail)
    with server.listen() as listener:
        assert closes(listener) == 1013
    monkeypatch.undo()
    monkeypatch.setenv(HOME_VARIABLE, str(server.home))
    with server.listen() as listener:
        assert listener.next()["events"] == []


def test_a_failing_feed_goes_on_where_it_was(server: Server, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = server.backend._feed
    others = set(feed._subscriptions) if feed is not None else set()
    with server.listen() as listener:
        listener.next()
        feed, describer = server.backend._feed, server.backend._describer
        assert feed is not None and describer is not None
        until(lambda: feed._subscriptions - others, "it has caught up")
        describe, failures = describer.describe, []

        def fail_once(*args: Any, **more: Any) -> Any:
            # Only the feed's own reading: a listener that still catches up would be told to come back.
            if not failures and threading.current_thread().name == "jupyter_wf-feed":
                failures.append(args)
                raise StoreError("busy")
            return describe(*args, **more)

        monkeypatch.setattr(describer, "describe", fail_once)
        run_id = seed.run()
        listener.until(lambda: "COMPLETED" in states(listener, run_id))
    assert states(listener, run_id) == ["PENDING", "RUNNING", "COMPLETED"] and failures
