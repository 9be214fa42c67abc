"""A runner that was forked before there was work for it: it has a kernel ready, waits for its job, and does one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from IPython.paths import get_ipython_dir

from jupyter_wf.notebook.forking import prepare_fork, take_fork
from jupyter_wf.notebook.kernels import HeadlessKernel, KernelStartError, can_be_spare
from jupyter_wf.services.runner_main import perform

__all__ = ["be_spare"]

#: What a kernel reads when it starts, besides its specification.
_CONFIGURATION = ("ipython_config.py", "ipython_kernel_config.py", "startup")


def be_spare(channel: int, name: str, private: Path, *, tells: bool = False) -> int:
    """Be a spare runner with a kernel called ``name``: say so, take a job, do it. Return the exit code.

    ``channel`` is a stream socket to whoever hands out the jobs: a line of JSON comes when the job has, and its end
    means that nobody needs this process. ``private`` is the folder for the kernel's sockets. Who ``tells`` says what it
    and its kernel have imported, so that those who come after them find it there. To be called where there are no
    threads yet.
    """
    if can_be_spare(name):
        prepare_fork()
    pipe = socket.socket(fileno=channel)
    with asyncio.Runner() as loop:
        kernel = loop.run(_start_kernel(name, private)) if can_be_spare(name) else None
        left = take_fork()
        if left is not None:
            left.discard()
        modules = [*sys.modules, *loop.run(kernel.modules())] if tells and kernel is not None else []
        _say(pipe, files=[] if kernel is None else _read(kernel), modules=modules)
        line = _wait(pipe, kernel)
        if not line:
            if kernel is not None:
                loop.run(kernel.stop(politely=False))
            shutil.rmtree(private, ignore_errors=True)
            return 0
        told = json.loads(line)
        pipe.close()
        log = Path(told["log"])
        _print_to(log)
        os.chdir(log.parent)
        if kernel is not None:
            kernel.log = log
        return perform({**told["job"], "private": str(private)}, loop, kernel)


async def _start_kernel(name: str, private: Path) -> HeadlessKernel | None:
    """Return a kernel that waits; None where it can't be started: whoever has a job for it will be told why."""
    kernel = HeadlessKernel(name=name, folder=private, environ=os.environ, private=private)
    try:
        await kernel.start()
    except KernelStartError as error:
        print(error, file=sys.stderr)
        await kernel.stop(politely=False, keep_folder=True)
        return None
    return kernel


def _say(pipe: socket.socket, **what: Any) -> None:
    # Where nobody hears it, the channel's end will be seen.
    with contextlib.suppress(OSError):
        pipe.sendall(json.dumps(what).encode() + b"\n")


def _wait(pipe: socket.socket, kernel: HeadlessKernel | None) -> bytes:
    """Return the line with the job, nothing where there is none to come or the kernel has died."""
    text = b""
    ended = None if kernel is None or kernel.pid is None else os.pidfd_open(kernel.pid)
    try:
        while not text.endswith(b"\n"):
            files: list[Any] = [pipe] if ended is None else [pipe, ended]
            readable, _, _ = select.select(files, [], [])
            if pipe not in readable:
                return b""
            chunk = pipe.recv(1 << 16)
            if not chunk:
                return b""
            text += chunk
            if ended is not None:
                os.close(ended)
                ended = None
    finally:
        if ended is not None:
            os.close(ended)
    return text


def _print_to(log: Path) -> None:
    """Let what this process prints go to ``log`` from now on."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _read(kernel: HeadlessKernel) -> list[str]:
    """Return the files and folders that made the kernel what it is: when one changes, it is out of date."""
    profile = Path(get_ipython_dir()) / "profile_default"
    return [os.path.join(kernel.spec.resource_dir, "kernel.json"), *(str(profile / each) for each in _CONFIGURATION)]
