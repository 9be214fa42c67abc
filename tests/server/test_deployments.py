"""Deployments over REST: make, read, change, pause, run, delete, each against the real store and real notebooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.server.harness import Seed, Server

MORNING = {"cron": "0 6 * * 1-5", "timezone": "Europe/Oslo"}
PARAMETERS = "n: int = 5\nname: str = 'x'\napi_token: str = 'canary-of-the-notebook'\nday = date(2026, 1, 2)\n"


def write_notebook(path: Path, parameters: str | None = PARAMETERS, kernel: str = "python3") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = [nbformat.v4.new_code_cell("print(1)")]
    if parameters is not None:
        cells.insert(0, nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)


@pytest.fixture
def notebook(server: Server, request: pytest.FixtureRequest) -> str:
    """The contents path of a notebook of the test's own."""
    given = f"work/{request.node.name.partition('[')[0]}.ipynb"
    write_notebook(server.root / given)
    return given


@pytest.fixture(autouse=True)
def _cleared(server: Server) -> Iterator[None]:
    yield
    for item in server.get("deployments")["items"]:
        assert server.fetch("DELETE", f"deployments/{item['deployment']['id']}").status == 204


def send(server: Server, method: str, path: str, body: Any, status: int) -> Any:
    answer = server.fetch(method, path, body=body)
    assert answer.status == status, answer.body
    return answer.json


def make(server: Server, notebook: str, **more: Any) -> Any:
    return send(server, "POST", "deployments", {"name": "nightly", "path": notebook, **more}, 201)


def stored(seed: Seed, made: Any) -> Any:
    return seed.store.deployments.get(made["id"])


def fields(answer: Any) -> dict[str, str]:
    assert set(answer) == {"error", "message", "errors"}
    assert answer["error"] == "FormRefused"
    return {each["field"]: each["message"] for each in answer["errors"]}


def test_make_read_and_delete(server: Server, seed: Seed, notebook: str) -> None:
    answer = server.fetch(
        "POST",
        "deployments",
        body={
            "name": "nightly",
            "path": notebook,
            "parameters": {"n": 7},
            "pool": "big",
            "tags": ["sales"],
            "description": "Every morning",
            "priority": 3,
            "policies": {"missed": "all", "timeout": "15m", "keep_last": 5},
            "schedules": [{"spec": MORNING, "slug": "morning", "jitter": 30}],
        },
    )
    assert answer.status == 201, answer.body
    made = answer.json
    assert answer.headers["Location"] == server.url(f"deployments/{made['id']}")
    stem = Path(notebook).stem
    assert (made["address"], made["path"], made["kind"]) == (f"{stem}/nightly", notebook, "notebook")
    assert (made["pool"], made["tags"], made["priority"]) == ("big", ["sales"], 3)
    assert (made["policies"]["timeout"], made["policies"]["overlap"]) == (900.0, "queue")
    [schedule] = made["schedules"]
    assert schedule["words"] == "At 06:00, Monday through Friday"
    assert schedule["spec"] == MORNING
    assert len(schedule["next"]) == 5
    assert all(each[10:19] == "T06:00:00" and each[19:] in ("+01:00", "+02:00") for each in schedule["next"])
    assert made["next_slot"] == schedule["next_slot"]
    detail = server.get(f"deployments/{made['id']}")
    assert (detail["deployment"], detail["last_runs"]) == (made, [])
    for name in ("nightly", f"{stem}%2Fnightly", made["id"][:8]):
        assert server.get(f"deployments/{name}")["deployment"]["id"] == made["id"]
    page = server.get("deployments")
    assert [item["deployment"]["id"] for item in page["items"]] == [made["id"]]
    assert (page["agents"], page["scheduler"]) == (0, False)
    assert stored(seed, made).target == str(server.root / notebook)
    assert server.fetch("DELETE", f"deployments/{made['id']}").status == 204
    assert server.fetch("GET", f"deployments/{made['id']}").json["error"] == "DeploymentNotFound"


