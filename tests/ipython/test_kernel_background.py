"""Task cells in the background of real kernels, ipykernel 6 and 7: where outputs go, and the stop button."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from queue import Empty

import pytest

from jupyter_wf.core.models import Run
from tests.ipython.kernels import PATIENCE, Kernel, running_kernel


@pytest.fixture(scope="module", params=[6, 7], ids=lambda series: f"ipykernel {series}")
def started(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "home", request.param) as made:
        yield made


@pytest.fixture
def kernel(started: Kernel) -> Kernel:
    """A kernel whose tasks of the tests before are forgotten, with fresh gates."""
    started.ok("%reload_ext jupyter_wf")
    started.ok("import threading, sys, time, asyncio\ngates = [threading.Event() for _ in range(4)]")
    return started


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def listen(kernel: Kernel, until: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """Gather what is printed and displayed, by the cell's message, until ``until`` holds of it."""
    told: dict[str, str] = {}
    while not until(told):
        try:
            message = kernel.client.get_iopub_msg(timeout=PATIENCE)
        except Empty:
            raise AssertionError(f"the kernel went silent after {told}") from None
        content, kind = message["content"], message["msg_type"]
        text = ""
        if kind == "stream":
            text = f"{content['name']}:{content['text']}"
        elif kind == "display_data" and "Task run" not in content["data"]["text/plain"]:
            text = f"display:{content['data']['text/plain']}\n"
        elif kind == "status":
            text = f"{content['execution_state']}\n"
        cell = message["parent_header"].get("msg_id", "")
        told[cell] = told.get(cell, "") + text
    return told


def drop_replies(kernel: Kernel, many: int) -> None:
    for _ in range(many):
        kernel.client.get_shell_msg(timeout=PATIENCE)


WORK = """%%task {name} {line}
from IPython.display import display
gates[0].wait(20)
print('printed')
print('wrong', file=sys.stderr)
display('displayed')
sys.stdout.write('10 %\\r')
gates[1].wait(20)
print('late')
out_{name} = 1
'last ' + 'value'
"""


@pytest.mark.parametrize("line", ["-b", "-b --map n=[1]"])
def test_outputs_of_a_background_cell_are_its_own(kernel: Kernel, line: str) -> None:
    name = f"own{line.count('-')}"
    work = kernel.send(WORK.format(name=name, line=line))
    other = kernel.send("print('other')\ngates[0].set()\ngates[3].wait(20)")
    told = listen(kernel, lambda told: "displayed" in told.get(work, "") and "10 %" in told[work])
    kernel.manager.interrupt_kernel()
    more = listen(kernel, lambda told: "idle" in told.get(other, ""))
    last = kernel.send("gates[1].set()")
    end = "late" if "--map" in line else "display:'last value'"
    rest = listen(kernel, lambda told: "idle" in told.get(last, "") and end in told.get(work, ""))
    drop_replies(kernel, 3)
    whole = told[work] + more.get(work, "") + rest[work]
    assert all(text in whole for text in ("stdout:printed", "stderr:wrong", "display:'displayed'", "10 %\r", "late"))
    for cell in (other, last):
        text = told.get(cell, "") + more.get(cell, "") + rest.get(cell, "")
        assert set(text.splitlines()) <= {"busy", "idle", "stdout:other"}


def test_outputs_of_run_are_below_its_cell(kernel: Kernel) -> None:
    kernel.ok("for gate in gates: gate.set()")
    kernel.ok("%%task ran\nout_ran = print('from ran')")
    reply = kernel.ok("%wf run ran")
    assert reply.stdout == "from ran\n"


READERS = {
    "plain": "out_held",
    "awaiting": "await asyncio.sleep(0)\nout_held",
    "task": "%%task reader\nread = out_held",
    "awaiting task": "%%task reader\nawait asyncio.sleep(0)\nread = out_held",
    "flow": "%%flow reading\nawait asyncio.sleep(0)\nout_held",
    "wait": "%wf wait",
    "magic": "%time out_held",
}


