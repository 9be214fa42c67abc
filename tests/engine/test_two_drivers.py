"""One life, two drivers: whatever happens in a call, the blocking driver and the awaiting one leave the same record."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jupyter_wf import flow, skip, stop_flow, task
from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.rules import check_transition
from jupyter_wf.core.signals import SuspendRun
from jupyter_wf.core.states import State, StateType
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.drivers import time_out
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime

#: What a call does, by its attempt, and what becomes of the wait for the next one.
DEEDS = (
    *("return", "raise", "late", "time out", "skip", "stop", "suspend", "cancel", "cancel parent"),
    *("crash", "exit", "interrupt", "generator exit", "cancelled error", "group"),
)
WAITS = ("none", "retry now", "cancel", "cancel parent")
#: What is below a run when its work ends: a run that somebody left open, a submitted one that has ended or is busy, or
#: one that waits for it.
BELOW = ("nothing", "open", "submitted", "busy", "waiting")
CALLS = ("call", "state", "submit")
SIDES = (("sync", "sync"), ("async", "async"), ("async", "sync"))


class Crash(BaseException):
    pass


@dataclass(frozen=True)
class Attempt:
    deed: str = "return"
    wait: str = "none"
    below: str = "nothing"


@dataclass(frozen=True)
class Plan:
    task: tuple[Attempt, ...] = ()
    flow: tuple[Attempt, ...] = ()
    how: str = "call"


def attempts(most: int) -> st.SearchStrategy[tuple[Attempt, ...]]:
    one = st.builds(Attempt, st.sampled_from(DEEDS), st.sampled_from(WAITS), st.sampled_from(BELOW))
    # Most deeds end the run, so that later attempts would hardly be seen.
    failing = st.builds(Attempt, st.sampled_from(("raise", "late", "time out", "group")), st.sampled_from(WAITS))
    return st.builds(lambda before, last: (*before, last), st.lists(failing, max_size=most - 1), one)


PLANS = st.builds(Plan, attempts(3), attempts(2), st.sampled_from(CALLS))


def do(deed: str, run: LiveRun) -> bool:
    """Do what can be done at once; return whether the call has to wait for what stops it."""
    raised: dict[str, BaseException] = {
        "raise": ValueError("no"),
        "late": TimeoutError("too late"),
        "crash": Crash("bad"),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "generator exit": GeneratorExit(),
        "cancelled error": asyncio.CancelledError(),
        "suspend": SuspendRun(),
        "group": ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
    }
    if deed in raised:
        raise raised[deed]
    if deed == "skip":
        skip("nothing to do")
    if deed == "stop":
        stop_flow("enough")
    if deed == "time out":
        time_out(run, run.stop.callbacks[-1])
    elif deed == "cancel":
        run.cancel("asked for")
    elif deed == "cancel parent":
        (run.parent or run).cancel("asked for above")
    return deed != "return"


class Side:
    """A plan as it is executed on one side: by functions that are called, or awaited."""

    def __init__(self, plan: Plan, kinds: tuple[str, str]) -> None:
        self.plan = plan
        self.kinds = kinds
        self.called: list[str] = []
        self.gates: list[threading.Event] = []
        self.threads: list[threading.Thread] = []

    def attempt(self, run: LiveRun) -> Attempt:
        many = self.plan.task if run.kind == "task" else self.plan.flow
        return many[run.attempt - 1] if run.attempt <= len(many) else Attempt()

    def options(self, kind: str) -> dict[str, Any]:
        many = self.plan.task if kind == "task" else self.plan.flow
        note = self.called.append

        def hook(owner: Any, run: LiveRun, state: State) -> None:
            note(f"{run.kind} {state.name} {run.attempt}")

        names = ("running", "completion", "failure", "crashed", "cancellation")
        return {
            "name": kind,
            "retries": max(0, len(many) - 1),
            "retry_delay_seconds": [0.0 if each.wait == "none" else 3600.0 for each in many] or 0,
            **{f"on_{name}": hook for name in names},
        }

    def watch(self, run: LiveRun) -> None:
        """End the wait after the attempt that begins, where there is one, from another thread."""
        number, wait = run.attempt, self.attempt(run).wait

        def end() -> None:
            pause = threading.Event()
            while run.is_open and run.attempt == number and run.state.name != "Suspended":
                if run.state.name != "AwaitingRetry" or run.stop.wake is None:
                    pause.wait(0.001)
                elif wait in ("none", "retry now"):
                    run.retry_now()
                    return
                else:
                    (run if wait == "cancel" or run.parent is None else run.parent).cancel(wait)
                    return

        thread = threading.Thread(target=end, daemon=True)
        thread.start()
        self.threads.append(thread)

    def prepare(self, run: LiveRun) -> tuple[Attempt, threading.Event | None]:
        """Leave below the run what the plan says; return also what tells that a submitted child is on its way."""
        now = self.attempt(run)
        if run.kind == "task":
            self.watch(run)
        if now.below == "open":
            run.runtime.begin("task", f"open below {run.kind}", parent=run).set_state(StateType.RUNNING)
        if now.below in ("nothing", "open"):
            return now, None
        started, gate = threading.Event(), threading.Event()
        self.gates.append(gate)
        is_async = self.kinds[0 if run.kind == "flow" else 1] == "async"
        child = task(self.busy_async if is_async else self.busy, name=f"below {run.kind}")
        future = child.submit(started, gate)
        if now.below == "submitted":
            gate.set()
            return now, self.ended(future)
        waiting = child.submit(started, gate, wait_for=[future]) if now.below == "waiting" else None
        if waiting is not None and now.deed not in ("return", "suspend"):
            # It is not to begin because the busy one has ended.
            waiting.add_done_callback(lambda _: gate.set())
        elif now.deed in ("return", "raise", "late", "group", "stop", "suspend", "generator exit"):
            # What runs may end; it is not to end before the work of the run has.
            threading.Timer(0.02, gate.set).start()
        return now, started

    @staticmethod
    def ended(future: RunFuture[Any]) -> threading.Event:
        event = threading.Event()
        future.add_done_callback(lambda _: event.set())
        return event

    @staticmethod
    def busy(started: threading.Event, gate: threading.Event) -> None:
        started.set()
        while not gate.wait(0.002):
            pass

    @staticmethod
    async def busy_async(started: threading.Event, gate: threading.Event) -> None:
        started.set()
        await asyncio.to_thread(gate.wait, 30)

    def stopped(self) -> None:
        """Wait where the run is to stop: the stop may be on its way."""
        pause = threading.Event()
        while live_run().stop.wanted:
            pause.wait(0.002)

    async def stopped_async(self) -> None:
        if live_run().stop.wanted:
            await asyncio.Event().wait()

    def work(self) -> str:
        run = live_run()
        now, started = self.prepare(run)
        if started is not None:
            assert started.wait(30)
        if do(now.deed, run):
            # A signal reaches the main thread even here; others are interrupted between two instructions.
            pause = threading.Event()
            while True:
                pause.wait(0.002)
        return "done"

    async def work_async(self) -> str:
        run = live_run()
        now, started = self.prepare(run)
        if started is not None:
            assert await asyncio.to_thread(started.wait, 30)
        if do(now.deed, run):
            await asyncio.Event().wait()
        return "done"

    def execute(self) -> None:
        how = self.plan.how
        inner = task(self.work_async if self.kinds[1] == "async" else self.work, **self.options("task"))

        def outer() -> Any:
            self.watch(live_run())
            if how == "call":
                inner()
            elif how == "state":
                inner(return_state=True)
            else:
                inner.submit().wait()
            self.stopped()
            return self.work()

        async def outer_async() -> Any:
            self.watch(live_run())
            if how == "submit":
                await inner.submit().until_done()
            elif self.kinds[1] == "async":
                await inner(return_state=how == "state")
            else:
                inner(return_state=how == "state")
            await self.stopped_async()
            return await self.work_async()

        async def top() -> None:
            with suppress(BaseException):
                await flow(outer_async, flow_run_name="flow", **self.options("flow"))()

        try:
            if self.kinds[0] == "async":
                asyncio.run(top())
            else:
                with suppress(BaseException):
                    flow(outer, flow_run_name="flow", **self.options("flow"))()
        finally:
            for gate in self.gates:
                gate.set()
            for thread in self.threads:
                thread.join(30)


def live_run() -> LiveRun:
    run = current_run()
    assert run is not None
    return run


def record(run: Run) -> tuple[Any, ...]:
    """Return the history of a run without what differs by nature; check that it is legal."""
    store = current_runtime().store
    states: list[tuple[str, str, int, str]] = []
    old: State | None = None
    number = 1
    for event in store.states(run.id):
        told = event.payload
        new = State(type=StateType(told["type"]), name=told["name"], message=told.get("message"))
        check_transition(run.name, old, new, new_attempt=told["attempt"] > number)
        assert told["attempt"] - number in (0, 1)
        old, number = new, told["attempt"]
        states.append((new.type.value, new.name, number, re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "#", new.message or "")))
    assert old is not None and (old.is_closed() or old.name == "Suspended"), f"{run.name} is left {old}"
    error = None if run.error is None else (run.error.type, run.error.message)
    return run.kind, run.name, run.attempt, tuple(states), error


def executed(plan: Plan, kinds: tuple[str, str]) -> tuple[list[Any], list[str]]:
    """Execute the plan; return what is recorded of it, and the hooks that were called."""
    runtime = current_runtime()
    before = {run.id for run in runtime.store.list_runs(RunFilter(), limit=1000).items}
    side = Side(plan, kinds)
    side.execute()
    runtime.journal.flush()
    made = [run for run in runtime.store.list_runs(RunFilter(), limit=1000).items if run.id not in before]
    return sorted((record(run) for run in made), key=repr), sorted(side.called)


@given(plan=PLANS)
@example(Plan(flow=(Attempt("raise", below="busy"),)))
@example(Plan(task=(Attempt("raise", "retry now"), Attempt()), flow=(Attempt("cancel", below="busy"),)))
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_drivers_leave_the_same_record(plan: Plan) -> None:
    expected = executed(plan, SIDES[0])
    for kinds in SIDES[1:]:
        assert executed(plan, kinds) == expected, kinds