def test_the_list_is_narrowed_down(server: Server, notebook: str) -> None:
    other = "work/other.ipynb"
    write_notebook(server.root / other, None)
    first = make(server, notebook)
    second = make(server, other, name="Weekly", pool="big")
    for query, wanted in (
        ({"path": notebook}, [first]),
        ({"pool": "big"}, [second]),
        ({"text": "WEEK"}, [second]),
        ({"text": "nothing"}, []),
    ):
        items = server.fetch("GET", "deployments", query=query).json["items"]
        found = [item["deployment"]["id"] for item in items]
        assert found == [each["id"] for each in wanted], query


def test_one_address_is_taken_once(server: Server, notebook: str) -> None:
    made = make(server, notebook)
    answer = send(server, "POST", "deployments", {"name": "nightly", "path": notebook}, 409)
    assert answer["error"] == "DeploymentExists"
    other = make(server, notebook, name="other")
    assert send(server, "PATCH", f"deployments/{other['id']}", {"name": "nightly"}, 409)["error"] == "DeploymentExists"
    assert server.get(f"deployments/{made['id']}")["deployment"] == made


def test_a_change_keeps_what_is_not_given(server: Server, seed: Seed, notebook: str) -> None:
    made = make(server, notebook, parameters={"n": 7}, schedules=[{"spec": MORNING}], policies={"retries": 2})
    at = f"deployments/{made['id']}"
    changed = send(server, "PATCH", at, {"description": "new", "policies": {"keep_days": 3}}, 200)
    expected = {**made, "description": "new", "updated_at": changed["updated_at"]}
    expected["policies"] = {**made["policies"], "keep_days": 3.0}
    assert changed == expected
    renamed = send(server, "PATCH", at, {"name": "renamed", "paused": True}, 200)
    assert (renamed["id"], renamed["name"], renamed["paused"]) == (made["id"], "renamed", True)
    assert renamed["next_slot"] is None
    back = send(server, "PATCH", at, {"paused": False, "schedules": []}, 200)
    assert (back["paused"], back["schedules"], back["parameters"]) == (False, [], {"n": 7})
    assert stored(seed, made).parameters == {"n": 7}


def test_secrets_never_go_out_and_stay_when_they_come_back_masked(server: Server, seed: Seed, notebook: str) -> None:
    secret = "canary-7f3a"
    made = make(
        server,
        notebook,
        parameters={"api_token": secret},
        schedules=[{"spec": MORNING, "parameters": {"api_token": f"{secret}-2"}}],
    )
    at = f"deployments/{made['id']}"
    assert made["parameters"] == made["schedules"][0]["parameters"] == {"api_token": "***"}
    changed = send(
        server, "PATCH", at, {"parameters": {**made["parameters"], "n": 1}, "schedules": made_back(made)}, 200
    )
    now = stored(seed, made)
    assert now.parameters == {"api_token": secret, "n": 1}
    assert now.schedules[0].parameters == {"api_token": f"{secret}-2"}
    run = send(server, "POST", f"{at}/runs", {"parameters": {"api_token": "***"}}, 201)
    queued = seed.store.queue.get(run["id"])
    assert queued is not None
    assert queued.parameters["api_token"] == secret
    said = json.dumps([made, changed, run, server.get("deployments"), server.get(at), server.get("runs")])
    assert "canary" not in said
    new = {"name": "new", "path": notebook, "parameters": {"api_token": "***"}}
    assert "parameters.api_token" in fields(send(server, "POST", "deployments", new, 422))


def made_back(made: Any) -> list[Any]:
    keys = ("id", "slug", "spec", "parameters", "active", "start_at", "end_at", "max_runs", "jitter")
    return [{key: each[key] for key in keys} for each in made["schedules"]]


def test_what_is_sent_back_as_it_was_shown_changes_nothing(server: Server, seed: Seed, notebook: str) -> None:
    made = make(server, notebook, schedules=[{"spec": MORNING, "max_runs": 9}, {"spec": {"interval": 900}}])
    before = stored(seed, made)
    keys = ("name", "parameters", "pool", "tags", "description", "priority", "kernel", "policies", "paused")
    body = {key: made[key] for key in keys} | {"schedules": made_back(made)}
    changed = send(server, "PATCH", f"deployments/{made['id']}", body, 200)
    assert {**changed, "updated_at": ""} == {**made, "updated_at": ""}
    assert stored(seed, made).schedules == before.schedules


