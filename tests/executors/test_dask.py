"""Calls on Dask: clusters of its own and of others, workers that die, calls that are stopped, what is refused."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, Future, LocalCluster

from jupyter_wf.core.effects import End
from jupyter_wf.core.errors import CancelledRun, CrashedRun, ParameterError, RemoteError
from jupyter_wf.executors.base import Call, Executor
from jupyter_wf.executors.dask import DaskExecutor
from jupyter_wf.executors.dask_place import Place
from jupyter_wf.executors.dask_worker import PREFIX
from jupyter_wf.executors.registry import executor_names, make_executor
from jupyter_wf.task_runners import DaskTaskRunner
from tests import clusters
from tests.architecture.source import ROOT
from tests.contracts.executors import Driver, Stop, add, answer, fail, stay_for_ever
from tests.executors import calls
from tests.executors.conftest import children_of_this_process
from tests.waiting import until


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def executor(stack: ExitStack) -> DaskExecutor:
    """One on the cluster of the session."""
    made = DaskExecutor(2, Place(address=clusters.address()))
    made.start(stack)
    return made


def pids() -> set[int]:
    return {int(child.split()[0]) for child in children_of_this_process()}


@pytest.fixture
def own(stack: ExitStack) -> Iterator[Executor]:
    """One with a cluster of its own, of a single worker; nothing is left of it at the end."""
    # Of multiprocessing: one for this process, to its end.
    resource_tracker.ensure_running()
    before = pids()
    made = make_executor("dask", 1)
    made.start(stack)
    yield made
    stack.close()
    until(lambda: pids() <= before)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def interrupt(driver: Driver) -> None:
    """Raise `Stop` in the driver's thread, and wait for it to have left."""
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(driver.thread), ctypes.py_object(Stop)) == 1
    assert driver.done.wait(60)
    assert isinstance(driver.error, Stop)


def test_it_goes_by_its_name() -> None:
    assert "dask" in executor_names()
    executor = make_executor("dask", 3)
    assert (executor.name, executor.remote) == ("dask", True)


def test_a_cluster_of_its_own_is_made_and_ended(own: Executor) -> None:
    before = pids()
    pid = own.run(Call(calls.pid)).value
    assert pid != os.getpid()
    assert own.run(Call(calls.pid)).value == pid
    assert pid in pids() - before


def test_a_worker_that_dies_crashes_its_call_which_is_not_made_again(own: Executor, tmp_path: Path) -> None:
    def die_and_tell() -> None:
        (tmp_path / str(os.getpid())).touch()
        os._exit(7)

    outcome = own.run(Call(die_and_tell, name="fatal-0"))
    assert outcome.end is End.CRASHED
    assert isinstance(outcome.error, CrashedRun)
    assert str(outcome.error).startswith("the Dask worker of fatal-0 died (tcp://")
    assert own.run(Call(add, (1,))).value == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("fn", [calls.in_a_system_call, calls.in_c_code])
def test_a_worker_of_our_own_that_does_not_stop_is_ended(own: Executor, fn: Any, tmp_path: Path) -> None:
    driver = Driver(own, fn, tmp_path)
    (path,) = until(lambda: list(tmp_path.glob("*.pid")))
    interrupt(driver)
    until(lambda: gone(int(path.stem)))
    assert own.run(Call(add, (1,))).value == 1


def test_the_interrupt_key_is_not_for_its_workers(own: Executor) -> None:
    pid = own.run(Call(calls.pid)).value
    os.kill(pid, 2)
    assert own.run(Call(calls.pid)).value == pid


