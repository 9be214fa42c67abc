"""Tab behind ``%wf``: in the shell, with and without jedi, and as JupyterLab asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter

from jupyter_wf.ipython.commands.registry import COMMANDS
from tests.ipython.kernels import Kernel, running_kernel


@pytest.fixture(params=[True, False], ids=["jedi", "no jedi"])
def shell(ip: Any, request: pytest.FixtureRequest) -> Any:
    ip.shell.Completer.use_jedi = request.param
    ip.ok("from jupyter_wf import flow, task\n@task\ndef double(n): return n * 2")
    ip.ok("@flow(name='etl')\ndef etl():\n    [double(n) for n in range(3)]")
    ip.ok("etl()")
    ip.run("%%task broken\n1 / 0")
    return ip.shell


def offered(shell: Any, line: str) -> list[str]:
    with provisionalcompleter():
        return [each.text for each in shell.Completer.completions(line, len(line))]


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_as_a_terminal_asks(shell: Any) -> None:
    assert shell.complete("", "%wf ca", 6) == ("ca", ["cancel"])
    assert shell.complete("", "%wf show etl/double-1", 20) == ("etl/double-", [f"etl/double-{n}" for n in range(3)])


def test_commands(shell: Any) -> None:
    assert set(offered(shell, "%wf ")) == {*COMMANDS, "help"}
    assert offered(shell, "%wf ca") == ["cancel"]
    assert offered(shell, "r = %wf la") == ["last"]
    assert offered(shell, "%wf help lo") == ["logs", "load"]
    assert not {*COMMANDS} & set(offered(shell, "%wf nope "))


def test_options_and_their_values(shell: Any) -> None:
    assert set(offered(shell, "%wf runs --")) == {"--help", "--limit", "--state", "--flow", "--all"}
    assert "--limit" not in offered(shell, "%wf runs --limit 5 --")
    assert offered(shell, "%wf runs --state fa") == ["failed"]
    assert offered(shell, "%wf runs --state failed,cra") == ["failed,crashed"]
    assert offered(shell, "%wf runs --flow ") == ["etl"]
    assert offered(shell, "%wf widgets c") == ["compact"]
    assert offered(shell, "%wf logs etl --level w") == ["warning"]


def test_runs_by_name_and_id_and_their_tasks(shell: Any, ip: Any) -> None:
    etl = ip.runs()[0]
    assert {"last", "broken", etl.name, etl.id[:8]} <= set(offered(shell, "%wf show "))
    assert offered(shell, f"%wf show {etl.id[:5]}") == [etl.id[:8]]
    assert offered(shell, "%wf show etl/double-") == ["etl/double-0", "etl/double-1", "etl/double-2"]
    assert "double-0" not in " ".join(offered(shell, "%wf show nothing/"))
    assert offered(shell, "%wf debug ")[:2] == ["last", "broken"]
    assert etl.name not in offered(shell, "%wf retry ")
    assert offered(shell, "%wf retry bro") == ["broken"]
    assert {"etl", "broken"} <= set(offered(shell, "%wf last "))
    assert "last" not in offered(shell, "%wf show etl ")


def test_other_lines_are_left_alone(shell: Any, ip: Any) -> None:
    ip.ok("runs_of_mine = 1")
    assert "runs_of_mine" in offered(shell, "runs_of")
    assert offered(shell, "wf_nothing ru") != ["runs"]
    ip.ok("%unload_ext jupyter_wf")
    assert "cancel" not in offered(shell, "%wf ca")
    ip.ok("%load_ext jupyter_wf")


@pytest.fixture(scope="module", params=[6, 7], ids=["ipykernel 6", "ipykernel 7"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("kernel") / "home", request.param) as made:
        made.ok("from jupyter_wf import flow, task\n@task\ndef double(n): return n * 2")
        made.ok("@flow(name='etl')\ndef etl():\n    [double(n) for n in range(3)]\netl()")
        yield made


@pytest.mark.parametrize("use_jedi", [True, False])
@pytest.mark.parametrize(
    ("code", "word", "matches"),
    [
        ("%wf ca", "ca", ["cancel"]),
        ("x = 1\n%wf show etl/double-", "etl/double-", ["etl/double-0", "etl/double-1", "etl/double-2"]),
        ("%wf runs --state crash", "crash", ["crashed"]),
        ("card = %wf last et", "et", ["etl"]),
    ],
)
def test_as_jupyterlab_asks(kernel: Kernel, use_jedi: bool, code: str, word: str, matches: list[str]) -> None:
    kernel.ok(f"get_ipython().Completer.use_jedi = {use_jedi}")
    reply = kernel.client.complete(code + "\nafter = 2", len(code), reply=True, timeout=20)["content"]
    assert reply["matches"] == matches
    assert (reply["cursor_start"], reply["cursor_end"]) == (len(code) - len(word), len(code))
