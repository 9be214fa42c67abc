"""What the view of a flow costs it: ``PYTHONPATH=. python tests/benchmarks/widget.py [tasks …]`` prints it.

A real kernel runs the same flow without and with its view, in turns, and sends what it shows to a client that reads
everything. "flow" is the call of the flow alone, "cpu" the kernel's processor time meanwhile (all threads; steadier
where the machine has other things to do), "cell" all that the client waits for: also what the view does when the run
has ended. Figures are medians in seconds, each ratio the median of those of two runs after one another. The aim is 1.05
for the flow.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import zmq

from tests.ipython import kernels
from tests.ipython.kernels import Kernel, running_kernel

SETUP = """
import gc, time
from jupyter_wf import flow, task
import jupyter_wf.ipython.run_view as run_view

@task
def nothing(x): return x

@task
def busy(x):
    end = time.perf_counter() + 0.001
    while time.perf_counter() < end: pass

@flow
def sequence(work, n):
    for i in range(n): work(i)

@flow
def mapped(work, n):
    work.map(range(n)).result()
"""
RUN = """
gc.collect()
cpu, began = time.process_time(), time.perf_counter()
{flow}({work}, {n})
print(time.perf_counter() - began, time.process_time() - cpu)
"""
HELD = """
import gc, sys, threading, ipywidgets
from jupyter_wf.core.tree import RunTree
from jupyter_wf.ipython.view import View
gc.collect()
held = [o for o in gc.get_objects() if isinstance(o, (RunTree, View))]
print(len(ipywidgets.widgets.widget._instances), len(held),
      sum("views" in t.name for t in threading.enumerate()), len(__import__("comm").get_comm_manager().comms))
"""
#: Work, how the flow calls it, and how often it is measured with and without.
CASES = (("nothing", "sequence", 15), ("nothing", "mapped", 15), ("busy", "sequence", 3), ("busy", "mapped", 3))
PARTS = ("flow", "cpu", "cell")
TITLES = ("tasks", *(title for part in PARTS for title in (f"{part} off", "on", "ratio")), "msgs", "KiB")
LINE = "{:18} {:9}" + "{:9.3f}{:9.3f}{:7.3f} " * 3 + "{:6.0f}{:7.0f}"


class Traffic:
    """Reads all that a kernel publishes, as the server of a notebook does, and counts it."""

    def __init__(self, kernel: Kernel) -> None:
        self._socket = kernel.manager.connect_iopub()
        self._stop = threading.Event()
        self.messages = self.bytes = 0
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(50, zmq.POLLIN):
                frames = self._socket.recv_multipart()
                if b"comm" in frames[0] or b"display_data" in frames[0]:
                    self.messages += 1
                    self.bytes += sum(map(len, frames))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


@contextmanager
def traffic(kernel: Kernel) -> Iterator[Traffic]:
    """Count what the kernel publishes about views."""
    made = Traffic(kernel)
    try:
        yield made
    finally:
        made.stop()


def measure(kernel: Kernel, view: str, code: str) -> tuple[float, float, float]:
    """Return the seconds that the flow takes, the processor meanwhile, and the cell."""
    kernel.ok(f"%wf widgets {view}")
    began = perf_counter()
    reply = kernel.ok(code)
    cell = perf_counter() - began
    flow, cpu = map(float, reply.stdout.split())
    return flow, cpu, cell


def compare(kernel: Kernel, work: str, flow: str, n: int, repeats: int) -> None:
    """Print a line of the table."""
    code = RUN.format(flow=flow, work=work, n=n)
    times: dict[str, list[tuple[float, float, float]]] = {"off": [], "on": []}
    measure(kernel, "on", code)
    with traffic(kernel) as counted:
        for number in range(repeats):
            for view in ("off", "on") if number % 2 else ("on", "off"):
                times[view].append(measure(kernel, view, code))
    figures: list[Any] = [f"{n:,} × {work}", flow]
    for part in range(len(PARTS)):
        off, on = ([each[part] for each in times[view]] for view in ("off", "on"))
        figures += [median(off), median(on), median(b / a for a, b in zip(off, on, strict=True))]
    figures += [counted.messages / repeats, counted.bytes / repeats / 1024]
    print(LINE.format(*figures), flush=True)


def main(sizes: list[int]) -> None:
    """Print the table."""
    # A test's patience is too short for 10,000 tasks that work on a busy machine.
    kernels.PATIENCE = 600.0
    with tempfile.TemporaryDirectory() as folder, running_kernel(Path(folder) / "home") as kernel:
        kernel.ok(SETUP)
        if kernel.ok("run_view.is_built()").value != "True":
            print("the front end is not built: its code is not among the bytes")
            kernel.ok("run_view.is_built = lambda: True")
        print(("{:28}" + "{:>9}{:>9}{:>7} " * 3 + "{:>6}{:>7}").format(*TITLES))
        for n in sizes:
            for work, flow, repeats in CASES:
                compare(kernel, work, flow, n, repeats)
        held = kernel.ok(HELD).stdout.split()
        print("held after the end: {} widgets, {} trees and views, {} threads, {} comms".format(*held))


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [1_000, 10_000])
