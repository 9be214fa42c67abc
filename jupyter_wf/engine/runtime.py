"""The runtime of a process: its store and journal, its pool, and the runs it owns."""

from __future__ import annotations

import atexit
import inspect
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.events import RunCreated
from jupyter_wf.core.ids import new_id, run_name
from jupyter_wf.core.parameters import to_json
from jupyter_wf.core.settings import EXTRA_LOGGERS_VARIABLE, HOME_VARIABLE, Settings
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.bus import Listeners
from jupyter_wf.engine.context import ambient_parent
from jupyter_wf.engine.drivers import settle
from jupyter_wf.engine.interrupts import Deadlines, look_at_handler
from jupyter_wf.engine.runs import LiveRun
from jupyter_wf.engine.tail import RequestWatcher
from jupyter_wf.engine.tracebacks import show_user_frames_first
from jupyter_wf.store.base import Journal, Store
from jupyter_wf.store.blobs import Blobs
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

if TYPE_CHECKING:
    from jupyter_wf.core.models import Run, RunKind
    from jupyter_wf.core.processes import ProcessInfo
    from jupyter_wf.engine.pools import Pools
    from jupyter_wf.executors.base import Executor

__all__ = ["Runtime", "current_runtime", "load_settings", "set_runtime"]

_dumps_list = '["{}"]'.format
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the settings that an environment (the process's own when None) asks for.

    The home folder is ``$JUPYTER_WF_HOME``, else ``jupyter_wf`` below Jupyter's data folder.
    """
    env = os.environ if environ is None else environ
    if env.get(HOME_VARIABLE):
        return Settings(home=Path(env[HOME_VARIABLE]).expanduser().absolute())
    # jupyter_core takes 20 ms to import, and is not needed where the variable is set.
    from jupyter_core.paths import jupyter_data_dir

    return Settings(home=Path(jupyter_data_dir()) / "jupyter_wf")


class Runtime:
    """What a process needs to execute runs. Made once; `current_runtime` gives it to everybody."""

    def __init__(self, settings: Settings, store: Store, process: ProcessInfo) -> None:
        self.settings = settings
        self.store = store
        self.process = process
        self.deadlines = Deadlines()
        self.roots, self.failures = Listeners("start"), Listeners("failure")
        self.rerun: Callable[[LiveRun], Any] = _rerun_in_thread
        self._exit = ExitStack()
        self._pools: Pools | None = None
        self._portal: Any = None
        self._loops: Any = None
        self._blobs: Blobs | None = None
        self._lock = threading.Lock()
        self._registered = False
        self._journal: Journal | None = None
        self._watcher = RequestWatcher(self)
        #: Futures of tasks that were submitted outside any run: the process waits for them before it ends.
        self.loose: dict[str, Any] = {}
        self.closed = False

    @classmethod
    def open(cls, settings: Settings, *, role: str) -> Runtime:
        """Open the store of ``settings`` for a process that plays ``role``: python, kernel, cli, runner or server.

        Raises `StoreError` where the state file can't be used.
        """
        if os.environ.get(EXTRA_LOGGERS_VARIABLE):
            # It has what the variable names written to the runs.
            import jupyter_wf.engine.capture  # noqa: F401

        return cls(settings, open_store(settings), this_process(role))

    @property
    def journal(self) -> Journal:
        """The journal of this process; the process makes itself known in the store when it is first asked for."""
        if self._journal is None:
            with self._lock:
                if not self._registered:
                    self.store.register(self.process)
                    self._registered = True
                    # What is registered last is called first: the runs are closed before the journal is.
                    atexit.unregister(_holder.close)
                    atexit.register(_holder.close)
                self._journal = self.store.journal()
        return self._journal

    @property
    def executor(self) -> Executor:
        """The pool that submitted tasks share, unless their flow has its own."""
        return self.pools.named("thread")

    @property
    def pools(self) -> Pools:
        """The executors of the process, by name."""
        with self._lock:
            if self._pools is None:
                # Only those who submit tasks pay for the import.
                from jupyter_wf.engine.pools import Pools

                self._pools = Pools(self._exit, self.settings.threads)
            return self._pools

    @property
    def portal(self) -> Any:
        """The event loop thread in which async hooks of sync runs are awaited (an anyio ``BlockingPortal``)."""
        with self._lock:
            if self._portal is None:
                # Only those who call async work from sync code pay for the import.
                from jupyter_wf.engine.loops import open_portal

                self._portal = open_portal(self._exit)
            return self._portal

    @property
    def loops(self) -> Any:
        """The event loops of submitted async tasks (`engine.loops.Loops`)."""
        with self._lock:
            if self._loops is None:
                # Only those who submit async tasks pay for the import.
                from jupyter_wf.engine.loops import Loops

                self._loops = Loops(self._exit)
            return self._loops

    @property
    def blobs(self) -> Blobs:
        """Where values are kept: small ones with their runs, large ones in files."""
        if self._blobs is None:
            self._blobs = Blobs(self.settings.results)
        return self._blobs

    def begin(
        self,
        kind: RunKind,
        name: str | None = None,
        *,
        flow_name: str | None = None,
        task_name: str | None = None,
        parent: LiveRun | None = None,
        parent_id: str | None = None,
        root_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        upstream: Iterable[str] = (),
        source: Mapping[str, Any] | None = None,
        expected: int | None = None,
        max_attempts: int = 1,
        run_id: str | None = None,
        recorded: str | None = None,
        call_number: int | None = None,
    ) -> LiveRun:
        """Create a run that this process owns, in state PENDING, and return it.

        Without ``parent`` and ``parent_id`` the run is a child of the ambient parent, if there is one, else a root.
        ``parameters`` are recorded with secrets masked; ``recorded`` is the JSON text of them where the caller has it
        already. ``call_number`` counts the calls of the same task or flow below the parent. Where ``name`` is None it
        is a random one.
        """
        if parent is not None:
            parent_id, root_id = parent.id, parent.root_id
        elif parent_id is None and (ambient := ambient_parent()) is not None:
            parent_id, root_id = ambient.run_id, ambient.root_id
        ident = run_id or new_id()
        live = LiveRun(
            self,
            run_id=ident,
            kind=kind,
            name=name or run_name(),
            flow_name=flow_name or (parent.flow_name if parent else None),
            task_name=task_name,
            parent=parent,
            parent_id=parent_id,
            root_id=root_id or parent_id or ident,
        )
        live.max_attempts = max_attempts
        live.parameters = parameters or live.parameters
        live.source = source or live.source
        live.tags = tuple(tags)
        texts = (
            to_json(live.parameters) if recorded is None else recorded,
            *(_json_texts(live.tags), _json_texts(upstream), _json_object(source)),
        )
        created = RunCreated(
            *(ident, time.time(), kind, live.name, live.flow_name, task_name, parent_id, live.root_id),
            *(self.process.id, *texts, expected, max_attempts, call_number),
        )
        self._publish(live, created)
        return live

    def _publish(self, live: LiveRun, created: RunCreated) -> None:
        published = False
        try:
            if live.parent is not None:
                live.inherit(live.parent)
            self.journal.append(created)
            published = True
            live.set_state(StateType.PENDING)
            self._watch(live)
        except BaseException as error:
            if published:
                # Should this fail too (at the recursion limit), it is closed with its parent.
                settle(live, error)
            else:
                self._abandon(live, error)
            raise

    def _abandon(self, live: LiveRun, error: BaseException) -> None:
        """Close a run that was interrupted while it was made: its caller does not know of it."""
        if live.parent is not None:
            live.parent.children.pop(live.id, None)
        # It may have been interrupted before or after the entry was taken: the store knows.
        with suppress(StoreError):
            if self.store.get_runs([live.id]):
                settle(live, error)

    def adopt(self, run: Run) -> LiveRun:
        """Take over a stored run that this process has claimed."""
        live = LiveRun(
            self,
            run_id=run.id,
            kind=run.kind,
            name=run.name,
            flow_name=run.flow_name,
            task_name=run.task_name,
            parent=None,
            parent_id=run.parent_id,
            root_id=run.root_id,
            attempt=run.attempt,
            state=run.state,
        )
        live.story.append(run.state.name)
        live.parameters = run.parameters
        live.source = run.source
        live.tags = run.tags
        self._watch(live)
        return live

    def _watch(self, live: LiveRun) -> None:
        if live.parent is None:
            self._watcher.add(live)
            look_at_handler()
            if self.process.role in ("python", "cli", "runner"):
                _end_orderly_on_sigterm()
            if self.process.role == "python":
                show_user_frames_first()

    def announce(self, live: LiveRun) -> None:
        """Tell the listeners of `on_root` that a run begins."""
        self.roots.tell(live)

    def find(self, run_id: str) -> LiveRun | None:
        """Return the run with this id if this process owns it and it is open, or ended a short while ago."""
        return self._watcher.find(run_id)

    def on_root(self, callback: Callable[[LiveRun], None]) -> Callable[[], None]:
        """Have ``callback`` called, in the caller's thread, when a run starts that has no parent in this process.

        Returns the function that ends it.
        """
        return self.roots.subscribe(callback)

    def waiting(self) -> AbstractContextManager[None]:
        """Return a context in which a pool's thread gives its place to others while it waits."""
        executor = getattr(threading.current_thread(), "executor", None)
        return nullcontext() if executor is None else executor.waiting()

    def close(self) -> None:
        """Wait for loose futures, commit what the journal holds, stop every thread and close the store.

        Later calls do nothing.
        """
        if self.closed:
            return
        try:
            for future in list(self.loose.values()):
                future.wait()
        except KeyboardInterrupt:
            for future in list(self.loose.values()):
                future.cancel()
        self.closed = True
        self._watcher.stop()
        try:
            self._exit.close()
        finally:
            self.store.close()


def _json_texts(values: Iterable[str]) -> str:
    """Return a JSON array of texts; the empty one and that of a single plain id without the encoder."""
    many = tuple(values)
    if not many:
        return "[]"
    if len(many) == 1 and many[0].isascii() and many[0].replace("-", "").isalnum():
        return _dumps_list(many[0])
    return _json_object(list(many))


def _json_object(value: Any) -> str:
    """Return the JSON text of ``value``, ``{}`` for None."""
    if not value:
        return "{}"
    return _encode(value)


def _rerun_in_thread(live: LiveRun) -> None:
    if live.rerun is not None:
        name = f"jupyter-wf-retry-{live.id[:8]}"
        threading.Thread(target=_rerun_here, args=(live.rerun,), name=name, daemon=True).start()


def _rerun_here(rerun: Callable[[], Any]) -> None:
    work = rerun()
    if inspect.iscoroutine(work):
        # Only the next attempt of an asynchronous run needs it.
        import asyncio

        asyncio.run(work)


def _end_orderly_on_sigterm() -> None:
    """Make SIGTERM unwind the program, so that its runs are closed and the journal is flushed."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _raise_exit)


def _raise_exit(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


class _Holder:
    """Holds the runtime of this process."""

    def __init__(self) -> None:
        self.runtime: Runtime | None = None
        self.lock = threading.Lock()

    def close(self) -> None:
        runtime, self.runtime = self.runtime, None
        if runtime is not None:
            runtime.close()

    def forget(self) -> None:
        """In a child of fork: nothing of the parent's runtime is ours."""
        self.runtime = None
        self.lock = threading.Lock()


_holder = _Holder()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_holder.forget)


def current_runtime() -> Runtime:
    """Return the runtime of this process; the first call opens one, in the role ``python``, from the environment."""
    runtime = _holder.runtime
    if runtime is not None and not runtime.closed:
        return runtime
    with _holder.lock:
        if _holder.runtime is None or _holder.runtime.closed:
            _holder.runtime = Runtime.open(load_settings(), role="python")
        return _holder.runtime


def set_runtime(runtime: Runtime | None) -> Runtime | None:
    """Make ``runtime`` the one of this process and return the one before, which is not closed."""
    with _holder.lock:
        before, _holder.runtime = _holder.runtime, runtime
    return before
