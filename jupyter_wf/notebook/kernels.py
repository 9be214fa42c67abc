"""The kernel of a headless run: a process group of its own, private sockets, and an end that always comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpecManager, NoSuchKernel
from jupyter_client.manager import AsyncKernelManager

from jupyter_wf.notebook.forking import ForkedProcess, die_with
from jupyter_wf.notebook.orphans import note_group
from jupyter_wf.notebook.provisioner import ForkProvisioner

__all__ = ["GRACE", "HeadlessKernel", "KernelStartError", "can_be_spare", "kernel_name_of"]

#: Seconds to wait after each of interrupt, TERM and KILL.
GRACE = 5.0
#: Seconds that an idle kernel gets to shut down by itself. ipykernel takes 14 where a child process of it has ended
#: and nobody has asked for its exit code.
_POLITE = 2.0
_START_LIMIT = 60.0
#: Messages of the kernel that may wait for the runner.
_MOST_MESSAGES = 200_000
#: Executed by a kernel that was started before anybody knew what for: in names of its own, none is left behind.
_TAKE_OVER = """
import json, os, sys, time
told = json.loads(TOLD)
os.chdir(told["folder"])
for name in told["left_out"]:
    os.environ.pop(name, None)
os.environ.update(told["environ"])
if hasattr(time, "tzset"):
    time.tzset()
if told["log"]:
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        os.dup2(log, getattr(stream, "_original_stdstream_copy", None) or number)
    os.close(log)
visited = SHELL.user_ns.get("_dh")
if visited:
    visited[:] = [os.getcwd()]
"""


class KernelStartError(Exception):
    """The kernel could not be started; the text says why."""


def kernel_name_of(metadata: Mapping[str, Any]) -> str:
    """Return the name of the kernel that a notebook's metadata ask for, the one of this Python where they do not."""
    spec = metadata.get("kernelspec")
    name = spec.get("name") if isinstance(spec, Mapping) else None
    return name if isinstance(name, str) and name and name != "python" else NATIVE_KERNEL_NAME


def can_be_spare(name: str) -> bool:
    """Return whether a kernel of this name can be started before anybody knows what for: whether it is an ipykernel."""
    try:
        spec = KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        return False
    return _is_ipykernel(spec)


def _is_ipykernel(spec: Any) -> bool:
    return any("ipykernel" in part for part in spec.argv)


