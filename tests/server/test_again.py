"""Resume, repair, rerun, results, snapshots and environments over REST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.making import code, printed, read_cells, write_notebook
from tests.server.harness import Answer, Seed, Server
from tests.waiting import until

FAILS = "from pathlib import Path\nassert Path('mended').exists()"
RETURN = "from jupyter_wf import wf_return\nwf_return({'day': day, 'rows': rows})"


@pytest.fixture
def folder(server: Server, request: pytest.FixtureRequest) -> Path:
    folder = server.root / request.node.name
    folder.mkdir()
    return folder


def ended(server: Server, answer: Answer) -> dict[str, Any]:
    """Return the run that an answer tells of, at its end."""
    assert answer.status in (201, 202), answer.body
    run_id, attempt = answer.json["id"], answer.json["attempt"]

    def look() -> Any:
        run = server.get(f"runs/{run_id}")
        return run["attempt"] == attempt and run["ended_at"] and run

    found: dict[str, Any] = until(look)
    return found


def write(folder: Path, *more: str) -> str:
    cells = ("%load_ext jupyter_wf", "%%task load\nrows = [1, 2]", f"%%task check\n{FAILS}", RETURN)
    write_notebook(folder / "n.ipynb", code("day = 1", "parameters"), *cells, *more)
    return f"{folder.name}/n.ipynb"


def test_a_run_is_resumed_repaired_and_run_again(server: Server, folder: Path) -> None:
    started = server.fetch("POST", "runs", body={"notebook": write(folder), "parameters": {"day": 2}})
    run = ended(server, started)
    address = f"runs/{run['id']}"
    assert (run["state"]["type"], run["can_resume"]) == ("FAILED", True)
    nothing = server.fetch("GET", f"{address}/result")
    assert (nothing.status, nothing.json["error"]) == (404, "TargetError")

    again = server.fetch("POST", f"{address}/resume", body=b"")
    assert again.status == 202 and (again.json["id"], again.json["attempt"]) == (run["id"], 2)
    assert ended(server, again)["state"]["type"] == "FAILED"

    (folder / "mended").touch()
    repaired = ended(server, server.fetch("POST", f"{address}/repair", body={"parameters": {"day": 3}}))
    assert (repaired["attempt"], repaired["state"]["type"], repaired["can_resume"]) == (3, "COMPLETED", False)
    states = {child["name"]: child["state"]["name"] for child in server.get(f"{address}/children")["items"]}
    assert (states["load"], states["check"]) == ("Resumed", "Completed")
    result = server.get(f"{address}/result")
    assert (result["is_json"], result["value"]) == (True, {"day": 3, "rows": [1, 2]})

    for action in ("resume", "repair"):
        done = server.fetch("POST", f"{address}/{action}", body=b"")
        assert (done.status, done.json["error"]) == (409, "RunFinished")

    rerun = server.fetch("POST", f"{address}/rerun", body={"from": "check", "parameters": {"day": 4}})
    assert rerun.status == 201 and rerun.headers["Location"].endswith(f"/api/runs/{rerun.json['id']}")
    assert server.fetch("GET", "", target=rerun.headers["Location"]).json["id"] == rerun.json["id"]
    new = ended(server, rerun)
    assert (new["attempt"], new["source"]["rerun_of"], new["state"]["type"]) == (1, run["id"], "COMPLETED")
    assert server.get(f"runs/{new['id']}/result")["value"]["day"] == 4


def test_the_notebook_as_it_was_and_what_was_installed(server: Server, folder: Path) -> None:
    path = write(folder)
    (folder / "mended").touch()
    before = (folder / "n.ipynb").read_bytes()
    run = ended(server, server.fetch("POST", "runs", body={"notebook": path}))
    (folder / "n.ipynb").unlink()
    copied = server.fetch("POST", f"runs/{run['id']}/notebook/copy", body={"what": "snapshot"})
    assert (copied.status, copied.json) == (201, {"path": f"{folder.name}/n-{run['id'][:8]}-snapshot.ipynb"})
    assert (server.root / copied.json["path"]).read_bytes() == before
    executed = server.fetch("POST", f"runs/{run['id']}/notebook/copy", body={"what": "executed"})
    assert executed.json == {"path": f"{folder.name}/n-{run['id'][:8]}.ipynb"}
    assert "'day': 1" in printed(read_cells(server.root / executed.json["path"])[4])

    made = server.get(f"runs/{run['id']}/environment")
    assert made["packages"]["ipykernel"] and made["python"] == run["source"]["environment"]["python"]
    assert len(json.dumps(run["source"])) < 2_000


def test_what_was_not_a_notebooks_run_is_refused(server: Server, seed: Seed) -> None:
    run_id = seed.run("FAILED")
    assert server.get(f"runs/{run_id}")["can_resume"] is False
    for action in ("resume", "repair", "rerun"):
        answer = server.fetch("POST", f"runs/{run_id}/{action}", body=b"")
        assert (answer.status, answer.json["error"]) == (404, "TargetError")
    for path in ("result", "environment"):
        assert server.fetch("GET", f"runs/{run_id}/{path}").status == 404
    snapshot = server.fetch("POST", f"runs/{run_id}/notebook/copy", body={"what": "snapshot"})
    assert (snapshot.status, snapshot.json["error"]) == (404, "TargetError")


@pytest.mark.parametrize("digest", ["../../etc/passwd", "a" * 64, "", 5])
def test_a_snapshot_is_nowhere_else(server: Server, seed: Seed, digest: object) -> None:
    run_id = seed.run("FAILED", source={"digest": digest, "path": "/n.ipynb", "executed": "/n.ipynb"})
    answer = server.fetch("POST", f"runs/{run_id}/notebook/copy", body={"what": "snapshot"})
    assert (answer.status, answer.json["error"]) == (404, "TargetError")


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("resume", {"from": "load"}),
        ("resume", {"parameters": []}),
        ("repair", {"parameters": {"a\u0007": 1}}),
        ("repair", {"parameters": {"x" * 201: 1}}),
        ("rerun", {"from": 5}),
        ("rerun", {"from": ""}),
        ("rerun", {"from": "a\nb"}),
        ("rerun", {"parameters": 1}),
        ("rerun", {"what": 1}),
        ("notebook/copy", {"what": "other"}),
        ("notebook/copy", {"what": ["executed"]}),
        ("notebook/copy", {"which": "executed"}),
    ],
)
def test_bodies_that_make_no_sense(server: Server, seed: Seed, action: str, body: dict[str, Any]) -> None:
    answer = server.fetch("POST", f"runs/{seed.run('FAILED')}/{action}", body=body)
    assert (answer.status, answer.json["error"]) == (400, "InvalidRequest")


def test_parameters_that_do_not_fit_are_refused(server: Server, folder: Path) -> None:
    run = ended(server, server.fetch("POST", "runs", body={"notebook": write(folder)}))
    for action in ("resume", "repair", "rerun"):
        answer = server.fetch("POST", f"runs/{run['id']}/{action}", body={"parameters": {"day": "soon"}})
        assert (answer.status, answer.json["error"]) == (422, "ParameterError")
    unknown = server.fetch("POST", f"runs/{run['id']}/rerun", body={"from": "nothing"})
    assert unknown.status == 400 and "it has load, check" in unknown.json["message"]
    assert server.get(f"runs/{run['id']}")["attempt"] == 1
