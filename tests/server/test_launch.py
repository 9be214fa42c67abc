"""From a POST to the executed notebook, with nothing in between left out."""

from __future__ import annotations

import nbformat
import pytest

from tests.server.harness import Server

PARAMETERS = "year = 2013\nplace: str = 'Seattle'"
BODY = "print(place, year + 1)"


@pytest.fixture(scope="module")
def notebook(server: Server) -> str:
    cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(BODY),
    ]
    folder = server.root / "work"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "report.ipynb")
    return "work/report.ipynb"


def test_a_notebook_runs_and_is_watched_to_its_end(server: Server, notebook: str) -> None:
    with server.listen() as listener:
        listener.next()
        answer = server.fetch("POST", "runs", body={"notebook": notebook, "parameters": {"year": 1999}})
        assert answer.status == 201, answer.body
        run_id = answer.json["id"]
        listener.socket.settimeout(60)
        listener.until(lambda: listener.runs.get(run_id, {}).get("ended_at"))
    run = server.get(f"runs/{run_id}")
    assert listener.runs[run_id] == run
    assert (run["state"]["type"], run["flow_name"]) == ("COMPLETED", "report"), run
    assert run["parameters"]["year"] == 1999
    assert run["source"]["notebook"] == notebook
    assert run["source"]["executed_path"] is None
    # The given parameters are a cell of their own.
    assert [child["kind"] for child in server.get(f"runs/{run_id}/children")["items"]] == ["cell"] * 3

    executed = nbformat.reads(server.fetch("GET", f"runs/{run_id}/notebook").body.decode(), as_version=4)
    assert "Seattle 2000" in "".join(output.text for cell in executed.cells for output in cell.get("outputs", []))

    copied = server.fetch("POST", f"runs/{run_id}/notebook/copy", body={})
    assert (copied.status, copied.json) == (201, {"path": f"work/report-{run_id[:8]}.ipynb"})
    contents = server.fetch("GET", "", target=f"/base/api/contents/{copied.json['path']}")
    assert [cell["source"] for cell in contents.json["content"]["cells"]] == [cell.source for cell in executed.cells]


@pytest.mark.parametrize("parameters", [{"month": 1}, {"year": "soon"}, {"place": 7}])
def test_wrong_parameters_start_nothing(server: Server, notebook: str, parameters: dict[str, object]) -> None:
    before = server.get("meta")["seq"]
    answer = server.fetch("POST", "runs", body={"notebook": notebook, "parameters": parameters})
    assert (answer.status, answer.json["error"]) == (422, "ParameterError")
    assert next(iter(parameters)) in answer.json["message"]
    assert server.get("meta")["seq"] == before


def test_what_is_no_notebook_starts_nothing(server: Server) -> None:
    (server.root / "broken.ipynb").write_text("not JSON")
    answer = server.fetch("POST", "runs", body={"notebook": "broken.ipynb"})
    assert (answer.status, answer.json["error"]) == (404, "TargetError")
