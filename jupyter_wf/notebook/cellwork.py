"""The ways in which a task cell's work is done: here, beside other cells, in another process, once for each item."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.signals import StopFlow
from jupyter_wf.engine.callee import Callee
from jupyter_wf.engine.context import current_run
from jupyter_wf.engine.futures import RunFuture
from jupyter_wf.engine.hooks import Hooks
from jupyter_wf.engine.remote import send
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.submit import start
from jupyter_wf.engine.work import next_attempt
from jupyter_wf.executors.base import Executor
from jupyter_wf.notebook.cellcache import cell_results
from jupyter_wf.notebook.cellcallee import make_callee
from jupyter_wf.notebook.cells import Namespace
from jupyter_wf.notebook.celltask import CellCall, PreparedCell
from jupyter_wf.notebook.elsewhere import CellValue, RemoteCell
from jupyter_wf.notebook.redefining import why_not_again
from jupyter_wf.notebook.usage import Meter

__all__ = ["call_beside", "call_here", "call_mapped"]


def call_here(prepared: PreparedCell) -> CellCall:
    """Return the call of a cell that runs in the notebook's namespace, in the caller's thread."""
    work = prepared.run_here_async if prepared.body.is_async else prepared.run_here
    return CellCall(prepared, _callee(prepared, work, here=True))


def call_beside(
    prepared: PreparedCell,
    executor: Executor | None = None,
    *,
    namespace: Namespace | None = None,
    wait_for: Sequence[Any] = (),
) -> CellCall:
    """Return the call of a cell that runs beside others, to be submitted: on a thread, or by ``executor``.

    It begins with the names of ``namespace``; None are the notebook's when it begins. Raises `ParameterError` where
    the executor can't have the cell.
    """
    work = _work(prepared, executor, namespace, None, publish=True)
    callee = _callee(prepared, work, names=namespace)
    return CellCall(prepared, callee, names=namespace, wait_for=wait_for, submitted=True)


def call_mapped(
    prepared: PreparedCell,
    executor: Executor | None = None,
    *,
    namespace: Namespace | None = None,
    wait_for: Sequence[Any] = (),
) -> CellCall:
    """Return the call of a cell that runs once for each item, all at the same time as far as there is room.

    Its outputs become lists, in the order of the items. The line's retries and time-out hold for each item. Otherwise
    as `call_beside`.
    """
    # What is wrong with the executor is said before anything runs.
    _work(prepared, executor, {}, {}, publish=False)
    work = partial(_run_all, prepared, namespace, executor)
    callee = make_callee(prepared, _metered(work), plain=True, hooks=_keep_inputs(prepared, names=namespace))
    return CellCall(prepared, callee, names=namespace, wait_for=wait_for, submitted=True)


def _callee(
    prepared: PreparedCell, work: Callable[[], Any], *, names: Namespace | None = None, here: bool = False
) -> Callee:
    hooks, results = _keep_inputs(prepared, names=names), cell_results(prepared, names=names)
    return make_callee(prepared, _metered(work), hooks=hooks, results=results, here=here)


def _metered(work: Callable[[], Any]) -> Callable[[], Any]:
    """Return the work with its use of processor and memory written down with its run."""

    def run() -> Any:
        __tracebackhide__ = True
        with _metering():
            return work()

    async def run_async() -> Any:
        __tracebackhide__ = True
        with _metering():
            return await work()

    return run_async if inspect.iscoroutinefunction(work) else run


@contextmanager
def _metering() -> Iterator[None]:
    __tracebackhide__ = True
    meter = Meter()
    meter.start()
    try:
        yield
    finally:
        usage, live = meter.stop(), current_run()
        if live is not None:
            live.patch(source={"usage": usage.as_json()})


def _keep_inputs(
    prepared: PreparedCell, bound: Mapping[str, Any] | None = None, names: Namespace | None = None
) -> Hooks:
    """Return the hooks by which the inputs of a run that fails are stored."""

    def failed(task: Any, live: LiveRun, state: Any) -> None:
        prepared.keep_inputs(live, bound, names)

    return Hooks({"on_failure": [failed], "on_crashed": [failed]})


def _work(
    prepared: PreparedCell,
    executor: Executor | None,
    namespace: Namespace | None,
    bound: Mapping[str, Any] | None,
    *,
    publish: bool,
) -> Callable[[], Any]:
    """Return the work of a call that begins with the names of ``namespace``, None: those that are there then."""
    if executor is None or not executor.remote:
        return prepared.beside(namespace, bound, publish=publish)
    if prepared.body.as_module:
        why = "its text does not show all of its names (a magic, exec, a star import …): it can only run in this kernel"
        raise ParameterError("executor", f"the cell {prepared.task.name!r} can't be sent: {why}")
    if publish and (lost := why_not_again(prepared.task.body)):
        # Data comes back, definitions are made anew.
        raise ParameterError("executor", f"the cell {prepared.task.name!r} can't be sent: {lost}")
    return partial(_run_elsewhere, prepared, executor, namespace, bound, publish)


def _run_elsewhere(
    prepared: PreparedCell,
    executor: Executor,
    namespace: Namespace | None,
    bound: Mapping[str, Any] | None,
    publish: bool,
) -> CellValue:
    live = current_run()
    assert live is not None
    remote = RemoteCell(
        text=prepared.task.body,
        filename=prepared.filename,
        name=prepared.task.name,
        flags=prepared.flags,
        show=prepared.interactivity,
        inputs=prepared.inputs(bound, namespace),
        outputs=prepared.task.data,
    )
    value: CellValue = send(executor, live, live.callee._replace(fn=remote))
    if not publish:
        return CellValue(value)
    _bring_home(prepared, value)
    if prepared.show is None:
        return value
    prepared.show(value.shown)
    return CellValue(value)


def _bring_home(prepared: PreparedCell, value: CellValue) -> None:
    """Bind what a cell has left elsewhere; what it has defined is defined here, with the notebook's names."""
    namespace, task = prepared.namespace, prepared.task
    with prepared.defining():
        prepared.put_back(value)
    for name in task.names.deletes:
        namespace.pop(name, None)