def test_pause_and_unpause(server: Server, notebook: str) -> None:
    at = f"deployments/{make(server, notebook, schedules=[{'spec': MORNING}])['id']}"
    paused = send(server, "POST", f"{at}/pause", {"reason": "the  machine\nis moved"}, 200)
    assert (paused["paused"], paused["paused_reason"]) == (True, "the machine is moved")
    assert paused["next_slot"] is None
    back = server.fetch("POST", f"{at}/unpause", body=b"").json
    assert (back["paused"], back["paused_reason"]) == (False, None)
    assert back["next_slot"] == back["schedules"][0]["next_slot"]


def test_run_now(server: Server, seed: Seed, notebook: str) -> None:
    made = make(server, notebook, parameters={"n": 7, "name": "deployed"})
    answer = server.fetch("POST", f"deployments/{made['id']}/runs", body={"parameters": {"n": 9}})
    assert answer.status == 201, answer.body
    run = answer.json
    assert answer.headers["Location"] == server.url(f"runs/{run['id']}")
    assert (run["state"]["type"], run["flow_name"]) == ("SCHEDULED", made["flow_name"])
    assert run["source"]["deployment"] == made["address"]
    queued = seed.store.queue.get(run["id"])
    assert queued is not None
    assert (queued.parameters, queued.priority) == ({"n": 9, "name": "deployed"}, 100)
    assert [each["id"] for each in server.get(f"deployments/{made['id']}")["last_runs"]] == [run["id"]]
    refused = send(server, "POST", f"deployments/{made['id']}/runs", {"parameters": {"n": "nine", "m": 1}}, 422)
    assert set(fields(refused)) == {"parameters.n", "parameters.m"}


def test_a_pinned_notebook_stays_as_it_was(server: Server, seed: Seed, notebook: str) -> None:
    made = make(server, notebook, policies={"snapshot": "pinned"})
    digest = stored(seed, made).digest
    assert digest is not None
    write_notebook(server.root / notebook, "other: int = 1")
    changed = send(server, "PATCH", f"deployments/{made['id']}", {"parameters": {"n": 2}}, 200)
    assert stored(seed, changed).digest == digest
    send(server, "PATCH", f"deployments/{made['id']}", {"parameters": {"other": 2}}, 422)
    anew = send(server, "PATCH", f"deployments/{made['id']}", {"path": notebook, "parameters": {"other": 2}}, 200)
    assert stored(seed, anew).digest != digest
    (server.root / notebook).unlink()
    assert send(server, "PATCH", f"deployments/{made['id']}", {"priority": 4}, 200)["priority"] == 4


