"""Worker processes: used again, stopped whatever they do, replaced when they die, never left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.effects import End
from jupyter_wf.core.errors import CancelledRun, CrashedRun, RemoteError
from jupyter_wf.executors.base import Call
from jupyter_wf.executors.pickling import dumps
from jupyter_wf.executors.process import ProcessExecutor
from tests.contracts.executors import Driver, Stop, add, answer, fail
from tests.executors import calls
from tests.waiting import until

Start = Callable[[int], ProcessExecutor]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie whose parent is another process is as good as gone.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def pids_in(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def interrupt(driver: Driver) -> None:
    """Raise `Stop` in the driver's thread, and wait for it to have left."""
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(driver.thread), ctypes.py_object(Stop)) == 1
    assert driver.done.wait(60)
    assert isinstance(driver.error, Stop)


def test_a_worker_is_used_again(start: Start) -> None:
    executor = start(3)
    assert len({executor.run(Call(calls.pid)).value for _ in range(20)}) == 1


def test_there_are_no_more_workers_than_asked_for(start: Start) -> None:
    executor = start(2)
    drivers = [Driver(executor, calls.pid) for _ in range(50)]
    assert len({driver.wait().value for driver in drivers}) <= 2


def test_a_worker_has_a_session_of_its_own_and_no_input(executor: ProcessExecutor) -> None:
    pid = executor.run(Call(calls.pid)).value
    assert executor.run(Call(os.getsid, (0,))).value == executor.run(Call(os.getpgid, (0,))).value == pid
    assert executor.run(Call(calls.read_input)).value == ""


@pytest.mark.parametrize(
    ("fn", "args", "how"),
    [
        (calls.leave, (0,), "ended with exit code 0"),
        (calls.leave, (7,), "ended with exit code 7"),
        (calls.die, (signal.SIGKILL,), "was killed by SIGKILL"),
        (calls.die, (signal.SIGSEGV,), "was killed by SIGSEGV"),
    ],
    ids=("exit-0", "exit-7", "killed", "segfault"),
)
def test_a_worker_that_dies_is_replaced(executor: ProcessExecutor, fn: Any, args: tuple[Any, ...], how: str) -> None:
    before = executor.run(Call(calls.pid)).value
    outcome = executor.run(Call(fn, args, name="fatal-0"))
    assert outcome.end is End.CRASHED
    assert isinstance(outcome.error, CrashedRun)
    assert str(outcome.error) == f"the worker process of fatal-0 {how}"
    assert executor.run(Call(calls.pid)).value != before


def test_a_worker_that_died_while_it_was_idle_is_replaced(executor: ProcessExecutor) -> None:
    before = executor.run(Call(calls.pid)).value
    os.kill(before, signal.SIGKILL)
    until(lambda: gone(before))
    assert executor.run(Call(calls.pid)).value != before


def test_what_cannot_be_sent_is_named(executor: ProcessExecutor) -> None:
    for call, name in [
        (Call(add, (1,), {"y": threading.Lock()}, name="add-0"), "argument 'y' of add-0 (a lock)"),
        (Call(add, ([threading.Lock()],), name="add-0"), "argument 'x' of add-0 (a list)"),
        (Call(threading.Lock().acquire, name="acquire-0"), "the function of acquire-0"),
        (Call(min, (threading.Lock(),), name="min-0"), "argument 0 of min-0 (a lock)"),
    ]:
        outcome = executor.run(call)
        assert outcome.end is End.RAISED
        assert isinstance(outcome.error, TypeError)
        assert str(outcome.error).startswith(name)
    assert executor.run(Call(add, (1,))).value == 1


def test_what_cannot_be_sent_back_is_named(executor: ProcessExecutor) -> None:
    outcome = executor.run(Call(calls.lock))
    assert outcome.end is End.RAISED
    assert isinstance(outcome.error, TypeError)
    assert str(outcome.error).startswith("the value of lock (a lock) can't be sent back by its worker process")
    outcome = executor.run(Call(calls.unreadable))
    assert outcome.end is End.RAISED
    assert isinstance(outcome.error, RemoteError)
    assert "the returned value can't be read" in str(outcome.error)


