"""Kernels without the start of an interpreter: a process that was forked early, and becomes a kernel when it is told.

A process must be forked before there are threads, ZeroMQ's among them, and event loops; what kernel is wanted is known
only later. So the fork comes first (`prepare_fork`), waits for its order, and costs next to nothing until then.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

__all__ = ["ForkedProcess", "clean_child", "die_with", "leave", "prepare_fork", "take_fork"]

_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_STANDARD = 3
#: Seconds that a kernel's threads get to end.
_PATIENCE = 2.0
#: Files that may hold what is not written yet; not what ipykernel has for standard output, which is no file.
_BUFFERED = (io.TextIOWrapper, io.BufferedIOBase)
_LOWEST = (io.BufferedWriter, io.BufferedRandom)


class ForkedProcess:
    """A child that was forked, with as much of `subprocess.Popen`'s face as Jupyter's provisioners use.

    ``args`` is the command that it stands for, once it was given its order.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, order: int) -> None:
        self.pid = pid
        self.args: list[str] = []
        self.returncode: int | None = None
        self._order = order

    def become(self, command: Sequence[str], *, folder: str, environ: Mapping[str, str]) -> None:
        """Make it the kernel that ``command`` would start; ``folder`` is where it works, ``environ`` all it has.

        Raises `OSError` when the process is gone.
        """
        order, self._order = self._order, -1
        self.args = list(command)
        with open(order, "wb") as pipe:
            pipe.write(json.dumps({"command": self.args, "folder": folder, "environ": dict(environ)}).encode())

    def discard(self) -> None:
        """Let a process end that is not needed after all."""
        if self._order >= 0:
            os.close(self._order)
            self._order = -1
            self.wait()

    def poll(self) -> int | None:
        """Return the exit code (a negative number: that signal), None while it runs."""
        if self.returncode is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one; raise `subprocess.TimeoutExpired` after ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            # As subprocess does where it waits with a time-out; who must know at once watches a pidfd.
            time.sleep(0.002)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it is known to have ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


_waiting: list[ForkedProcess] = []


def prepare_fork() -> None:
    """Fork a process that the next kernel may be made of. To be called before this process has any thread.

    The child dies with the thread that calls this. Raises `OSError` where no process can be made.
    """
    order, ours = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            _live(order, parent)
        finally:
            # Whatever happens, a child must never go on with its parent's work.
            os._exit(1)
    os.close(order)
    _waiting.append(ForkedProcess(pid, ours))


def take_fork() -> ForkedProcess | None:
    """Return the process that `prepare_fork` has made, for one use; None where there is none, or it has died."""
    while _waiting:
        process = _waiting.pop()
        if process.poll() is None:
            return process
    return None


def _live(order: int, parent: int) -> NoReturn:
    """Be the child: wait for the order, carry it out, end."""
    prepare = die_with(parent)
    if prepare is not None:
        prepare()
    os.setsid()
    clean_child(keep=order)
    with open(_STANDARD, "rb") as pipe:
        text = pipe.read()
    if not text:
        os._exit(0)
    told = json.loads(text)
    leave(_kernel, told["command"], told["folder"], told["environ"])


def clean_child(*, keep: int) -> None:
    """Give a new child a process's usual surroundings: no file of its parent is open but ``keep``, as number 3.

    Standard input is empty; signals do what they do in a new process; what comes from a generator of random numbers is
    not what comes from the parent's.
    """
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if keep != _STANDARD:
        os.dup2(keep, _STANDARD, inheritable=False)
    os.closerange(_STANDARD + 1, _most_files())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    # `random` does so by itself.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _most_files() -> int:
    try:
        return os.sysconf("SC_OPEN_MAX")
    except (OSError, ValueError):
        return 65_536


def die_with(parent: int) -> Callable[[], None] | None:
    """Return what a new process does first, so that it is killed when ``parent`` dies; only Linux can do that.

    Elsewhere ipykernel looks for its parent once a second.
    """
    if not _LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _kernel(command: Sequence[str], folder: str, environ: Mapping[str, str]) -> None:
    """Be the kernel that ``command`` would start, until it is shut down."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    # As the launcher of ipykernels sets it.
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    time.tzset()
    app_module = sys.modules["ipykernel.kernelapp"]
    sys.orig_argv[:] = command
    launcher = Path(str(app_module.__file__)).parent.parent / "ipykernel_launcher.py"
    sys.argv[:] = [str(launcher), *_arguments(command)]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        app_module.IPKernelApp.launch_instance(sys.argv[1:], parent_handle=os.getppid())
    finally:
        _end_threads(app_module.IPKernelApp.instance())


def _end_threads(app: Any) -> None:
    """End the threads that take messages while the one that sends is still there: each waits for it with its last."""
    for name in ("control_thread", "shell_channel_thread"):
        thread = getattr(app, name, None)
        if thread is not None and thread.is_alive():
            with contextlib.suppress(Exception):
                thread.stop()
                thread.join(_PATIENCE)


def _arguments(command: Sequence[str]) -> list[str]:
    """Return what stands behind the module's name in ``python … -m ipykernel_launcher …``."""
    return list(command[command.index("-m") + 2 :])


def leave(work: Callable[..., Any], *arguments: Any) -> NoReturn:
    """Do the last work of this process, and end it as an interpreter would: threads, `atexit`, open files.

    The memory that is shared with the parent is left alone: taking an interpreter apart would copy all of it.
    """
    code = 0
    try:
        result = work(*arguments)
        code = result if isinstance(result, int) else 0
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            print(exit_.code, file=sys.__stderr__)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        code = 1
    with contextlib.suppress(BaseException):
        # Non-daemon threads are waited for, as at any interpreter's end.
        threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    with contextlib.suppress(BaseException):
        _close_files()
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(BaseException):
            if stream is not None:
                stream.flush()
    os._exit(code & 0xFF)


def _close_files() -> None:
    """Write out what somebody has left in a file that is open: an interpreter's end closes it."""
    files = [found for found in gc.get_objects() if issubclass(type(found), _BUFFERED)]
    # Texts write into bytes, and what compresses into another file.
    for file in sorted(files, key=lambda file: isinstance(file, _LOWEST)):
        with contextlib.suppress(BaseException):
            if not file.closed and file.writable() and file.fileno() > 2:
                file.close()
