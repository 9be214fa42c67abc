"""Several processes on the same records: two writers, a killed one, a fork, an exit without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jupyter_wf.store.base import Store
from tests.contracts.processes import child
from tests.contracts.stores import Maker
from tests.waiting import until


def test_two_processes_write_at_once(kind: str, wf_home: Path, store: Store, maker: Maker) -> None:
    run_id = maker.run("RUNNING")
    maker.journal.flush(10)
    with child(kind, wf_home) as first, child(kind, wf_home) as second:
        first.tell("write", run_id, 500)
        second.tell("write", run_id, 500)
        for index in range(200):
            maker.log(run_id, str(index), logger="here")
            if index % 10 == 9:
                maker.journal.flush(30)
        assert (first.read(), second.read()) == (500, 500)
        lines = store.logs(run_id, limit=10_000)
        writers = (str(first.info["pid"]), str(second.info["pid"]))
        for writer, number in ((writers[0], 500), (writers[1], 500), ("here", 200)):
            assert [line.message for line in lines if line.logger == writer] == [str(i) for i in range(number)]
        seqs = [event.seq for event in store.events(after=0, limit=10_000)]
        assert seqs == sorted(set(seqs))


def test_a_killed_process_loses_nothing_that_was_flushed(
    kind: str, wf_home: Path, store: Store, opened: Callable[[], Store]
) -> None:
    with child(kind, wf_home) as victim:
        flow, *tasks = victim.ask("begin", 3)
        assert store.get_run(flow).state.type == "RUNNING"
        victim.tell("pour", flow)
        acknowledged = [victim.read() for _ in range(5)][-1]
        victim.kill()
        assert victim.process.stdout
        rest = [int(line) for line in victim.process.stdout.read().split("\n")[:-1]]
        acknowledged = rest[-1] if rest else acknowledged
        lines = [int(line.message) for line in store.logs(flow, limit=100_000)]
        assert lines == list(range(len(lines))) and len(lines) >= acknowledged
        # A reader that asked just before may believe for half a second more that it lives; a new one does not.
        fresh = opened()
        shown = fresh.get_runs([flow, *tasks])
        assert {run.state.type for run in shown.values()} == {"CRASHED"}
        assert set(fresh.reap(2_000_000_000.0)) == {flow, *tasks}
        assert fresh.get_runs([flow, *tasks]) == shown
        until(lambda: store.get_run(flow) == shown[flow], "the same for the other reader")
        assert {run.state.message for run in shown.values()} == {
            f"the process that ran it (pid {victim.info['pid']}) is gone"
        }


def test_a_fork_takes_nothing_along(kind: str, wf_home: Path, store: Store) -> None:
    with child(kind, wf_home) as forking:
        for _ in range(5):
            assert forking.ask("fork") == {
                "code": 0,
                "lines": True,
                "states": ["Running", "Completed", "Completed"],
                "heard": True,
            }
        assert len([line for line in store.events(after=0, limit=10_000) if line.kind == "log"]) == 5 * 201


def test_the_end_of_a_process_flushes(kind: str, wf_home: Path, store: Store) -> None:
    with child(kind, wf_home) as leaving:
        flow = leaving.ask("leave", 3_000)
        assert leaving.process.wait(30) == 0
        assert len(store.logs(flow, limit=10_000)) == 3_000
        assert store.get_run(flow).state.type == "CRASHED"
