"""``%wf``: the list, help, errors, and the commands that look at runs."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.error import UsageError

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
    for form in (repr(shown), shown._repr_html_()):
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
        ("%wf nope", "has no command 'nope'; there are runs"),
        ("%wf rusn", "has no command 'rusn'; did you mean %wf runs?"),
        ("%wf help nope", "has no command 'nope'"),
        ("%wf widgets maybe", "invalid choice: 'maybe'"),
        ("%wf widgets", "required: value; %wf widgets --help"),
        ("%wf runs --state nope", "'nope' is not a state"),
        ("%wf runs --nope", "unrecognized arguments: --nope"),
        ("%wf cancel", "needs a run's id"),
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
    assert [run["name"] for run in table.runs] == ["two", "one"]
    assert [run["name"] for run in ip.ok("%wf runs --state FAILED --limit 5").runs] == ["two"]
    assert [run["name"] for run in ip.ok("%wf runs --state failed").runs] == ["two"]
    assert "can't be cancelled" in usage_error(ip, capsys, f"%wf cancel {ip.runs()[0].id[:8]}")
