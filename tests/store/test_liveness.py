"""Whether a process lives: by pid, start time, boot and pid namespace; and what can't be judged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.store import processes
from jupyter_wf.store.processes import Liveness, is_dead, this_process
from tests.contracts.processes import dead_process


def test_this_process_lives() -> None:
    me = this_process("python")
    assert (me.pid, me.role) == (os.getpid(), "python")
    assert me.id != this_process("python").id
    assert me.started == this_process("cli").started > 0
    assert not is_dead(me)


def test_an_ended_process_is_dead() -> None:
    assert is_dead(dead_process())


def test_another_process_with_the_same_pid_does_not_count() -> None:
    assert is_dead(this_process("python")._replace(started=this_process("python").started - 1))


def test_a_start_time_that_is_not_known_does_not_count() -> None:
    assert not is_dead(this_process("python")._replace(started=0))


def test_a_zombie_is_dead_and_a_stopped_process_is_not() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        info = this_process("python")._replace(pid=process.pid, started=0)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert not is_dead(info)
        process.kill()
        # Wait for its end without collecting it: from here on it is a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(info)


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({"boot_id": "an-earlier-boot"}, True),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "boot_id": "another"}, False),
        ({"pid_namespace": "pid:[1]"}, False),
        ({"pid_namespace": "pid:[1]", "boot_id": "an-earlier-boot"}, True),
    ],
)
def test_who_can_be_judged(change: dict[str, str], dead: bool) -> None:
    gone = dead_process()._replace(**change)  # type: ignore[arg-type]
    assert is_dead(gone) is dead


def test_answers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, alive = [100.0], [0], [True]

    def ask(process: ProcessInfo) -> bool:
        asked[0] += 1
        return not alive[0]

    monkeypatch.setattr(processes, "is_dead", ask)
    monkeypatch.setattr(processes.time, "monotonic", lambda: now[0])
    me, liveness = this_process("python"), Liveness()
    assert not liveness.is_dead(me) and not liveness.is_dead(me) and asked == [1]
    alive[0] = False
    now[0] += 0.4
    assert not liveness.is_dead(me) and asked == [1]
    now[0] += 0.2
    assert liveness.is_dead(me) and asked == [2]
    alive[0] = True
    now[0] += 1e6
    assert liveness.is_dead(me) and asked == [2]


def test_a_system_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(type(processes.Path())):  # type: ignore[misc]
        def read_text(self, *args: object, **options: object) -> str:
            raise FileNotFoundError(self)

    monkeypatch.setattr(processes, "Path", Nowhere)
    monkeypatch.setattr(processes.os.path, "exists", lambda path: False)
    gone = dead_process()._replace(started=0, boot_id="")
    me = this_process("python")
    assert (me.started, me.boot_id) == (0, "")
    assert not is_dead(me) and is_dead(gone)