@pytest.mark.parametrize(
    ("fn", "name", "text"),
    [
        (calls.broken, "Broken", "Broken: <its text can't be shown: RuntimeError>"),
        (calls.elsewhere, "Elsewhere", "Elsewhere: far away"),
    ],
)
def test_an_exception_that_cannot_be_sent_is_told_of(executor: ProcessExecutor, fn: Any, name: str, text: str) -> None:
    outcome = executor.run(Call(fn))
    assert outcome.end is End.RAISED
    assert isinstance(outcome.error, RemoteError)
    assert (outcome.error.type_name, str(outcome.error)) == (name, text)
    assert f"in {fn.__name__}\n" in "".join(traceback.format_exception(outcome.error))


def test_the_traceback_begins_with_the_users_frames(executor: ProcessExecutor) -> None:
    error = executor.run(Call(fail, (ValueError("x"),))).error
    assert error is not None
    lines = str(error.__cause__).split("\n")
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[3].endswith("in fail")
    assert "jupyter_wf/" not in str(error.__cause__)


def test_a_module_that_a_worker_cannot_import_is_an_ordinary_error(
    executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def f(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here  # type: ignore[import-not-found]

    fn = only_here.f
    (tmp_path / "only_here.py").unlink()
    outcome = executor.run(Call(fn))
    assert outcome.end is End.RAISED
    assert isinstance(outcome.error, ModuleNotFoundError)
    monkeypatch.delitem(sys.modules, "only_here")


def test_modules_are_found_where_the_parent_finds_them_now(
    executor: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert executor.run(Call(add, (1,))).value == 1
    (tmp_path / "found_later.py").write_text("def f(): return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    import found_later  # type: ignore[import-not-found]

    assert executor.run(Call(found_later.f)).value == 7
    monkeypatch.delitem(sys.modules, "found_later")


def test_a_decorated_function_is_imported_there(executor: ProcessExecutor) -> None:
    assert b"cloudpickle" not in dumps(calls.decorated.fn)
    outcome = executor.run(Call(calls.decorated.fn))
    assert outcome.value == executor.run(Call(calls.pid)).value, "its module's globals are the worker's own"


def test_functions_without_a_module_go_along(executor: ProcessExecutor) -> None:
    base = 10

    class Local:
        def __init__(self, x: int) -> None:
            self.x = x

    value = executor.run(Call(lambda x: Local(x + base), (1,))).value
    assert type(value) is Local
    assert value.x == 11


def test_log_lines_come_while_the_call_goes_on(executor: ProcessExecutor, tmp_path: Path) -> None:
    def log(level: int, message: str, logger: str) -> None:
        (tmp_path / "yes").touch()

    assert executor.run(Call(answer, (tmp_path,), log=log, around=calls.asked)).value is True


def test_a_log_that_fails_stops_the_call(executor: ProcessExecutor, tmp_path: Path) -> None:
    def log(level: int, message: str, logger: str) -> None:
        raise OSError("the disk is full")

    outcome = executor.run(Call(answer, (tmp_path,), log=log, around=calls.asked))
    assert outcome.end is End.CRASHED
    assert isinstance(outcome.error, OSError)
    assert executor.run(Call(add, (1,))).value == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fn", [calls.in_a_system_call, calls.in_c_code, calls.swallow])
def test_whatever_a_call_does_it_can_be_stopped(executor: ProcessExecutor, fn: Any, tmp_path: Path) -> None:
    driver = Driver(executor, fn, tmp_path)
    many = 2 if fn is calls.swallow else 1
    pids = until(lambda: pids if len(pids := pids_in(tmp_path)) == many else [])
    interrupt(driver)
    # The processes that it has started go with it.
    until(lambda: all(map(gone, pids)))
    assert Driver(executor, add, 1).wait().value == 1


@pytest.mark.usefixtures("impatient")
def test_one_that_logs_all_the_time_can_be_stopped(executor: ProcessExecutor, tmp_path: Path) -> None:
    driver = Driver(executor, answer, tmp_path, around=calls.chatter)
    (pid,) = until(lambda: pids_in(tmp_path))
    interrupt(driver)
    assert gone(pid)


def test_one_that_waits_for_a_worker_can_be_stopped(start: Start, tmp_path: Path) -> None:
    executor = start(1)
    driver = Driver(executor, calls.in_a_system_call, tmp_path)
    (pid,) = until(lambda: pids_in(tmp_path))
    second: list[BaseException] = []
    began = threading.Event()

    def wait() -> None:
        began.set()
        try:
            executor.run(Call(calls.told, (tmp_path / "never",)))
        except BaseException as error:
            second.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert began.wait(30)
    assert waiter.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(waiter.ident), ctypes.py_object(Stop))
    waiter.join(60)
    assert [type(error) for error in second] == [Stop]
    assert not driver.done.is_set()
    interrupt(driver)
    assert gone(pid)
    assert executor.run(Call(add, (1,))).value == 1


@pytest.mark.usefixtures("impatient")
def test_the_shutdown_stops_what_still_goes_on(tmp_path: Path) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        executor = ProcessExecutor(1)
        executor.start(stack)
        busy = Driver(executor, calls.swallow, tmp_path)
        pids = until(lambda: pids if len(pids := pids_in(tmp_path)) == 2 else [])
        queued = threading.Thread(target=lambda: outcomes.append(executor.run(Call(add, (1,)))))
        outcomes: list[Any] = []
        queued.start()
    until(lambda: all(map(gone, pids)))
    queued.join(60)
    assert busy.wait().end is not End.RETURNED
    assert [type(outcome.error) for outcome in outcomes] == [CancelledRun]
    with pytest.raises(RuntimeError, match="shut down"):
        executor.run(Call(add, (1,)))


PROGRAM = """
import os, sys, threading
from contextlib import ExitStack
from pathlib import Path
from jupyter_wf.executors.base import Call
from jupyter_wf.executors.process import ProcessExecutor
from tests.executors import calls

print("main", flush=True)

class Own(Exception):
    pass

def factor():
    return 3

def times(x):
    if x < 0:
        raise Own(x)
    return x * factor()

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    with ExitStack() as stack:
        executor = ProcessExecutor(2)
        executor.start(stack)
        assert executor.run(Call(times, (4,))).value == 12
        assert type(executor.run(Call(times, (-1,))).error) is Own
        if len(sys.argv) > 2:
            busy = getattr(calls, sys.argv[2])
            executor.spawn(lambda: executor.run(Call(busy, (folder,))))
            pids = [executor.run(Call(calls.pid)).value for _ in range(1)]
            while not list(folder.iterdir()):
                threading.Event().wait(0.01)
            (folder / f"{pids[0]}.pid").touch()
            print("ready", flush=True)
            threading.Event().wait(60)
"""


def program(tmp_path: Path, *args: str) -> subprocess.Popen[str]:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "pids").mkdir()
    command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "pids"), *args]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
    )


def test_the_main_module_is_not_run_again(tmp_path: Path) -> None:
    process = program(tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "main\n", "")


@pytest.mark.parametrize("busy", ["in_a_system_call", "in_c_code"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_workers_end_with_their_parent_however_it_ends(number: signal.Signals, busy: str, tmp_path: Path) -> None:
    process = program(tmp_path, busy)
    assert process.stdout is not None
    assert process.stderr is not None
    assert [process.stdout.readline() for _ in range(2)] == ["main\n", "ready\n"]
    pids = pids_in(tmp_path / "pids")
    assert len(pids) == 2
    # As a terminal does it: to the whole group. The workers are in others.
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == -number
    assert err.count("Traceback") == (1 if number is signal.SIGINT else 0), err
    until(lambda: all(map(gone, pids)))
