"""The wheel, built where there is no node, installed in a new environment: everything that pip promises is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_wf._version import __version__

ROOT = Path(__file__).resolve().parents[2]
#: What a build may find on PATH. No node, no npm, no yarn.
_TOOLS = (
    "bash",
    "sh",
    "env",
    "uname",
    "dirname",
    "basename",
    "readlink",
    "sed",
    "cat",
    "ls",
    "rm",
    "mkdir",
    "cp",
    "mv",
)


@pytest.fixture(scope="module")
def plain_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with a shell's common tools and nothing else."""
    folder = tmp_path_factory.mktemp("bin")
    for tool in _TOOLS:
        found = shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    assert shutil.which("node", path=str(folder)) is None
    return str(folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, plain_path: str) -> Path:
    """The wheel of a clean copy of the sources: whatever is built here was built for it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    assert not (source / "jupyter_wf/labextension").exists()
    environment = {**os.environ, "PATH": plain_path}
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder / "dist"), str(source)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    (built,) = (folder / "dist").iterdir()
    return built


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel, and nothing of this checkout in sight."""

    folder: Path
    path: str

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, outside the checkout."""
        binaries = self.folder / "bin"
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTHON", "IPYTHON"))
        }
        own = {
            name: str(self.folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_WF_HOME", "IPYTHONDIR")
        }
        environment = {**kept, **own, "PATH": f"{binaries}{os.pathsep}{self.path}", "JUPYTER_NO_CONFIG": ""}
        return subprocess.run(
            [str(binaries / command[0]), *command[1:]],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path, plain_path: str) -> Iterator[Installation]:
    """A new environment into which pip has put the wheel, and JupyterLab to load the extension."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    installation = Installation(folder, plain_path)
    done = installation.run("python", "-m", "pip", "install", "--quiet", f"{wheel}[lab]")
    assert done.returncode == 0, done.stdout
    yield installation
    shutil.rmtree(folder)


def test_wheel_has_the_front_end_and_the_settings(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    data = f"jupyter_wf-{__version__}.data/data"
    assert {
        "jupyter_wf/py.typed",
        "jupyter_wf/cli/app.py",
        "jupyter_wf/labextension/package.json",
        "jupyter_wf/ipython/static/run_view.js",
        "jupyter_wf/ipython/static/run_view.css",
        f"{data}/share/jupyter/labextensions/jupyter-wf/package.json",
        f"{data}/share/jupyter/labextensions/jupyter-wf/install.json",
        f"{data}/etc/jupyter/jupyter_server_config.d/jupyter_wf.json",
    } <= names
    assert any("/labextensions/jupyter-wf/static/remoteEntry." in name for name in names)
    assert not [name for name in names if name.startswith(("tests/", "labextension/", "notebooks/"))]


def test_server_extension_is_enabled(installed: Installation) -> None:
    done = installed.run("jupyter", "server", "extension", "list")
    assert done.returncode == 0, done.stdout
    assert "jupyter_wf \x1b[32menabled" in done.stdout or "jupyter_wf enabled" in done.stdout, done.stdout
    assert f"jupyter_wf {__version__}" in done.stdout, done.stdout


def test_lab_extension_is_enabled(installed: Installation) -> None:
    done = installed.run("jupyter", "labextension", "list")
    assert done.returncode == 0, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "jupyter-wf" in line]
    assert f"v{__version__}" in line
    assert "enabled" in line
    assert "OK" in line


def test_command_answers(installed: Installation) -> None:
    for command in (("jupyter", "wf", "--help"), ("jupyter-wf", "--help"), ("python", "-m", "jupyter_wf", "--help")):
        done = installed.run(*command)
        assert done.returncode == 0, done.stdout
        for name in ("run", "runs", "show", "logs", "cancel"):
            assert name in done.stdout


def test_magics_load(installed: Installation) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'jupyter_wf')\n"
        "shell.run_cell('%%task double --retries 1\\nx = 21\\ny = 2 * x').raise_error()\n"
        "print('y is', shell.user_ns['y'])\n"
    )
    done = installed.run("python", "-c", code)
    assert done.returncode == 0, done.stdout
    assert "y is 42" in done.stdout


def test_a_file_with_a_flow_runs(installed: Installation) -> None:
    program = installed.folder / "hello.py"
    program.write_text(
        "from jupyter_wf import task, flow\n"
        "@task\ndef say_hello(): print('Hello, world!')\n"
        "@task\ndef greet(name): print(f'Hello, {name}!')\n"
        "@flow\ndef main():\n    hello = say_hello()\n    greet_hello = greet('Prefect')\n"
        "if __name__ == '__main__':\n    print(main())\n"
    )
    done = installed.run("python", str(program))
    assert done.returncode == 0, done.stdout
    assert "Hello, world!" in done.stdout
    assert "Hello, Prefect!" in done.stdout
    listed = installed.run("jupyter", "wf", "runs", "--json")
    assert listed.returncode == 0, listed.stdout
    assert '"COMPLETED"' in listed.stdout
