"""Serving one deployment from the process that has its flow: `Flow.serve`.

Its runs wait in a pool of its own. Where another process can import the flow, each run has a runner of its own, as
with any agent; a flow of a notebook's cell or of the prompt is executed on threads of this process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from jupyter_wf.core.arguments import signature_arguments
from jupyter_wf.core.deployments import Deployment
from jupyter_wf.core.errors import ParameterError, RunFinished, RunNotFound, TargetError
from jupyter_wf.core.scheduling_errors import DeploymentNotFound, LeaseLost
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.callee import Callee, bind
from jupyter_wf.engine.calls import continue_run
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.engine.serving import exit_on_sigterm
from jupyter_wf.flows import Flow
from jupyter_wf.services.agent import Agent
from jupyter_wf.services.agent_options import AgentOptions
from jupyter_wf.services.agent_runs import ColdRunners, Runners
from jupyter_wf.services.deployables import Deployable, find_deployable
from jupyter_wf.services.deploying import put_deployment
from jupyter_wf.services.host import ServiceHost

__all__ = ["FlowServer", "served"]

_log = logging.getLogger(__name__)
_OVER = "the process that served it has ended"
#: How long (seconds) what runs may take to stop when the server is stopped.
_GRACE = 30.0
#: A number that no process has: what is executed here has no process of its own that could be killed.
_NO_PROCESS = 2**30


def served(flow: Flow[..., Any]) -> tuple[Deployable, bool]:
    """Return a flow as what can be deployed, and whether other processes can import it."""
    try:
        return find_deployable(flow), True
    except TargetError:
        return (
            Deployable(
                kind="flow",
                target=f"{flow.fn.__module__}:{flow.fn.__qualname__}",
                flow_name=flow.name,
                arguments=signature_arguments(flow.fn, f"the flow {flow.name!r}"),
                description=flow.description or "",
            ),
            False,
        )


class FlowServer:
    """Deploys a flow, and executes its runs as long as `serve` has not returned.

    ``given`` is what there is to say of the deployment, in the form of `services.deploying.build_deployment`;
    ``limit`` is how many runs are executed at the same time.
    """

    def __init__(self, runtime: Runtime, flow: Flow[..., Any], given: Mapping[str, Any], *, limit: int) -> None:
        self._runtime = runtime
        what, elsewhere = served(flow)
        pool = f"serve {what.flow_name} {given['name']}"[:250].strip()
        now = time.time()
        self.deployment: Deployment = put_deployment(
            runtime.store, runtime.settings, what, {**given, "pool": pool}, now=now
        )
        if given.get("paused") is None and self.deployment.paused_reason == _OVER:
            self.deployment = runtime.store.deployments.unpause(self.deployment.id, now)
        runners: Runners = ColdRunners(runtime.settings) if elsewhere else _Here(runtime, flow)
        self._agent = Agent(
            runtime.store,
            runtime.settings,
            runtime.process,
            runners,
            AgentOptions(name=pool, pools=(pool,), limit=limit, drain=0.0),
            log=_log,
        )
        self._host = ServiceHost(runtime.store, runtime.settings, process=runtime.process, log=_log, start_agent=False)

    def stop(self) -> None:
        """Make `serve` return, from any thread; what runs is cancelled."""
        self._agent.stop()

    def serve(self, *, pause: bool) -> None:
        """Execute runs until `stop` or an interrupt; then, with ``pause``, the deployment's schedules are paused.

        Raises what interrupted the calling thread.
        """
        ended: SimpleQueue[BaseException | None] = SimpleQueue()
        worker = threading.Thread(target=self._work, args=(ended,), name="jupyter-wf-flow-server", daemon=True)
        trouble: BaseException | None = None
        with exit_on_sigterm():
            try:
                self._host.start()
                worker.start()
                trouble = ended.get()
            finally:
                self._end(worker, pause)
        if trouble is not None:
            raise trouble

    def _work(self, ended: SimpleQueue[BaseException | None]) -> None:
        try:
            self._agent.run()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    def _end(self, worker: threading.Thread, pause: bool) -> None:
        if pause:
            # It may have been deleted meanwhile.
            with suppress(DeploymentNotFound):
                stored = self._runtime.store.deployments.get(self.deployment.id)
                if not stored.paused:
                    self._runtime.store.deployments.pause(stored.id, _OVER, time.time())
        self._agent.stop()
        if worker.ident is not None:
            worker.join(_GRACE)
        self._host.stop()


class _Here:
    """Executes runs on threads of this process: `services.agent_runs.Runners`."""

    def __init__(self, runtime: Runtime, flow: Flow[..., Any]) -> None:
        self._runtime = runtime
        self._flow = flow

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> _Thread:
        """Begin to execute the run that a job names."""
        thread = _Thread(lambda: self._execute(job))
        thread.start()
        return thread

    def close(self) -> None:
        """There is nothing to be ended."""

    def _execute(self, job: Mapping[str, Any]) -> None:
        store, runtime = self._runtime.store, self._runtime
        try:
            queued = store.queue.get(job["queued"])
            run = store.queue.take(job["queued"], job["attempt"], job["agent"], runtime.process.id)
        except (RunFinished, RunNotFound, LeaseLost):
            return
        live = runtime.adopt(run)
        try:
            assert queued is not None
            arguments = signature_arguments(self._flow.fn, f"the flow {self._flow.name!r}")
            callee = _limited(self._flow.callee, queued.policies.timeout)
            kwargs = arguments.materialise(arguments.bind(dict(queued.parameters)))
            live.parameters = bind(callee, (), kwargs)
            live.max_attempts = callee.policy.retries + 1
            self._call(callee, live, kwargs)
        except ParameterError as error:
            live.close(StateType.FAILED, str(error), error)
        except BaseException as error:
            if live.is_open:
                live.close(StateType.CRASHED, f"it could not be executed: {type(error).__name__}: {error}", error)
        finally:
            runtime.journal.flush()

    def _call(self, callee: Callee, live: LiveRun, kwargs: dict[str, Any]) -> None:
        if not callee.is_async:
            continue_run(callee, live, (), kwargs)
            return
        # Only async flows need it.
        from jupyter_wf.engine.asynchronous import continue_async

        self._runtime.portal.start_task_soon(continue_async, callee, live, (), kwargs).result()


class _Thread:
    """A thread in the place of a runner's process."""

    pid = _NO_PROCESS

    def __init__(self, work: Callable[[], None]) -> None:
        # Nothing of what is around the server is around the run.
        self._thread = threading.Thread(target=Context().run, args=(work,), name="jupyter-wf-served", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> int:
        """Wait until the run has ended."""
        self._thread.join()
        return 0


def _limited(callee: Callee, timeout: float | None) -> Callee:
    """Return the callee with the time-out of the deployment, where that is the shorter one."""
    own = callee.policy.timeout_seconds
    if timeout is None or (own is not None and own <= timeout):
        return callee
    return callee._replace(policy=callee.policy._replace(timeout_seconds=timeout), quiet=False)
