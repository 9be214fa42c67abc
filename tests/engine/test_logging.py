"""Log lines of runs: each goes to the run that it was written in, once, and is never the run's misfortune."""

from __future__ import annotations

import asyncio
import builtins
import io
import logging
import logging.config
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, get_run_logger, task
from jupyter_wf.context import get_run_context
from jupyter_wf.core.errors import InvalidRequest, MissingContextError
from jupyter_wf.core.models import LogRecord
from jupyter_wf.engine.capture import run_logger
from jupyter_wf.engine.context import set_ambient_parent
from jupyter_wf.engine.loglines import level_number
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.logging import disable_run_logger, include_loggers

Lines = Callable[[], list[tuple[str, str]]]


def records() -> list[LogRecord]:
    """The log lines of every root run in the store, oldest run first."""
    store = current_runtime().store
    roots = [run for run in reversed(store.list_runs(limit=1000).items) if run.id == run.root_id]
    return [record for root in roots for record in store.logs(root.id)]


@pytest.fixture
def lines() -> Lines:
    """Return a function that gives (name of the run, text) of all log lines, in order."""

    def every() -> list[tuple[str, str]]:
        names = {run.id: run.name for run in current_runtime().store.list_runs(limit=1000).items}
        return [(names[record.run_id], record.message) for record in records()]

    return every