class HeadlessKernel:
    """One kernel process and the client that talks to it.

    ``name`` is a kernelspec's; ``folder`` is where it works; ``environ`` is its whole environment; ``private`` is a
    folder with a short path that only we can enter, for its sockets, taken away at its end. Must be started
    on the main thread: the kernel is killed by the system when the thread that started it ends.
    """

    def __init__(self, *, name: str, folder: Path, environ: Mapping[str, str], private: Path) -> None:
        self.name = name
        self._folder = folder
        self._environ = dict(environ)
        self._private = private
        self._group = 0
        self._process: Any = None
        #: Where what it prints past Jupyter goes after `take_over`.
        self.log: Path | None = None
        self.manager: Any = None
        self.client: Any = None
        #: What the kernel says about its language, once it has started.
        self.language_info: dict[str, Any] = {}
        #: Its specification, once it was looked up.
        self.spec: Any = None

    async def start(self) -> None:
        """Start the kernel and wait until it answers.

        Raises `KernelStartError` when it can't be started, ends meanwhile, or is silent.
        """
        self.manager = self._make_manager(self._private)
        arguments = ["--HistoryManager.enabled=False"] if self._is_ipykernel() else []
        try:
            await self.manager.start_kernel(
                extra_arguments=arguments, cwd=str(self._folder), env=self._environ, preexec_fn=die_with(os.getpid())
            )
        except OSError as error:
            raise KernelStartError(f"the kernel {self.name!r} can't be started: {error}") from error
        provisioner = self.manager.provisioner
        self._process, self._group = provisioner.process, provisioner.pgid or 0
        note_group(self._private, self._group)
        self.client = self.manager.client()
        self.client.start_channels(stdin=False)
        try:
            await asyncio.wait_for(self._until_ready(), _START_LIMIT)
        except TimeoutError:
            raise KernelStartError(f"the kernel {self.name!r} did not answer within {_START_LIMIT:g} s") from None
        self.client.allow_stdin = False

    def _make_manager(self, private: Path) -> Any:
        specs = KernelSpecManager()
        try:
            spec = specs.get_kernel_spec(self.name)
        except NoSuchKernel:
            known = ", ".join(sorted(specs.find_kernel_specs())) or "none"
            raise KernelStartError(
                f"the notebook asks for the kernel {self.name!r}, which is not installed (installed: {known}); "
                "install it, or choose another in JupyterLab and save the notebook"
            ) from None
        self.spec = spec
        manager = AsyncKernelManager(
            kernel_name=self.name, kernel_spec_manager=specs, connection_file=str(private / "kernel.json")
        )
        if "kernel_provisioner" not in spec.metadata:
            manager.kernel_id = str(uuid.uuid4())
            manager.provisioner = ForkProvisioner(kernel_id=manager.kernel_id, kernel_spec=spec, parent=manager)
        # ZeroMQ throws messages away beyond a thousand; a cell that prints fast must not lose lines or its own end.
        manager.context.rcvhwm = _MOST_MESSAGES
        if _is_ipykernel(spec):
            # Sockets in a folder that only we can enter; not every other kernel can speak over them.
            manager.transport = "ipc"
            manager.ip = str(private / "k")
        return manager

    def _is_ipykernel(self) -> bool:
        return bool(self.manager.transport == "ipc")

    async def take_over(self, *, folder: Path, environ: Mapping[str, str]) -> None:
        """Make a Python kernel that was started in advance work in ``folder`` with ``environ``.

        What it and its interpreter have set in their environment themselves stays. What it prints past Jupyter goes to
        the file ``log`` from now on, if there is one. Raises `KernelStartError` where it can't.
        """
        told = {
            "folder": str(folder),
            "environ": {name: value for name, value in environ.items() if self._environ.get(name) != value},
            "left_out": [name for name in self._environ if name not in environ],
            "log": None if self.log is None else str(self.log),
        }
        self._folder, self._environ = folder, dict(environ)
        source = f"exec({_TAKE_OVER!r}, {{'TOLD': {json.dumps(told)!r}, 'SHELL': get_ipython()}})"
        asked = self.client.execute(source, silent=True, store_history=False)
        try:
            reply = await asyncio.wait_for(self._answer(asked), _START_LIMIT)
        except TimeoutError:
            raise KernelStartError(f"the kernel {self.name!r} did not answer within {_START_LIMIT:g} s") from None
        if reply["content"].get("status") != "ok":
            why = f"{reply['content'].get('ename')}: {reply['content'].get('evalue')}"
            raise KernelStartError(f"the kernel {self.name!r} can't work in {folder}: {why}")

    async def modules(self) -> list[str]:
        """Return the modules that a Python kernel which was forked has imported, in order; nothing for any other."""
        if not isinstance(self._process, ForkedProcess):
            return []
        asked = self.client.execute(
            "", silent=True, store_history=False, user_expressions={"modules": "' '.join(__import__('sys').modules)"}
        )
        reply = await asyncio.wait_for(self._answer(asked), _START_LIMIT)
        text = reply["content"]["user_expressions"]["modules"]["data"]["text/plain"]
        return str(text).strip("'").split()

    async def _answer(self, asked: str) -> dict[str, Any]:
        while True:
            with contextlib.suppress(Empty):
                reply: dict[str, Any] = await self.client.get_shell_msg(timeout=0.5)
                if reply["parent_header"].get("msg_id") == asked:
                    return reply
            if not self.alive:
                raise KernelStartError(f"the kernel {self.name!r} ended: {self.exit_reason()}")

    async def _until_ready(self) -> None:
        """Ask until an answer came on the shell channel and a message on iopub: before that, outputs could be lost."""
        while True:
            asked = self.client.kernel_info()
            with contextlib.suppress(Empty):
                while (reply := await self.client.get_shell_msg(timeout=0.5))["parent_header"].get("msg_id") != asked:
                    pass
                await self.client.get_iopub_msg(timeout=0.2)
                self.language_info = reply["content"].get("language_info", {})
                return
            if not self.alive:
                raise KernelStartError(f"the kernel {self.name!r} ended while it started: {self.exit_reason()}")

    @property
    def pid(self) -> int | None:
        """The kernel's process, None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def command(self) -> list[str]:
        """The command that the kernel was started with; empty before."""
        return [str(part) for part in getattr(self._process, "args", ())]

    @property
    def alive(self) -> bool:
        """Whether the kernel's process runs."""
        return self._process is not None and self._process.poll() is None

    def exit_reason(self) -> str:
        """Return how the process ended: ``exit code 1``, ``killed by SIGKILL``."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return "it is running"
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    async def interrupt(self) -> None:
        """Interrupt what the kernel executes, the way its kernelspec asks for."""
        with contextlib.suppress(RuntimeError, OSError):
            await self.manager.interrupt_kernel()

    def signal_group(self, signum: int) -> None:
        """Send a signal to the kernel and everything it started that stayed in its process group."""
        if self._group > 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signum)

    async def wait(self, seconds: float) -> bool:
        """Wait until the process has ended, at most ``seconds``; return whether it has."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        handle = self._handle()
        try:
            while self.alive and (left := deadline - loop.time()) > 0:
                if handle is None:
                    await asyncio.sleep(0.02)
                    continue
                ended = asyncio.Event()
                loop.add_reader(handle, ended.set)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), left)
                loop.remove_reader(handle)
        finally:
            if handle is not None:
                loop.remove_reader(handle)
                os.close(handle)
        return not self.alive

    def _handle(self) -> int | None:
        """Return a file that can be read once the process has ended, None where the system has no such thing."""
        if self.pid is None or not self.alive or not hasattr(os, "pidfd_open"):
            return None
        with contextlib.suppress(OSError):
            return os.pidfd_open(self.pid)
        return None

    async def stop(self, *, politely: bool = True, keep_folder: bool = False) -> None:
        """End the kernel: ask it to shut down, then TERM, then KILL, some seconds apart; then its whole group.

        Not ``politely`` begins with TERM. ``keep_folder`` leaves the private folder to another kernel.
        """
        if self.alive and politely and self.client is not None:
            with contextlib.suppress(OSError, RuntimeError):
                await self.manager.request_shutdown()
            await self.wait(_POLITE)
        if self.alive:
            self.signal_group(signal.SIGTERM)
            await self.wait(GRACE)
        self.signal_group(signal.SIGKILL)
        await self.wait(GRACE)
        self._release(keep_folder)

    def _release(self, keep_folder: bool) -> None:
        if self.client is not None:
            self.client.stop_channels()
        if self.manager is not None:
            with contextlib.suppress(OSError):
                self.manager.cleanup_connection_file()
            self.manager.context.destroy(linger=0)
        if not keep_folder:
            shutil.rmtree(self._private, ignore_errors=True)
        self._group = 0
