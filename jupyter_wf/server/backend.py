"""What stands behind the handlers: the store, a few threads for its blocking calls, the feed and the services."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from logging import Logger
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jupyter_wf.core.codec import RunJSON, RunPageJSON, encode_run
from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.models import Run, RunPage
from jupyter_wf.core.processes import ProcessInfo
from jupyter_wf.core.settings import Settings
from jupyter_wf.engine.tail import Tail
from jupyter_wf.server.paths import ContentsRoot
from jupyter_wf.server.stream import Describer, Feed
from jupyter_wf.store.base import Store

__all__ = ["Backend", "Host", "Launch"]

T = TypeVar("T")


class Launch(Protocol):
    """Has a notebook run in a process of its own; `jupyter_wf.services.submitting.submit_or_launch` is the one."""

    def __call__(
        self,
        store: Store,
        settings: Settings,
        path: Path,
        *,
        parameters: dict[str, Any],
        source: dict[str, Any],
        process: ProcessInfo,
    ) -> Run:
        """Return the new run; raise `ParameterError` or `TargetError` when the notebook can't be run like that."""


class Host(Protocol):
    """What works beside the handlers: a `Reaper`, or a `ServiceHost` with all services."""

    @property
    def open_runs(self) -> int:
        """How many root runs were open at the last look."""

    def start(self) -> None:
        """Begin. Raises `StoreError`."""

    def stop(self) -> None:
        """Return when it has ended."""


class Backend:
    """One of these serves all handlers of a server.

    ``opener`` opens the store, ``process`` tells who this process is, ``dump`` makes JSON texts; ``root`` is None where
    the server's files are not files of this machine. The store is opened by the first call that needs it, so that a
    damaged state file makes this extension answer 503 and leaves the rest of the server alone. What ``host`` gives is
    started then.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        root: ContentsRoot | None,
        opener: Callable[[Settings], Store],
        launch: Launch,
        process: Callable[[], ProcessInfo],
        dump: Callable[[object], str],
        log: Logger,
        host: Callable[[Store], Host],
        threads: int = 8,
    ) -> None:
        self.settings = settings
        self.root = root
        self.launch = launch
        self.dump = dump
        self.log = log
        self._opener = opener
        self._process = process
        self._make_host = host
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="jupyter_wf-store")
        self._lock = threading.RLock()
        self._store: Store | None = None
        self._host: Host | None = None
        self._me: ProcessInfo | None = None
        self._feed: Feed | None = None
        self._describer: Describer | None = None
        self._stopped = False

    async def call(self, work: Callable[[Store], T]) -> T:
        """Return what ``work`` returns for the store, called in a thread. Raises `StoreError` after `stop`."""
        if self._stopped:
            raise StoreError("the server is stopping")
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(self.open()))

    def open(self) -> Store:
        """Return the store; open it and start its services at the first call. Blocks. Raises `StoreError`."""
        if self._store is None:
            with self._lock:
                if self._stopped:
                    raise StoreError("the server is stopping")
                if self._store is None:
                    store = self._opener(self.settings)
                    try:
                        host = self._make_host(store)
                        host.start()
                    except BaseException:
                        store.close()
                        raise
                    self._store, self._host = store, host
        return self._store

    @property
    def open_runs(self) -> int:
        """How many root runs were open when the host last looked."""
        return self._host.open_runs if self._host else 0

    def process(self) -> ProcessInfo:
        """Return who this process is, the same at every call."""
        with self._lock:
            if self._me is None:
                self._me = self._process()
            return self._me

    def encode_run(self, run: Run) -> RunJSON:
        """Return a run's JSON form; its ``source`` says with ``executed_path`` what to open in the front end.

        That is the contents path of the executed notebook, None where it does not lie below the server's root.
        """
        encoded = encode_run(run)
        executed = run.source.get("executed")
        if isinstance(executed, str):
            encoded["source"]["executed_path"] = self.root.contents_path(executed) if self.root else None
        return encoded

    def encode_page(self, page: RunPage) -> RunPageJSON:
        """Return the JSON form of a page of runs."""
        return {"items": [self.encode_run(run) for run in page.items], "next": page.next_cursor}

    async def stream(self) -> tuple[Feed, Describer, int]:
        """Return the running feed of events, what describes older ones, and the newest `seq`. Raises `StoreError`."""
        newest = await self.call(lambda store: store.last_seq())
        if self._feed is None or self._describer is None:
            store = self.open()
            self._describer = Describer(store, encode=lambda run: self.dump(self.encode_run(run)), dump=self.dump)
            interval = self.settings.tail_interval
            self._feed = Feed(self._describer, tail=lambda after: Tail(store, after, interval), log=self.log)
        self._feed.start(newest)
        return self._feed, self._describer, newest

    async def stop(self) -> None:
        """End the subscriptions, the threads and the store; calls after it are refused. A second one does nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._feed:
            self._feed.end()
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def close() -> None:
            try:
                self._close()
            finally:
                loop.call_soon_threadsafe(ended.set)

        closer = threading.Thread(target=close, name="jupyter_wf-close")
        closer.start()
        await ended.wait()
        closer.join()

    def _close(self) -> None:
        """Wait for the threads, then close the store: no thread touches it any more."""
        if self._feed:
            self._feed.join()
        self._pool.shutdown(cancel_futures=True)
        with self._lock:
            if self._host:
                self._host.stop()
            if self._store:
                self._store.close()