@pytest.fixture
def bare_root(monkeypatch: pytest.MonkeyPatch) -> logging.Logger:
    """The root logger as in a program that has not set logging up: pytest can't put its handlers there."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "addHandler", lambda handler: None)
    return root


def listen(root: logging.Logger) -> list[logging.LogRecord]:
    """Return the list that will hold every record which reaches the root logger."""
    got: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = got.append  # type: ignore[method-assign]
    logging.Logger.addHandler(root, handler)
    return got


@pytest.fixture
def library() -> Iterator[logging.Logger]:
    """A logger of a library, as it was afterwards."""
    logger = logging.getLogger("somelib")
    yield logger
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture(params=["nobody else", "another handler"])
def listeners(request: pytest.FixtureRequest, bare_root: logging.Logger) -> list[logging.LogRecord]:
    """Both ways of a line: with and without somebody else who wants the record. Gives what that one got."""
    return listen(bare_root) if request.param == "another handler" else []


def test_a_line_goes_to_the_run_it_is_written_in(listeners: list[logging.LogRecord], lines: Lines) -> None:
    @task
    def work(x: int) -> None:
        get_run_logger().info("x is %d", x)

    @flow(flow_run_name="main")
    def main() -> None:
        get_run_logger().warning("before")
        work(1)
        work.submit(2).wait()
        get_run_logger().debug("not from INFO up")
        get_run_logger().error("%(a)s after", {"a": "well"})

    main()
    assert lines() == [("main", "before"), ("work-0", "x is 1"), ("work-1", "x is 2"), ("main", "well after")]
    assert [record.level for record in records()] == [30, 20, 20, 40]
    assert {record.logger for record in records()} == {"jupyter_wf.flow_runs", "jupyter_wf.task_runs"}
    assert [record.getMessage() for record in listeners] in ([], [text for _, text in lines()])


def test_async_tasks_have_their_own_lines(lines: Lines) -> None:
    @task
    async def work(x: int) -> None:
        await asyncio.sleep(0)
        get_run_logger().info("x is %d", x)
        await asyncio.to_thread(get_run_logger().info, "from a thread of asyncio")

    @flow
    async def main() -> None:
        await asyncio.gather(work(1), work(2))

    asyncio.run(main())
    assert sorted(lines()) == [
        ("work-0", "from a thread of asyncio"),
        ("work-0", "x is 1"),
        ("work-1", "from a thread of asyncio"),
        ("work-1", "x is 2"),
    ]


def test_exceptions_keep_their_traceback(listeners: list[logging.LogRecord]) -> None:
    @flow
    def main() -> None:
        logger = get_run_logger()
        try:
            raise KeyError("lost")
        except KeyError:
            logger.exception("it failed")
            logger.info("for the record", exc_info=True, stack_info=True)

    main()
    first, second = records()
    assert first.message.startswith("it failed\nTraceback (most recent call last):\n")
    assert first.message.endswith("KeyError: 'lost'")
    assert "raise KeyError" in first.message
    assert "KeyError: 'lost'\nStack (most recent call last):" in second.message


def test_a_line_that_cannot_be_made_harms_nobody(
    listeners: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    @flow
    def main() -> int:
        get_run_logger().info("%d", "x")
        get_run_logger().info(Broken())
        get_run_logger().info("still here")
        return 1

    assert main() == 1
    assert [record.message for record in records()] == ["still here"]
    told = capsys.readouterr().err
    assert "%d format: a real number is required" in told
    assert "no text" in told


def test_a_long_line_is_cut(listeners: list[logging.LogRecord]) -> None:
    @flow(log_prints=True)
    def main() -> None:
        get_run_logger().info("x" * 100_007)
        print("y" * 100_007)

    main()
    for record, letter in zip(records(), "xy", strict=True):
        assert record.message == f"{letter * 100_000}… (7 characters left out)"


def test_other_handlers_are_told_of_the_run_and_can_keep_the_record(bare_root: logging.Logger) -> None:
    got = listen(bare_root)

    @task
    def work() -> None:
        get_run_logger(batch=7).info("here %s", 1, extra={"row": 8})

    @flow
    def main() -> None:
        work()
        get_run_logger().getChild("part", {"step": 2}).log(logging.INFO, "there")

    main()
    inner, outer = (record.__dict__ for record in got)
    assert (inner["batch"], inner["row"], outer["step"]) == (7, 8, 2)
    assert (inner["task_name"], inner["task_run_name"], inner["flow_name"]) == ("work", "work-0", "main")
    assert inner["flow_run_id"] == outer["flow_run_id"]
    assert "task_run_id" not in outer
    assert outer["name"] == "jupyter_wf.flow_runs.part"
    assert (inner["funcName"], outer["funcName"]) == ("work", "main")
    assert {Path(facts["pathname"]) for facts in (inner, outer)} == {Path(__file__)}
    assert pickle.loads(pickle.dumps(got[0])).getMessage() == "here 1"
    assert [record.message for record in records()] == ["here 1", "there"]


def test_the_logger_of_a_context_is_kept_and_used_anywhere(lines: Lines) -> None:
    kept: list[Any] = []

    @task
    def work() -> None:
        get_run_logger(kept.pop()).info("to the flow")
        kept.append(get_run_logger())

    @flow(flow_run_name="main")
    def main() -> None:
        kept.append(get_run_context())
        work()
        thread = threading.Thread(target=kept[0].info, args=("from a thread",))
        thread.start()
        thread.join()

    main()
    assert lines() == [("main", "to the flow"), ("work-0", "from a thread")]
    with pytest.raises(TypeError, match="get_run_context"):
        get_run_logger("main")  # type: ignore[arg-type]


def test_a_bare_thread_belongs_to_no_run_unless_it_gets_the_context(lines: Lines) -> None:
    raised: list[BaseException] = []

    def say() -> None:
        try:
            get_run_logger().info("said")
        except MissingContextError as error:
            raised.append(error)

    @flow(flow_run_name="main")
    def main() -> None:
        for target in (say, partial(copy_context().run, say)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()

    main()
    assert len(raised) == 1
    assert lines() == [("main", "said")]


def test_outside_any_run_there_is_no_logger() -> None:
    with pytest.raises(MissingContextError, match="disable_run_logger"):
        get_run_logger()
    with pytest.raises(MissingContextError, match="no active"):
        run_logger()


def test_in_a_runners_kernel_a_cell_logs_to_its_run(lines: Lines) -> None:
    runtime = current_runtime()
    outer = runtime.begin("flow", "notebook", flow_name="notebook")
    cell = runtime.begin("cell", "cell 3", parent=outer)
    try:
        set_ambient_parent(cell.id, outer.id)
        get_run_logger().info("from the cell")
        get_run_logger(get_run_context()).info("to the notebook")
    finally:
        set_ambient_parent(None)
    assert lines() == [("cell 3", "from the cell"), ("notebook", "to the notebook")]


# -- switching off ------------------------------------------------------------------------------------------------


def test_disabled_run_loggers_need_no_run_and_write_nowhere(
    listeners: list[logging.LogRecord], lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    @task(log_prints=True)
    def work() -> int:
        get_run_logger().error("not seen")
        print("printed")
        return 1

    with disable_run_logger(), disable_run_logger():
        assert work.fn() == 1
        assert work() == 1
        assert not get_run_logger().isEnabledFor(logging.CRITICAL)
        kept = get_run_logger()
    kept.error("this one has no run to write to")
    assert lines() == []
    assert listeners == []
    assert capsys.readouterr() == ("printed\nprinted\n", "")
    with pytest.raises(MissingContextError):
        work.fn()
    work()
    assert lines() == [("work-0", "not seen"), ("work-0", "printed")]


def test_disabling_decorates_functions_of_both_kinds() -> None:
    @disable_run_logger()
    def plain() -> str:
        """Say nothing."""
        get_run_logger().info("x")
        return "plain"

    @disable_run_logger()
    async def waits() -> str:
        await asyncio.sleep(0)
        get_run_logger().info("x")
        return "waits"

    assert plain() == plain() == "plain"
    assert plain.__doc__ == "Say nothing."
    assert asyncio.run(waits()) == "waits"
    with pytest.raises(MissingContextError):
        get_run_logger()


# -- loggers of libraries --------------------------------------------------------------------------------------------


def test_included_loggers_write_to_the_run_once(library: logging.Logger, lines: Lines) -> None:
    @task
    def work() -> None:
        logging.getLogger("somelib.deep.down").info("deep")

    @flow(flow_run_name="main")
    def main() -> None:
        library.warning("up %s", "here")
        work()
        library.debug("below the level")
        logging.getLogger("otherlib").error("not asked for")

    end = include_loggers("somelib", "somelib.deep", "root")
    also = include_loggers("somelib")
    main()
    assert lines() == [("main", "up here"), ("work-0", "deep"), ("main", "not asked for")]
    end()
    end()
    library.warning("outside any run")
    main()
    assert [text for _, text in lines()][3:] == ["up here", "deep"]
    also()
    main()
    assert len(lines()) == 5
    assert library.handlers == []
    assert library.level == logging.NOTSET


def test_the_level_of_included_loggers(library: logging.Logger, lines: Lines) -> None:
    @flow
    def main() -> None:
        library.debug("fine")
        library.info("coarse")

    include_loggers("somelib", level="debug")()
    for level, seen in ((None, ["coarse"]), ("debug", ["fine", "coarse"]), (logging.WARNING, [])):
        before = len(lines())
        end = include_loggers("somelib", level=level)
        main()
        end()
        assert [text for _, text in lines()][before:] == seen
    library.setLevel(logging.DEBUG)
    end = include_loggers("somelib")
    main()
    end()
    assert [text for _, text in lines()][-2:] == ["fine", "coarse"]
    assert library.level == logging.DEBUG


def test_what_cannot_be_included() -> None:
    for name in ("", None, 3):
        with pytest.raises(InvalidRequest, match="sklearn"):
            include_loggers("somelib", name)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="'loud': is not a level"):
        include_loggers("somelib", level="loud")
    assert logging.getLogger("somelib").handlers == []


def test_warnings_outside_runs_are_still_seen(
    library: logging.Logger, bare_root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    end = include_loggers("somelib")
    library.warning("outside any run")
    library.info("as quiet as ever")
    end()
    assert capsys.readouterr().err == "outside any run\n"


# -- levels and configuration ----------------------------------------------------------------------------------------


def test_levels() -> None:
    assert [level_number(level) for level in ("debug", " Info ", "15", 7)] == [10, 20, 15, 7]
    with pytest.raises(InvalidRequest, match="WARNING"):
        level_number("quiet")


@pytest.fixture
def enabled_again() -> Iterator[None]:
    """Afterwards, loggers are disabled that were so before, and no others."""
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [(logger, logger.disabled) for logger in loggers]
    yield
    for logger, disabled in before:
        logger.disabled = disabled


@pytest.mark.usefixtures("enabled_again")
def test_a_configuration_that_disables_loggers_does_not_lose_lines(bare_root: logging.Logger, lines: Lines) -> None:
    @flow(flow_run_name="main")
    def main() -> None:
        get_run_logger().info("before")
        logging.config.dictConfig({"version": 1})
        get_run_logger().info("after")
        logging.disable(logging.INFO)
        get_run_logger().info("not wanted")
        logging.disable(logging.NOTSET)

    main()
    assert lines() == [("main", "before"), ("main", "after")]


PROGRAM = """
import logging
from jupyter_wf import flow, get_run_logger, task
from jupyter_wf.engine.runtime import current_runtime

