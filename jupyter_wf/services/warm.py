"""Runners that start in milliseconds: forked from a warm fork server, with a kernel that waits already."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.services.fork_client import ForkServer, RunnerProcess, Spare, Stamps, clear
from jupyter_wf.services.forks import receive
from jupyter_wf.services.runners import clean_environment, private_folder, start_runner

__all__ = ["LOST", "RunnerProcess", "Warm"]

#: The exit code of a runner whose own one nobody knows, because the fork server has died.
LOST = 255
#: The kernel that notebooks ask for, unless they ask for another.
_USUAL = "python3"
#: Seconds after a start before another spare is made, if no run ends first: a run that begins needs the processor.
_REST = 0.3
#: Seconds for which a kind of kernel that was asked for once is kept ready.
_KEPT = 600.0
#: Seconds before another fork server is tried where one could not serve.
_AGAIN = 30.0
#: And after one that has served was killed.
_SOON = 0.5
#: Seconds between two looks at whether anything is out of date.
_LOOK = 5.0
#: Seconds that a fork, or handing over a job, may take.
_PATIENCE = 10.0
#: Seconds after which a fork server that answers nobody is killed. It may be importing something.
_SILENT = 60.0
_log = logging.getLogger(__name__)


class Warm:
    """Starts runners from a fork server, and keeps ``spares`` of them ready with their kernels.

    ``preload`` names modules that notebooks import, such as pandas. What is out of date is not used: after packages
    were installed, or a file was changed that the fork server or a spare has read, there are new ones. The fork server
    ends with this process; runs that have begun go on. Safe from any thread.
    """

    def __init__(self, settings: Settings, *, spares: int = 1, preload: Sequence[str] = ()) -> None:
        self._settings = settings
        self._wanted = spares
        self._preload = tuple(preload)
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_posted)
        self._posted: list[Callable[[], None]] = []
        self._server: ForkServer | None = None
        self._servers: list[ForkServer] = []
        #: Runners that are no children of a fork server which lives, by their handles.
        self._alone: dict[int, Callable[[], None]] = {}
        self._kernels: dict[str, float] = {_USUAL: float("inf")}
        self._refill_at = self._start_at = self._look_at = 0.0
        self._teaches = True
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="jupyter-wf-warm", daemon=True)
        self._thread.start()

    @staticmethod
    def available() -> bool:
        """Return whether this system can do it: Linux, with handles of processes."""
        if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
            return False
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:
            return False
        return True

    @property
    def ready(self) -> int:
        """How many spares wait with a kernel that answers."""
        with self._lock:
            return sum(spare.ready for spare in self._server.spares) if self._server is not None else 0

    @property
    def server_pid(self) -> int | None:
        """The process of the fork server, None while there is none that serves."""
        with self._lock:
            return self._server.process.pid if self._server is not None and self._server.ready else None

    def start(self, job: Mapping[str, Any], *, log: Path, kernel: str | None = None) -> RunnerProcess:
        """Start a runner with its job; it prints to ``log`` and works in that file's folder.

        ``kernel`` is the name of the kernelspec, where it is known: there may be one ready. The job may leave out
        ``private`` and ``lifeline``: here they are ours. Where no fork server serves, an ordinary runner is started.
        Raises `OSError` where no process can be made, and `RuntimeError` after `close`.
        """
        name = kernel or _USUAL
        while (spare := self._take(name)) is not None:
            process = self._hand_over(spare, job, log)
            if process is not None:
                return process
        return self._start_cold(job, log)

    def close(self) -> None:
        """End the spares and the fork server; runs that have begun go on. A second call does nothing."""
        with self._lock:
            self._closed = True
            if self._server is not None:
                self._retire(self._server)
            busy = bool(self._alone) or any(
                spare.process for server in self._servers for spare in server.children.values()
            )
        self._post(lambda: None)
        if not busy:
            self._thread.join(_PATIENCE)

    # -- any thread ------------------------------------------------------------------------------------------------

    def _take(self, name: str) -> Spare | None:
        """Return a spare that nobody else gets: one that is ready, one that soon is, or a new one."""
        with self._lock:
            if self._closed:
                raise RuntimeError("no run can be started any more: it was closed")
            now = time.monotonic()
            self._kernels[name] = max(self._kernels.get(name, 0.0), now + _KEPT)
            self._refill_at = now + _REST
            self._drop_stale()
            server = self._server
            if server is None or not server.ready:
                return None
            found = [spare for spare in server.spares if spare.name == name]
            if found:
                spare = max(found, key=lambda each: each.ready)
                server.spares.remove(spare)
                return spare
            return self._fork(server, name)

    def _drop_stale(self) -> None:
        """Retire the fork server, and send home spares, that have read what is different now."""
        server = self._server
        if server is None or not server.ready:
            return
        self._look_at = time.monotonic() + _LOOK
        if server.stamps.differ():
            _log.info("what the fork server has imported has changed: there will be another one")
            self._retire(server)
            return
        for spare in [spare for spare in server.spares if spare.stamps.differ()]:
            server.spares.remove(spare)
            spare.dismiss()

    def _retire(self, server: ForkServer) -> None:
        server.retire()
        if server is self._server:
            self._server = None
            self._start_at = 0.0

    def _fork(self, server: ForkServer, name: str) -> Spare | None:
        try:
            spare = server.fork(name, private_folder())
        except OSError as error:
            _log.warning("no runner can be forked: %s", error)
            return None
        self._post(partial(self._watch, spare.channel, partial(self._hear_spare, server, spare)))
        return spare

    def _hand_over(self, spare: Spare, job: Mapping[str, Any], log: Path) -> RunnerProcess | None:
        """Give a spare its job; return None where it has died."""
        born = spare.born.wait(_PATIENCE)
        with self._lock:
            if not born:
                self._do_without(spare)
            if spare.pid is None or spare.ended:
                spare.dismiss()
                return None
            process = spare.process = RunnerProcess(spare.pid, spare.private)
        try:
            spare.channel.settimeout(_PATIENCE)
            spare.channel.sendall(json.dumps({"job": dict(job), "log": str(log)}).encode() + b"\n")
        except OSError:
            spare.dismiss()
            return None
        return process

    def _do_without(self, spare: Spare) -> None:
        """Have nothing forked until the server answers that was asked for this spare."""
        for server in self._servers:
            if spare in server.asked.values():
                server.is_silent()

    def _start_cold(self, job: Mapping[str, Any], log: Path) -> RunnerProcess:
        private = private_folder()
        told = {**job, "private": str(private), "lifeline": False}
        try:
            runner = start_runner(self._settings, told, folder=log.parent, log=log)
        except OSError:
            clear(private)
            raise
        process = RunnerProcess(runner.pid, private)
        handle = os.pidfd_open(runner.pid)
        self._post(partial(self._watch_alone, handle, lambda: process.finish(runner.wait())))
        return process

    def _post(self, work: Callable[[], None]) -> None:
        """Have something done on the thread, which has the selector for itself."""
        with self._lock:
            if self._wake < 0:
                return
            self._posted.append(work)
            with contextlib.suppress(BlockingIOError):
                os.write(self._wake, b"1")

    # -- the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._closed and not self._servers and not self._alone and not self._posted:
                    os.close(self._wake)
                    self._wake = -1
                    break
                self._tend()
                patience = self._patience()
            for key, _ in self._selector.select(patience):
                key.data()
        self._selector.close()
        os.close(self._woken)

    def _take_posted(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)
        with self._lock:
            posted, self._posted = self._posted, []
        for work in posted:
            work()

    def _watch(self, file: Any, heard: Callable[[], None]) -> None:
        self._selector.register(file, selectors.EVENT_READ, heard)

    def _patience(self) -> float | None:
        """Return how long (seconds) nothing is to be done, unless somebody calls."""
        now = time.monotonic()
        if self._closed:
            return None
        if self._server is None:
            return max(0.0, self._start_at - now)
        waits = [self._look_at - now]
        if self._server.ready and self._missing() is not None:
            waits.append(self._refill_at - now)
        return max(0.0, min(waits))

    def _tend(self) -> None:
        """Start what is missing."""
        now = time.monotonic()
        if self._closed:
            return
        if now >= self._look_at:
            self._look_at = now + _LOOK
            self._drop_stale()
            for each in self._servers:
                if each.is_late() and now - each.is_silent() > _SILENT:
                    # What runs goes on.
                    each.process.kill()
        if self._server is None and now >= self._start_at:
            self._start_server()
        server = self._server
        missing = self._missing()
        if server is not None and missing is not None and now >= self._refill_at:
            spare = self._fork(server, missing)
            if spare is None:
                self._refill_at = now + _AGAIN
            else:
                server.spares.append(spare)

    def _missing(self) -> str | None:
        """Return a kind of kernel of which a spare should be made now; one at a time."""
        server = self._server
        if server is None or not server.ready or any(not spare.ready for spare in server.spares):
            return None
        now = time.monotonic()
        for name in [name for name, until in self._kernels.items() if until < now]:
            del self._kernels[name]
        have = [spare.name for spare in server.spares]
        return next((name for name in self._kernels if have.count(name) < self._wanted), None)

    def _start_server(self) -> None:
        self._start_at = time.monotonic() + _AGAIN
        environ = {**clean_environment(os.environ), HOME_VARIABLE: str(self._settings.home)}
        try:
            server = ForkServer(environ, self._preload)
        except OSError as error:
            _log.warning("the fork server can't be started: %s", error)
            return
        self._server = server
        self._servers.append(server)
        self._watch(server.pipe, partial(self._hear_server, server))

    def _hear_server(self, server: ForkServer) -> None:
        try:
            message, files = receive(server.pipe)
        except OSError:
            message, files = None, []
        with self._lock:
            if message is not None and server.silent_since is not None:
                server.ready, server.silent_since = server is self._server, None
            if message is None:
                self._lose(server)
            elif "forked" in message:
                spare = server.asked.pop(message["forked"])
                spare.pid, spare.handle = message["pid"], files[0]
                server.children[spare.pid] = spare
                spare.born.set()
            elif "ended" in message:
                self._end(server, server.children.pop(message["ended"]), message["code"])
            elif "ready" in message:
                self._open(server, message)

    def _open(self, server: ForkServer, told: Mapping[str, Any]) -> None:
        """Take in that a server has imported something, and may serve."""
        for complaint in told["complaints"]:
            _log.warning("%s", complaint)
        if told["ready"]:
            server.served = True
            server.ready = server is self._server
            server.stamps = Stamps(told["files"])
            return
        # It must do without what made it useless.
        if server.taught:
            self._teaches = False
        else:
            self._preload = ()
        self._retire(server)

    def _hear_spare(self, server: ForkServer, spare: Spare) -> None:
        try:
            text = spare.channel.recv(1 << 20)
        except OSError:
            text = b""
        with self._lock:
            if not text:
                self._selector.unregister(spare.channel)
                spare.channel.close()
                if spare in server.spares:
                    server.spares.remove(spare)
                return
            spare.heard += text
            if not spare.heard.endswith(b"\n"):
                return
            told = json.loads(spare.heard)
            spare.ready = True
            spare.stamps = Stamps(told["files"])
            if self._teaches:
                server.teach(told["modules"])

    def _end(self, server: ForkServer, spare: Spare, code: int) -> None:
        if spare in server.spares:
            server.spares.remove(spare)
        if spare.process is not None:
            self._refill_at = 0.0
        spare.end(code)

    def _lose(self, server: ForkServer) -> None:
        """Take in that a server has ended, in its time or not; its children are watched by their handles."""
        self._selector.unregister(server.pipe)
        server.is_gone()
        self._servers.remove(server)
        for spare in server.children.values():
            if spare.process is None:
                spare.dismiss()
            self._watch_alone(spare.handle, partial(self._end, server, spare, LOST))
        server.spares.clear()
        if server is self._server:
            _log.warning(
                "the fork server has ended (exit code %s): there will be another one", server.process.returncode
            )
            self._server = None
            if server.served:
                # It was somebody's doing, not its own.
                self._start_at = time.monotonic() + _SOON

    def _watch_alone(self, handle: int, ended: Callable[[], None]) -> None:
        self._alone[handle] = ended
        self._watch(handle, partial(self._end_alone, handle))

    def _end_alone(self, handle: int) -> None:
        self._selector.unregister(handle)
        with self._lock:
            ended = self._alone.pop(handle)
            ended()