def test_the_stop_button_ends_waits(kernel: Kernel) -> None:
    kernel.ok("%%task held -b\ngates[2].wait(60)\nout_held = 5")
    for kind, reader in READERS.items():
        message = kernel.send(reader)
        kernel.collect(message, lambda kind, content: "waiting for held" in str(content))
        # People press it twice.
        for _ in range(2):
            kernel.manager.interrupt_kernel()
        reply = kernel.collect(message)
        assert reply.of("error")[0]["ename"] == "KeyboardInterrupt", kind
        assert "jupyter_wf/" not in reply.traceback and "threading.py" not in reply.traceback
        assert kernel.ok("1 + 1").value == "2", kind
    kernel.ok("gates[2].set()")
    assert kernel.ok("out_held").value == "5"


def _runs(kernel: Kernel, name: str) -> list[Run]:
    return [run for run in kernel.runs() if run.name.partition("[")[0] == name]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("mapped", "%%task mapped --map item=range(2)\nprint('begun')\ngates[2].wait(60)\na = item"),
        ("awaited", "%%task awaited --map item=range(2)\nprint('begun')\nawait asyncio.sleep(60)\nb = item"),
        ("sent", "%%task sent --executor process\nimport time\ntime.sleep(60)\nc = 1"),
    ],
)
def test_the_stop_button_ends_a_cells_runs(kernel: Kernel, name: str, cell: str) -> None:
    message = kernel.send(cell)
    kernel.wait(lambda: [run for run in _runs(kernel, name) if run.state.name == "Running"][-1:])
    kernel.manager.interrupt_kernel()
    reply = kernel.collect(message)
    assert reply.of("error")[0]["ename"] == "KeyboardInterrupt"
    assert {run.state.name for run in _runs(kernel, name)} == {"Cancelled"}
    assert kernel.ok("1 + 1").value == "2"


def test_the_stop_button_ends_run(kernel: Kernel) -> None:
    kernel.ok("gates[2].set()")
    kernel.ok("%%task long\ngates[2].wait(60)\nd = 1")
    kernel.ok("gates[2].clear()")
    message = kernel.send("%wf run long")
    kernel.wait(lambda: len(_runs(kernel, "long")) == 2 and _runs(kernel, "long")[-1].state.name == "Running")
    for _ in range(2):
        kernel.manager.interrupt_kernel()
    reply = kernel.collect(message)
    assert reply.of("error")[0]["ename"] == "KeyboardInterrupt"
    assert "jupyter_wf/" not in reply.traceback
    assert _runs(kernel, "long")[-1].state.name == "Cancelled"
    assert kernel.ok("1 + 1").value == "2"


def test_cancelling_a_background_task_is_told_to_its_reader(kernel: Kernel) -> None:
    kernel.ok("%%task dropped -b\nwhile True: time.sleep(0.01)\nout_dropped = 1")
    kernel.wait(lambda: _runs(kernel, "dropped") and _runs(kernel, "dropped")[-1].state.name == "Running")
    kernel.ok("%wf cancel dropped")
    reply = kernel.run("out_dropped")
    assert reply.of("error")[0]["ename"] == "CancelledRun"
    assert "task run 'dropped' was cancelled" in plain(reply.traceback)


def test_a_failed_background_cell_is_tried_again_below_its_own_cell(kernel: Kernel) -> None:
    message = kernel.send("%%task again -b\nout_again = 1 / zero_again\nprint('done')")
    kernel.collect(message, lambda kind, content: kind == "update_display_data" and "Failed" in str(content))
    kernel.client.get_shell_msg(timeout=PATIENCE)
    kernel.ok("zero_again = 2")
    kernel.store.request(_runs(kernel, "again")[-1].id, "retry")
    reply = kernel.collect(message, lambda kind, content: kind == "stream")
    assert reply.stdout == "done\n"
    assert kernel.ok("out_again").value == "0.5"


def test_stop_is_one_line(kernel: Kernel) -> None:
    (error,) = kernel.run("%wf stop it is enough").of("error")
    assert error["ename"] == "StopFlow"
    assert error["traceback"] == ["The notebook is to stop here: it is enough"]
