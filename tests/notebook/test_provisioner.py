"""A kernel that was forked is like one that was started: both are asked the same things."""

from __future__ import annotations

import gzip
import os
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import ipykernel.kernelapp  # noqa: F401  (without it nothing can be forked)
import pytest
from jupyter_client import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

from jupyter_wf.notebook.provisioner import ForkProvisioner, can_be_forked
from tests.ipython.older import older_ipykernel
from tests.notebook.forked import in_kernel

#: Cells whose text must be the same, whichever way the kernel came about.
ALIKE = {
    "main": "import __main__, sys\nprint(sys.modules['__main__'] is __main__, vars(__main__) is globals(), __name__)",
    "names": "print(sorted(name for name in dir() if not name.startswith('_')))",
    "hidden": "print(sorted(name for name in dir() if name.startswith('_')))",
    "argv": "import sys\nprint(sys.argv[0], len(sys.argv), sys.argv[1], sys.argv[3:])",
    "command": "import sys\nprint(len(sys.orig_argv), sys.orig_argv[1:4])",
    "path": "import sys\nprint(sys.path, sys.flags)",
    "folder": "import os\nprint(os.getcwd(), _dh)",
    # Not SIGHUP: a process that is started inherits that it is ignored, as under nohup.
    "signals": "import signal\nprint([signal.getsignal(s) for s in (2, 15, 17, 13)])",
    "mask": "import signal\nprint(signal.pthread_sigmask(signal.SIG_BLOCK, ()))",
    "stdin": "import os, sys\nprint(os.read(0, 10), sys.__stdin__.fileno())",
    "group": "import os\nprint(os.getpgid(0) == os.getpid() == os.getsid(0))",
    "threads": "import threading\nprint(threading.current_thread() is threading.main_thread())",
    "loop": "import asyncio\nasync def f(): return await asyncio.sleep(0, 'awaited')\nawait f()",
    "traceback": "def f():\n    return 1 / 0\nf()",
    "raised": "import json\njson.loads('{')",
    "fatal": "import faulthandler\nprint(faulthandler.is_enabled())",
    "history": "get_ipython().history_manager.enabled",
    "shell": "type(get_ipython()), get_ipython().execution_count, get_ipython().kernel.implementation_version",
    "environment": "import os\nprint(sorted(name for name in os.environ if name not in ('JPY_PARENT_PID', '_')))",
    "parent": "import os\nprint(os.environ['JPY_PARENT_PID'] == str(os.getppid()))",
    "subprocess": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(6 * 7)'],"
    " capture_output=True, text=True).stdout)",
    "system": "!echo from a shell",
    "pool": "from concurrent.futures import ThreadPoolExecutor\n"
    "with ThreadPoolExecutor(2) as pool: print(list(pool.map(abs, (-1, -2))))",
    "processes": "import multiprocessing\n"
    "with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, (-1, -2)))",
    "module": "import rfc3987_syntax\nprint(rfc3987_syntax.__name__)",
}


@pytest.mark.parametrize("older", [False, True], ids=["ipykernel", "ipykernel6"])
def test_a_forked_kernel_is_like_one_that_was_started(tmp_path: Path, older: bool) -> None:
    path = (older_ipykernel(),) if older else ()
    forked = in_kernel(*ALIKE.values(), folder=tmp_path, path=path)
    started = in_kernel(*ALIKE.values(), folder=tmp_path, path=path, forks=False)
    assert (forked.forked, started.forked) == (True, False)
    assert forked.ended == "exit code 0"
    assert dict(zip(ALIKE, forked.texts, strict=True)) == dict(zip(ALIKE, started.texts, strict=True))