BAD: list[tuple[dict[str, Any], set[str]]] = [
    ({"name": ""}, {"name"}),
    ({"name": "a/b"}, {"name"}),
    ({"name": 7}, {"name"}),
    ({"name": "x" * 251}, {"name"}),
    ({"path": 7}, {"path"}),
    ({"path": "/etc/passwd.ipynb"}, {"path"}),
    ({"path": "../outside.ipynb"}, {"path"}),
    ({"path": "work/../../x.ipynb"}, {"path"}),
    ({"path": "work"}, {"path"}),
    ({"colour": "red", "target": "x"}, {"colour", "target"}),
    ({"parameters": []}, {"parameters"}),
    ({"parameters": {"m": 1}}, {"parameters.m"}),
    ({"parameters": {"n": "seven", "name": 3}}, {"parameters.n", "parameters.name"}),
    ({"pool": ""}, {"pool"}),
    ({"tags": "sales"}, {"tags"}),
    ({"tags": ["a/b"]}, {"tags"}),
    ({"description": 5}, {"description"}),
    ({"priority": 1.5}, {"priority"}),
    ({"kernel": "no-such-kernel"}, {"kernel"}),
    ({"kernel": "../x"}, {"kernel"}),
    ({"paused": "yes"}, {"paused"}),
    ({"policies": []}, {"policies"}),
    ({"policies": {"speed": 1}}, {"policies"}),
    ({"policies": {"missed": "some", "retries": -1}}, {"policies.missed", "policies.retries"}),
    ({"policies": {"timeout": "soon"}}, {"policies.timeout"}),
    ({"policies": {"output": "../../x.ipynb"}}, {"policies.output"}),
    ({"schedules": {}}, {"schedules"}),
    ({"schedules": [5]}, {"schedules.0.schedules"}),
    ({"schedules": [{"spec": {"cron": "* * *"}}]}, {"schedules.0.cron"}),
    ({"schedules": [{"spec": MORNING}, {"spec": {"cron": "0 6 * *", "timezone": "Oslo"}}]}, {"schedules.1.cron"}),
    ({"schedules": [{"spec": {"cron": "0 6 * * *", "timezone": "Europe/Osol"}}]}, {"schedules.0.timezone"}),
    ({"schedules": [{"spec": {"interval": 0}}, {"spec": {"at": "x"}}]}, {"schedules.0.interval", "schedules.1.at"}),
    ({"schedules": [{"spec": MORNING, "jitter": -1, "max_runs": 0}]}, {"schedules.0.jitter", "schedules.0.max_runs"}),
    ({"schedules": [{"spec": MORNING, "id": "x"}]}, {"schedules.0.id"}),
    ({"schedules": [{"spec": MORNING, "parameters": {"m": 1}}]}, {"parameters.m"}),
    ({"name": "", "pool": "", "schedules": [{"spec": {}}]}, {"name", "pool", "schedules.0.spec"}),
]


@pytest.mark.parametrize(("wrong", "where"), BAD, ids=[json.dumps(wrong)[:60] for wrong, _ in BAD])
def test_what_can_not_be_is_refused_field_by_field(
    server: Server, notebook: str, wrong: dict[str, Any], where: set[str]
) -> None:
    found = fields(send(server, "POST", "deployments", {"name": "nightly", "path": notebook, **wrong}, 422))
    assert set(found) >= where
    assert set(found) - where <= {"schedules.1.timezone"}
    assert all(message[:1] == message[:1].upper() and message for message in found.values())
    assert server.get("deployments")["items"] == []


def test_a_refused_change_changes_nothing(server: Server, notebook: str) -> None:
    made = make(server, notebook, schedules=[{"spec": MORNING}])
    at = f"deployments/{made['id']}"
    for body in ({"paused": True, "pool": ""}, {"name": "other", "parameters": {"m": 1}}, {"paused": "no"}):
        send(server, "PATCH", at, body, 422)
    assert server.get(at)["deployment"] == made


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "deployments/none", None, 404),
        ("PATCH", "deployments/none", {}, 404),
        ("DELETE", "deployments/none", None, 404),
        ("POST", "deployments/none/pause", {}, 404),
        ("POST", "deployments/none/unpause", {}, 404),
        ("POST", "deployments/none/runs", {}, 404),
        ("POST", "deployments/none/schedules", {"spec": MORNING}, 404),
        ("PATCH", "schedules/none", {"active": False}, 404),
        ("DELETE", "schedules/none", None, 404),
        ("POST", "deployments", {"name": "x", "path": "work/none.ipynb"}, 404),
        ("POST", "deployments", {"name": "x"}, 422),
        ("GET", "deployments?limit=3", None, 400),
        ("GET", "deployments?path=../x.ipynb", None, 400),
        ("POST", "deployments", [], 400),
        ("POST", "deployments/%00/runs", {}, 404),
        ("GET", "notebooks/form", None, 400),
        ("GET", "notebooks/form?path=work/none.ipynb", None, 404),
        ("GET", "notebooks/form?path=../x.ipynb", None, 400),
        ("GET", "notebooks/form?path=/etc/hosts.ipynb", None, 400),
        ("PUT", "pools/a%2Fb", {}, 400),
        ("PUT", "pools/x", {"limit": -1}, 422),
        ("PUT", "pools/x", {"size": 1}, 422),
        ("DELETE", "pools/none", None, 404),
    ],
)
def test_what_is_not_there(server: Server, method: str, path: str, body: Any, status: int) -> None:
    answer = server.fetch(method, "", target=server.url(path), body=body)
    assert answer.status == status, answer.body
    assert {"error", "message"} <= set(answer.json)


