"""Nothing stays of a run: neither processes, wherever they have gone, nor folders, whoever was killed."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from jupyter_wf.core.deployments import Policies
from jupyter_wf.notebook.orphans import RUNNER_VARIABLE, end_escaped
from jupyter_wf.services.runners import clean_environment, own_private, private_folder, sweep_private
from jupyter_wf.store.processes import this_process
from tests.notebook.making import is_running, write_notebook
from tests.services.agents import Yard, agent_process
from tests.waiting import until

#: Leaves a process behind in a session of its own, which has a child that belongs to nobody any more.
_ESCAPES = """
import subprocess, time
from pathlib import Path
subprocess.Popen("setsid sh -c 'sleep 600 & echo $! >> escaped; echo $$ >> escaped; sleep 600' &", shell=True).wait()
while not Path("escaped").exists() or len(Path("escaped").read_text().split()) < 2:
    time.sleep(0.01)
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files of agents and of this process."""
    folder = tmp_path / "t"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    # One that is short enough for sockets, or else it would not be used.
    monkeypatch.setattr("jupyter_wf.services.runners._LONGEST_FOLDER", 1_000)
    yield folder


def _escaped(yard: Yard) -> list[int]:
    until(lambda: (yard.folder / "escaped").exists())
    return [int(pid) for pid in (yard.folder / "escaped").read_text().split()]


def _folders() -> list[Path]:
    """Return the private folders of all, wherever they are made."""
    return [path for place in {tempfile.gettempdir(), "/tmp"} for path in Path(place).glob("jwf-*")]


@pytest.mark.parametrize(
    "end", ["", "import os\nos._exit(3)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"]
)
def test_what_has_a_session_of_its_own_ends_with_the_run(yard: Yard, end: str) -> None:
    write_notebook(yard.folder / "n.ipynb", _ESCAPES, end)
    run_id = yard.submit("n.ipynb")
    with agent_process(yard.home):
        run = yard.ended(run_id)
        assert run.state.name == ("Crashed" if end else "Completed"), run.state
        until(lambda: not any(map(is_running, _escaped(yard))), "the end of what has escaped")
    if "_exit" in end:
        assert "exit code 3" in (run.state.message or "")
    if "SIGKILL" in end:
        assert "SIGKILL" in (run.state.message or "")


def test_what_has_a_session_of_its_own_ends_when_the_runner_is_killed(yard: Yard) -> None:
    write_notebook(yard.folder / "n.ipynb", _ESCAPES, "import time\ntime.sleep(600)")
    run_id = yard.submit("n.ipynb")
    with agent_process(yard.home) as agent:
        escaped = until(lambda: pids if len(pids := _escaped(yard)) == 2 else None)
        (runner,) = yard.runners(agent.pid)
        runner.kill()
        assert yard.ended(run_id).state.name == "Crashed"
        until(lambda: not any(map(is_running, escaped)), "the end of what has escaped")


def test_only_what_has_the_mark_is_ended() -> None:
    with (
        psutil.Popen(["sleep", "600"], env={RUNNER_VARIABLE: "jwf-1"}, start_new_session=True) as mine,
        psutil.Popen(["sleep", "600"], env={RUNNER_VARIABLE: "jwf-12"}, start_new_session=True) as other,
    ):
        try:
            assert not end_escaped("jwf-1", but=[os.getsid(mine.pid)])
            assert end_escaped("jwf-1")
            assert mine.wait(10) == -signal.SIGKILL and other.is_running()
            assert not end_escaped("jwf-1")
        finally:
            other.kill()
    # What a run has started on purpose to outlive it, an agent or a runner of ours, does not have it.
    assert RUNNER_VARIABLE not in clean_environment({RUNNER_VARIABLE: "jwf-1"})


def test_a_flow_whose_agent_was_killed_leaves_no_folder(yard: Yard) -> None:
    run_id = yard.submit("wait_for", {"name": "go"})
    with agent_process(yard.home) as agent:
        yard.noted("begun go")
        private = Path((yard.settings.runs / run_id / "private").read_text())
        assert private.is_dir()
        agent.kill()
        yard.touch("go")
        until(lambda: yard.run(run_id).state.is_closed())
        until(lambda: not private.exists(), "the end of the folder")


def test_the_next_agent_takes_away_what_all_the_dead_have_left(yard: Yard) -> None:
    policies = Policies(concurrency_limit=None)
    with agent_process(yard.home, "--limit", "2", warm=True) as agent:
        notebook = write_notebook(
            yard.folder / "n.ipynb", "from pathlib import Path\nPath('begun').touch()\nwhile True: 0"
        )
        runs = [
            yard.submit(notebook.name, policies=policies),
            yard.submit("wait_for", {"name": "no"}, policies=policies),
        ]
        yard.noted("begun no")
        until(lambda: (yard.folder / "begun").exists())
        # The fork server, a spare with its kernel, and whatever runs.
        until(lambda: len(psutil.Process(agent.pid).children(recursive=True)) >= 4, seconds=40)
        mine = {process.pid for process in yard.alive()}
        folders = [path for path in _folders() if _owner(path) in mine]
        assert len(folders) >= 2
        for process in yard.alive():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        until(lambda: not yard.alive())
    with agent_process(yard.home, "--limit", "2"):
        assert [yard.ended(each).state.name for each in runs] == ["Crashed", "Crashed"]
        until(lambda: not any(path.exists() for path in folders), "the end of the folders")


def _owner(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(json.loads((path / "owner").read_text())[1])
    return None


def test_folders_of_those_who_live_stay(scratch: Path) -> None:
    mine, dead, strange = private_folder(), private_folder(), scratch / "jwf-strange"
    strange.mkdir()
    with psutil.Popen(["true"]) as process:
        gone = this_process("runner")._replace(pid=process.pid, started=1)
    (dead / "owner").write_text(json.dumps(gone))
    (scratch / "jwf-link").symlink_to(dead)
    assert sweep_private() == 1
    assert mine.is_dir() and strange.is_dir() and not dead.exists()
    own_private(dead)
    assert dead.stat().st_mode & 0o777 == 0o700 and sweep_private() == 0
    (strange / "owner").write_text("[1, 2]")
    assert sweep_private() == 0 and strange.is_dir()