def test_what_is_left_open_is_written_and_what_is_to_happen_at_the_end_happens(tmp_path: Path) -> None:
    cells = (
        "text = open('text', 'w'); _ = text.write('text')",
        "import gzip; packed = gzip.open('packed', 'wt'); _ = packed.write('packed')",
        "import zipfile; archive = zipfile.ZipFile('archive', 'w'); archive.writestr('name', 'content')",
        "import types; module = types.ModuleType('kept'); import sys; sys.modules['kept'] = module\n"
        "module.file = open('kept', 'wb'); _ = module.file.write(b'kept')",
        "import atexit, pathlib; _ = atexit.register(pathlib.Path('ended').write_text, 'at its end')",
        "import threading, time\n"
        "def late():\n    gate.wait(0.2)\n    pathlib.Path('late').touch()\n"
        "gate = threading.Event(); threading.Thread(target=late).start()",
    )
    kernel = in_kernel(*cells, folder=tmp_path)
    assert (kernel.forked, kernel.ended) == (True, "exit code 0")
    assert (tmp_path / "text").read_text() == "text" and (tmp_path / "kept").read_text() == "kept"
    assert gzip.decompress((tmp_path / "packed").read_bytes()) == b"packed"
    assert zipfile.ZipFile(tmp_path / "archive").read("name") == b"content"
    assert (tmp_path / "ended").read_text() == "at its end" and (tmp_path / "late").exists()


@pytest.mark.parametrize(
    ("cell", "ended"),
    [
        ("import os; os._exit(7)", "exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
    ],
    ids=["exit", "kill", "crash"],
)
def test_how_a_forked_kernel_ended_is_known(tmp_path: Path, cell: str, ended: str) -> None:
    kernel = in_kernel(cell, folder=tmp_path)
    assert (kernel.forked, kernel.ended) == (True, ended)


def test_numbers_drawn_by_two_forked_kernels_differ(tmp_path: Path) -> None:
    cells = ("import random, numpy, uuid\nprint(random.random(), numpy.random.random(), uuid.uuid4())",)
    one, two = (in_kernel(*cells, folder=tmp_path).texts[0].split() for _ in range(2))
    assert not set(one) & set(two)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"no such folder: '.*/away'"):
        in_kernel("1", folder=tmp_path / "away")


LAUNCH = ("-m", "ipykernel_launcher", "-f", "kernel.json")


@pytest.mark.parametrize(
    ("command", "environ", "forked"),
    [
        ([sys.executable, *LAUNCH], {}, True),
        ([sys.executable, "-Xfrozen_modules=off", *LAUNCH], {}, True),
        ([sys.executable, "-m", "ipykernel", "-f", "kernel.json"], {}, True),
        (["/usr/bin/another-python", *LAUNCH], {}, False),
        ([sys.executable, "-O", *LAUNCH], {}, False),
        ([sys.executable, "-m", "xeus_python", "-f", "kernel.json"], {}, False),
        ([sys.executable, "-m"], {}, False),
        (["R", "--slave"], {}, False),
        ([sys.executable, *LAUNCH], {"PYTHONHASHSEED": "7"}, False),
        ([sys.executable, *LAUNCH], {"LD_PRELOAD": "lib.so"}, False),
        ([sys.executable, *LAUNCH], {"ANYTHING": "else"}, True),
    ],
    ids=["this", "harmless", "short", "python", "option", "module", "none", "language", "seed", "loader", "other"],
)
def test_which_kernels_can_be_forked(command: list[str], environ: dict[str, str], forked: bool) -> None:
    assert can_be_forked(command, {**os.environ, **environ}) is forked


def test_jupyter_finds_the_provisioner_by_name() -> None:
    manager = KernelManager(kernel_name="python3")
    factory = KernelProvisionerFactory()
    name = "jupyter-wf-fork"
    factory.provisioners = {
        name: EntryPoint(name, "jupyter_wf.notebook.provisioner:ForkProvisioner", factory.GROUP_NAME)
    }
    spec = manager.kernel_spec
    spec.metadata["kernel_provisioner"] = {"provisioner_name": name}
    made = factory.create_provisioner_instance("some-id", spec, manager)
    assert isinstance(made, ForkProvisioner)