def test_schedules_of_their_own(server: Server, seed: Seed, notebook: str) -> None:
    made = make(server, notebook)
    at = f"deployments/{made['id']}/schedules"
    answer = server.fetch("POST", at, body={"spec": MORNING, "slug": "morning", "parameters": {"n": 1}})
    assert answer.status == 201, answer.body
    [first] = answer.json["schedules"]
    where = f"schedules/{first['id']}"
    assert answer.headers["Location"] == server.url(where)
    off = send(server, "PATCH", where, {"active": False}, 200)["schedules"][0]
    assert {**off, "active": True, "next_slot": ""} == {**first, "next_slot": ""}
    other = {"spec": {"interval": 900, "timezone": "Asia/Tokyo"}, "active": True, "max_runs": 3}
    changed = send(server, "PATCH", where, other, 200)["schedules"][0]
    assert (changed["id"], changed["slug"], changed["words"]) == (first["id"], "morning", "Every 15 minutes")
    assert (changed["timezone"], changed["max_runs"], len(changed["next"])) == ("Asia/Tokyo", 3, 3)
    send(server, "POST", at, {"spec": MORNING}, 201)
    assert len(stored(seed, made).schedules) == 2
    assert "cron" in fields(send(server, "PATCH", where, {"spec": {"cron": "x"}}, 422))
    assert "parameters.m" in fields(send(server, "POST", at, {"spec": MORNING, "parameters": {"m": 1}}, 422))
    assert "id" in fields(send(server, "POST", at, {"spec": MORNING, "id": first["id"]}, 422))
    assert server.fetch("DELETE", where).status == 204
    assert [each.id for each in stored(seed, made).schedules] != [first["id"]]
    assert len(stored(seed, made).schedules) == 1


def test_a_preview_says_words_and_times(server: Server) -> None:
    told = send(server, "POST", "schedules/preview", {"spec": MORNING, "count": 3}, 200)
    assert (told["ok"], told["words"], told["errors"]) == (True, "At 06:00, Monday through Friday", [])
    assert (told["timezone"], len(told["next"])) == ("Europe/Oslo", 3)
    bounds = {"start_at": "2126-12-01T00:00", "end_at": "2126-12-03T00:00"}
    spec = {"cron": "0 6 * * *", "timezone": "Europe/Oslo"}
    told = send(server, "POST", "schedules/preview", {"spec": spec, **bounds}, 200)
    assert told["next"] == ["2126-12-01T06:00:00+01:00", "2126-12-02T06:00:00+01:00"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, {"spec"}),
        ({"spec": 5}, {"spec"}),
        ({"spec": {"cron": "0 6 * *"}}, {"cron"}),
        ({"spec": {"cron": "0 6 * *", "timezone": "Nowhere"}}, {"cron", "timezone"}),
        ({"spec": {"cron": "0 0 30 2 *"}}, {"cron"}),
        ({"spec": {"at": "2001-01-01T00:00"}}, {"at"}),
        ({"spec": {"rrule": "FREQ=SECONDLY"}}, {"rrule"}),
        ({"spec": MORNING, "start_at": "x", "end_at": "y"}, {"start_at", "end_at"}),
        ({"spec": {**MORNING, "colour": 1}}, {"colour"}),
    ],
    ids=["nothing", "a number", "four fields", "two faults", "never", "past", "seconds", "bounds", "a key"],
)
def test_a_preview_says_what_is_wrong_while_it_is_typed(server: Server, body: Any, where: set[str]) -> None:
    told = send(server, "POST", "schedules/preview", body, 200)
    assert (told["ok"], told["words"], told["next"]) == (False, "", [])
    assert {each["field"] for each in told["errors"]} == where
    assert all(each["message"] for each in told["errors"])


