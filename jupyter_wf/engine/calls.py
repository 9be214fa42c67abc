"""From a call of a task or flow to its value: begin the run, drive it, close it, hand the value out."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.effects import Outcome
from jupyter_wf.core.errors import CancelledRun, SuspendedRun, UpstreamFailed
from jupyter_wf.core.lifecycle import Cache, Life, failed, life, not_ready, skipped
from jupyter_wf.core.parameters import exact_json
from jupyter_wf.core.signals import StopFlow, SuspendRun
from jupyter_wf.core.states import LazyValue, State, StateType
from jupyter_wf.core.triggers import Ready, decide
from jupyter_wf.engine.arguments import Upstream, find_upstream, resolve
from jupyter_wf.engine.callee import Callee, bind, named
from jupyter_wf.engine.context import CURRENT, TAGS
from jupyter_wf.engine.depth import STEP, make_room
from jupyter_wf.engine.drivers import drive, settle
from jupyter_wf.engine.handover import keep_arguments, log_lines, whereabouts
from jupyter_wf.engine.host import Host
from jupyter_wf.engine.interrupts import Interruption
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.engine.work import around, around_run, completed, make_work, stop_children

if TYPE_CHECKING:
    from jupyter_wf.core.models import Earlier

__all__ = [
    "Invocation",
    "call",
    "continue_run",
    "end_of_root",
    "execute",
    "hand_out",
    "hand_out_state",
    "perform",
    "run_again",
]

#: logging.INFO, which a plain import does not load.
_INFO = 20
_NO_LINES: Sequence[str] = ()


class Invocation:
    """One call of a task or flow, and its run: made below the run that the caller is part of.

    The run is made by `begin`; listeners hear of one that has no parent in this process before its work begins. Raises
    `ParameterError` where the arguments do not fit the function; no run is made then. ``submitted`` tells that the call
    may be executed elsewhere, by the flow's executor.
    """

    __slots__ = ("_parameters", "args", "callee", "earlier", "key", "kwargs", "life", "live", "submitted", "upstream")
    live: LiveRun
    life: Life
    #: Ids of runs that this one comes after, beside those that its arguments tell of.
    edges: Sequence[str] = ()

    def __init__(
        self,
        callee: Callee,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Iterable[Any] = (),
        *,
        submitted: bool = False,
    ) -> None:
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.submitted = submitted
        #: The cache key, once there is one.
        self.key: str | None = None
        #: What an earlier attempt of the caller left of this call, as long as it may stand for it.
        self.earlier: Earlier | None = None
        self.upstream: Upstream = find_upstream((*args, *kwargs.values()) if kwargs else args, wait_for)
        arguments = bind(callee, args, kwargs)
        if callee.validates and not self.upstream:
            arguments = self._validate(arguments)
        self._parameters: Mapping[str, Any] | None = arguments

    def _validate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Take the arguments as the annotations want them; return them. Raises `ParameterTypeError`."""
        # Only flows with annotated parameters need it.
        from jupyter_wf.engine.validation import validate_parameters

        callee = self.callee
        assert callee.signature is not None
        taken = validate_parameters(callee.fn, callee.signature, arguments, callee.name)
        bound = inspect.BoundArguments(callee.signature, OrderedDict(taken))
        self.args, self.kwargs = bound.args, bound.kwargs
        return taken

    def begin(self) -> LiveRun:
        """Make the run, where there is none yet, and return it. An interrupt meanwhile closes what was made."""
        parameters, self._parameters = self._parameters, None
        if parameters is not None:
            # No interrupt is noticed between the return of a Python function and the assignment of its value.
            self.live = _begin(self, parameters)
        return self.live

    def take(self, live: LiveRun) -> None:
        """Make ``live`` the run of this call: one that was begun before, in this process or another."""
        self._parameters = None
        self.live = live
        live.callee = self.callee
        _take_on(self.callee, live)

    @property
    def begun(self) -> bool:
        """Whether there is a run."""
        return hasattr(self, "live")

    def steps(self, attempt: int = 1) -> Life:
        """Return the life that the run is to lead, now that its upstream has ended; futures give way to values."""
        try:
            return self._steps(attempt)
        except Exception as error:
            return failed(error)

    def _steps(self, attempt: int) -> Life:
        live, callee, upstream = self.live, self.callee, self.upstream
        if upstream:
            judged = [(f.run.name, f.state) for f in upstream.futures if f.task_run_id not in upstream.excused]
            judged += [(f"with the state {state.name}", state) for state in upstream.states]
            ready, reason = decide(callee.policy.trigger, judged)
            if ready is not Ready.CALL:
                return skipped(reason) if ready is Ready.SKIP else not_ready(reason)
            self.args = tuple(resolve(value) for value in self.args)
            self.kwargs = {name: resolve(value) for name, value in self.kwargs.items()}
            arguments = None
            if callee.validates:
                arguments = self._validate(bind(callee, self.args, self.kwargs))
            if callee.run_name is not None and self.earlier is None:
                live.patch(name=named(callee, arguments or bind(callee, self.args, self.kwargs)))
        if live.parent is not None and live.persist and live.inputs is None:
            arguments = bind(callee, self.args, self.kwargs)
            live.inputs = exact_json(arguments) or callee.keeping.inputs(live, arguments)
        elif upstream and live.parent is None and live.kind == "flow" and live.attempt == 1:
            _, unkept = keep_arguments(live.runtime, live.id, callee, bind(callee, self.args, self.kwargs))
            log_lines(live, unkept)
        if self.earlier is not None:
            # Only later attempts need it.
            from jupyter_wf.engine.resuming import restored

            if restored(live, callee, self.earlier):
                return _nothing()
        # A run that was begun before, in this process or another, may be in a later attempt already.
        return life(
            callee.policy,
            attempt=max(attempt, live.attempt),
            begun=attempt <= live.attempt,
            cache=self._cache() if callee.results is not None else None,
            random=_random if callee.policy.jitter else None,
        )

    def _cache(self) -> Cache | None:
        callee = self.callee
        assert callee.results is not None
        cache = callee.results.cache(self.live, self.args, self.kwargs)
        self.key = None if cache is None else cache.key
        return cache


