"""A batch leaves what its entries one by one would have left, whatever they are and however they are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_wf.core.events import (
    ArtifactWritten,
    Entry,
    Kept,
    LogWritten,
    ResultStored,
    RunCreated,
    RunKept,
    RunPatched,
    StateChanged,
)
from jupyter_wf.core.states import StateType
from jupyter_wf.store.sqlite.batch import Batches
from jupyter_wf.store.sqlite.driver import sqlite
from jupyter_wf.store.sqlite.migrations import create

_RUNS = ("a", "b", "c")
_TERMINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}

_ids = st.sampled_from(_RUNS)
_at = st.floats(0, 1e6)
_text = st.text(max_size=4)
_word = st.text("ab", max_size=2)
_kept = st.builds(Kept, _word, st.binary(max_size=3), st.none() | _word, st.none() | st.just('{"x": 1}'))
_states = st.builds(
    StateChanged,
    _ids,
    _at,
    st.integers(1, 3),
    st.sampled_from([each.value for each in StateType]),
    st.sampled_from(["Running", "NotReady", "Completed", "Suspended", "x"]) | _text,
    st.none() | _text,
    st.none() | st.builds(lambda t, m: json.dumps({"type": t, "message": m}), _text, _text),
    st.none() | _kept,
)
_late = st.builds(RunKept, _ids, _at, st.integers(1, 3), _kept)
_logs = st.builds(LogWritten, _ids, _at, st.integers(0, 50), _text, _text)
_patches = st.builds(
    lambda run_id, at, patch: RunPatched(run_id, at, json.dumps(patch)),
    _ids,
    _at,
    st.fixed_dictionaries(
        {},
        optional={
            "name": _text,
            "expected": st.none() | st.integers(0, 9),
            "source": st.dictionaries(st.sampled_from("xyz"), _text, max_size=2),
            "parameters": st.dictionaries(_text, st.integers(0, 9), max_size=2),
            "tags": st.lists(_text, max_size=2),
            "process_id": st.sampled_from(("another", "third")),
        },
    ),
)
_results = st.builds(
    ResultStored,
    _ids,
    _at,
    st.sampled_from("kl"),
    st.none() | _at,
    st.just("json"),
    st.binary(max_size=3),
    st.none() | _text,
    st.none() | _text,
    st.none() | st.just('{"x": 1}'),
)
_artifacts = st.builds(
    ArtifactWritten,
    st.none() | _ids,
    _at,
    st.sampled_from("pq"),
    st.none() | _text,
    _text,
    st.none() | _text,
    st.integers(0, 9).map(json.dumps),
)
_entries = st.one_of(_states, _states, _states, _late, _logs, _patches, _results, _artifacts)


@st.composite
def _histories(draw: st.DrawFn) -> list[Entry]:
    """Entries in which each run is created at some point, once or never, and used before and after."""
    entries: list[Entry] = draw(st.lists(_entries, max_size=25))
    for run_id in _RUNS:
        place = draw(st.integers(-1, len(entries)))
        if place >= 0:
            root = draw(_ids)
            created = RunCreated(
                run_id,
                draw(_at),
                "task",
                draw(_text),
                None,
                "t",
                None,
                root,
                "owner",
                source='{"x": "0"}',
                call_number=draw(st.none() | st.integers(0, 9)),
            )
            entries.insert(place, created)
    return entries


class File:
    """A database in memory that batches are applied to."""

    def __init__(self) -> None:
        self.connection = sqlite.connect(":memory:", isolation_level=None)
        create(self.connection)
        self.clear()

    def clear(self) -> None:
        for table in ("runs", "events", "results", "artifacts", "sqlite_sequence"):
            self.connection.execute(f"DELETE FROM {table}")
        self.batches = Batches()

    def apply(self, entries: Sequence[Entry]) -> list[Entry]:
        return list(self.batches.apply(self.connection, entries).entries) if entries else []

    def dump(self) -> list[list[tuple[Any, ...]]]:
        # Numbers are given in the order of creation, so they may be compared as well.
        return [
            self.connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()
            for table, columns in (("runs", "*"), ("events", "*"), ("results", "*"), ("artifacts", "*"))
        ]


@pytest.fixture(scope="module")
def files() -> Iterator[tuple[File, File]]:
    both = File(), File()
    yield both
    for each in both:
        each.connection.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=_histories(), cuts=st.lists(st.integers(0, 28), max_size=3))
def test_batches_are_as_good_as_single_entries(files: tuple[File, File], history: list[Entry], cuts: list[int]) -> None:
    together, singly = files
    together.clear()
    singly.clear()
    accepted: list[Entry] = []
    edges = [0, *sorted(min(cut, len(history)) for cut in cuts), len(history)]
    for begin, end in pairwise(edges):
        accepted += together.apply(history[begin:end])
    assert accepted == [each for entry in history for each in singly.apply([entry])]
    assert together.dump() == singly.dump()
    _check_history(together, accepted)


def _check_history(file: File, accepted: Sequence[Entry]) -> None:
    """Hold what is stored to the rules, told in another way."""
    for run_id in _RUNS:
        states = [each for each in accepted if isinstance(each, StateChanged) and each.run_id == run_id]
        for before, after in pairwise(states):
            closed = before.type in _TERMINAL or before.name == "NotReady" or _is_suspended(before)
            assert after.attempt > before.attempt or (after.attempt == before.attempt and not closed)
        row = file.connection.execute(
            "SELECT state_type, state_at, attempt, started_at, ended_at FROM runs WHERE id = ?", (run_id,)
        ).fetchone()
        if states:
            last = states[-1]
            newest = [each.at for each in states if each.attempt == last.attempt and each.type == "RUNNING"]
            ended = last.at if last.type in _TERMINAL else None
            assert row == (last.type, last.at, last.attempt, newest[0] if newest else None, ended)
            known = [each for each in accepted if isinstance(each, (StateChanged, RunKept)) and each.run_id == run_id]
            kept = [each.kept for each in known if each.attempt == last.attempt and each.kept is not None]
            assert _kept_of(file, run_id) == (kept[-1] if kept else (None,) * 4)
        if row is not None:
            owner = file.connection.execute("SELECT process_id FROM runs WHERE id = ?", (run_id,)).fetchone()
            assert owner == (_owner(run_id, accepted),)


def _owner(run_id: str, accepted: Sequence[Entry]) -> str | None:
    owner: str | None = None
    for entry in accepted:
        if entry.run_id != run_id:
            continue
        if isinstance(entry, RunCreated):
            owner = entry.process_id
        elif isinstance(entry, StateChanged) and _is_suspended(entry):
            owner = None
        elif isinstance(entry, RunPatched):
            owner = json.loads(entry.patch).get("process_id", owner)
    return owner


def _is_suspended(state: StateChanged) -> bool:
    return state.type == "PAUSED" and state.name == "Suspended"


def _kept_of(file: File, run_id: str) -> tuple[Any, ...]:
    columns = "result_format, result, code, inputs"
    row: tuple[Any, ...] = file.connection.execute(f"SELECT {columns} FROM runs WHERE id = ?", (run_id,)).fetchone()
    return row


def test_a_large_batch(files: tuple[File, File]) -> None:
    file = files[0]
    file.clear()
    entries: list[Entry] = []
    for index in range(1_111):
        entries.append(RunCreated(f"run-{index}", index, "task", "n", None, None, None, "run-0", None))
        entries.append(StateChanged(f"run-{index}", index, 1, "COMPLETED", "Completed"))
        entries.append(LogWritten(f"run-{index}", index, 20, "x", str(index)))
    applied = file.batches.apply(file.connection, entries)
    assert applied.last_seq == 3_333 and applied.entries is entries and not applied.refused
    assert file.connection.execute("SELECT count(*), max(n) FROM runs WHERE state_type = 'COMPLETED'").fetchone() == (
        1_111,
        1_111,
    )
    logs = file.connection.execute(
        "SELECT run, payload ->> 'message', root FROM events WHERE kind = 'log' ORDER BY seq"
    )
    assert logs.fetchall() == [(index + 1, str(index), 1) for index in range(1_111)]
