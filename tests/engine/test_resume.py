"""Going on with runs that failed, were cancelled, suspended or killed, in this process or another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, resume_flow_run, suspend_flow_run, task, wait_for_flow_run
from jupyter_wf.core.errors import (
    CancelledRun,
    FlowPauseTimeout,
    InputRefused,
    ParameterError,
    PauseError,
    RunFinished,
    RunNotFound,
    SuspendedRun,
    TargetError,
)
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.states import State
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.runtime import flow_run
from tests.waiting import until

Runs = Callable[[], list[Run]]
Story = Callable[[str], list[str]]

#: A flow of ten tasks; each writes its number to a file. Killed at task 6 where it is told to be.
FLOWS = """
import asyncio, os, signal
from pathlib import Path
from jupyter_wf import flow, suspend_flow_run, task
from jupyter_wf.input import RunInput

class Answer(RunInput):
    count: int
    note: str = "none"

def effect(name):
    with open(os.environ["EFFECTS"], "a") as out:
        out.write(f"{name}\\n")

def die_once():
    from jupyter_wf.engine.runtime import current_runtime
    current_runtime().journal.flush()
    mark = Path(os.environ["EFFECTS"] + ".died")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

@task
def step(number, box):
    effect(number)
    if number == 6:
        die_once()
    return number * box["factor"]

@task
async def step_async(number, box):
    effect(number)
    if number == 6:
        die_once()
    return number * box["factor"]

@flow
def sync(box):
    return sum(step(number, box) for number in range(10))

@flow
def threads(box):
    from jupyter_wf.engine.runtime import current_runtime
    futures = [step.submit(number, box) for number in range(6)]
    done = sum(future.result() for future in futures)
    return done + sum(step.submit(number, box).result() for number in range(6, 10))

@flow
async def awaited(box):
    done = sum(await asyncio.gather(*[step_async(number, box) for number in range(6)]))
    return done + sum([await step_async(number, box) for number in range(6, 10)])

@flow
def inner(box):
    return sum(step(number, box) for number in range(3, 10))

@flow
def nested(box):
    return sum(step(number, box) for number in range(3)) + inner(box)

@flow
def suspends(start):
    first = step(start, {"factor": 1})
    answer = suspend_flow_run(wait_for_input=Answer, timeout=600)
    effect(f"answered {answer.count} {answer.note}")
    return first + answer.count