def _random() -> float:
    # Only jitter needs it.
    from random import random

    return random()


def _nothing() -> Life:
    """Return the life of a run that has nothing left to do."""
    yield from ()


def _join(callee: Callee, parent: LiveRun) -> tuple[int, Earlier | None]:
    """Return how many calls of the same the parent has made before, and what its last attempt left of this one.

    Waits while the parent is held.
    """
    if parent.resume is not None:
        # Who holds it has loaded this.
        from jupyter_wf.engine.pausing import hold_back

        hold_back(parent)
    if parent.depth % STEP == STEP - 1:
        make_room(parent.depth)
    key, family = callee.key, parent.family
    number = family.call_numbers.get(key, 0)
    family.call_numbers[key] = number + 1
    return number, family.earlier.pop((key, number), None) if family.earlier else None


def _begin(invocation: Invocation, parameters: Mapping[str, Any]) -> LiveRun:
    callee, upstream = invocation.callee, invocation.upstream
    parent = CURRENT.get()
    # The parent's is the right one also on a thread that has seen no other.
    host: Host = current_runtime() if parent is None else parent.runtime
    number = None
    source = callee.source
    if parent is None and callee.kind == "flow":
        source = whereabouts(callee)
    elif parent is not None:
        number, earlier = _join(callee, parent)
        if earlier is not None:
            # Only later attempts need it.
            from jupyter_wf.engine.resuming import reopened

            live, invocation.earlier = reopened(host, parent, callee, earlier, parameters)
            _take_on(callee, live)
            return live
    is_task = callee.kind == "task"
    # A name that futures are part of is made when they have ended.
    name = (
        None if callee.run_name is None or (upstream and not _is_plain(callee.run_name)) else named(callee, parameters)
    )
    if name is None and is_task:
        name = f"{callee.name}-{number or 0}"
    tags = TAGS.get()
    exact = None if upstream else exact_json(parameters)
    run_id, unkept = None, _NO_LINES
    if exact is None and parent is None and not is_task:
        # Those that are to come from other runs are kept when they are there.
        run_id, unkept = keep_arguments(host, None, callee, {} if upstream else parameters)
    live = host.begin(
        callee.kind,
        name,
        flow_name=None if is_task else callee.name,
        task_name=callee.name if is_task else None,
        parent=parent,
        parameters=parameters,
        recorded=exact,
        tags=tuple(sorted({*tags, *callee.tags})) if tags else callee.tags,
        upstream=[*invocation.edges, *(f.task_run_id for f in upstream.futures)] if upstream else invocation.edges,
        source=source,
        max_attempts=callee.policy.retries + 1,
        call_number=number,
        run_id=run_id,
    )
    try:
        log_lines(live, unkept)
        live.callee = callee
        live.inputs = None if exact is None else ""
        _take_on(callee, live)
        if parent is None:
            host.announce(live)
    except BaseException as error:
        settle(live, error)
        raise
    return live


def _is_plain(run_name: str | Callable[..., str]) -> bool:
    """Return whether a run's name is the same whatever the arguments are."""
    return isinstance(run_name, str) and "{" not in run_name


