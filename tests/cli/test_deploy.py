"""``jupyter wf deploy``, ``deployments``, ``schedules``, ``pools`` and ``agents``."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Agent
from jupyter_wf.engine.runtime import Runtime
from tests.notebook.making import code, write_notebook

Wf = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a notebook and a flow, and the current one."""
    write_notebook(tmp_path / "report.ipynb", code("rows: int = 3\nday = 'mon'", "parameters"), "print(rows)")
    (tmp_path / "flows_of_cli.py").write_text(
        "from jupyter_wf import flow\n@flow\ndef etl(rows: int, password: str = ''): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deploy(wf: Wf, *args: str) -> tuple[int, str, str]:
    return wf("deploy", "report.ipynb", "--name", "nightly", *args)


def rows(out: str) -> list[list[str]]:
    """Return the words of a table's lines, without the titles."""
    return [line.split() for line in out.splitlines()[1:]]


def test_deploying_shows_words_and_the_next_five_times(wf: Wf, runtime: Runtime, folder: Path) -> None:
    code_, out, err = deploy(wf, "--cron", "0 6 * * 1-5", "--timezone", "Europe/Oslo", "-p", "rows=7")
    lines = out.splitlines()
    assert (code_, len(lines)) == (0, 7)
    assert lines[:2] == ["deployed report/nightly", "At 06:00, Monday through Friday, Europe/Oslo"]
    for line in lines[2:]:
        day, _, clock, offset = line.split()
        assert (day in ("Mon", "Tue", "Wed", "Thu", "Fri"), clock, offset in ("+01:00", "+02:00")) == (
            True,
            "06:00",
            True,
        )
    assert (
        err == "no agent is there for the pool 'default'; a Jupyter server has one, or run 'jupyter wf agent start'\n"
    )
    assert dict(runtime.store.deployments.find("report/nightly").parameters) == {"rows": 7}
    assert deploy(wf, "--every", "15m", "--max-runs", "2")[1].splitlines()[:2] == [
        "changed report/nightly",
        "Every 15 minutes, UTC",
    ]
    assert len(deploy(wf, "--every", "15m", "--max-runs", "2")[1].splitlines()) == 4
    assert "no schedule; 'jupyter wf deployments run report/nightly' runs it" in deploy(wf, "--no-schedules")[1]
    assert "paused" in deploy(wf, "--paused")[1]


def test_every_option_is_taken(wf: Wf, folder: Path) -> None:
    (folder / "params.yaml").write_text("rows: 5\nday: tue\n")
    told = json.loads(
        deploy(
            wf,
            *("--cron", "0 6 * * *", "--every", "1h", "--rrule", "FREQ=DAILY;BYHOUR=4", "--at", "2990-01-01T06:00"),
            *("--timezone", "Europe/Oslo", "--start", "2026-01-01", "--end", "2999-01-01", "--max-runs", "9"),
            *("--jitter", "2m", "-p", "rows=6", "--params-file", "params.yaml", "--pool", "big", "--tag", "a"),
            *("--description", "What", "--priority", "4", "--kernel", "python3", "--paused", "--missed", "all"),
            *("--missed-limit", "5", "--grace", "2m", "--overlap", "skip", "--concurrency-limit", "none"),
            *("--retries", "2", "--retry-delay", "1m", "--timeout", "1h", "--on-crash", "resume", "--keep-last", "5"),
            *("--keep-days", "7", "--max-consecutive-failures", "3", "--deadline", "30m", "--deadline-factor", "2"),
            *(
                "--snapshot",
                "pinned",
                "--output",
                "out/{name}.ipynb",
                "--format",
                "ipynb",
                "--format",
                "html",
                "--json",
            ),
        )[1]
    )
    assert [sorted(each["spec"])[0] for each in told["schedules"]] == ["cron", "anchor_date", "rrule", "at"]
    for each in told["schedules"]:
        assert (each["timezone"], each["max_runs"], each["jitter"]) == ("Europe/Oslo", 9, 120.0)
        assert (each["start_at"], each["words"] != "") == ("2025-12-31T23:00:00.000000Z", True)
        assert 1 <= len(each["next"]) <= 5
    assert (told["parameters"], told["pool"], told["tags"]) == ({"rows": 6, "day": "tue"}, "big", ["a"])
    assert (told["description"], told["priority"], told["kernel"], told["paused"]) == ("What", 4, "python3", True)
    assert told["policies"] == {
        "missed": "all",
        "missed_limit": 5,
        "grace": 120.0,
        "overlap": "skip",
        "concurrency_limit": None,
        "retries": 2,
        "retry_delay": 60.0,
        "timeout": 3600.0,
        "on_crash": "resume",
        "keep_last": 5,
        "keep_days": 7.0,
        "max_consecutive_failures": 3,
        "deadline": 1800.0,
        "deadline_factor": 2.0,
        "snapshot": "pinned",
        "output": "out/{name}.ipynb",
        "formats": ["ipynb", "html"],
    }


def test_listing_showing_pausing_and_deleting(wf: Wf, runtime: Runtime, folder: Path) -> None:
    assert wf("deployments") == (0, "no deployments; 'jupyter wf deploy TARGET --name NAME' makes one\n", "")
    assert wf("schedules")[1].startswith("no schedules; ")
    deploy(wf, "--cron", "0 6 * * *")
    wf("deploy", "flows_of_cli.py:etl", "--name", "quick", "-p", "rows=1", "-p", "password=hunter2", "--pool", "big")
    out = wf("deployments")[1]
    assert [row[0] for row in rows(out)] == ["etl/quick", "report/nightly"]
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "06:00 +00:00" in out and str(folder / "flows_of_cli.py:etl") in out
    assert [row[0] for row in rows(wf("deployments", "list", "--pool", "big")[1])] == ["etl/quick"]
    assert [each["deployment"]["address"] for each in json.loads(wf("deployments", "list", "night", "--json")[1])] == [
        "report/nightly"
    ]
    assert len(json.loads(wf("deployments", "--json")[1])) == 2

    shown = wf("deployments", "show", "quick")[1]
    assert "flows_of_cli.py:etl" in shown and "hunter2" not in shown and "-p password  ***" in shown
    assert json.loads(wf("deployments", "show", "nightly", "--json")[1])["deployment"]["name"] == "nightly"

    assert wf("deployments", "pause", "nightly", "quick", "--reason", "holiday")[1] == (
        "paused report/nightly\npaused etl/quick\n"
    )
    assert runtime.store.deployments.find("nightly").paused_reason == "holiday"
    assert "holiday" in wf("deployments", "show", "nightly")[1]
    assert wf("deployments", "unpause", "nightly")[1].startswith("unpaused report/nightly; next ")

    assert wf("deployments", "run", "nightly", "-p", "rows=4")[1].startswith("report/nightly runs as ")
    assert wf("deployments", "delete", "nightly", "report/nightly")[1] == (
        "deleted report/nightly; 1 waiting run cancelled\n"
    )
    assert [each.address for each in runtime.store.deployments.list()] == ["etl/quick"]
    assert json.loads(wf("deployments", "delete", "quick", "--json")[1])[0]["cancelled"] == 0


def test_running_one(wf: Wf, runtime: Runtime, folder: Path) -> None:
    deploy(wf, "-p", "rows=7")
    _, out, err = wf("deployments", "run", "nightly", "-p", "day=fri", "--tag", "b", "--json")
    told = json.loads(out)
    assert (told["state"]["name"], told["parameters"], told["tags"]) == ("Scheduled", {"rows": 7, "day": "fri"}, ["b"])
    assert "no agent is there" in err
    code_, out, err = wf("deployments", "run", "nightly", "--watch", "--timeout", "0.05")
    assert code_ == 1 and "is still Scheduled after 0.05 s; it goes on" in err
    assert wf("deployments", "run", "nightly", "--at", "2990-01-01T06:00")[0] == 0
    assert max(each.due_at for each in runtime.store.queue.waiting()) > 30_000_000_000


def test_runs_of_one_are_shown_with_when_they_were_due(wf: Wf, runtime: Runtime, folder: Path) -> None:
    assert deploy(wf)[0] == 0
    assert wf("deployments", "run", "nightly", "--at", "2030-01-02T03:04Z")[0] == 0
    (line,) = [line for line in wf("deployments", "show", "nightly")[1].splitlines() if "2030" in line]
    assert line.split()[1:5] == ["Scheduled", "Wed", "2030-01-02", "03:04"]


def test_one_is_shown_as_people_write_it(wf: Wf, runtime: Runtime, folder: Path) -> None:
    asked = ("--cron", "0 6 * * *", "--timezone", "Asia/Tokyo", "--retries", "1", "--retry-delay", "90s")
    assert deploy(wf, *asked, "--timeout", "10m", "--keep-days", "7")[0] == 0
    assert wf("deployments", "run", "nightly", "--at", "2030-01-02T03:04+00:00")[0] == 0
    shown = wf("deployments", "show", "nightly")[1]
    facts = dict(line.split(maxsplit=1) for line in shown.splitlines() if line)
    assert (facts["retry_delay"], facts["timeout"], facts["keep_days"]) == ("90s", "10m", "7")
    assert "Wed 2030-01-02 12:04 +09:00" in shown
    assert shown.count("06:00 +09:00") == 5
    assert wf("schedules", "pause", runtime.store.deployments.find("nightly").schedules[0].id)[0] == 0
    shown = wf("deployments", "show", "nightly")[1]
    assert "(not active)" in shown and "06:00 +09:00" not in shown


@pytest.mark.parametrize("seconds", ["-1", "nan"])
def test_a_wrong_time_makes_no_run(wf: Wf, runtime: Runtime, folder: Path, seconds: str) -> None:
    assert deploy(wf)[0] == 0
    code_, out, err = wf("deployments", "run", "nightly", "--watch", "--timeout", seconds)
    assert (code_, out) == (2, "") and "--timeout" in err
    assert not runtime.store.list_runs(limit=5).items


def test_watching_no_longer_than_was_said(wf: Wf, folder: Path) -> None:
    assert deploy(wf)[0] == 0
    code_, out, err = wf("deployments", "run", "nightly", "--watch", "--timeout", "0.01")
    assert code_ == 1 and out.startswith("report/nightly runs as ") and len(out.splitlines()) == 1
    assert "is still Scheduled after 0.01 s; it goes on" in err.splitlines()[-1]
    code_, out, _ = wf("deployments", "run", "nightly", "--watch", "--timeout", "0.01", "--json")
    assert (code_, json.loads(out)["state"]["name"]) == (1, "Scheduled")


def test_a_filter_that_fits_nothing_is_said(wf: Wf, folder: Path) -> None:
    assert deploy(wf)[0] == 0
    assert wf("deployments", "list", "nobody")[1].startswith("no such deployments;")
    assert wf("deployments", "list", "--pool", "nobody")[1].startswith("no such deployments;")
    assert wf("schedules", "list", "nobody")[1].startswith("no such schedules;")


def test_commands_that_are_offered_can_be_copied(wf: Wf, folder: Path) -> None:
    out = wf("deploy", "report.ipynb", "--name", "my $job")[1]
    assert "jupyter wf deployments run 'report/my $job'" in out


def test_schedules_are_listed_previewed_and_switched(wf: Wf, runtime: Runtime, folder: Path) -> None:
    deploy(wf, "--cron", "0 6 * * *", "--every", "1d")
    found = json.loads(wf("schedules", "--json")[1])
    assert [each["deployment"] for each in found] == ["report/nightly"] * 2
    assert [row[-1] for row in rows(wf("schedules", "list", "night")[1])] == ["yes", "yes"]
    first = found[0]["id"]
    assert wf("schedules", "pause", first[:8])[1] == "switched off At 06:00 of report/nightly\n"
    assert [each.active for each in runtime.store.deployments.find("nightly").schedules] == [False, True]
    assert "no" in rows(wf("schedules")[1])[0]
    assert wf("schedules", "unpause", first)[1].startswith("switched on At 06:00 of report/nightly; next ")
    assert wf("schedules", "remove", first)[0] == 0
    assert len(runtime.store.deployments.find("nightly").schedules) == 1

    _, out, _ = wf("schedules", "preview", "--cron", "30 4 1 * *", "--timezone", "Asia/Tokyo", "--count", "3")
    assert out.splitlines()[0] == "At 04:30, on day 1 of the month, Asia/Tokyo"
    assert [line.split()[2:] for line in out.splitlines()[1:]] == [["04:30", "+09:00"]] * 3
    told = json.loads(wf("schedules", "preview", "--every", "15m", "--json")[1])
    assert (told["words"], len(told["next"]), told["spec"]["interval"]) == ("Every 15 minutes", 5, 900.0)


def test_pools(wf: Wf, runtime: Runtime, folder: Path) -> None:
    assert wf("pools", "set", "big", "--limit", "3", "--description", "Much memory")[1] == "big: at most 3 at a time\n"
    assert wf("pools", "pause", "big")[1] == "paused big\n"
    deploy(wf, "--pool", "big")
    assert "the pool 'big' is paused" in wf("deployments", "run", "nightly")[2]
    listed = rows(wf("pools")[1])
    assert ["big", "3", "1", "0", "paused", "Much", "memory"] in listed
    assert wf("pools", "unpause", "big")[0] == 0
    assert wf("pools", "set", "big", "--limit", "none")[1] == "big: no limit\n"
    (pool,) = [each for each in json.loads(wf("pools", "list", "--json")[1]) if each["name"] == "big"]
    assert (pool["limit"], pool["paused"], pool["waiting"], pool["description"]) == (None, False, 1, "Much memory")
    assert wf("pools", "remove", "big")[1] == "removed big\n"


def test_agents(wf: Wf, runtime: Runtime) -> None:
    assert wf("agents") == (0, "no agents; a Jupyter server has one, or run 'jupyter wf agent start'\n", "")
    runtime.store.register(runtime.process)
    now = time.time()
    agent = Agent(
        id=runtime.process.id,
        name="mine",
        pools=("default", "big"),
        limit=2,
        pid=os.getpid(),
        host=runtime.process.host,
        started_at=now,
        seen_at=now,
    )
    runtime.store.agents.beat(agent, now)
    (row,) = rows(wf("agents")[1])
    assert row[:6] == ["mine", "online", "default,", "big", "0", "2"]
    (told,) = json.loads(wf("agents", "--json")[1])
    assert (told["name"], told["alive"], told["pools"], told["pid"]) == ("mine", True, ["default", "big"], os.getpid())
    runtime.store.agents.leave(runtime.process.id)
    assert rows(wf("agents")[1])[0][1] == "offline"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["deploy", "report.ipynb"], "Missing option '--name'"),
        (["deploy", "nope.ipynb", "--name", "x"], "there is no such file"),
        (["deploy", "report.ipynb:x", "--name", "x"], "a notebook is run as a whole"),
        (["deploy", "flows_of_cli.py:nope", "--name", "x"], "there is no 'nope' in it"),
        (["deploy", "flows_of_cli.py:etl", "--name", "x", "--every", "1h"], "needs it (int)"),
        (["deploy", "report.ipynb", "--name", "x", "-p", "rows=x"], "expects int"),
        (["deploy", "report.ipynb", "--name", "x", "--cron", "61 * * * *"], "minute"),
        (["deploy", "report.ipynb", "--name", "x", "--timezone", "UTC"], "goes with cron"),
        (["deploy", "report.ipynb", "--name", "x", "--max-runs", "3"], "go with --cron"),
        (["deploy", "report.ipynb", "--name", "x", "--no-schedules", "--every", "1h"], "--no-schedules goes without"),
        (["deploy", "report.ipynb", "--name", "x", "--grace", "soon"], "grace='soon'"),
        (["deploy", "report.ipynb", "--name", "x", "--concurrency-limit", "x"], "concurrency_limit='x'"),
        (["deploy", "report.ipynb", "--name", "x", "--output", "/x.ipynb"], "relative"),
        (["deployments", "show", "nope"], "there is no deployment 'nope'"),
        (["deployments", "--json", "show", "nope"], "--json goes behind the command"),
        (["deployments", "run", "there", "-p", "row=1"], "did you mean 'rows'"),
        (["deployments", "run", "there", "--timeout", "1"], "--timeout goes with --watch"),
        (["deployments", "run", "there", "--at", "noon"], "write it like"),
        (["deployments", "pause"], "Missing argument 'NAME...'"),
        (["deployments", "delete", "there", "nope"], "there is no deployment 'nope'"),
        (["schedules", "preview"], "give one of --cron"),
        (["schedules", "preview", "--cron", "x"], "five"),
        (["schedules", "pause", "nope"], "there is no schedule 'nope'"),
        (["pools", "set", "a/b"], "slash"),
        (["pools", "set", "a", "--limit", "x"], "a whole number, or none"),
        (["pools", "pause", "nope"], "there is no pool"),
        (["pools", "remove", "nope"], "nothing was set"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else "",
)
def test_wrong_usage(wf: Wf, runtime: Runtime, folder: Path, args: list[str], why: str) -> None:
    wf("deploy", "report.ipynb", "--name", "there")
    code_, out, err = wf(*args)
    assert (code_, out) == (2, "")
    assert why in err and err.count("\n") == 1
    assert [each.address for each in runtime.store.deployments.list()] == ["report/there"]


def test_the_commands_are_in_the_overview(wf: Wf) -> None:
    out: Any = wf("--help")[1]
    listed = {line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.startswith("  ")}
    assert listed >= {"deploy", "apply", "deployments", "schedules", "pools", "agents", "backfill"}
