"""``jupyter wf backfill`` and ``backfills``: a group of runs for slots that have passed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.engine.runtime import Runtime
from tests.notebook.making import code, write_notebook

Wf = Callable[..., tuple[int, str, str]]


@pytest.fixture
def deployed(wf: Wf, tmp_path: Path) -> str:
    notebook = write_notebook(tmp_path / "report.ipynb", code("rows: int = 3", "parameters"), "print(rows)")
    wf("deploy", str(notebook), "--name", "nightly", "--cron", "0 6 * * *", "--timezone", "Europe/Oslo")
    return "report/nightly"


def backfill(wf: Wf, *args: str) -> tuple[int, str, str]:
    return wf("backfill", "nightly", *args)


def test_a_dry_run_tells_the_slots(wf: Wf, runtime: Runtime, deployed: str) -> None:
    # The clocks were changed on 29 March.
    code_, out, err = backfill(wf, "--from", "2026-03-28", "--to", "2026-03-29", "--dry-run")
    assert (code_, err) == (0, "")
    assert out.splitlines() == [
        "Sat 2026-03-28 06:00 +01:00",
        "Sun 2026-03-29 06:00 +02:00",
        "2 of 2 slots would be run (dry run: nothing was changed)",
    ]
    told = json.loads(backfill(wf, "--from", "2026-03-28T06:00", "--to", "2026-03-28T06:00", "--dry-run", "--json")[1])
    assert [(each["slot"], each["runs"]) for each in told] == [("2026-03-28T05:00:00.000000Z", True)]
    assert runtime.store.queue.waiting() == []


def test_a_backfill_is_one_group(wf: Wf, runtime: Runtime, deployed: str) -> None:
    assert wf("backfills")[1].startswith("no backfills; ")
    code_, out, err = backfill(wf, "--from", "2026-03-01", "--to", "2026-03-03", "--parallel", "2", "-p", "rows=9")
    assert code_ == 0
    assert out.startswith("3 runs of report/nightly, at most 2 at a time, as ")
    assert "no agent is there" in err
    waiting = runtime.store.queue.waiting()
    assert len({each.group_id for each in waiting}) == 1
    assert [dict(each.parameters) for each in waiting] == [{"rows": 9}] * 3

    (group,) = json.loads(wf("backfills", "--json")[1])
    assert (group["deployment"], group["runs"], group["open"], group["parallel"]) == (deployed, 3, 3, 2)
    shown = wf("backfills", "show", group["id"][:8])[1]
    assert shown.count("Scheduled") == 4 and deployed in shown
    assert len(json.loads(wf("backfills", "show", group["id"], "--json")[1])["runs"]) == 3
    # Times are in the schedule's zone.
    assert "Sun 2026-03-01 00:00 +01:00" in shown and "Tue 2026-03-03 23:59:59 +01:00" in shown
    assert [f"2026-03-0{day} 06:00 +01:00" in shown for day in (1, 2, 3)] == [True] * 3
    listed = wf("backfills")[1]
    assert "3 Scheduled" in listed and "Sun 2026-03-01 00:00 +01:00" in listed

    again_all = backfill(wf, "--from", "2026-03-01", "--to", "2026-03-03")[2]
    assert "from='2026-03-01T00:00:00+01:00': all slots of this time have been run; reprocess failed" in again_all

    again = backfill(wf, "--from", "2026-03-01", "--to", "2026-03-04", "--dry-run")[1].splitlines()
    assert [line.endswith("has been run") for line in again[:-1]] == [True, True, True, False]
    assert wf("backfills", "cancel", group["id"][:8])[1] == f"3 runs of {group['id'][:8]} cancelled or asked to stop\n"
    assert "(cancelled)" in wf("backfills")[1]
    assert runtime.store.queue.waiting() == []
    told = json.loads(backfill(wf, "--from", "2026-03-01", "--to", "2026-03-03", "--reprocess", "failed", "--json")[1])
    assert told["runs"] == 3


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["nightly", "--from", "2026-03-01"], "Missing option '--to'"),
        (["nope", "--from", "2026-03-01", "--to", "2026-03-02"], "there is no deployment 'nope'"),
        (["nightly", "--from", "soon", "--to", "2026-03-02"], "write it like"),
        (["nightly", "--from", "2026-03-01", "--to", "2026-02-31"], "write it like"),
        (
            ["nightly", "--from", "2026-03-02", "--to", "2026-02-01"],
            "to='2026-02-01T23:59:59+01:00': must not be before the beginning, 2026-03-02T00:00:00+01:00",
        ),
        (["nightly", "--from", "2026-03-01T07:00", "--to", "2026-03-01"], "no slot in this time"),
        (["nightly", "--from", "1900-01-01", "--to", "2026-03-01"], "choose a shorter time"),
        (["nightly", "--from", "2026-03-01", "--to", "2026-03-02", "-p", "rows=x"], "expects int"),
        (["nightly", "--from", "2026-03-01", "--to", "2026-03-02", "--schedule", "nope"], "there is no schedule"),
        (["nightly", "--from", "2026-03-01", "--to", "2026-03-02", "--parallel", "0"], "0 is not in the range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(wf: Wf, runtime: Runtime, deployed: str, args: list[str], why: str) -> None:
    code_, out, err = wf("backfill", *args)
    assert (code_, out, err.count("\n")) == (2, "", 1)
    assert why in err
    assert runtime.store.queue.waiting() == []


def test_a_backfill_that_is_not_there(wf: Wf) -> None:
    for command in ("show", "cancel"):
        code_, out, err = wf("backfills", command, "ffffffff")
        assert (code_, out) == (2, "") and "ffffffff" in err
    assert "--json goes behind" in wf("backfills", "--json", "show", "x")[2]
