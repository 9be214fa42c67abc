"""The executed notebook: read, and copied to where JupyterLab can open it."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from jupyter_wf.server import notebooks
from tests.server.harness import Seed, Server

CONTENT = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def executed(server: Server, name: str = "quick.ipynb", content: str = CONTENT) -> Path:
    folder = server.settings.runs / os.urandom(4).hex()
    folder.mkdir(parents=True)
    file = folder / name
    file.write_text(content)
    return file


def ran(seed: Seed, file: Path | str, notebook: str = "quick.ipynb") -> str:
    return seed.run(source={"executed": str(file), "notebook": notebook})


def test_read(server: Server, seed: Seed) -> None:
    run_id = ran(seed, executed(server, content=CONTENT + " " * 3_000_000))
    answer = server.fetch("GET", f"runs/{run_id[:13]}/notebook")
    assert answer.status == 200
    assert answer.json == json.loads(CONTENT)
    assert len(answer.body) == len(CONTENT) + 3_000_000
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=utf-8''quick.ipynb"
    assert answer.headers["Content-Security-Policy"].endswith("; sandbox")


def test_executed_path_is_told_where_the_front_end_could_open_it(server: Server, seed: Seed) -> None:
    below = server.root / "results" / "done.ipynb"
    below.parent.mkdir(exist_ok=True)
    below.write_text(CONTENT)
    hidden = server.root / ".wf" / "done.ipynb"
    run_ids = [ran(seed, file) for file in (below, hidden, executed(server))]
    found = [server.get(f"runs/{run_id}")["source"]["executed_path"] for run_id in run_ids]
    assert found == ["results/done.ipynb", None, None]
    listed = {run["id"]: run for run in server.get("runs", limit=3)["items"]}
    assert [listed[run_id]["source"]["executed_path"] for run_id in run_ids] == found
    assert "executed_path" not in server.get(f"runs/{seed.run()}")["source"]
    assert seed.store.get_run(run_ids[0]).source.keys() == {"executed", "notebook"}


@pytest.fixture
def odd(server: Server, tmp_path: Path) -> dict[str, Path | str]:
    """What a run may say of where its executed notebook is, and which nobody is to get."""
    outside = tmp_path / "outside.ipynb"
    outside.write_text("secret")
    runs = server.settings.runs
    runs.mkdir(parents=True, exist_ok=True)
    link = runs / f"{tmp_path.name}.ipynb"
    link.symlink_to(outside)
    pipe = runs / f"{tmp_path.name}-pipe.ipynb"
    os.mkfifo(pipe)
    text = runs / f"{tmp_path.name}.txt"
    text.write_text("secret")
    hidden = server.root / ".ssh" / "key.ipynb"
    hidden.parent.mkdir(exist_ok=True)
    hidden.write_text("secret")
    sibling = server.home / "runs-too" / "a.ipynb"
    sibling.parent.mkdir(exist_ok=True)
    sibling.write_text("secret")
    return {
        "outside": outside,
        "link": link,
        "pipe": pipe,
        "other suffix": text,
        "hidden": hidden,
        "sibling": sibling,
        "dots": f"{runs}/../../outside/../../{outside.name}",
        "gone": runs / "gone.ipynb",
        "folder": runs,
        "relative": "a.ipynb",
        "NUL": "a\0.ipynb",
    }


@pytest.mark.parametrize(
    "which",
    ["outside", "link", "pipe", "other suffix", "hidden", "sibling", "dots", "gone", "folder", "relative", "NUL"],
)
def test_nothing_else_is_opened(server: Server, seed: Seed, odd: dict[str, Path | str], which: str) -> None:
    run_id = ran(seed, odd[which])
    for method, path in (("GET", "notebook"), ("POST", "notebook/copy")):
        answer = server.fetch(method, f"runs/{run_id}/{path}", body=b"" if method == "POST" else None)
        assert (answer.status, answer.json["error"]) == (404, "TargetError")
        assert b"secret" not in answer.body


def test_a_run_without_one(server: Server, seed: Seed) -> None:
    assert server.fetch("GET", f"runs/{seed.run()}/notebook").status == 404
    assert server.fetch("GET", f"runs/{seed.run(source={'executed': 7})}/notebook").status == 404


def test_too_large(server: Server, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebooks, "MAX_NOTEBOOK", 10)
    answer = server.fetch("GET", f"runs/{ran(seed, executed(server))}/notebook")
    assert (answer.status, answer.json["error"]) == (413, "RequestEntityTooLarge")


def copy(server: Server, run_id: str) -> str:
    answer = server.fetch("POST", f"runs/{run_id}/notebook/copy", body=b"")
    assert answer.status == 201, answer.body
    assert set(answer.json) == {"path"}
    path: str = answer.json["path"]
    return path


def test_copy_lies_beside_the_notebook_and_is_made_once(server: Server, seed: Seed) -> None:
    (server.root / "work").mkdir()
    (server.root / "work" / "quick.ipynb").write_text("{}")
    file = executed(server)
    run_id = ran(seed, file, "work/quick.ipynb")
    path = copy(server, run_id)
    assert path == f"work/quick-{run_id[:8]}.ipynb"
    made = server.root / path
    assert made.read_text() == CONTENT
    assert made.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert copy(server, run_id) == path
    file.write_text(CONTENT + "\n")
    assert copy(server, run_id) == f"work/quick-{run_id[:8]}-2.ipynb"
    assert made.read_text() == CONTENT
    assert sorted(os.listdir(made.parent)) == sorted(
        ["quick.ipynb", f"quick-{run_id[:8]}.ipynb", f"quick-{run_id[:8]}-2.ipynb"]
    )


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize(
    "notebook", ["gone/quick.ipynb", "../quick.ipynb", "/etc/quick.ipynb", ".hidden/quick.ipynb", "a\0/quick.ipynb"]
)
def test_copy_lies_in_the_root_where_it_can_not_lie_beside(server: Server, seed: Seed, notebook: str) -> None:
    (server.root / ".hidden").mkdir(exist_ok=True)
    (server.root / ".hidden" / "quick.ipynb").write_text("{}")
    run_id = ran(seed, executed(server), notebook)
    assert copy(server, run_id) == f"quick-{run_id[:8]}.ipynb"


@pytest.mark.parametrize(
    ("notebook", "stem"),
    [
        ("../..", "run"),
        ("a/<b>&\x1b'\".ipynb", "_b_____"),
        ("Äpfel (1).ipynb", "Äpfel (1)"),
        ("x" * 300 + ".ipynb", "x" * 80),
    ],
)
def test_a_copy_has_a_harmless_name(server: Server, seed: Seed, notebook: str, stem: str) -> None:
    run_id = ran(seed, executed(server), notebook)
    assert copy(server, run_id) == f"{stem}-{run_id[:8]}.ipynb"


def test_copy_replaces_nothing_not_even_a_link(server: Server, seed: Seed) -> None:
    run_id = ran(seed, executed(server), "none.ipynb")
    target = server.root.parent / "target"
    (server.root / f"none-{run_id[:8]}.ipynb").symlink_to(target)
    assert copy(server, run_id) == f"none-{run_id[:8]}-2.ipynb"
    assert not target.exists()


def test_copy_without_hard_links(server: Server, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_names: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    run_id = ran(seed, executed(server), "linkless.ipynb")
    assert (server.root / copy(server, run_id)).read_text() == CONTENT
    assert copy(server, run_id) == f"linkless-{run_id[:8]}.ipynb"


def test_many_copies_at_once_agree(server: Server, seed: Seed) -> None:
    run_id = ran(seed, executed(server), "crowd.ipynb")
    paths: list[str] = []
    threads = [threading.Thread(target=lambda: paths.append(copy(server, run_id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(paths) == {f"crowd-{run_id[:8]}.ipynb"} and len(paths) == 8