@pytest.mark.parametrize(
    "body",
    [{"count": 0, "spec": MORNING}, {"count": True}, {"count": 101}, {"when": 1}],
    ids=["none", "a flag", "many", "a key"],
)
def test_a_preview_is_asked_for_in_its_form(server: Server, body: Any) -> None:
    fields(send(server, "POST", "schedules/preview", body, 422))


def test_a_form_is_checked_while_it_is_typed_and_nothing_is_stored(server: Server, notebook: str) -> None:
    form = {"path": notebook, "policies": {"snapshot": "pinned"}, "schedules": [{"spec": MORNING}]}
    assert send(server, "POST", "schedules/check", {"name": "nightly", **form}, 200) == {"errors": []}
    assert server.get("deployments")["items"] == []
    wrong = {"name": "a/b", "parameters": {"n": "x"}, "policies": {"output": "../x.ipynb"}, "colour": 1}
    told = send(server, "POST", "schedules/check", {**form, **wrong}, 200)
    assert {each["field"] for each in told["errors"]} == {"colour"}
    del wrong["colour"]
    told = send(server, "POST", "schedules/check", {**form, **wrong}, 200)
    assert {each["field"] for each in told["errors"]} == {"name", "parameters.n", "policies.output"}


def test_changes_are_checked_and_nothing_is_changed(server: Server, notebook: str) -> None:
    made = make(server, notebook, parameters={"api_token": "kept"})
    query = {"deployment": made["id"]}
    for changes, where in (
        ({"parameters": {"api_token": "***"}}, set()),
        ({"policies": {"retries": -1}}, {"policies.retries"}),
    ):
        answer = server.fetch("POST", "schedules/check", query=query, body=changes)
        assert answer.status == 200
        assert {each["field"] for each in answer.json["errors"]} == where
    assert server.get(f"deployments/{made['id']}")["deployment"] == made
    assert server.fetch("POST", "schedules/check", query={"deployment": "gone"}, body={}).status == 404


def test_the_form_of_a_notebook(server: Server, notebook: str) -> None:
    make(server, notebook)
    form = server.fetch("GET", "notebooks/form", query={"path": notebook}).json
    assert form["schema"] == {
        "type": "object",
        "properties": {
            "n": {"title": "n", "type": "integer"},
            "name": {"title": "name", "type": "string"},
            "api_token": {"title": "api_token", "type": "string", "format": "password", "writeOnly": True},
            "day": {"title": "day", "type": "string", "format": "date"},
        },
        "required": [],
        "additionalProperties": False,
    }
    assert form["defaults"] == {"n": 5, "name": "x"}
    assert (form["path"], form["deployments"], form["problems"]) == (notebook, ["nightly"], [])
    assert form["kernel"] == "python3"
    assert {"name", "display_name", "language"} == set(form["kernels"][0])
    assert {"UTC", "Europe/Oslo"} <= set(form["timezones"])
    assert form["timezone"] in form["timezones"]
    assert not any(name.startswith(("posix/", "right/")) for name in form["timezones"])
    assert "canary" not in json.dumps(form)


def test_a_form_tells_what_is_wrong_with_the_notebook(server: Server, notebook: str) -> None:
    write_notebook(server.root / notebook, "x = = 1", kernel="gone")
    form = server.fetch("GET", "notebooks/form", query={"path": notebook}).json
    assert (form["schema"]["properties"], form["defaults"]) == ({}, {})
    assert len(form["problems"]) == 2
    assert "can't be parsed" in form["problems"][0]
    assert "'gone'" in form["problems"][1]


def test_pools_and_agents(server: Server, notebook: str) -> None:
    make(server, notebook, pool="big")
    assert "big" in [each["name"] for each in server.get("pools")["items"]]
    put = send(server, "PUT", "pools/big", {"limit": 2, "paused": True, "description": "the large machine"}, 200)
    assert (put["limit"], put["paused"], put["description"]) == (2, True, "the large machine")
    assert put in server.get("pools")["items"]
    assert send(server, "PUT", "pools/big", {}, 200) == {**put, "limit": None, "paused": False, "description": ""}
    assert server.fetch("DELETE", "pools/big").status == 204
    assert server.fetch("DELETE", "pools/big").status == 404
    assert server.get("agents") == {"items": []}
