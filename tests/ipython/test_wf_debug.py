"""``%wf debug``: the debugger on a kept failure in a real kernel, and what is shown of one that is not kept."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_wf.ipython import _sessions
from tests.ipython.kernels import PATIENCE, Kernel, Reply, running_kernel


@pytest.fixture(scope="module", params=[6, 7], ids=["ipykernel 6", "ipykernel 7"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "home", request.param) as made:
        made.ok("from jupyter_wf import flow, task\nimport json")
        yield made


def debugged(kernel: Kernel, line: str, commands: Sequence[str]) -> tuple[str, Reply]:
    """Type ``commands`` into the debugger that ``line`` opens; return what it printed, and all of the cell's output."""
    message = kernel.send(line)
    for command in commands:
        asked = kernel.client.get_stdin_msg(timeout=PATIENCE)
        assert asked["msg_type"] == "input_request"
        assert asked["content"]["prompt"].strip().endswith(">")
        kernel.client.input(command)
    reply = kernel.collect(message)
    return re.sub(r"\x1b\[[0-9;]*m", "", reply.stdout), reply


def test_a_cell_that_failed_is_debugged_with_what_it_had_bound(kernel: Kernel) -> None:
    kernel.ok("rows = 'before'")
    assert (
        kernel.run("%%task clean\n_private = 7\nrows = [1, 0]\nfor row in rows:\n    share = 10 / row").status
        == "error"
    )
    printed, reply = debugged(kernel, "%wf debug", ["p rows, row, share", "p _private", "q"])
    assert "([1, 0], 0, 10.0)" in printed
    assert "\n7\n" in printed
    assert "share = 10 / row" in printed
    assert reply.status == "ok"
    assert kernel.ok("rows, 'row' in globals(), 'share' in globals()").value == "('before', False, False)"


def test_a_task_of_a_flow_and_a_frame_of_a_library(kernel: Kernel) -> None:
    kernel.ok(
        "@task(task_run_name='read {name}')\ndef read(name, text):\n    size = len(text)\n    return json.loads(text)"
    )
    kernel.ok(
        "%%flow whole\nread('good', '1')\n"
        "read('bad', '{nothing', return_state=True)\nread('worse', '[', return_state=True)\n'done'"
    )
    for address in ("'whole/read bad'", "'last/read bad'"):
        printed, _ = debugged(kernel, f"%wf debug {address}", ["p text, size", "down", "p s", "q"])
        assert "('{nothing', 8)" in printed
        assert "return json.loads(text)" in printed
        assert "json/__init__.py" in printed
    printed, _ = debugged(kernel, "%wf debug", ["p name", "q"])
    assert "'worse'" in printed
    assert "site-packages" not in printed
    (told,) = kernel.run("%wf debug whole/read").of("stream")
    assert "fits 2 runs: read bad, read worse; give one of these" in told["text"]


def test_names_stay_as_they_were_however_the_debugger_is_left(kernel: Kernel) -> None:
    kernel.run("%%task broken\nvalue = 1\nvalue / 0")
    for last in ("q", "c", "exit"):
        debugged(kernel, "%wf debug broken", ["value = 99", last])
        assert kernel.ok("'value' in globals()").value == "False"
        assert kernel.ok("1 + 1").value == "2"


def test_where_nobody_can_type_the_stored_form_is_shown(kernel: Kernel) -> None:
    kernel.run("%%task broken\nvalue = '<b>'\nvalue / 0")
    reply = kernel.collect(kernel.client.execute("%wf debug broken", allow_stdin=False))
    (shown,) = [content["data"] for content in reply.of("execute_result")]
    assert "value = '<b>'" in shown["text/plain"]
    assert "There is nobody here to type" in shown["text/plain"]
    assert "&#x27;&lt;b&gt;&#x27;" in shown["text/html"]
    assert "<b>'" not in shown["text/html"]


