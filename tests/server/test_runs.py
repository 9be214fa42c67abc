"""Runs over REST, as the front end and scripts use it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf._version import __version__
from jupyter_wf.core.codec import MetaJSON, RunJSON
from jupyter_wf.core.errors import ParameterError
from jupyter_wf.core.models import Run
from jupyter_wf.store.base import Store
from tests.server.harness import Seed, Server


def test_meta(server: Server, seed: Seed) -> None:
    meta = server.get("meta")
    assert set(meta) == set(MetaJSON.__annotations__)
    assert (meta["version"], meta["api"]) == (__version__, 1)
    assert str(server.home) in meta["database"]
    assert tuple(map(int, meta["sqlite"].split("."))) >= (3, 40)
    before = meta["seq"]
    seed.run()
    assert server.get("meta")["seq"] > before


def test_one_run(server: Server, seed: Seed) -> None:
    run_id = seed.run("FAILED", name="weather", parameters='{"year": 2013}', tags='["a"]')
    run = server.get(f"runs/{run_id}")
    assert set(run) == set(RunJSON.__annotations__)
    assert (run["id"], run["name"], run["kind"], run["state"]["type"]) == (run_id, "weather", "flow", "FAILED")
    assert (run["parameters"], run["tags"], run["parent_id"], run["root_id"]) == ({"year": 2013}, ["a"], None, run_id)
    assert run["created_at"].endswith("Z")
    assert server.get(f"runs/{run_id[:18]}") == run
    assert server.get(f"runs/{run_id.upper()}") == run


def test_a_short_id_that_fits_two_runs(server: Server, seed: Seed) -> None:
    firsts = {seed.run()[0] for _ in range(17)}
    assert len(firsts) < 17
    ids = [run["id"] for run in server.get("runs", limit=1000)["items"]]
    twice = next(run_id[0] for run_id in ids if sum(other[0] == run_id[0] for other in ids) > 1)
    answer = server.fetch("GET", f"runs/{twice}")
    assert (answer.status, answer.json["error"]) == (409, "AmbiguousRunId")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"state": "RUNNING"}, {"flow running"}),
        ({"state": "running,failed"}, {"flow running", "flow failed"}),
        ({"kind": "task"}, {"task done"}),
        ({"kind": "task,cell"}, {"task done", "cell done"}),
        ({"kind": "flow", "state": "FAILED"}, {"flow failed"}),
        ({"flow": "flow failed"}, {"flow failed"}),
        ({"text": "DONE"}, {"task done", "cell done"}),
        ({"text": "%"}, set()),
        ({"roots": "1"}, {"flow running", "flow failed"}),
        ({"roots": "0", "kind": "cell"}, {"cell done"}),
        ({"state": "Paused"}, set()),
    ],
)
def test_filters(own: Server, query: dict[str, str], names: set[str]) -> None:
    assert {run["name"] for run in own.get("runs", **query)["items"]} == names


@pytest.fixture(scope="module")
def own(own_server: Server, own_seed: Seed) -> Server:
    """A server of which we know every run."""
    parent = own_seed.run("RUNNING", name="flow running")
    own_seed.run("FAILED", name="flow failed")
    own_seed.run(name="task done", kind="task", parent=parent)
    own_seed.run(name="cell done", kind="cell", parent=parent)
    return own_server


def test_filter_by_parent_and_progress(own: Server) -> None:
    parent = own.get("runs", state="RUNNING")["items"][0]
    assert parent["progress"] == {"total": 2, "done": 2, "counts": {"COMPLETED": 2}}
    assert len(own.get("runs", parent=parent["id"])["items"]) == 2
    children = own.get(f"runs/{parent['id']}/children")
    assert [run["name"] for run in children["items"]] == ["task done", "cell done"]
    assert children["next"] is None


def pages(server: Server, path: str, **query: Any) -> Iterator[list[str]]:
    cursor: dict[str, str] = {}
    while True:
        page = server.get(path, **query, **cursor)
        yield [run["id"] for run in page["items"]]
        if page["next"] is None:
            return
        cursor = {"cursor": page["next"]}


def test_pages_neither_repeat_nor_lose_runs(server: Server, seed: Seed) -> None:
    parent = seed.run("RUNNING", name="paged")
    made = [seed.run(kind="task", name="page", parent=parent) for _ in range(7)]
    found = []
    for page in pages(server, f"runs/{parent}/children", limit=3):
        assert len(page) <= 3
        seed.run(name="made meanwhile")
        found += page
    assert found == made
    newest_first = [run_id for page in pages(server, "runs", parent=parent, limit=2) for run_id in page]
    assert newest_first == made[::-1]


def test_logs(server: Server, seed: Seed) -> None:
    root = seed.run("RUNNING")
    child = seed.run("RUNNING", kind="task", parent=root)
    for number in range(5):
        seed.log(root, f"root {number}")
    seed.log(child, "child", level=40)
    seed.flush()
    path = f"runs/{root}/logs"
    page = server.get(path, limit=2)
    assert [line["message"] for line in page["items"]] == ["root 0", "root 1"]
    rest = server.get(path, after=page["next_after"])
    assert [line["message"] for line in rest["items"]] == ["root 2", "root 3", "root 4", "child"]
    assert server.get(path, after=rest["next_after"]) == {"items": [], "next_after": rest["next_after"]}
    assert [line["message"] for line in server.get(path, tree=0, tail=1, limit=1)["items"]] == ["root 4"]
    assert [line["run_id"] for line in server.get(path, level=40)["items"]] == [child]


def test_cancel_of_a_live_run_is_a_request_to_its_owner(server: Server, seed: Seed) -> None:
    run_id = seed.run("RUNNING")
    answer = server.fetch("POST", f"runs/{run_id[:13]}/cancel", body=b"")
    assert answer.status == 202
    assert (answer.json["run_id"], answer.json["kind"], answer.json["outcome"]) == (run_id, "cancel", None)
    assert server.fetch("POST", f"runs/{run_id}/cancel", body={}).json == answer.json
    assert [request.id for request in seed.store.requests(process_id=seed.process_id)] == [answer.json["id"]]


def test_cancel_of_a_run_that_nobody_owns_is_done_at_once(server: Server, seed: Seed) -> None:
    run_id = seed.run("PENDING", owner=None)
    assert server.fetch("POST", f"runs/{run_id}/cancel", body=b"").status == 202
    assert server.get(f"runs/{run_id}")["state"]["type"] == "CANCELLED"


@pytest.mark.parametrize(("action", "state"), [("cancel", "COMPLETED"), ("retry", "COMPLETED"), ("retry", "RUNNING")])
def test_requests_that_come_too_late_or_too_early(server: Server, seed: Seed, action: str, state: str) -> None:
    answer = server.fetch("POST", f"runs/{seed.run(state)}/{action}", body=b"")
    assert (answer.status, answer.json["error"]) == (409, "RunFinished")


def test_retry_of_a_failed_run(server: Server, seed: Seed) -> None:
    answer = server.fetch("POST", f"runs/{seed.run('FAILED')}/retry", body={})
    assert (answer.status, answer.json["kind"]) == (202, "retry")


@dataclass
class FakeLaunch:
    """Notes what it is asked for, and writes a run as the launcher would."""

    seed: Seed
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, store: Store, settings: Any, path: Path, **more: Any) -> Run:
        self.calls.append({"path": path, "home": settings.home, **more})
        if "wrong" in more["parameters"]:
            raise ParameterError("wrong", "the notebook has no such parameter")
        if "full" in more["parameters"]:
            raise OSError(28, "No space left on device")
        return store.get_run(self.seed.run("PENDING", owner=None, name=path.stem, source=more["source"]))


@pytest.fixture
def launch(server: Server, seed: Seed, monkeypatch: pytest.MonkeyPatch) -> FakeLaunch:
    fake = FakeLaunch(seed)
    monkeypatch.setattr(server.backend, "launch", fake)
    (server.root / "folder").mkdir(exist_ok=True)
    (server.root / "folder" / "my notebook.ipynb").write_text(json.dumps({"cells": []}))
    return fake


def test_start_a_notebook(server: Server, launch: FakeLaunch) -> None:
    given = "folder/my notebook.ipynb"
    answer = server.fetch("POST", "runs", body={"notebook": given, "parameters": {"year": 2013}})
    assert answer.status == 201, answer.body
    assert answer.json["state"]["type"] == "PENDING"
    assert answer.headers["Location"] == server.url(f"runs/{answer.json['id']}")
    assert server.fetch("GET", "", target=answer.headers["Location"]).json == answer.json
    (call,) = launch.calls
    assert (call["path"], call["home"]) == (server.root / given, server.home)
    assert (call["parameters"], call["source"]) == ({"year": 2013}, {"notebook": given})
    assert call["process"].role == "server"


def test_a_wrong_parameter_is_422(server: Server, launch: FakeLaunch) -> None:
    body = {"notebook": "folder/my notebook.ipynb", "parameters": {"wrong": 1}}
    answer = server.fetch("POST", "runs", body=body)
    assert (answer.status, answer.json["error"]) == (422, "ParameterError")
    assert "wrong" in answer.json["message"]


def test_a_full_disk_is_503(server: Server, launch: FakeLaunch) -> None:
    answer = server.fetch("POST", "runs", body={"notebook": "folder/my notebook.ipynb", "parameters": {"full": 1}})
    assert (answer.status, answer.json["error"]) == (503, "StoreError")
    assert "No space left on device" in answer.json["message"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", 400),
        ("x" * 4091 + ".ipynb", 400),
        ("x" * 300 + ".ipynb", 404),
        ("../outside.ipynb", 400),
        ("folder/../folder/my notebook.ipynb", 400),
        ("./folder/my notebook.ipynb", 400),
        ("folder//my notebook.ipynb", 400),
        ("/etc/passwd.ipynb", 400),
        ("C:/a.ipynb", 400),
        ("c:a.ipynb", 400),
        ("~/a.ipynb", 404),
        ("..\\outside.ipynb", 404),
        ("folder/%2e%2e/a.ipynb", 404),
        ("folder/my notebook.ipynb\0", 400),
        ("folder/\nmy.ipynb", 400),
        ("folder/\u2028my.ipynb", 400),
        ("folder", 400),
        ("folder/notes.txt", 400),
        ("folder.ipynb", 400),
        ("missing.ipynb", 404),
        ("missing/missing.ipynb", 404),
        (".hidden.ipynb", 404),
        (".secret/a.ipynb", 404),
        ("link.ipynb", 404),
        ("linked/outside.ipynb", 404),
        ("dangling.ipynb", 404),
        ("to-hidden.ipynb", 404),
        ("pipe.ipynb", 400),
    ],
)
def test_paths_that_are_refused(server: Server, launch: FakeLaunch, outside: None, path: str, status: int) -> None:
    answer = server.fetch("POST", "runs", body={"notebook": path})
    assert answer.status == status, answer.body
    assert answer.json["error"] in ("InvalidRequest", "TargetError")
    assert launch.calls == []


@pytest.fixture(scope="module")
def outside(server: Server) -> None:
    """Things that lie about in and beside the root, for paths to try."""
    root = server.root
    other = root.parent / "root-too"
    for folder in (other, root / ".secret", root / "folder.ipynb", root / "folder"):
        folder.mkdir(exist_ok=True)
    for file in (
        root.parent / "outside.ipynb",
        other / "outside.ipynb",
        root / ".hidden.ipynb",
        root / ".secret/a.ipynb",
    ):
        file.write_text("{}")
    (root / "folder" / "notes.txt").write_text("")
    (root / "link.ipynb").symlink_to(other / "outside.ipynb")
    (root / "linked").symlink_to(other)
    (root / "dangling.ipynb").symlink_to(root / "nothing.ipynb")
    (root / "to-hidden.ipynb").symlink_to(root / ".hidden.ipynb")
    os.mkfifo(root / "pipe.ipynb")


def test_hidden_notebooks_where_the_server_shows_them(
    server: Server, launch: FakeLaunch, outside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = server.backend.root
    assert root is not None
    monkeypatch.setattr(server.backend, "root", type(root)(path=root.path, allow_hidden=True))
    assert server.fetch("POST", "runs", body={"notebook": ".secret/a.ipynb"}).status == 201


def test_a_link_that_stays_below_the_root(server: Server, launch: FakeLaunch) -> None:
    (server.root / "alias.ipynb").symlink_to("folder/my notebook.ipynb")
    assert server.fetch("POST", "runs", body={"notebook": "alias.ipynb"}).status == 201
    assert launch.calls[0]["path"] == server.root / "folder" / "my notebook.ipynb"


def test_a_server_whose_files_are_elsewhere(
    server: Server, launch: FakeLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.backend, "root", None)
    answer = server.fetch("POST", "runs", body={"notebook": "folder/my notebook.ipynb"})
    assert (answer.status, answer.json["error"]) == (400, "InvalidRequest")
