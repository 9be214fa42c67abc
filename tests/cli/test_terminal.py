"""The view in a terminal, seen through a pseudo-terminal, and its parts drawn without one."""

from __future__ import annotations

import io
import os
import pty
import re
import time

from rich.console import Console

from jupyter_wf.cli.follow import Board
from jupyter_wf.cli.progress import TerminalView
from jupyter_wf.cli.text import clean, columns, one_line
from jupyter_wf.core.models import Progress, Run
from jupyter_wf.core.states import State, StateType
from tests.cli.conftest import CommandLine
from tests.notebook.making import write_notebook


def run(name: str, type_: StateType, **facts: object) -> Run:
    now = time.time()
    values: dict[str, object] = {
        "id": name,
        "kind": "task",
        "name": name,
        "flow_name": None,
        "task_name": name,
        "parent_id": "root",
        "root_id": "root",
        "attempt": 1,
        "state": State(type=type_, name=type_.value.capitalize(), at=now),
        "parameters": {},
        "tags": (),
        "upstream": (),
        "source": {},
        "created_at": now,
        "started_at": now - 12,
        "ended_at": now,
        **facts,
    }
    return Run(**values)  # type: ignore[arg-type]


def drawn(*rows: Run, logs: dict[str, str] | None = None, height: int = 24) -> str:
    """Return the last picture of a board with these rows."""
    out = io.StringIO()
    console = Console(file=out, width=100, height=height, force_terminal=True, color_system=None)
    board = Board("root")
    board.runs["root"] = run(
        "etl", StateType.RUNNING, id="root", kind="flow", parent_id=None, progress=Progress(total=9, done=3, counts={})
    )
    board.runs |= {row.id: row for row in rows}
    board.last_logs |= logs or {}
    view = TerminalView(console, redirect=False)
    view.start()
    out.truncate(0)
    view.stop(board)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())


def test_a_row_has_state_name_time_attempt_and_what_was_said_last() -> None:
    text = drawn(
        run("load", StateType.COMPLETED),
        run("fetch", StateType.RUNNING, attempt=2, ended_at=None),
        logs={"fetch": "[bold]page 7[/bold]\x1b[2J", "load": "ok"},
    )
    assert "● Running  etl" in text and "3/9" in text
    load, fetch = (next(line for line in text.splitlines() if name in line) for name in ("load", "fetch"))
    assert load.split() == ["✔", "Completed", "load", "12.0", "s", "ok"]
    assert fetch.split()[:3] == ["●", "Running", "fetch"]
    assert "attempt 2" in fetch and "[bold]page 7[/bold]�[2J" in fetch


def test_what_runs_or_failed_is_shown_when_there_is_no_room() -> None:
    rows = [run(f"done{i}", StateType.COMPLETED) for i in range(50)]
    text = drawn(run("broken", StateType.FAILED), *rows, run("busy", StateType.RUNNING), height=12)
    assert "broken" in text and "busy" in text and "done49" in text and "done10 " not in text
    assert "… and 45 more" in text


def test_a_run_in_a_terminal_is_drawn_and_summed_up(command: CommandLine) -> None:
    write_notebook(command.folder / "n.ipynb", "# First step\nprint('hello')", "# Second step\n2")
    parent, child = pty.openpty()
    process = command.start(
        "run", "n.ipynb", stdout=child, stderr=child, stdin=child, env={**os.environ, "TERM": "xterm-256color"}
    )
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(parent)
    assert process.wait(20) == 0
    text = seen.decode()
    assert "\x1b[" in text and "\x1b[?25l" in text, "it is drawn in place"
    final = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "First step" in final and "Second step" in final and "2/2" in final
    assert "✔ Completed" in final and "jupyter lab " in final


def test_text_of_users_is_harmless() -> None:
    assert clean("a\tb\nc \x1b[31m\x07\x00 ‮x \ud800 é😀") == "a\tb\nc �[31m�� �x � é😀"
    assert one_line("a\n b " * 100, 10) == "a b a b a…"


def test_columns_count_wide_characters_twice() -> None:
    assert list(columns([("日本", "x"), ("abc", "y")])) == ["日本  x", "abc   y"]
