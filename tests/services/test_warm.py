"""Runners from a warm fork server: each alone with its run, and nothing left when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.settings import PARENT_VARIABLE, Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services import runners
from jupyter_wf.services.warm import LOST, Warm
from tests.notebook.making import is_running, printed, read_cells
from tests.services.warmth import Hearth, Started
from tests.waiting import until

Light = Callable[..., Hearth]
#: Says which processes there are, and waits until the file ``go`` is there.
PIDS = """
import json, os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
told = {"kernel": os.getpid(), "runner": os.getppid(), "child": child.pid}
pathlib.Path("making").write_text(json.dumps(told))
os.rename("making", "pids")
while not os.path.exists("go"):
    time.sleep(0.01)
"""


@pytest.fixture
def light(wf_home: Path, tmp_path: Path) -> Iterator[Light]:
    """Return what makes a `Warm`; its options are those of the call."""
    runtime = Runtime.open(Settings(home=wf_home), role="server")
    made: list[Warm] = []

    def make(**options: Any) -> Hearth:
        warm = Warm(runtime.settings, **options)
        made.append(warm)
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return Hearth(runtime, warm, folder)

    yield make
    for warm in made:
        warm.close()
    runtime.close()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that are there."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def tree(pid: int) -> list[int]:
    """Return a process and everything below it."""
    return [pid, *(below for child in children(pid) for below in tree(child))]


def gone(*pids: int) -> None:
    until(lambda: not any(map(is_running, pids)), f"the end of {pids}")


def pids(hearth: Hearth) -> dict[str, int]:
    path = hearth.folder / "pids"
    until(path.exists, "the cell")
    found: dict[str, int] = json.loads(path.read_text())
    path.unlink()
    return found


def test_a_run_by_a_spare(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("SOME_VALUE", "plain")
    hearth = light()
    hearth.ready()
    server = hearth.warm.server_pid
    assert server is not None
    spares = children(server)
    started = hearth.start(
        "import os\nprint(os.getcwd(), _dh)",
        f"print(os.environ[{PARENT_VARIABLE!r}], os.environ['JPY_SESSION_NAME'], os.environ['SOME_VALUE'])",
        "print('SOME_TOKEN' in os.environ, os.getppid())",
        "print(sorted(name for name in dir() if not name.startswith('_')), In[1:2])",
        "import rfc3987_syntax, sys\nprint(sys.stdin.fileno() if hasattr(sys.stdin, 'fileno') else 0)",
    )
    texts = started.printed()
    assert texts[0] == f"{hearth.folder} [{str(hearth.folder)!r}]\n"
    assert texts[1].split() == [started.run_id, str(hearth.folder / "n.ipynb"), "plain"]
    assert texts[2].split() == ["False", str(started.process.pid)]
    assert texts[3].startswith("['In', 'Out', 'exit', 'get_ipython', 'open', 'os', 'quit'] ")
    assert started.process.pid in spares
    assert started.run.source["kernel"]["name"] == "python3" and started.run.source["environment"]["packages"] > 20


def test_each_spare_is_used_for_one_run(light: Light) -> None:
    hearth = light()
    cells = (
        "try:\n    left\nexcept NameError:\n    print('nothing left')",
        "left = 1\nimport os\nos.environ['LEFT'], before = 'x', os.environ.get('LEFT')\nos.chdir('/')",
        "import random, numpy, builtins\nprint(random.random(), numpy.random.random(), os.getpid(), os.getppid())",
        "print(before, hasattr(builtins, 'left'))\nbuiltins.left = 1",
    )
    drawn: list[str] = []
    for _ in range(3):
        hearth.ready()
        texts = hearth.start(*cells).printed()
        assert (texts[0], texts[3]) == ("nothing left\n", "None False\n")
        drawn += texts[2].split()
    assert len(set(drawn)) == len(drawn) == 12


def test_many_at_once_with_one_spare(light: Light) -> None:
    hearth = light()
    hearth.ready()
    runs = [hearth.start(f"print({number})") for number in range(6)]
    assert [run.printed() for run in runs] == [[f"{number}\n"] for number in range(6)]
    hearth.ready()


def test_before_the_fork_server_serves_a_runner_is_started(light: Light) -> None:
    hearth = light()
    started = hearth.start("1 + 1")
    assert started.printed() == ["2"]
    hearth.ready()
    assert hearth.start("2 + 2").printed() == ["4"]


def test_a_killed_runner_takes_everything_along(light: Light) -> None:
    hearth = light()
    hearth.ready()
    started = hearth.start(PIDS)
    found = pids(hearth)
    assert found["runner"] == started.process.pid and started.process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        started.process.wait(0)
    os.kill(started.process.pid, signal.SIGKILL)
    assert started.process.wait(30) == started.process.poll() == -signal.SIGKILL
    gone(*found.values())


def test_runs_outlive_a_killed_fork_server(light: Light) -> None:
    hearth = light()
    hearth.ready()
    started = hearth.start(PIDS)
    found, server = pids(hearth), hearth.warm.server_pid
    hearth.ready()
    assert server is not None
    spares = [pid for pid in tree(server)[1:] if pid not in (*tree(found["runner"]), server)]
    os.kill(server, signal.SIGKILL)
    gone(*spares)
    (hearth.folder / "go").touch()
    assert started.process.wait(30) == LOST
    assert started.run.state.type is StateType.COMPLETED
    gone(*found.values())
    hearth.ready()
    assert hearth.warm.server_pid != server
    assert hearth.start("1 + 1").printed() == ["2"]


def test_a_fork_server_that_does_not_answer_is_done_without(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_wf.services.warm._PATIENCE", 0.1)
    monkeypatch.setattr("jupyter_wf.services.warm._LOOK", 0.2)
    hearth = light()
    hearth.ready()
    server = hearth.warm.server_pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    first, second = hearth.start("1"), hearth.start("2")
    assert second.printed() == ["2"]
    until(lambda: first.run.state.type is StateType.COMPLETED)
    assert hearth.warm.server_pid is None and first.process.poll() is None
    os.kill(server, signal.SIGCONT)
    assert first.printed() == ["1"]
    hearth.ready()
    assert hearth.warm.server_pid == server


def test_a_fork_server_that_does_not_answer_for_long_is_killed(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_wf.services.warm._LOOK", 0.1)
    monkeypatch.setattr("jupyter_wf.services.warm._SILENT", 0.5)
    hearth = light()
    hearth.ready()
    server = hearth.warm.server_pid
    assert server is not None
    os.kill(server, signal.SIGSTOP)
    # Nobody tells that its runner has ended.
    started = hearth.start("1")
    assert started.process.wait(30) == LOST
    assert started.run.state.type is StateType.COMPLETED
    gone(server)
    hearth.ready()
    assert hearth.warm.server_pid != server


def test_a_spare_whose_kernel_dies_is_replaced(light: Light) -> None:
    hearth = light()
    hearth.ready()
    server = hearth.warm.server_pid
    assert server is not None
    (spare,) = children(server)
    (kernel,) = children(spare)
    os.kill(kernel, signal.SIGKILL)
    gone(spare)
    until(lambda: hearth.warm.ready and spare not in children(server), "another spare")
    assert hearth.start("1 + 1").printed() == ["2"]


def test_nothing_is_left_after_close_but_what_runs(light: Light) -> None:
    hearth = light(spares=2)
    hearth.ready(2)
    started = hearth.start(PIDS)
    found, server = pids(hearth), hearth.warm.server_pid
    assert server is not None
    idle = [pid for pid in tree(server) if pid not in (*tree(found["runner"]), server)]
    hearth.warm.close()
    gone(*idle)
    (hearth.folder / "go").touch()
    assert started.process.wait(30) == 0 and started.run.state.type is StateType.COMPLETED
    gone(server, *found.values())
    with pytest.raises(RuntimeError, match="closed"):
        hearth.start("1")


def test_all_of_it_ends_with_its_agent(tmp_path: Path, wf_home: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom jupyter_wf.core.settings import Settings\n"
        "from jupyter_wf.services.warm import Warm\nfrom tests.waiting import until\n"
        "warm = Warm(Settings(home=Path(sys.argv[1])))\nuntil(lambda: warm.ready, 'a spare', 60)\n"
        "print(warm.server_pid, flush=True)\nsys.stdin.read()"
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", program, str(wf_home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert agent.stdout is not None and agent.stdin is not None
    server = int(agent.stdout.readline())
    everything = tree(server)
    assert len(everything) == 3
    agent.kill()
    agent.wait()
    agent.stdin.close()
    agent.stdout.close()
    gone(*everything)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with modules that fork servers find."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(Path(__file__).parents[2]))))
    (folder / "mine.py").write_text("value = 1\n")
    return folder


IS_THERE = "import sys\nprint('mine' in sys.modules)\nimport mine\nprint(mine.value)"


def test_modules_are_imported_ahead(light: Light, mine: Path) -> None:
    hearth = light(preload=["mine"])
    hearth.ready()
    assert hearth.start(IS_THERE).printed() == ["True\n1\n"]


def test_what_has_changed_is_imported_anew(light: Light, mine: Path) -> None:
    hearth = light(preload=["mine"])
    hearth.ready()
    server = hearth.warm.server_pid
    (mine / "mine.py").write_text("value = 22\n")
    assert hearth.start(IS_THERE).printed()[0].endswith("22\n")
    until(lambda: hearth.warm.ready and hearth.warm.server_pid not in (None, server), "another server", 60)
    assert hearth.start(IS_THERE).printed() == ["True\n22\n"]
    assert server is not None
    gone(server)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise RuntimeError('not today')", "'mine' can't be imported ahead: RuntimeError: not today"),
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='t').start()", "(t)"),
    ],
    ids=["raises", "thread"],
)
def test_modules_that_can_not_be_imported_ahead(
    light: Light, mine: Path, caplog: pytest.LogCaptureFixture, source: str, complaint: str
) -> None:
    (mine / "mine.py").write_text(source)
    hearth = light(preload=["mine"])
    hearth.ready()
    assert complaint in caplog.text
    assert hearth.start("import sys\nprint('mine' in sys.modules)").printed() == ["False\n"]


def install(name: str, command: list[str], folder: Path) -> None:
    spec = folder / "kernels" / name
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": command, "display_name": name, "language": "python"}))


def test_other_kernels(light: Light, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    launch = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]
    install("optimized", [sys.executable, "-O", *launch], tmp_path / "jupyter")
    hearth = light()
    hearth.ready()
    cell = "import os, sys\nprint(sys.flags.optimize, os.getcwd(), os.environ['JPY_SESSION_NAME'])"
    expected = [f"1 {hearth.folder} {hearth.folder / 'n.ipynb'}\n"]
    # With a spare of another kind, and with one that was forked for it and has started it in advance.
    assert hearth.start(cell, kernel="optimized").printed() == expected
    assert hearth.start(cell, kernel="optimized", wanted="optimized").printed() == expected
    hearth.ready(2)
    assert hearth.start(cell, kernel="optimized", wanted="optimized").printed() == expected


def test_a_kernel_that_is_not_there(light: Light) -> None:
    hearth = light()
    hearth.ready()
    started = hearth.start("1", kernel="nowhere", wanted="nowhere")
    assert started.process.wait(60) == 0
    assert started.run.state.type is StateType.CRASHED
    assert "the kernel 'nowhere', which is not installed" in str(started.run.state.message)


def test_what_a_kernel_prints_past_jupyter_goes_to_the_log(light: Light) -> None:
    hearth = light()
    hearth.ready()
    started = hearth.start(
        "import os, sys\nlowest = getattr(sys.stderr, '_original_stdstream_copy', None) or 2\n"
        "os.write(lowest, b'past jupyter')\nNone"
    )
    started.printed()
    assert "past jupyter" in started.log


def test_private_folders_do_not_stay(light: Light, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    folder = runners.private_folder

    def make() -> Path:
        made.append(folder())
        return made[-1]

    monkeypatch.setattr("jupyter_wf.services.warm.private_folder", make)
    hearth = light()
    hearth.ready()
    failing: Started = hearth.start("1 / 0")
    assert failing.process.wait(60) == 0 and failing.run.state.type is StateType.FAILED
    assert "ZeroDivisionError" in printed(read_cells(failing.executed)[0])
    hearth.ready()
    hearth.warm.close()
    until(lambda: not any(each.exists() for each in made), "the folders' end")
    assert len(made) >= 2


def test_only_where_processes_have_handles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Warm.available()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not Warm.available()
    monkeypatch.undo()

    def refuse(pid: int) -> int:
        raise PermissionError("a container that does not like it")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert not Warm.available()