@flow(flow_run_name="main")
def main():
    get_run_logger().debug("fine")
    get_run_logger().info("coarse")
    logging.getLogger("somelib.part").debug("library")
    logging.getLogger("third").warning("nobody asked")

main()
store = current_runtime().store
for record in store.logs(store.list_runs().items[0].id):
    print(record.level, record.logger, record.message)
"""


def in_program(code: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "JUPYTER_WF_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def test_the_environment_says_level_and_loggers(wf_home: Path) -> None:
    environ = {"JUPYTER_WF_LOGGING_LEVEL": "debug", "JUPYTER_WF_LOGGING_EXTRA_LOGGERS": " somelib, ,other "}
    done = in_program(PROGRAM, wf_home, **environ)
    assert done.stdout.splitlines() == [
        "10 jupyter_wf.flow_runs fine",
        "20 jupyter_wf.flow_runs coarse",
        "10 somelib.part library",
    ]
    shown = [line.partition(" | ")[2] for line in done.stderr.splitlines()]
    assert shown == [
        "DEBUG   | Flow run 'main' - fine",
        "INFO    | Flow run 'main' - coarse",
        "DEBUG   | Flow run 'main' - library",
        "",
    ]
    assert done.stderr.splitlines()[-1] == "nobody asked"
    bad = in_program(PROGRAM, wf_home, JUPYTER_WF_LOGGING_LEVEL="loud")
    assert bad.returncode != 0
    assert "JUPYTER_WF_LOGGING_LEVEL='loud': is not a level of logging" in bad.stderr


def test_a_program_that_sets_logging_up_sees_each_line_once(wf_home: Path) -> None:
    done = in_program(f"import logging\nlogging.basicConfig(format='mine: %(message)s', level=20)\n{PROGRAM}", wf_home)
    assert done.stderr.splitlines() == ["mine: coarse", "mine: nobody asked"]


def test_no_terminal_is_no_trouble(wf_home: Path) -> None:
    quiet = PROGRAM.replace('logging.getLogger("third").warning("nobody asked")', "")
    for gone in ("sys.stderr = None", "sys.stderr.close()"):
        done = in_program(f"import sys\n{gone}\n{quiet}", wf_home)
        assert done.stdout.splitlines() == ["20 jupyter_wf.flow_runs coarse"]


# -- print -----------------------------------------------------------------------------------------------------------


def test_prints_are_shown_and_logged_as_print_makes_them(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    class Counted:
        asked = 0

        def __str__(self) -> str:
            self.asked += 1
            return "counted"

    counted = Counted()
    aside = io.StringIO()

    @flow(flow_run_name="main", log_prints=True)
    def main() -> None:
        print("a", 1, None)
        print("b", "c", sep="-", end="!\n\n", flush=True)
        print("  kept", sep=None, end=None)
        print()
        print("to a file", file=aside)
        print("to stderr", file=sys.stderr)
        print(counted)

    original = builtins.print
    main()
    assert builtins.print is original
    assert [text for _, text in lines()] == ["a 1 None", "b-c!", "  kept", "to stderr", "counted"]
    assert counted.asked == 1
    assert aside.getvalue() == "to a file\n"
    assert capsys.readouterr() == ("a 1 None\nb-c!\n\n  kept\n\ncounted\n", "to stderr\n")


def test_a_line_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks on other threads write at the same time."""

    class Terminal(io.StringIO):
        def write(self, text: str, /) -> int:
            pieces.append(text)
            return len(text)

    pieces: list[str] = []

    @flow(log_prints=True)
    def main() -> None:
        monkeypatch.setattr(sys, "stdout", Terminal())
        print("a", 1)
        print("b", end="")

    main()
    assert [piece for piece in pieces if piece] == ["a 1\n", "b"]


def test_only_those_who_ask_have_their_prints_logged(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    @task
    def follows() -> None:
        print("inherited")

    @flow(flow_run_name="loud", log_prints=True)
    def loud() -> None:
        follows()

    @flow(flow_run_name="main")
    def main() -> None:
        print("not logged")
        loud()

    main()
    assert lines() == [("follows-0", "inherited")]
    assert capsys.readouterr().out == "not logged\ninherited\n"
    with pytest.raises(TypeError, match="sep"):
        flow(log_prints=True)(lambda: print("a", sep=3))()  # type: ignore[call-overload]
