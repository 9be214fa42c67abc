"""``%%task`` in a real kernel: the loop, the stop button, requests, the view's forms, retries, a runner's metadata."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from jupyter_wf.core.models import Run
from tests.ipython.kernels import Kernel, running_kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
#: Lets a cell wait for the test: it goes on when the file is there.
HOLD = "import time, pathlib\nwhile not pathlib.Path({path!r}).exists(): time.sleep(0.01)"


@pytest.fixture(scope="module", params=[6, 7], ids=lambda series: f"ipykernel {series}")
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "home", request.param) as made:
        # A checkout whose front end is not built has no widget: its code is not what is tested here.
        made.ok("import jupyter_wf.ipython.run_view as _rv; _rv.is_built = lambda: True")
        yield made


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def printed(kind: str, content: dict[str, Any]) -> bool:
    return kind == "stream"


def running(kernel: Kernel, name: str) -> Run:
    def look() -> Run | None:
        run = kernel.newest()
        return run if run.name == name and run.state.name == "Running" else None

    run: Run = kernel.wait(look)
    return run


def test_a_short_run_gets_no_widget(kernel: Kernel) -> None:
    reply = kernel.ok("%%task load\nx = 20\nprint('working')\nx + 1")
    assert (reply.value, reply.stdout) == ("21", "working\n")
    assert all(WIDGET not in view for view in reply.views)
    assert set(reply.views[-1]) == {"text/html", "text/plain"}
    assert "✓ Task run load · Completed" in reply.views[-1]["text/plain"]
    displayed = [content["transient"]["display_id"] for kind, content in reply.messages if "display_data" in kind]
    assert len(set(displayed)) == 1
    assert next(kind for kind, _ in reply.messages if "display_data" in kind) == "display_data"


def test_a_body_that_awaits_runs_on_the_kernels_loop(kernel: Kernel) -> None:
    kernel.ok("import asyncio\nloop = asyncio.get_running_loop()")
    reply = kernel.ok("%%task a\nawait asyncio.sleep(0)\nsame = asyncio.get_running_loop() is loop\nsame")
    assert reply.value == "True"


def test_a_longer_run_is_watched_and_ends_static(kernel: Kernel, tmp_path: Path) -> None:
    message = kernel.send("%%task long\nprint('begun')\n" + HOLD.format(path=str(tmp_path / "go")))
    live = kernel.collect(message, lambda kind, content: kind == "update_display_data" and WIDGET in content["data"])
    (opened,) = [c for c in live.of("comm_open") if "view" in c["data"]["state"]]
    picture = opened["data"]["state"]["view"]
    assert (picture["run"]["state"]["type"], picture["live"], picture["can_retry"]) == ("RUNNING", True, False)
    assert {"text/html", "text/plain"} < set(live.views[-1])
    (tmp_path / "go").touch()
    reply = kernel.collect(message)
    assert set(reply.views[-1]) == {"text/html", "text/plain"}
    assert "✓ Completed" in reply.views[-1]["text/html"]
    assert opened["comm_id"] in {content["comm_id"] for content in reply.of("comm_close")}
    names = kernel.ok("import threading; print([t.name for t in threading.enumerate()])").stdout
    assert "jupyter-wf-views" not in names
    assert kernel.ok("import ipywidgets; print(len(ipywidgets.widgets.widget._instances))").stdout == "0\n"


@pytest.mark.parametrize(
    "wait", ["import time\ntime.sleep(60)", "import asyncio\nawait asyncio.sleep(60)"], ids=["sync", "async"]
)
def test_the_stop_button(kernel: Kernel, wait: str) -> None:
    message = kernel.send(f"%%task stopped\nleft = 1\nprint('begun')\n{wait}")
    kernel.collect(message, printed)
    running(kernel, "stopped")
    kernel.manager.interrupt_kernel()
    reply = kernel.collect(message)
    assert reply.of("error")[0]["ename"] == "KeyboardInterrupt"
    assert re.findall(r"line (\d+)", plain(reply.traceback)) == ["5"]
    assert "jupyter_wf/" not in reply.traceback
    assert kernel.newest().state.name == "Cancelled"
    assert kernel.ok("'left' in globals()").value == "False"


def test_the_stop_button_closes_a_flows_children(kernel: Kernel) -> None:
    kernel.ok("from jupyter_wf import task\nimport time\n@task\ndef nap(): time.sleep(60)")
    message = kernel.send("%%flow whole\n_fs = [nap.submit() for _ in range(3)]\nprint('begun')\n_fs[0].result()")
    kernel.collect(message, printed)
    kernel.manager.interrupt_kernel()
    assert kernel.collect(message).of("error")[0]["ename"] == "KeyboardInterrupt"
    flow, *tasks = [run for run in kernel.runs() if run.flow_name == "whole"]
    assert flow.state.name == "Cancelled"
    assert [task.state.name for task in tasks] == ["Cancelled"] * 3
    assert kernel.ok("1 + 1").value == "2"


def test_cancel_from_elsewhere(kernel: Kernel) -> None:
    message = kernel.send("%%task elsewhere\nprint('begun')\nimport time\ntime.sleep(60)")
    kernel.collect(message, printed)
    kernel.store.request(running(kernel, "elsewhere").id, "cancel")
    reply = kernel.collect(message)
    assert reply.of("error")[0]["ename"] == "CancelledRun"
    assert kernel.newest().state.name == "Cancelled"
    assert "jupyter_wf/" not in reply.traceback


@pytest.mark.parametrize("extra", ["", "import asyncio\nawait asyncio.sleep(0)\n"], ids=["sync", "async"])
def test_a_failed_run_is_tried_again_below_its_own_cell(kernel: Kernel, tmp_path: Path, extra: str) -> None:
    path = str(tmp_path / "data")
    message = kernel.send(f"%%task fetch\n{extra}n = 1\ntext = open({path!r}).read()\ntext + '!'")
    failed = kernel.collect(message)
    assert failed.of("error")[0]["ename"] == "FileNotFoundError"
    # What offers the retry is a model without a view: the saved output holds the static form only.
    (offer,) = [c for c in failed.of("comm_open") if "marker" in c["data"]["state"]]
    assert offer["data"]["state"]["marker"] in failed.views[-1]["text/html"]
    assert all(WIDGET not in view for view in failed.views)
    (tmp_path / "data").write_text("hello")
    run = kernel.newest()
    kernel.store.request(run.id, "retry")
    again = kernel.collect(message, lambda kind, content: kind == "display_data" and "'hello!'" in str(content))
    kinds = [kind for kind, _ in again.messages]
    assert kinds.index("clear_output") < kinds.index("display_data")
    assert offer["comm_id"] in {content["comm_id"] for content in again.of("comm_close")}
    ended = kernel.newest()
    assert (ended.id, ended.attempt, ended.state.name) == (run.id, 2, "Completed")
    assert kernel.ok("text").value == "'hello'"


def test_a_click_on_retry_is_a_request(kernel: Kernel, tmp_path: Path) -> None:
    message = kernel.send("%%task click\nclicks = globals().get('clicks', 0)\nassert clicks\nclicks")
    failed = kernel.collect(message)
    (offer,) = [c for c in failed.of("comm_open") if "marker" in c["data"]["state"]]
    kernel.ok("clicks = 7")
    run = kernel.newest()
    for run_id in (run.id, "nothing", 5):
        content = {"method": "custom", "content": {"type": "retry", "run_id": run_id}}
        request = kernel.client.session.msg("comm_msg", {"comm_id": offer["comm_id"], "data": content})
        kernel.client.shell_channel.send(request)
    kernel.collect(message, lambda kind, content: kind == "display_data" and content["data"]["text/plain"] == "7")
    assert kernel.newest().state.name == "Completed"
    assert kernel.ok("clicks").value == "7"


def test_a_failed_retry_shows_its_error_there(kernel: Kernel) -> None:
    message = kernel.send("%%task hopeless\n1 / 0")
    kernel.collect(message)
    kernel.store.request(kernel.newest().id, "retry")
    again = kernel.collect(message, lambda kind, content: kind == "error")
    assert "Cell In" in plain(again.traceback)
    assert "jupyter_wf/" not in again.traceback
    run = kernel.newest()
    assert (run.attempt, run.state.name) == (2, "Failed")


def test_a_runner_says_which_run_a_cell_belongs_to(kernel: Kernel) -> None:
    kernel.ok("from jupyter_wf import task\n@task\ndef double(n): return n * 2")
    session = kernel.client.session
    session.metadata = {"jupyter_wf": {"run_id": "cell-2", "flow_run_id": "flow-1", "cell": 2}}
    kernel.ok("double(1)")
    assert (kernel.newest().parent_id, kernel.newest().root_id) == ("cell-2", "flow-1")
    session.metadata = {}
    kernel.ok("double(1)")
    assert kernel.newest().parent_id is None


@pytest.mark.parametrize("series", [6, 7])
def test_a_notebook_executed_by_a_runner_keeps_the_static_forms(tmp_path: Path, series: int) -> None:
    source = ["%load_ext jupyter_wf", "%%task half\nimport time\ntime.sleep(0.3)\nx = 4\nx"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in source])
    with running_kernel(tmp_path / "home", series) as kernel:
        client = NotebookClient(notebook, km=kernel.manager, iopub_timeout=20)
        client.kc = client.km.client()
        client.kc.start_channels()
        for index, cell in enumerate(notebook.cells):
            client.kc.session.metadata = {"jupyter_wf": {"run_id": None, "flow_run_id": "flow-1", "cell": index}}
            client.execute_cell(cell, index)
        client.kc.stop_channels()
        (run,) = kernel.runs()
    assert (run.name, run.parent_id, run.root_id) == ("half", "flow-1", "flow-1")
    assert run.source is not None
    assert run.source["cell"] == 1
    assert run.source["usage"].keys() == {"cpu_seconds", "memory_bytes"}
    view, value = notebook.cells[1].outputs
    assert set(view["data"]) == {"text/html", "text/plain"}
    assert "Completed" in view["data"]["text/plain"]
    assert value["data"]["text/plain"] == "4"
    assert "widgets" not in notebook.metadata


@pytest.mark.parametrize(
    "body", ["!{}\nafter = 1", "_x = !{}\nafter = 1", "%%bash\n{}"], ids=["called", "captured", "script"]
)
def test_the_stop_button_stops_a_task_that_waits_for_a_command(kernel: Kernel, tmp_path: Path, body: str) -> None:
    begun = tmp_path / "begun"
    message = kernel.send("%%task commanded\n" + body.format(f"touch {begun}; sleep 60"))
    kernel.wait(begun.exists)
    kernel.manager.interrupt_kernel()
    assert kernel.collect(message).of("error")[0]["ename"] == "KeyboardInterrupt"
    assert kernel.newest().state.name == "Cancelled"
    assert kernel.ok("'after' in globals()").value == "False"


def test_the_stop_button_pressed_again_while_the_first_is_shown(kernel: Kernel, tmp_path: Path) -> None:
    # A custom exception handler stands for a slow traceback: it goes on when the second interrupt was sent.
    kernel.ok(
        "import pathlib, time, IPython\n"
        "def slow(shell, *error, tb_offset=None):\n"
        "    print('showing')\n"
        f"    while not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)\n"
        "    shell.showtraceback(error)\n"
        "get_ipython().set_custom_exc((KeyboardInterrupt,), slow)"
    )
    message = kernel.send("%%task twice\nprint('begun')\ntime.sleep(60)")
    kernel.collect(message, printed)
    running(kernel, "twice")
    kernel.manager.interrupt_kernel()
    kernel.collect(message, lambda kind, content: kind == "stream" and "showing" in content["text"])
    kernel.manager.interrupt_kernel()
    (tmp_path / "go").touch()
    assert kernel.collect(message).status == "error"
    assert kernel.newest().state.name == "Cancelled"
    kernel.ok("get_ipython().custom_exceptions = ()")
    assert kernel.ok("1 + 1").value == "2"