def test_a_runners_notebook_shows_the_stored_form(kernel: Kernel) -> None:
    kernel.client.session.metadata = {"jupyter_wf": {"run_id": None, "flow_run_id": "flow-1", "cell": 2}}
    try:
        assert kernel.run("%%task broken\nvalue = 3\nvalue / 0").status == "error"
    finally:
        kernel.client.session.metadata = {}
    stored = kernel.store.find_result(f"locals/{kernel.newest().id}", 0.0)
    assert stored is not None
    assert b'"value": "3"' in stored.data


def usage_error(ip: Any, capsys: pytest.CaptureFixture[str], line: str) -> str:
    capsys.readouterr()
    assert isinstance(ip.run(line).error_in_exec, UsageError)
    return capsys.readouterr().err.strip()


def test_what_there_is_to_debug(ip: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing has failed in this kernel" in usage_error(ip, capsys, "%wf debug")
    ip.ok("%%task fine\n1")
    assert "is Completed: there is no failure to debug" in usage_error(ip, capsys, "%wf debug fine")
    assert "no run has this name" in usage_error(ip, capsys, "%wf debug nothing")


def test_a_failure_that_is_not_kept_is_shown_with_its_variables(ip: Any) -> None:
    ip.ok(
        "from jupyter_wf import flow, task\n@task\ndef half(n, api_key='hunter2'):\n"
        "    wide = list(range(1000))\n    n / 0"
    )
    ip.run("%%flow whole\nfirst = '</details><script>'\nhalf(4)")
    _sessions[ip.shell][0].failures.forget()
    shown = ip.ok("%wf debug whole/half")
    text, form = repr(shown), shown._repr_html_()
    for told in (text, html.unescape(form)):
        assert "ZeroDivisionError: division by zero" in told
        assert "half, line" in told
        assert "It is not one of this kernel's last failures: %wf load" in told
        assert "hunter2" not in told
    assert "n = 4" in text
    assert "api_key = ***" in text
    assert "wide = [0, 1, 2" in text
    assert len(re.search(r"wide = (.*)", text)[1]) <= 300  # type: ignore[index]
    whole = ip.ok("%wf debug whole")
    assert "<script>" in repr(whole)
    assert "<script>" not in whole._repr_html_()
    assert whole._repr_html_().count("<details") == 3


def test_a_run_without_frames_of_its_own_shows_those_of_what_made_it_fail(ip: Any) -> None:
    runtime = _sessions[ip.shell][0].runtime
    ip.ok("from jupyter_wf import flow, task\n@task\ndef half(n): n / 0\n@flow\ndef whole(): return half.submit(3)")
    ip.run("whole()")
    _sessions[ip.shell][0].failures.forget()
    assert "n = 3" in repr(ip.ok("%wf debug whole"))
    assert runtime.store.find_result("locals/none", 0.0) is None


def test_only_the_last_ten_failures_are_kept(ip: Any) -> None:
    failures = _sessions[ip.shell][0].failures
    ip.ok("from jupyter_wf import task\n@task\ndef fail(n): n / 0")
    ip.ok("for n in range(12): fail(n, return_state=True)")
    runs = [run for run in ip.runs() if run.task_name == "fail"]
    assert [failures.of(run.id) is not None for run in runs] == [False] * 2 + [True] * 10
    assert failures.newest.arguments == {"n": 11}
    assert failures.newest.run_id == runs[-1].id


def test_a_flood_of_failures_is_not_told_at_length(ip: Any) -> None:
    ip.ok("from jupyter_wf import task\n@task\ndef fail(n): n / 0")
    ip.ok("%%flow many\nfor n in range(60): fail(n, return_state=True)")
    store = _sessions[ip.shell][0].runtime.store
    failed = [run for run in ip.runs() if run.task_name == "fail"]
    assert len(failed) == 60
    assert sum(store.find_result(f"locals/{run.id}", 0.0) is not None for run in failed) == 50
    assert sum(store.find_result(f"inputs/{run.id}", 0.0) is not None for run in failed) == 50