def _take_on(callee: Callee, live: LiveRun) -> None:
    """Give a run what its callee says that differs from the run around."""
    if callee.executor is not None:
        live.executor = callee.executor
    if callee.yields:
        # What was yielded is not kept, so that there is nothing to restore.
        live.persist = False
    elif callee.persist is not None:
        live.persist = callee.persist


def call(callee: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], *, wait_for: Iterable[Any] = ()) -> LiveRun:
    """Run a synchronous task or flow in the calling thread, to its end; return its run."""
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs, wait_for)
    _run(invocation, 1)
    return invocation.live


def execute(invocation: Invocation) -> LiveRun:
    """Run a prepared call in the calling thread, to its end; return its run: a new one, or the one it was given."""
    __tracebackhide__ = True
    _run(invocation, invocation.live.attempt if invocation.begun else 1)
    return invocation.live


def continue_run(callee: Callee, live: LiveRun, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LiveRun:
    """Run the next attempt of a run that this process has taken over, in the calling thread; return the run."""
    __tracebackhide__ = True
    invocation = Invocation(callee, args, kwargs)
    invocation.take(live)
    live.runtime.announce(live)
    return execute(invocation)


def _run(invocation: Invocation, attempt: int) -> None:
    __tracebackhide__ = True
    try:
        invocation.begin()
        for future in invocation.upstream.futures:
            future.wait()
        perform(invocation, attempt)
    except BaseException as error:
        if invocation.begun:
            settle(invocation.live, error)
        raise
    finally:
        if invocation.begun and invocation.live.parent is None:
            end_of_root(invocation.live, lambda: run_again(invocation))


def run_again(invocation: Invocation) -> None:
    """Make the next attempt of an ended root run, in the calling thread."""
    invocation.live.begin_again()
    _run(invocation, invocation.live.attempt + 1)


def end_of_root(live: LiveRun, again: Callable[[], Any] | None) -> None:
    """The barrier: what the caller is about to see is committed. A run that did not complete may be tried again."""
    live.rerun = None if live.state.is_completed() else again
    if live.attempt > 1 and live.has_family and live.family.restored:
        many = len(live.family.restored)
        what = "1 run that had" if many == 1 else f"{many:,} runs that had"
        live.log(_INFO, f"attempt {live.attempt} took over {what} completed before")
    live.runtime.journal.flush()


def perform(invocation: Invocation, attempt: int = 1, answer: Outcome | None = None) -> None:
    """Drive a run whose upstream has ended, from its first call to its closing state.

    With ``answer``, the outcome of a call whose thread was given up, the life is led on from there.
    """
    live, callee = invocation.live, invocation.callee
    if answer is None:
        invocation.life = invocation.steps(attempt)
    else:
        stop_children(live)
    steps, timeout = invocation.life, callee.policy.timeout_seconds
    if callee.quiet:
        drive(live, steps, make_work(invocation), timeout, answer)
        return
    with around(live, callee), around_run(live, invocation.key):
        drive(live, steps, make_work(invocation), timeout, answer)
    completed(live, callee)
    if callee.policy.durable:
        live.runtime.journal.flush()


def hand_out_state(live: LiveRun, stop: type[BaseException] = Interruption) -> State:
    """Return the state of an ended run; raise ``stop`` where it was cancelled with its caller, which is to stop too."""
    __tracebackhide__ = True
    if live.state.type is StateType.CANCELLED and live.parent is not None and live.parent.stopping:
        raise stop
    return live.state


def hand_out(live: LiveRun, stop: type[BaseException] = Interruption) -> Any:
    """Return the value of an ended run, or raise what its caller has to see.

    An interrupt (the stop button, `SystemExit`) goes on outwards; the caller of a cancelled run gets `CancelledRun`,
    or ``stop`` where it is to stop itself.
    """
    __tracebackhide__ = True
    state = live.state
    error = live.last_error
    if state.type is StateType.COMPLETED:
        if error is not None and live.parent is not None and live.kind == "task" and isinstance(error, StopFlow):
            raise error
        return state.data if type(state.data) is not LazyValue else state.data.load()
    if state.name == "Suspended":
        raise SuspendRun if live.parent is not None else SuspendedRun(live.id, live.name)
    if error is not None and not isinstance(error, (Exception, Interruption)):
        raise error
    if live.parent is not None and live.parent.stopping:
        raise stop
    if state.type is StateType.CANCELLED:
        raise CancelledRun(f"{live.kind} run {live.name!r} was cancelled")
    if state.name == "NotReady":
        raise UpstreamFailed(f"{live.kind} run {live.name!r} was not called: {state.message}")
    return state.result()
