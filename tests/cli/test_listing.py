"""``runs``, ``show``, ``logs`` and ``cancel``: what they print, and what they say about wrong usage."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jupyter_wf.core.codec import RequestJSON, encode_log, encode_page, encode_run
from jupyter_wf.core.events import ResultStored
from jupyter_wf.core.models import RunError, RunFilter
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from tests.cli.conftest import CommandLine
from tests.waiting import until

Wf = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(runtime: Runtime) -> dict[str, LiveRun]:
    """A failed flow with a task and a log, and a completed one."""
    bad = runtime.begin("flow", "sad-otter", flow_name="etl", parameters={"year": 2013, "password": "canary"})
    bad.set_state(StateType.RUNNING)
    load = runtime.begin("task", "load", parent=bad, task_name="load")
    load.set_state(StateType.RUNNING)
    load.log(logging.INFO, "loading\x1b[31m evil")
    load.log(logging.ERROR, "no such file")
    error = RunError(type="OSError", message="no such file", traceback="Traceback\nOSError: no such file\n")
    load.set_state(StateType.FAILED, None, "OSError: no such file", error=error)
    bad.set_state(StateType.FAILED, None, "load failed", error=error)
    good = runtime.begin("flow", "glad-otter", flow_name="other")
    good.set_state(StateType.RUNNING)
    good.set_state(StateType.COMPLETED)
    runtime.journal.flush()
    return {"bad": bad, "load": load, "good": good}


def test_runs_lists_what_stands_alone_newest_first(wf: Wf, runs: dict[str, LiveRun]) -> None:
    code, out, err = wf("runs")
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 3)
    assert lines[0].split() == ["id", "kind", "state", "steps", "started", "time", "name"]
    assert lines[1].startswith(runs["good"].id[:8]) and "Completed" in lines[1] and "other · glad-otter" in lines[1]
    assert lines[2].startswith(runs["bad"].id[:8]) and "Failed" in lines[2] and "1/1" in lines[2]
    assert "\x1b" not in out


def test_runs_of_deployments_are_listed_with_when_they_are_due(wf: Wf, runtime: Runtime) -> None:
    source = {"deployment": "report/nightly"}
    due = runtime.begin("flow", "calm-otter", flow_name="report", source={**source, "slot": "2030-01-02T12:00:00Z"})
    asked = runtime.begin("flow", "keen-otter", flow_name="report", source=source)
    runtime.journal.flush()
    lines = {line.split()[0]: line for line in wf("runs")[1].splitlines()}
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(datetime(2030, 1, 2, 12, tzinfo=UTC).timestamp()))
    told = lines[due.id[:8]]
    assert f"due {moment}" in told and told.endswith("report/nightly · calm-otter")
    assert lines[asked.id[:8]].split()[3:] == ["report/nightly", "·", "keen-otter"]


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--all"], ["good", "load", "bad"]),
        (["--kind", "task"], ["load"]),
        (["--state", "failed"], ["bad"]),
        (["--state", "failed,completed"], ["good", "bad"]),
        (["--flow", "etl"], ["bad"]),
        (["--limit", "1"], ["good"]),
    ],
)
def test_runs_can_be_chosen(wf: Wf, runs: dict[str, LiveRun], options: list[str], names: list[str]) -> None:
    code, out, _ = wf("runs", "--json", *options)
    assert code == 0
    assert {item["id"] for item in json.loads(out)["items"]} == {runs[name].id for name in names}


def test_json_is_what_the_server_answers(wf: Wf, runs: dict[str, LiveRun], runtime: Runtime) -> None:
    store = runtime.store
    assert json.loads(wf("runs", "--json")[1]) == encode_page(store.list_runs(RunFilter(roots_only=True), limit=20))
    shown = json.loads(wf("show", runs["bad"].id[:8], "--json")[1])
    assert shown == encode_run(store.get_run(runs["bad"].id))
    assert shown["parameters"] == {"year": 2013, "password": "***"}
    page = json.loads(wf("logs", runs["bad"].id, "--json")[1])
    lines = store.logs(runs["bad"].id)
    assert page == {"items": [encode_log(line) for line in lines], "next_after": lines[-1].seq}
    assert json.loads(wf("logs", runs["bad"].id, "--json", "--after", str(lines[-1].seq))[1])["items"] == []


def test_pages_go_on_at_the_cursor(wf: Wf, runs: dict[str, LiveRun]) -> None:
    first = json.loads(wf("runs", "--json", "--limit", "1")[1])
    second = json.loads(wf("runs", "--json", "--limit", "1", "--cursor", first["next"])[1])
    assert [item["id"] for item in first["items"] + second["items"]] == [runs["good"].id, runs["bad"].id]


def test_show_tells_the_facts_the_children_and_the_error(wf: Wf, runs: dict[str, LiveRun]) -> None:
    code, out, _ = wf("show", runs["bad"].id[:6])
    assert code == 0
    assert runs["bad"].id in out and "etl · sad-otter" in out and "load failed" in out
    assert "-p year" in out and "canary" not in out
    assert runs["load"].id[:8] in out
    assert out.endswith("Traceback\nOSError: no such file\n")


def test_logs_are_printed_as_harmless_text(wf: Wf, runs: dict[str, LiveRun]) -> None:
    code, out, _ = wf("logs", runs["bad"].id[:8])
    assert code == 0
    assert [line.split("  ", 1)[1] for line in out.splitlines()] == [
        "INFO     load  loading�[31m evil",
        "ERROR    load  no such file",
    ]
    assert [line[-12:] for line in wf("logs", runs["bad"].id, "--level", "error")[1].splitlines()] == ["no such file"]
    assert wf("logs", runs["bad"].id, "--level", "50")[1] == ""


def test_logs_can_be_followed_to_the_end(command: CommandLine, runtime: Runtime) -> None:
    live = runtime.begin("flow", "slow", flow_name="etl")
    live.set_state(StateType.RUNNING)
    live.log(logging.INFO, "one")
    runtime.journal.flush()
    process = command.start("logs", "-f", live.id[:8])
    assert process.stdout is not None
    assert process.stdout.readline().endswith("one\n")
    live.log(logging.INFO, "two")
    assert process.stdout.readline().endswith("two\n")
    live.log(logging.INFO, "three")
    live.set_state(StateType.COMPLETED)
    assert process.communicate(timeout=20)[0].endswith("three\n")
    assert process.returncode == 0


def test_cancel_asks_the_owner(wf: Wf, runtime: Runtime) -> None:
    live = runtime.begin("flow", "slow", flow_name="etl")
    live.set_state(StateType.RUNNING)
    asked = threading.Event()
    live.on_cancel(asked.set)
    runtime.journal.flush()
    code, out, _ = wf("cancel", live.id[:8], "--json")
    request = json.loads(out)
    assert (code, request["run_id"], request["kind"]) == (0, live.id, "cancel")
    assert asked.wait(5)
    assert set(request) == set(RequestJSON.__annotations__)
    until(lambda: not runtime.store.requests())
    assert runtime.store.get_run(live.id).state.type is StateType.CANCELLING
    assert wf("cancel", live.id)[1] == f"asked {live.id[:8]} (etl · slow) to stop\n"


def test_a_run_by_its_name_and_a_task_below_it(wf: Wf, runs: dict[str, LiveRun]) -> None:
    for address in ("etl", "sad-otter"):
        assert wf("show", address)[1].split()[1] == runs["bad"].id
    assert runs["good"].id in wf("show", "last")[1]
    assert wf("show", "etl/load")[1].split()[1] == runs["load"].id
    assert "no such file" in wf("logs", "etl/load", "--level", "error")[1]
    code, _, err = wf("show", "etl/lode")
    assert code == 2
    assert "is called 'lode'; it has load" in err


def test_what_the_variables_were(wf: Wf, runtime: Runtime, runs: dict[str, LiveRun]) -> None:
    run_id = runs["load"].id
    assert "no variables were stored" in wf("show", "etl/load", "--locals")[1]
    names = {"path": "'x\x1b[31m'"}
    frames = [{"file": "etl.py", "line": 3, "function": "load", "source": "open(path)", "locals": names, "more": 2}]
    text = json.dumps(frames).encode()
    runtime.journal.append(ResultStored(run_id, 1.0, f"locals/{run_id}", None, "json", text))
    runtime.journal.flush()
    out = wf("show", "etl/load", "--locals")[1]
    assert out.endswith("\nload, line 3 of etl.py\n  > open(path)\n    path = 'x�[31m'\n    … and 2 more names\n")
    assert "load, line 3" not in wf("show", "etl/load")[1]
    assert json.loads(wf("show", "etl/load", "--json", "--locals")[1])["locals"] == frames
    assert "locals" not in json.loads(wf("show", "etl/load", "--json")[1])


def test_an_empty_state_file_says_how_to_begin(wf: Wf) -> None:
    assert wf("runs") == (0, "no runs yet; 'jupyter wf run …' makes one\n", "")
    assert wf("runs", "--state", "failed") == (0, "no runs\n", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["show", "ffffffff"], "no run has the id 'ffffffff'"),
        (["show", "no%id"], "no%id"),
        (["logs", "ffffffff"], "no run has the id"),
        (["cancel", "ffffffff"], "no run has the id"),
        (["logs", "{good}", "--level", "loud"], "--level='loud': is none of"),
        (["runs", "--state", "happy"], "--state='happy': is none of scheduled, pending"),
        (["runs", "--limit", "0"], "0 is not in the range"),
        (["runs", "--cursor", "bogus"], "cursor"),
        (["cancel", "{good}"], "can't be cancelled"),
        (["show"], "Missing argument 'RUN'"),
        (["fly"], "No such command 'fly'"),
        (["runs", "--fast"], "No such option"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(wf: Wf, runs: dict[str, LiveRun], args: list[str], message: str) -> None:
    code, out, err = wf(*(arg.format(good=runs["good"].id) for arg in args))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("jupyter wf") and message in err


def test_a_state_file_that_cannot_be_used_is_one_line_and_code_1(wf: Wf, wf_home: Path) -> None:
    wf_home.mkdir(mode=0o700)
    (wf_home / "state.db").write_bytes(b"this is no database, and was never meant to be one" * 100)
    (wf_home / "state.db").chmod(0o600)
    code, out, err = wf("runs")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "state.db" in err


def test_help_tells_of_everything(wf: Wf) -> None:
    overview = wf("--help")[1]
    for name in ("run", "runs", "show", "logs", "cancel"):
        assert f"\n  {name} " in overview
        code, text, _ = wf(name, "--help")
        assert code == 0
        assert f"jupyter wf {name}" in text
        options = [line for line in text.splitlines() if line.startswith("  -")]
        assert all(len(line.split("  ")) > 1 for line in options)
    assert "Exit codes" in overview
    assert wf("--version")[1].startswith("jupyter wf")
    code, out, err = wf()
    assert code == 2 and "Usage" in out + err


def test_listing_runs_loads_none_of_the_heavy_packages(tmp_path: Path) -> None:
    heavy = ("nbclient", "nbformat", "IPython", "jupyter_client", "rich", "zmq", "tornado")
    script = (
        "import sys; from jupyter_wf.cli.app import main; main(['runs']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
