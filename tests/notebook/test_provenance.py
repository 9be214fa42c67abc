"""What a run was made with: commits, packages, kernels; and what is not there."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf._version import __version__
from jupyter_wf.core.settings import Settings
from jupyter_wf.notebook import provenance as module
from jupyter_wf.notebook.provenance import commit_of, environment_of, keep_environment, provenance


def git(folder: Path, *args: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> dict[str, Any]:
    return asyncio.run(commit_of(folder))


def test_a_commit_its_branch_and_changes(tmp_path: Path) -> None:
    assert commit(tmp_path) == {}, "outside a repository nothing is said"
    git(tmp_path, "init", "-q", "-b", "main")
    assert commit(tmp_path) == {"commit": None, "branch": "main", "dirty": False}
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "one")
    number = git(tmp_path, "rev-parse", "HEAD").strip()
    below = tmp_path / "below"
    below.mkdir()
    assert commit(below) == {"commit": number, "branch": "main", "dirty": False}
    (tmp_path / "untracked").write_text("1")
    assert commit(tmp_path)["dirty"] is False
    (tmp_path / "a").write_text("2")
    assert commit(tmp_path)["dirty"] is True
    git(tmp_path, "checkout", "-q", "--detach")
    assert commit(tmp_path) == {"commit": number, "branch": None, "dirty": True}


def test_without_git_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit(tmp_path) == {}
    assert commit(tmp_path / "gone") == {}


def test_a_git_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    monkeypatch.setattr(module, "_GIT", (sys.executable, "-c", "import signal; signal.pause()"))
    assert commit(tmp_path) == {}


def test_the_packages_of_a_python() -> None:
    found = asyncio.run(environment_of(sys.executable))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["executable"] == sys.executable
    assert {"ipykernel", "nbclient", "psutil"} <= found["packages"].keys()
    assert found["packages"]["nbclient"][0].isdigit()
    assert list(found["packages"]) == sorted(found["packages"])


@pytest.mark.parametrize("executable", ["/no/such/python", "/bin/echo", "/bin/false"])
def test_what_is_no_python_says_nothing(executable: str) -> None:
    assert asyncio.run(environment_of(executable)) == {}


def test_a_list_of_packages_is_kept_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    listed = {"python": "3.12.0", "packages": {"a": __version__}}
    digest = keep_environment(settings, listed)
    assert keep_environment(settings, dict(reversed(listed.items()))) == digest
    (path,) = settings.environments.iterdir()
    assert path.name == f"{digest}.json" and json.loads(path.read_text()) == listed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keep_environment(settings, {**listed, "python": "3.13.0"}) != digest


def facts(settings: Settings, language: str, command: list[str]) -> dict[str, Any]:
    return asyncio.run(
        provenance(
            settings, folder=settings.home.parent, kernel="k", display_name="K", language=language, command=command
        )
    )


def test_what_a_run_says_is_small(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    found = facts(settings, "Python", [sys.executable, "-m", "x" * 10_000])
    assert found["kernel"] == {"name": "k", "display_name": "K", "language": "Python", "command": sys.executable}
    assert found["environment"]["packages"] > 20 and len(found["environment"]["digest"]) == 64
    assert found["host"]
    assert len(json.dumps(found)) < 1_500


def test_other_languages_have_no_packages_of_python(tmp_path: Path) -> None:
    assert "environment" not in facts(Settings(home=tmp_path / "home"), "R", [sys.executable])


def test_packages_that_can_not_be_kept_are_counted_all_the_same(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")
    found = facts(Settings(home=home), "python", [sys.executable])
    assert found["environment"]["digest"] is None and found["environment"]["packages"] > 20
