"""``%wf schedule``: the current notebook's schedules."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Deployment
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.ipython import _sessions
from jupyter_wf.ipython.completion import completions
from tests.ipython.test_wf import usage_error
from tests.notebook.making import code, write_notebook


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write_notebook(tmp_path / "report.ipynb", code("rows: int = 3\nday = 'mon'", "parameters"), "print(rows)")
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    return path


def stored(name: str = "report/report") -> Deployment:
    return current_runtime().store.deployments.find(name)


def test_a_cron_expression_schedules_the_notebook(ip: Any, notebook: Path) -> None:
    shown = ip.ok('%wf schedule "0 6 * * 1-5" --timezone Europe/Oslo -p rows=7')
    assert [each.address for each in shown.deployments] == ["report/report"]
    assert (stored().target, dict(stored().parameters)) == (str(notebook), {"rows": 7})
    assert dict(stored().schedules[0].spec) == {"cron": "0 6 * * 1-5", "timezone": "Europe/Oslo"}
    lines = repr(shown).splitlines()
    assert lines[0] == "report/report: At 06:00, Monday through Friday, Europe/Oslo"
    assert [line.split()[2] for line in lines[1:6]] == ["06:00"] * 5
    assert "as it is saved then" in lines[6] and "no agent is there" in lines[7]
    told = html.unescape(shown._repr_html_())
    assert all(line.strip() in told for line in lines[1:])
    assert "Monday through Friday" in told and "Europe/Oslo" in told
    # A time stays on its line, however narrow the page is.
    assert f"white-space:pre'>{lines[1].strip()}\n" in told


def test_a_new_expression_replaces_the_old_one_and_nothing_else(ip: Any, notebook: Path) -> None:
    ip.ok(f"from jupyter_wf.deployments import deploy\ndeploy({str(notebook)!r}, 'report', timeout=60, tags=['a'])")
    ip.ok("%wf schedule --every 15m")
    ip.ok("%wf schedule @daily -p day=tue")
    found = stored()
    assert [each.spec["cron"] for each in found.schedules] == ["@daily"]
    assert (found.policies.timeout, found.tags, dict(found.parameters)) == (60.0, ("a",), {"day": "tue"})
    ip.ok("%wf schedule --at 2990-01-01T06:00 --name once")
    ip.ok("%wf schedule --rrule FREQ=WEEKLY;BYDAY=MO;BYHOUR=6 --name weekly")
    listed = ip.ok("%wf schedule")
    assert [each.name for each in listed.deployments] == ["once", "report", "weekly"]
    assert repr(listed).splitlines()[0].split() == ["Deployment", "When", "Zone", "Next"]
    assert "2990-01-01 06:00 +00:00" in repr(listed)
    assert [each.name for each in ip.ok("%wf schedule --name once").deployments] == ["once"]


def test_switching_off_and_on(ip: Any, notebook: Path) -> None:
    ip.ok('%wf schedule "0 6 * * *"')
    ip.ok('%wf schedule "0 7 * * *" --name other')
    assert "paused: switched off by %wf schedule --off" in repr(ip.ok("%wf schedule --off --name other"))
    assert (stored("other").paused, stored().paused) == (True, False)
    ip.ok("%wf schedule --off")
    assert stored().paused
    assert "paused" not in repr(ip.ok("%wf schedule --on"))
    assert not stored("other").paused
    ip.ok("%wf schedule --off")
    # Who gives it a schedule means it to run.
    ip.ok('%wf schedule "0 8 * * *"')
    assert not stored().paused


def test_a_notebook_without_a_schedule(ip: Any, notebook: Path) -> None:
    shown = ip.ok("%wf schedule")
    assert 'has no schedule: %wf schedule "0 6 * * *"' in repr(shown)
    assert "has no schedule" in shown._repr_html_()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"61 * * * *"', "minute"),
        ("0 6 * * *", "unrecognized arguments"),
        ("@daily --timezone Europe/Osl", "did you mean 'Europe/Oslo'"),
        ("@daily -p row=1", "did you mean 'rows'"),
        ("@daily -p rows=x", "expects int"),
        ("@daily --name a/b", "slash"),
        ("--at 2020-01-01T00:00", "is in the past"),
        ("--every soon", "length of time"),
        ("--timezone UTC", "say when"),
        ("-p rows=1", "say when"),
        ("--off", "no schedule to be switched"),
        ("--off --on", "go alone"),
        ("@daily --off", "go alone"),
    ],
)
def test_errors_are_one_line(ip: Any, notebook: Path, capsys: pytest.CaptureFixture[str], line: str, why: str) -> None:
    assert why in usage_error(ip, capsys, f"%wf schedule {line}")
    assert current_runtime().store.deployments.list() == []


def test_a_kernel_that_does_not_know_its_notebook(
    ip: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert "'jupyter wf deploy NOTEBOOK" in usage_error(ip, capsys, "%wf schedule @daily")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "gone.ipynb"))
    assert "there is no such file" in usage_error(ip, capsys, "%wf schedule @daily")


def test_completion(ip: Any, notebook: Path) -> None:
    session, _ = next(iter(_sessions.values()))

    def offered(rest: str) -> list[str]:
        return completions(session, f"%wf schedule {rest}")[1]

    assert offered("@d") == ["@daily"]
    assert offered("@daily --timezone Europe/Os") == ["Europe/Oslo"]
    assert offered("@daily -p ") == ["rows=", "day="]
    assert offered("@daily --name ") == ["report"]
    assert "--timezone" in offered("@daily --")
    ip.ok("%wf schedule @daily --name mine")
    assert offered("--off --name ") == ["mine"]
    notebook.unlink()
    assert offered("@daily -p ") == []
