"""Views in a real kernel: below their own cells, also late; and nothing in the kernel when they have ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from tests.ipython.kernels import PATIENCE, Kernel, running_kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
HOLD = "import time, pathlib\nwhile not pathlib.Path({path!r}).exists(): time.sleep(0.01)"
LEFT = """
import gc, threading, ipywidgets, comm
from jupyter_wf.core.tree import RunTree
from jupyter_wf.ipython.view import View
gc.collect()
print(len(ipywidgets.widgets.widget._instances), len(comm.get_comm_manager().comms),
      sum(isinstance(o, (RunTree, View)) for o in gc.get_objects()),
      sum(t.name == "jupyter-wf-views" for t in threading.enumerate()))
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "home") as made:
        # A checkout whose front end is not built has no widget: its code is not what is tested here.
        made.ok("import jupyter_wf.ipython.run_view as _rv; _rv.is_built = lambda: True")
        made.ok(
            "from jupyter_wf import flow, task\n@task\ndef same(x): return x\n"
            "@flow\ndef many(n=1): same.map(range(n)).result()"
        )
        yield made


def published(kernel: Kernel, wanted: Any) -> list[dict[str, Any]]:
    """Read what the kernel publishes until ``wanted`` is true of a message; return all of it."""
    messages: list[dict[str, Any]] = []
    deadline = time.monotonic() + PATIENCE
    while not messages or not wanted(messages[-1]):
        try:
            messages.append(kernel.client.get_iopub_msg(timeout=max(0.0, deadline - time.monotonic())))
        except Empty:
            raise AssertionError(f"the kernel went silent after {messages}") from None
    return messages


def is_idle(message: dict[str, Any]) -> bool:
    return message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"


def says(message: dict[str, Any], text: str) -> bool:
    return "display_data" in message["msg_type"] and text in message["content"]["data"].get("text/plain", "")


def nothing_is_left(kernel: Kernel) -> None:
    """Wait until the kernel has no widget, comm, tree, view and painting thread."""
    kernel.wait(lambda: kernel.ok(LEFT).stdout == "0 0 0 0\n")


def test_a_view_of_a_task_behind_is_painted_below_its_own_cell(kernel: Kernel, tmp_path: Path) -> None:
    go, end = tmp_path / "go", tmp_path / "end"
    first = kernel.send("%%task behind -b\n" + HOLD.format(path=str(go)))
    published(kernel, lambda m: is_idle(m) and m["parent_header"].get("msg_id") == first)
    # It ends while another cell runs.
    second = kernel.send(HOLD.format(path=str(end)))
    go.touch()
    messages = published(kernel, lambda m: says(m, "✓ Task run behind · Completed"))
    last = messages[-1]
    assert (last["msg_type"], last["parent_header"]["msg_id"]) == ("update_display_data", first)
    assert WIDGET not in last["content"]["data"]
    end.touch()
    published(kernel, lambda m: is_idle(m) and m["parent_header"].get("msg_id") == second)
    nothing_is_left(kernel)


def test_a_wait_is_below_the_cell_that_waits(kernel: Kernel, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = kernel.send("%%task source -b\n" + HOLD.format(path=str(go)) + "\nvalue = 3")
    published(kernel, lambda m: is_idle(m) and m["parent_header"].get("msg_id") == first)
    second = kernel.send("value + 1")
    (*_, shown) = published(kernel, lambda m: says(m, "waiting for source"))
    assert (shown["msg_type"], shown["parent_header"]["msg_id"]) == ("display_data", second)
    go.touch()
    messages = published(kernel, lambda m: is_idle(m) and m["parent_header"].get("msg_id") == second)
    waited = next(m for m in messages if says(m, "waited"))
    assert waited["content"]["transient"] == shown["content"]["transient"]
    assert waited["parent_header"]["msg_id"] == second
    assert any(m["msg_type"] == "execute_result" for m in messages)


def test_a_loop_is_one_output(kernel: Kernel) -> None:
    reply = kernel.ok("for _n in range(30): many(2)")
    shown = [content for kind, content in reply.messages if kind == "display_data"]
    assert len(shown) == 1
    assert "run 30, 29 earlier runs: 29 completed" in reply.views[-1]["text/plain"]
    nothing_is_left(kernel)


def test_the_messages_of_a_large_flow_are_small_and_nothing_is_left(kernel: Kernel) -> None:
    reply = kernel.ok("many(3_000)")
    told = [content["data"] for kind, content in reply.messages if kind == "comm_msg"]
    for message in told:
        tree = message["content"]["tree"]
        assert message["method"] == "custom" and len(tree["made"]) <= 500 and len(tree["changed"]) <= 1_000
    assert "same × 3,000 · 3,000 completed" in reply.views[-1]["text/plain"]
    nothing_is_left(kernel)


def test_the_page_may_ask_for_the_whole_tree(kernel: Kernel, tmp_path: Path) -> None:
    go = tmp_path / "go"
    message = kernel.send("%%task asked\nsame(1)\nprint('begun')\n" + HOLD.format(path=str(go)))
    live = kernel.collect(message, lambda kind, content: kind == "update_display_data" and WIDGET in content["data"])
    (opened,) = [c for c in live.of("comm_open") if "view" in c["data"]["state"]]
    state = opened["data"]["state"]
    assert (state["mode"], state["view"]["reset"], state["view"]["run"]["name"]) == ("full", True, "asked")
    # A subshell answers while the cell runs, as it does for JupyterLab.
    control = kernel.client.session.msg("create_subshell_request", {})
    kernel.client.control_channel.send(control)
    subshell = kernel.client.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]
    for data in ({"method": "custom", "content": {"type": "sync"}}, {"method": "request_state"}):
        request = kernel.client.session.msg("comm_msg", {"comm_id": opened["comm_id"], "data": data})
        request["header"]["subshell_id"] = subshell
        kernel.client.shell_channel.send(request)

    def answers(message: dict[str, Any]) -> bool:
        data = message["content"].get("data", {})
        return message["msg_type"] == "comm_msg" and data.get("method") == "update" and "view" in data["state"]

    messages = published(kernel, answers)
    synced = [
        m["content"]["data"]["content"]["tree"]
        for m in messages
        if m["msg_type"] == "comm_msg" and m["content"]["data"]["method"] == "custom"
    ]
    asked = [tree for tree in synced if tree["reset"]]
    assert [row[3] for row in asked[-1]["made"]] == ["same-0"]
    view = messages[-1]["content"]["data"]["state"]["view"]
    assert (view["reset"], view["seq"], [row[3] for row in view["made"]]) == (True, asked[-1]["seq"], ["same-0"])
    go.touch()
    published(kernel, lambda m: is_idle(m) and m["parent_header"].get("msg_id") == message)
    nothing_is_left(kernel)
