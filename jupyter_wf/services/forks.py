"""The fork server: a process that has imported what runners and kernels need, and forks them from itself.

multiprocessing has a fork server too. It is one for a whole process, which others may use with modules of their own;
its children are its own kind of processes, which get no files from us, keep its environment, leave `atexit` out, and
whose ends are known by a pipe that their own children keep open. This one has none of that: ``python -c`` with `main`.

On file 0 is a socket of whole messages in JSON. It hears ``{"fork": number, "kernel": name, "private": folder,
"tells": …}`` with a spare's channel beside it, ``{"learn": [modules]}`` and ``{"retire": true}``. It says
``{"ready": …, "files": […], "complaints": […]}``, ``{"forked": number, "pid": …}`` with a handle of that process beside
it, and ``{"ended": pid, "code": …}``.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from jupyter_wf.notebook.forking import clean_child, leave

__all__ = ["COMMAND", "main", "receive", "send"]

#: Started so that nothing of the folder that it happens to work in is taken for a module.
COMMAND = "import sys\nsys.path[:] = [p for p in sys.path if p]\nfrom jupyter_wf.services.forks import main\nmain()"
_MESSAGE = 1 << 20
_CHANNEL = 3
#: What runners and kernels import in any case. The rest is learned from the first of them.
_NEEDED = (
    "jupyter_wf.services.spare",
    "jupyter_wf.notebook.runner",
    "jupyter_wf.ipython",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.displayhook",
    "matplotlib_inline.backend_inline",
    *(f"jupyter_wf.store.sqlite.{name}" for name in ("closing", "owners", "results", "rows", "runs", "work")),
    "encodings.ascii",
    "encodings.idna",
    "encodings.unicode_escape",
)
#: What a kernel or a flow imports of it is imported then.
_LEFT_OUT = "rfc3987_syntax"
_REHEARSAL = "jupyter_wf.notebook.rehearsal"
_BACKEND = "MPLBACKEND"


def send(pipe: socket.socket, message: dict[str, Any], *files: int) -> None:
    """Send a message, with files beside it. Raises `OSError`."""
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    pipe.sendmsg([json.dumps(message).encode()], beside)


def receive(pipe: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """Return the next message and the files that came with it; None at the end. Raises `OSError`."""
    text, beside, _, _ = pipe.recvmsg(_MESSAGE, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
    files = array.array("i")
    for level, kind, found in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files.frombytes(found[: len(found) - len(found) % files.itemsize])
    return (json.loads(text) if text else None), list(files)


def main() -> NoReturn:
    """Serve until nobody is at the other end, or it was retired and the last of its children has ended."""
    # What nbclient imports compiles a grammar for checks of IRIs, which nobody asks for here: a second.
    sys.modules.setdefault(_LEFT_OUT, None)  # type: ignore[arg-type]
    number = os.dup(0)
    os.set_inheritable(number, False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    server = _Server(socket.socket(fileno=number))
    preload = sys.argv[1:]
    sys.argv[:] = [__file__]
    server.load(_NEEDED)
    if sys.modules.get(_LEFT_OUT, sys) is None:
        # What notebooks and flows import must be there.
        del sys.modules[_LEFT_OUT]
    server.load(preload, wanted=preload, last=True)
    leave(server.serve)


class _Server:
    """The one thread's work: take orders, fork, tell who has ended."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._children: set[int] = set()
        self._retired = False
        self._imported = 0
        wake, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        self._woken = wake
        signal.signal(signal.SIGCHLD, _notice)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        # Whoever stops the agent stops this process by closing the socket.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def load(self, names: Iterable[str], *, wanted: Iterable[str] = (), last: bool = False) -> None:
        """Import modules, as far as they can be; complain about those that somebody ``wanted``.

        Whoever is at the other end hears of it when they were the ``last`` ones.
        """
        backend = os.environ.get(_BACKEND)
        # Kernels show figures this way; matplotlib looks once.
        os.environ.setdefault(_BACKEND, "module://matplotlib_inline.backend_inline")
        complaints = []
        with _silence():
            for name in names:
                if name in sys.modules:
                    continue
                try:
                    importlib.import_module(name)
                except Exception as error:  # whatever a module raises, notebooks may do without it
                    if name in wanted:
                        complaints.append(f"{name!r} can't be imported ahead: {type(error).__name__}: {error}")
        if backend is None:
            os.environ.pop(_BACKEND, None)
        importlib.import_module(_REHEARSAL).rehearse()
        if not last:
            return
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if threads:
            complaints.append(f"importing started threads ({', '.join(threads)}), and what has threads can't be forked")
        gc.collect()
        # Counting what is alive would copy the pages of all of it, in every child.
        gc.freeze()
        with contextlib.suppress(OSError):
            send(self._pipe, {"ready": not threads, "files": _files(), "complaints": complaints})

    def serve(self) -> None:
        """Do what the messages say."""
        while not (self._retired and not self._children):
            files: list[Any] = [self._woken] if self._retired else [self._pipe, self._woken]
            readable, _, _ = select.select(files, [], [])
            if self._woken in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, 4096)
                self._reap()
            if self._pipe in readable:
                try:
                    message, beside = receive(self._pipe)
                except ConnectionError:
                    return
                if message is None:
                    return
                self._obey(message, beside)

    def _obey(self, message: dict[str, Any], files: list[int]) -> None:
        if "fork" in message:
            self._fork(message, files[0])
        elif "learn" in message:
            self.load(message["learn"], last=True)
        elif "retire" in message:
            self._retired = True

    def _fork(self, message: dict[str, Any], channel: int) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                self._live(message, channel)
            finally:
                os._exit(1)
        self._children.add(pid)
        os.close(channel)
        handle = os.pidfd_open(pid)
        try:
            send(self._pipe, {"forked": message["fork"], "pid": pid}, handle)
        finally:
            os.close(handle)

    def _live(self, message: dict[str, Any], channel: int) -> NoReturn:
        """Be the child. It has a session of its own: who ends a run ends its group."""
        os.setsid()
        self._pipe.detach()
        private = Path(message["private"])
        log = os.open(private / "spare.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        clean_child(keep=channel)
        be_spare = sys.modules["jupyter_wf.services.spare"].be_spare
        leave(partial(be_spare, tells=message["tells"]), _CHANNEL, message["kernel"], private)

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            with contextlib.suppress(OSError):
                send(self._pipe, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what modules print when they are imported: it is said again to nobody."""
    error, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(error, 2)
        os.close(error)
        os.close(nothing)


def _notice(signum: int, frame: object) -> None:
    """Let a child's end interrupt what waits."""


def _files() -> list[str]:
    """Return the files and folders whose change makes this process out of date."""
    folders = [path for path in sys.path if os.path.isdir(path)]
    installed = tuple(os.path.join(path, "") for path in folders if path.endswith("-packages"))
    standard = os.path.dirname(os.__file__)
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    # A package that is installed anew changes its folder; what somebody is working on changes in its files.
    own = [
        file
        for file in files
        if isinstance(file, str) and os.path.isabs(file) and not file.startswith((standard, *installed))
    ]
    return [*folders, *own]