def test_modules_are_found_where_this_process_finds_them_now(
    own: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own.run(Call(add, (1,))).value == 1
    (tmp_path / "found_on_dask.py").write_text("def f(): return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    import found_on_dask  # type: ignore[import-not-found]

    assert own.run(Call(found_on_dask.f)).value == 7
    monkeypatch.delitem(sys.modules, "found_on_dask")


def test_one_that_has_not_begun_never_begins(own: Executor, tmp_path: Path) -> None:
    first = Driver(own, stay_for_ever, tmp_path, "call-0")
    until((tmp_path / "call-0").exists)
    began, ended = threading.Event(), list[BaseException]()

    def wait() -> None:
        began.set()
        try:
            own.run(Call(calls.told, (tmp_path,)))
        except BaseException as error:
            ended.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    assert began.wait(30)
    assert waiter.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(waiter.ident), ctypes.py_object(Stop))
    waiter.join(60)
    assert [type(error) for error in ended] == [Stop]
    interrupt(first)
    assert (tmp_path / "call-0 left").exists()
    assert own.run(Call(add, (1,))).value == 1
    assert list(tmp_path.glob("*.pid")) == []


def test_the_shutdown_stops_what_goes_on(tmp_path: Path) -> None:
    with ExitStack() as stack:
        executor = DaskExecutor(1, Place(address=clusters.address()))
        executor.start(stack)
        busy = Driver(executor, stay_for_ever, tmp_path, "call-0")
        until((tmp_path / "call-0").exists)
    assert (tmp_path / "call-0 left").exists()
    assert isinstance(busy.wait().error, CancelledRun)
    with pytest.raises(RuntimeError, match="shut down"):
        executor.run(Call(add, (1,)))


def test_what_cannot_be_sent_is_named(executor: DaskExecutor) -> None:
    outcome = executor.run(Call(add, (1,), {"y": threading.Lock()}, name="add-0"))
    assert isinstance(outcome.error, TypeError)
    assert str(outcome.error).startswith("argument 'y' of add-0 (a lock) can't be sent")
    outcome = executor.run(Call(calls.lock))
    assert isinstance(outcome.error, TypeError)
    assert str(outcome.error).startswith("the value of lock (a lock) can't be sent back")
    outcome = executor.run(Call(calls.elsewhere))
    assert isinstance(outcome.error, RemoteError)
    assert str(outcome.error) == "Elsewhere: far away"


def test_the_traceback_begins_with_the_users_frames(executor: DaskExecutor) -> None:
    error = executor.run(Call(fail, (ValueError("x"),))).error
    text = "".join(traceback.format_exception(error))
    assert "in fail\n" in text
    assert str(error.__cause__).count("File ") == 1  # type: ignore[union-attr]


def test_functions_without_a_module_go_along(executor: DaskExecutor) -> None:
    base = 10
    assert executor.run(Call(lambda x: x + base, (1,))).value == 11


def test_log_lines_come_while_the_call_goes_on(executor: DaskExecutor, tmp_path: Path) -> None:
    def log(level: int, message: str, logger: str) -> None:
        (tmp_path / "yes").touch()

    assert executor.run(Call(answer, (tmp_path,), log=log, around=calls.asked)).value is True


def test_a_log_that_fails_stops_the_call(executor: DaskExecutor, tmp_path: Path) -> None:
    def log(level: int, message: str, logger: str) -> None:
        raise OSError("the disk is full")

    outcome = executor.run(Call(stay_for_ever, (tmp_path, "call-0"), log=log, around=_said))
    assert outcome.end is End.CRASHED
    assert isinstance(outcome.error, OSError)
    assert executor.run(Call(add, (1,))).value == 1


def _said(log: Any, fn: Any, args: Any, kwargs: Any) -> Any:
    log(20, "here", "test")
    return fn(*args, **kwargs)


def test_what_others_cancel_in_dask_is_cancelled(executor: DaskExecutor, tmp_path: Path) -> None:
    driver = Driver(executor, stay_for_ever, tmp_path, "call-0", name="stay-0")
    until((tmp_path / "call-0").exists)
    with Client(clusters.address(), set_as_default=False) as client:
        (key,) = [key for keys in client.processing().values() for key in keys if key.startswith(f"{PREFIX}stay-")]
        client.cancel([Future(key, client)], force=True)
    outcome = driver.wait()
    assert outcome.end is End.CANCELLED
    assert str(outcome.error) == "stay-0 was cancelled in Dask"
    assert (tmp_path / "call-0 left").exists()


def test_the_scheduler_keeps_nothing_of_a_client_that_has_left() -> None:
    def topics(dask_scheduler: Any) -> list[str]:
        return [topic for topic in dask_scheduler._broker._topics if topic.startswith(PREFIX)]

    with Client(clusters.address(), set_as_default=False) as client:
        with ExitStack() as stack:
            executor = DaskExecutor(1, Place(address=clusters.address()))
            executor.start(stack)
            assert executor.run(Call(add, (1,))).value == 1
            assert len(client.run_on_scheduler(topics)) == 1
        until(lambda: client.run_on_scheduler(topics) == [])


def test_a_cluster_that_is_not_there_is_said_at_once_to_all(stack: ExitStack) -> None:
    executor = DaskExecutor(2, Place(address="tcp://127.0.0.1:9", client_kwargs={"timeout": 0.2}))
    executor.start(stack)
    drivers = [Driver(executor, add, i, name=f"add-{i}") for i in range(3)]
    for i, driver in enumerate(drivers):
        outcome = driver.wait()
        assert outcome.end is End.CRASHED
        assert str(outcome.error).startswith(f"there is no Dask cluster for add-{i}: ")


def test_a_cluster_object_is_used_and_left_and_may_adapt() -> None:
    with LocalCluster(
        n_workers=0, threads_per_worker=2, processes=False, dashboard_address=":0", silence_logs=False
    ) as cluster:
        with ExitStack() as stack:
            executor = DaskTaskRunner(cluster=cluster, adapt_kwargs={"minimum": 0, "maximum": 1}).make_executor()
            executor.start(stack)
            assert Driver(executor, len, b"x" * 2_000_000).wait().value == 2_000_000
        assert cluster.status.name == "running"


def test_a_cluster_class_is_called_with_what_it_is_to_be_given(stack: ExitStack) -> None:
    runner = DaskTaskRunner(
        cluster_class="distributed.LocalCluster",
        cluster_kwargs={"n_workers": 1, "threads_per_worker": 3, "processes": False, "dashboard_address": ":0"},
    )
    executor = runner.make_executor()
    executor.start(stack)
    barrier = threading.Barrier(3)
    drivers = [Driver(executor, _meet, i) for i in range(3)]
    _BARRIER.append(barrier)
    assert sorted(driver.wait().value for driver in drivers) == [0, 1, 2]


_BARRIER: list[threading.Barrier] = []


def _meet(number: int) -> int:
    until(lambda: _BARRIER)
    _BARRIER[0].wait(30)
    return number


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"address": "tcp://x:1", "cluster": object()}, "cluster"),
        ({"address": "tcp://x:1", "cluster_kwargs": {}}, "cluster_kwargs"),
        ({"address": "tcp://x:1", "adapt_kwargs": {}}, "adapt_kwargs"),
        ({"cluster": object(), "cluster_class": LocalCluster}, "cluster_class"),
        ({"address": ""}, "address"),
        ({"cluster_class": "LocalCluster"}, "cluster_class"),
    ],
)
def test_arguments_that_exclude_each_other_are_refused(arguments: dict[str, Any], name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name}"):
        DaskTaskRunner(**arguments)


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from jupyter_wf import flow, task\nfrom jupyter_wf.task_runners import DaskTaskRunner\n"
        "@flow(task_runner=DaskTaskRunner())\ndef f(): pass\n"
        "try:\n    f()\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("install it with: pip install 'jupyter_wf[dask]'")


def test_the_runner_loads_nothing_of_dask() -> None:
    program = (
        "import sys\nfrom jupyter_wf.task_runners import DaskTaskRunner\nDaskTaskRunner()\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('dask', 'distributed')])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_script_that_its_workers_would_run_again_is_told_what_is_wrong(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(
        "from jupyter_wf import flow, task\nfrom jupyter_wf.task_runners import DaskTaskRunner\n"
        "@task\ndef one():\n    return 1\n"
        "@flow(task_runner=DaskTaskRunner())\ndef outer():\n    return one.submit().result()\n"
        "outer()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, program], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "it has to call its flow below `if __name__ == '__main__':`" in done.stderr
