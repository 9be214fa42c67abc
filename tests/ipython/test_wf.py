"""``%wf``: the list, help, errors, and the commands that look at runs."""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.ipython import _sessions
from jupyter_wf.ipython.commands.registry import COMMANDS


def usage_error(ip: Any, capsys: pytest.CaptureFixture[str], line: str) -> str:
    """Run a line that is refused; return the one line that says why."""
    capsys.readouterr()
    assert isinstance(ip.run(line).error_in_exec, UsageError)
    text = capsys.readouterr().err.strip()
    assert "\n" not in text
    return text


@pytest.mark.parametrize("line", ["%wf", "%wf help", "%wf --help"])
def test_the_list_of_commands(ip: Any, line: str) -> None:
    shown = ip.ok(line)
    for form in (repr(shown), html.unescape(shown._repr_html_())):
        for name, command in COMMANDS.items():
            assert name in form
            assert command.help in form


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_each_command(ip: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    for line in (f"%wf {name} --help", f"%wf help {name}"):
        assert ip.ok(line) is None
        text = capsys.readouterr().out
        assert f"usage: %wf {name}" in text
        assert COMMANDS[name].help in " ".join(text.split())
    assert COMMANDS[name].help.endswith(".")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%wf nope", "has no command 'nope'; there are run"),
        ("%wf cancle", "has no command 'cancle'; did you mean %wf cancel?"),
        ("%wf help nope", "has no command 'nope'"),
        ("%wf widgets maybe", "invalid choice: 'maybe'"),
        ("%wf widgets", "required: value; %wf widgets --help"),
        ("%wf runs --state nope", "'nope' is not a state"),
        ("%wf runs --nope", "unrecognized arguments: --nope"),
        ("%wf cancel", "required: RUN; %wf cancel --help"),
        ("%wf cancel ffffffff", "no run has the id"),
        ("%wf cancel 'open", "no closing quotation"),
    ],
)
def test_errors_are_one_line(ip: Any, capsys: pytest.CaptureFixture[str], line: str, message: str) -> None:
    assert message in usage_error(ip, capsys, line)