@flow
async def suspends_async(start):
    first = await step_async(start, {"factor": 1})
    await suspend_flow_run()
    effect("went on")
    return first
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `FLOWS` as a module, in which programs run."""
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("EFFECTS", str(tmp_path / "effects"))
    (tmp_path / "flows.py").write_text(FLOWS)
    return tmp_path


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)


def effects(folder: Path) -> list[str]:
    return (folder / "effects").read_text().splitlines()


def root_run() -> Run:
    (run,) = current_runtime().store.list_runs(RunFilter(roots_only=True)).items
    return run


@pytest.mark.parametrize("form", ["sync", "threads", "awaited", "nested"])
def test_a_killed_flow_goes_on_in_another_process(folder: Path, form: str) -> None:
    call = f"flows.{form}({{'factor': 2, 'set': {{1, 2}}}})"
    call = f"asyncio.run({call})" if form == "awaited" else call
    killed = python(folder, f"import asyncio, flows; {call}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert sorted(effects(folder)) == [str(number) for number in range(7)]
    run = until(lambda: found if (found := root_run()).state.is_crashed() else None)
    resumed = f"flows.{form}.resume({run.id!r})"
    resumed = f"asyncio.run({resumed})" if form == "awaited" else resumed
    done = python(folder, f"import asyncio, flows; print({resumed})")
    assert (done.returncode, done.stdout) == (0, "90\n"), done.stderr
    # Each once, but for the one in which the process was killed.
    assert sorted(effects(folder), key=int) == [str(number) for number in (0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9)]
    below = current_runtime().store.list_runs(RunFilter(root_id=run.id), limit=100).items
    assert {each.state.name for each in below} == {"Completed"}
    tasks = [each for each in below if each.kind == "task"]
    assert len(tasks) == 10 and sorted(each.attempt for each in tasks) == [1] * 9 + [2]
    assert current_runtime().store.get_run(run.id).attempt == 2


def test_what_goes_on_is_shown_as_the_new_process_has_it(folder: Path) -> None:
    """The children that a dead process has left belong to the new one as soon as they go on."""
    python(folder, "import flows; flows.nested({'factor': 1})")
    run = until(lambda: found if (found := root_run()).state.is_crashed() else None)
    seen: dict[str, tuple[str, bool]] = {}
    code = "import flows, sys; print(flows.nested.resume(sys.argv[1]))"
    (folder / "flows.py").write_text(
        FLOWS.replace("        die_once()\n    return number * box", "        wait()\n    return number * box", 1)
        + "\ndef wait():\n    print('there', flush=True)\n    input()\n"
    )
    # Its source has changed, so all of them are called again.
    process = subprocess.Popen(
        [sys.executable, "-c", code, run.id],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        store = current_runtime().store
        until(lambda: store.list_runs(RunFilter(kinds=("task",), states=("Running",))).items)
        for each in store.list_runs(RunFilter(states=("Running",))).items:
            seen[each.flow_name or ""] = (each.state.name, each.process_id != run.process_id)
        assert {each.flow_name for each in store.list_runs(RunFilter(kinds=("flow",), states=("Running",))).items} == {
            "nested",
            "inner",
        }
        assert not store.list_runs(RunFilter(states=("Crashed",))).items
        assert seen and all(new for _, new in seen.values())
        process.communicate("\n", timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert store.get_run(run.id).state.is_completed()


def test_a_failed_run_goes_on_with_what_it_had(runs: Runs, story: Story) -> None:
    called: list[Any] = []

    @task
    def step(x: int) -> int:
        called.append(x)
        return x

    @flow
    def main(n: int, fail: bool) -> int:
        total = sum(step(i) for i in range(n))
        if fail:
            raise ValueError("not yet")
        return total

    state = main(3, True, return_state=True)
    run = runs()[0]
    assert state.is_failed() and called == [0, 1, 2]
    with pytest.raises(ValueError, match="not yet"):
        main.resume(run.id)
    assert main.resume(run.id, fail=False) == 3
    assert called == [0, 1, 2]
    record = current_runtime().store.get_run(run.id)
    assert (record.attempt, record.parameters) == (3, {"n": 3, "fail": False})
    assert story(run.id)[-3:] == ["Resuming", "Running", "Completed"]
    with pytest.raises(RunFinished, match="Completed"):
        main.resume(run.id)


def test_an_asynchronous_flow_is_resumed_where_it_is_awaited(runs: Runs) -> None:
    called: list[int] = []

    @task
    async def step(x: int) -> int:
        called.append(x)
        return x

    @flow
    async def main(fail: bool) -> int:
        values = await asyncio.gather(*[step(i) for i in range(4)])
        if fail:
            raise ValueError("not yet")
        return sum(values)

    asyncio.run(main(True, return_state=True))
    state: State = asyncio.run(main.resume(runs()[0].id, fail=False, return_state=True))
    assert state.is_completed() and state.result() == 6
    assert sorted(called) == [0, 1, 2, 3]


def test_a_changed_parameter_has_the_tasks_called_again_that_get_it(runs: Runs) -> None:
    called: list[Any] = []

    @task
    def step(x: int, label: str) -> None:
        called.append((x, label))

    @flow
    def main(label: str) -> None:
        step(1, "same")
        step(2, label)
        if label == "a":
            raise ValueError

    main("a", return_state=True)
    assert main.resume(runs()[0].id, label="b") is None
    assert called == [(1, "same"), (2, "a"), (2, "b")]


def test_a_cancelled_run_can_be_resumed(runs: Runs) -> None:
    reached = threading.Event()
    go_on = threading.Event()

    @task
    def first() -> int:
        return 1

    @flow
    def main() -> int:
        value = first()
        if not go_on.is_set():
            reached.set()
            while True:
                go_on.wait(0.01)
        return value

    with ThreadPoolExecutor() as pool:
        result = pool.submit(main)
        assert reached.wait(30)
        current_runtime().store.request(runs()[0].id, "cancel")
        with pytest.raises(CancelledRun):
            result.result(30)
    go_on.set()
    assert main.resume(runs()[0].id) == 1
    assert [run.attempt for run in runs()] == [2, 1]


@dataclass
class Point:
    x: int
    y: int


def test_arguments_come_back_as_they_were(runs: Runs) -> None:
    got: list[Any] = []

    @flow
    def main(point: Point, *more: set[int], fail: bool = True, **named: Any) -> None:
        got.append((point, more, named))
        if fail:
            raise ValueError

    main(Point(1, 2), {3}, {4}, z=(5, b"6"), return_state=True)
    main.resume(runs()[0].id, fail=True, return_state=True)
    assert got[0] == got[1] == (Point(1, 2), ({3}, {4}), {"z": (5, b"6")})
    main.resume(runs()[0].id, fail=False, z=7, point=Point(0, 0))
    assert got[2] == (Point(0, 0), ({3}, {4}), {"z": 7})


def test_values_of_futures_are_kept(runs: Runs) -> None:
    got: list[Any] = []

    @task
    def make() -> set[int]:
        return {1}

    @flow
    def main(values: set[int]) -> None:
        got.append(values)
        if len(got) == 1:
            raise ValueError

    main(make.submit(), return_state=True)
    (run,) = [run for run in runs() if run.kind == "flow"]
    main.resume(run.id)
    assert got == [{1}, {1}]


def test_a_secret_is_not_stored_and_has_to_be_given_again(runs: Runs, wf_home: Path) -> None:
    got: list[str] = []

    @flow
    def main(password: str, where: Point, token: str = "default") -> None:
        got.append(password + token)
        if len(got) == 1:
            raise ValueError

    main("hunter-two", Point(1, 1), return_state=True)
    with pytest.raises(ParameterError, match=r"'password'.*secret"):
        main.resume(runs()[0].id)
    assert runs()[0].state.is_failed()
    main.resume(runs()[0].id, password="hunter-three")
    assert got == ["hunter-twodefault", "hunter-threedefault"]
    current_runtime().journal.flush()
    files = b"".join(path.read_bytes() for path in wf_home.rglob("*") if path.is_file())
    assert b"Point" in files and b"hunter" not in files


def test_what_cannot_be_stored_has_to_be_given_again(runs: Runs) -> None:
    @flow
    def main(lock: Any, n: int, fail: bool = True) -> int:
        if fail:
            raise ValueError
        return n

    main(threading.Lock(), 3, return_state=True)
    logs = current_runtime().store.logs(runs()[0].id)
    assert any("'lock'" in line.message for line in logs)
    with pytest.raises(ParameterError, match=r"'lock'.*could not be stored"):
        main.resume(runs()[0].id)
    assert main.resume(runs()[0].id, lock=None, fail=False) == 3


def test_what_cannot_be_resumed(runs: Runs) -> None:
    @flow
    def main(x: int) -> None:
        raise ValueError

    @flow
    def other() -> None: ...

    @task
    def single() -> None:
        raise ValueError

    main(1, return_state=True)
    single(return_state=True)
    failed, task_run = runs()
    with pytest.raises(RunNotFound):
        main.resume("no such run")
    with pytest.raises(ParameterError, match="'main', not of 'other'"):
        other.resume(failed.id)
    with pytest.raises(ParameterError, match="task 'single'"):
        other.resume(task_run.id)
    with pytest.raises(ParameterError, match="'y'"):
        main.resume(failed.id, y=3)
    assert [run.attempt for run in runs()] == [1, 1]


def test_of_many_who_resume_one_does(runs: Runs) -> None:
    called: list[int] = []
    fail = [True]

    @flow
    def main() -> int:
        if fail[0]:
            raise ValueError
        called.append(1)
        return 1

    main(return_state=True)
    fail[0] = False
    start = threading.Barrier(4)

    def resume() -> Any:
        start.wait(30)
        return main.resume(runs()[0].id)

    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(resume) for _ in range(4)]
        errors = [result.exception(30) for result in results]
    assert called == [1]
    assert [type(error) for error in errors if error is not None] == [RunFinished] * 3


def test_a_flow_with_a_pool_of_its_own_is_resumed_on_one(runs: Runs) -> None:
    from jupyter_wf.task_runners import ThreadPoolTaskRunner

    called: list[str] = []

    @task
    def step(x: int) -> int:
        called.append(threading.current_thread().name)
        return x

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def main(fail: bool) -> int:
        values = step.map(range(3)).result()
        if fail:
            raise ValueError
        return sum(values) + step.submit(10).result()

    main(True, return_state=True)
    assert main.resume(runs()[0].id, fail=False) == 13
    assert len(called) == 4 and threading.current_thread().name not in called


# -- suspended ---------------------------------------------------------------------------------------------------------


def test_a_suspended_run_leaves_no_process_and_comes_back(folder: Path) -> None:
    done = python(folder, "import flows; flows.suspends(5, return_state=True)")
    assert done.returncode == 0, done.stderr
    run = root_run()
    assert (run.state.type, run.state.name, run.process_id) == ("PAUSED", "Suspended", None)
    assert (run.state.message, run.source["pause"]["suspended"]) == ("waits for its input", True)
    for wrong, told in [({}, "'count'"), ({"count": "many"}, "'count'"), ({"count": 1, "x": 1}, "'x'"), (3, "object")]:
        with pytest.raises(InputRefused, match=told):
            resume_flow_run(run.id, run_input=wrong)
    assert root_run().state.name == "Suspended"
    resume_flow_run(run.id, run_input={"count": 7})
    assert wait_for_flow_run(run.id, timeout=30).state.is_completed()
    assert effects(folder) == ["5", "answered 7 none"]
    assert root_run().source["pause"] is None
    result = current_runtime().store.run_result(run.id)
    assert result is not None and result.data == b"12"


def test_an_asynchronous_suspended_run_comes_back(folder: Path) -> None:
    done = python(folder, "import asyncio, flows; asyncio.run(flows.suspends_async(1, return_state=True))")
    assert done.returncode == 0, done.stderr

    async def resume() -> Run:
        await resume_flow_run(root_run().id)
        run: Run = await wait_for_flow_run(root_run().id, timeout=30)
        return run

    assert asyncio.run(resume()).state.is_completed()
    assert effects(folder) == ["1", "went on"]


def test_a_process_that_cannot_go_on_says_why(folder: Path) -> None:
    python(folder, "import flows; flows.suspends(5, return_state=True)")
    (folder / "flows.py").write_text("raise RuntimeError('moved away')")
    with pytest.raises(TargetError, match="moved away"):
        resume_flow_run(root_run().id, run_input={"count": 7})
    assert root_run().state.name == "Suspended"
    (folder / "flows.py").write_text(FLOWS)
    resume_flow_run(root_run().id, run_input={"count": 8})
    assert wait_for_flow_run(root_run().id, timeout=30).state.is_completed()
    assert effects(folder) == ["5", "answered 8 none"]


def test_a_flow_that_no_process_can_import_is_resumed_where_it_is(runs: Runs, story: Story) -> None:
    called: list[Any] = []

    @task
    def step() -> int:
        called.append("step")
        return 1

    @flow
    def main() -> Any:
        step()
        return suspend_flow_run(wait_for_input=int), suspend_flow_run(key="second")

    with pytest.raises(SuspendedRun):
        main()
    run = runs()[0]
    with pytest.raises(InputRefused, match="resume_flow_run"):
        main.resume(run.id)
    with pytest.raises(TargetError, match=rf"resume\('{run.id}'\)"):
        resume_flow_run(run.id, run_input=3)
    assert main.resume(run.id, return_state=True).name == "Suspended"
    assert main.resume(run.id) == (3, None)
    assert called == ["step"]
    assert story(run.id) == [
        *("Pending", "Running", "Suspended"),
        *("Resuming", "Running", "Suspended"),
        *("Resuming", "Running", "Completed"),
    ]


def test_what_only_the_flow_itself_can_refuse_suspends_it_again(runs: Runs) -> None:
    from pydantic import Field

    from jupyter_wf.input import RunInput

    class Positive(RunInput):
        number: int = Field(gt=0)

    @flow
    def main() -> int:
        return int(suspend_flow_run(wait_for_input=Positive).number)

    main(return_state=True)
    run_id = runs()[0].id
    with pytest.raises(TargetError):
        resume_flow_run(run_id, run_input={"number": -1})
    assert main.resume(run_id, return_state=True).name == "Suspended"
    assert "'number'" in (runs()[0].state.message or "") and "'number'" in runs()[0].source["pause"]["refused"]
    with pytest.raises(TargetError):
        resume_flow_run(run_id, run_input={"number": 2})
    assert main.resume(run_id) == 2


def test_who_comes_too_late_finds_it_failed(runs: Runs) -> None:
    called: list[int] = []

    @flow
    def inner() -> None:
        suspend_flow_run(timeout=0)

    @flow
    def main() -> None:
        called.append(1)
        inner()

    for resume in (lambda run_id: main.resume(run_id), resume_flow_run):
        main(return_state=True)
        run = next(run for run in runs() if run.flow_name == "main" and run.state.is_paused())
        with pytest.raises(FlowPauseTimeout):
            resume(run.id)
        ended = current_runtime().store.get_run(run.id)
        assert ended.state.is_failed() and ended.error is not None and ended.error.type == "FlowPauseTimeout"
        assert all(each.state.is_final() for each in runs())
    assert len(called) == 2


def test_a_suspended_sub_flow_suspends_what_called_it(runs: Runs) -> None:
    called: list[Any] = []

    @task
    def step(x: int) -> int:
        called.append(x)
        return x

    @flow
    def inner() -> int:
        before = step(1)
        return before + int(suspend_flow_run(wait_for_input=int))

    @flow
    def outer() -> int:
        return step(2) + inner() + step(3)

    with pytest.raises(SuspendedRun):
        outer()
    top, _, below, _ = runs()
    assert (top.state.name, below.state.name, below.flow_name) == ("Suspended", "Suspended", "inner")
    with pytest.raises(TargetError, match=top.id):
        resume_flow_run(below.id, run_input=10)
    assert outer.resume(top.id) == 16
    assert called == [2, 1, 3]
    assert {run.state.name for run in runs()} == {"Completed"}
    assert [run.attempt for run in runs()] == [2, 1, 2, 1, 1]
    assert {run.process_id for run in runs()} == {current_runtime().process.id}


def test_a_suspended_sub_flow_that_is_not_called_again_is_closed(runs: Runs) -> None:
    @flow
    def inner() -> None:
        suspend_flow_run()

    @flow
    def outer(whether: bool) -> None:
        if whether:
            inner()

    outer(True, return_state=True)
    outer.resume(runs()[0].id, whether=False)
    assert [run.state.name for run in runs()] == ["Completed", "Cancelled"]


def test_a_suspended_run_is_cancelled_for_good(runs: Runs) -> None:
    @flow
    def main() -> None:
        suspend_flow_run()

    main(return_state=True)
    current_runtime().store.request(runs()[0].id, "cancel")
    assert runs()[0].state.is_cancelled()
    with pytest.raises(RunFinished):
        resume_flow_run(runs()[0].id)


def test_only_a_flow_can_be_suspended() -> None:
    @task
    def inside() -> None:
        suspend_flow_run()

    @flow
    def main() -> None:
        inside()

    with pytest.raises(PauseError):
        main()
    with pytest.raises(PauseError):
        suspend_flow_run()


def test_the_entrypoint_is_stored_with_root_runs_only(folder: Path) -> None:
    done = python(folder, "import flows, os; open(os.environ['EFFECTS'] + '.died', 'w'); flows.nested({'factor': 1})")
    assert done.returncode == 0, done.stderr
    sources = [run.source for run in current_runtime().store.list_runs(RunFilter(oldest_first=True)).items]
    assert sources[0] == {"entrypoint": f"{folder / 'flows.py'}:nested"}
    assert not any(sources[1:])


def test_flow_run_facts_of_a_resumed_run(runs: Runs) -> None:
    seen: list[Any] = []

    @flow
    def main(point: Point) -> None:
        seen.append((flow_run.id, flow_run.run_count, flow_run.parameters["point"]))
        if len(seen) == 1:
            raise ValueError

    main(Point(1, 2), return_state=True)
    main.resume(runs()[0].id)
    run_id = runs()[0].id
    assert seen == [(run_id, 1, Point(1, 2)), (run_id, 2, Point(1, 2))]
    assert os.getpid() == current_runtime().process.pid