def _run_all(prepared: PreparedCell, namespace: Namespace | None, executor: Executor | None) -> CellValue:
    """Do the work of a mapped cell: its items are runs below it."""
    live = current_run()
    assert live is not None and prepared.task.options.map is not None
    names = dict(prepared.namespace) if namespace is None else namespace
    item, expression = prepared.task.options.map
    items = _items(prepared, expression, names)
    live.patch(expected=len(items))
    if live.attempt > 1:
        # Items that an attempt before has completed are restored.
        next_attempt(live)
    alone = replace(prepared, edges=(), is_item=True)
    awaits = prepared.body.is_async and (executor is None or not executor.remote)
    # One for all, and a copy for each with its own work: making it takes longer than an empty item.
    shared = make_callee(alone, prepared.run_here_async if awaits else prepared.run_here)
    futures = []
    for number, value in enumerate(items):
        bound = {item: value}
        callee = shared._replace(
            fn=_work(alone, executor, names, bound, publish=False),
            run_name=f"{prepared.task.name}[{number}]",
            hooks=_keep_inputs(alone, bound, names),
            results=cell_results(alone, bound, names),
        )
        futures.append(start(CellCall(alone, callee, bound=bound, names=names, submitted=True)))
    for future in futures:
        future.wait()
    _raise_first(futures)
    values = [future.result() or {} for future in futures]
    outputs = {name: [value.get(name) for value in values] for name in sorted(prepared.task.data - {item})}
    value = CellValue(outputs)
    _bring_home(prepared, value)
    return value


def _items(prepared: PreparedCell, expression: str, names: Namespace) -> list[Any]:
    """Return the items that a mapped cell's expression gives. Raises what it raises, and `ParameterError`."""
    value = prepared.evaluate(expression, names)
    try:
        return list(value)
    except TypeError:
        why = f"{expression} is a {type(value).__name__}, which has no items; give a list or the like"
        raise ParameterError("map", why) from None


def _raise_first(futures: Sequence[RunFuture[Any]]) -> None:
    """Raise the error of the first item that did not complete, if one did not, and say how many there are.

    Where all did, but one stopped because nothing is left to be done, that is raised.
    """
    stop = next((future.run.last_error for future in futures if isinstance(future.run.last_error, StopFlow)), None)
    bad = [(number, future) for number, future in enumerate(futures) if not future.state.is_completed()]
    if not bad:
        if stop is not None:
            raise stop
        return
    number, future = bad[0]
    error: Any = future.result(raise_on_failure=False)
    if not isinstance(error, BaseException):
        error = RuntimeError(f"item {number} is {future.state.name}")
    error.add_note(f"{len(bad):,} of {len(futures):,} items did not complete; this is item {number}")
    raise error