def test_runs_and_cancel(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task one\n1")
    ip.run("%%task two\n1 / 0")
    table = ip.ok("%wf runs")
    assert [run.name for run in table.runs] == ["two", "one"]
    assert [run.name for run in ip.ok("%wf runs --state FAILED --limit 5").runs] == ["two"]
    assert [run.name for run in ip.ok("%wf runs --state failed").runs] == ["two"]
    assert "can't be cancelled" in usage_error(ip, capsys, f"%wf cancel {ip.runs()[0].id[:8]}")


def test_show_last_and_their_values(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("from jupyter_wf import flow, task\n@task\ndef double(n): return n * 2")
    ip.ok("@flow(name='etl')\ndef etl(day, password='hunter2'):\n    return double(20) + double(1)")
    assert "there is no run yet" in usage_error(ip, capsys, "%wf last")
    ip.ok("etl('<b>monday</b>')")
    ip.run("%%task broken\nsecret = 'x'\n1 / 0")
    last = ip.ok("%wf last")
    assert (last.run.name, last.state) == ("broken", "Failed")
    with pytest.raises(MissingResult, match="is Failed"):
        print(last.value)
    shown = ip.ok("%wf last etl")
    assert (shown.state, shown.value, [run.name for run in shown.below.runs]) == (
        "Completed",
        42,
        ["double-0", "double-1"],
    )
    assert ip.ok(f"%wf show {shown.id[:8]}").id == shown.id
    assert ip.ok("%wf show etl/double-1").value == 2
    text, form = repr(shown), shown._repr_html_()
    assert "<b>monday</b>" in text
    assert "&lt;b&gt;monday&lt;/b&gt;" in form
    for told in (text, form):
        assert "double-1" in told
        assert "hunter2" not in told
    assert "ZeroDivisionError" in repr(last)
    assert "1 / 0" in last._repr_html_()


def test_a_card_shows_what_the_variables_were(ip: Any) -> None:
    ip.ok("base = [1, 2]")
    ip.run("%%task broken\n_private = 1\nscaled = base[0] * 10\nscaled / 0")
    shown = ip.ok("%wf show broken")
    for told in (repr(shown), html.unescape(shown._repr_html_())):
        assert "scaled / 0" in told
        assert "_private" not in told
    assert "scaled = 10" in repr(shown)
    assert "base = [1, 2]" in repr(shown)
    assert shown._repr_html_().count("<details") == 2


def test_logs(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("%%task talk\nfor i in range(5): print(f'line {i} <i>')")
    ip.run("%%task bad\n1 / 0")
    table = ip.ok("%wf logs talk --tail 2")
    messages = [row[-1].text for row in table.rows]
    assert messages[0].startswith("there are lines before these")
    assert len(messages) == 3
    assert "line 4 <i>" in repr(ip.ok("%wf logs talk"))
    assert "line 4 &lt;i&gt;" in ip.ok("%wf logs talk")._repr_html_()
    assert repr(ip.ok("%wf logs talk --level error")) == "no log lines"
    assert "ZeroDivisionError" in repr(ip.ok("%wf logs bad --level ERROR"))
    assert "is none of" in usage_error(ip, capsys, "%wf logs talk --level loud")


def test_resuming_a_flow_that_is_in_the_namespace(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("from jupyter_wf import flow, task\ncalls = []\nready = False")
    ip.ok("@task\ndef step(n):\n    calls.append(n)\n    return n")
    ip.ok("@flow(name='etl')\ndef etl(day):\n    step(1)\n    assert ready\n    return day + step(2)")
    ip.run("etl(5)")
    assert "is asynchronous" not in capsys.readouterr().err
    ip.ok("ready = True")
    assert ip.ok("%wf resume etl") == 7
    assert ip.namespace["calls"] == [1, 2]
    assert "can't be resumed" in usage_error(ip, capsys, "%wf resume etl")
    ip.ok("@flow\nasync def later(): assert ready is None")
    ip.run("await later()")
    run = ip.runs()[-1]
    assert f"await later.resume('{run.id}')" in usage_error(ip, capsys, "%wf resume later")


def test_resuming_a_run_that_this_process_remembers(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ip.ok("ready = False")
    ip.run("%%flow whole\nassert ready\nfound = 5")
    ip.run("%%flow waits\nimport asyncio\nawait asyncio.sleep(0)\nassert ready")
    for name in ("whole", "waits"):
        assert isinstance(ip.run(f"%wf resume {name}").error_in_exec, AssertionError)
    ip.ok("ready = True")
    capsys.readouterr()
    for name in ("whole", "waits"):
        assert ip.ok(f"%wf resume {name}") is None
        assert "is Completed" in capsys.readouterr().out
    assert ip.namespace["found"] == 5
    assert [(run.attempt, run.state.name) for run in ip.runs()] == [(3, "Completed")] * 2


def test_resuming_what_another_process_ran(ip: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = tmp_path / "nightly.py"
    script.write_text("from jupyter_wf import flow\n@flow\ndef nightly(): raise ValueError\nnightly(return_state=True)")
    subprocess.run([sys.executable, str(script)], check=True, timeout=60)
    told = usage_error(ip, capsys, "%wf resume nightly")
    assert f"import it from {script}:nightly" in told
    assert "'jupyter wf resume" in told
    script.write_text(script.read_text().replace("@flow", "@flow(name='other')").replace("nightly", "_inner"))
    subprocess.run([sys.executable, "-c", script.read_text()], check=True, timeout=60)
    assert "has nothing to resume" in usage_error(ip, capsys, "%wf resume other")


def test_widgets(ip: Any) -> None:
    board = _sessions[ip.shell][0].board
    for value, expected in (("off", (False, "full")), ("compact", (True, "compact")), ("on", (True, "full"))):
        ip.ok(f"%wf widgets {value}")
        assert (board.enabled, board.mode) == expected
