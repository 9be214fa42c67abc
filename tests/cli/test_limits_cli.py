"""``limits``, ``variables`` and ``artifacts``: looking at what runs share and make, and changing it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from jupyter_wf.artifacts import create_link_artifact, create_markdown_artifact
from jupyter_wf.concurrency import concurrency
from jupyter_wf.engine.runtime import Runtime, set_runtime
from jupyter_wf.flows import flow
from jupyter_wf.tasks import task
from jupyter_wf.variables import Variable

Wf = Callable[..., tuple[int, str, str]]


def test_limits_are_made_listed_changed_and_removed(wf: Wf, runtime: Runtime) -> None:
    assert wf("limits") == (0, "no limits; 'jupyter wf limits set NAME SLOTS' makes one\n", "")
    assert wf("limits", "set", "db", "3")[:2] == (0, "db: 3 slots\n")
    assert wf("limits", "set", "api", "10", "--decay", "0.5")[1] == "api: 10 slots, 0.5 come back each second\n"
    set_runtime(runtime)
    with concurrency("db", occupy=2):
        lines = [line.split() for line in wf("limits")[1].splitlines()]
        assert lines[0] == ["name", "slots", "taken", "back", "per", "second", "active"]
        assert lines[1:] == [["api", "10", "0", "0.5", "yes"], ["db", "3", "2", "yes"]]
    assert wf("limits", "set", "db", "0", "--inactive")[1] == "db: 0 slots, not active\n"
    assert json.loads(wf("limits", "--json")[1]) == [
        {"name": "api", "slots": 10, "decay": 0.5, "active": True, "taken": 0.0},
        {"name": "db", "slots": 0, "decay": 0.0, "active": False, "taken": 0.0},
    ]
    assert wf("limits", "remove", "db")[:2] == (0, "removed db\n")
    assert [limit.name for limit in runtime.store.limits.list()] == ["api"]


def test_variables_are_set_read_listed_and_removed(wf: Wf, runtime: Runtime) -> None:
    assert wf("variables")[:2] == (0, "no variables; 'jupyter wf variables set NAME VALUE' makes one\n")
    assert wf("variables", "set", "config", '{"rows": [1, 2]}', "--tag", "b", "--tag", "a")[:2] == (0, "set config\n")
    assert wf("variables", "set", "plain", "not json\x1b[31m")[0] == wf("variables", "set", "odd", "NaN")[0] == 0
    set_runtime(runtime)
    assert Variable.get("config") == {"rows": [1, 2]}
    assert (Variable.get("plain"), Variable.get("odd")) == ("not json\x1b[31m", "NaN")
    assert wf("variables", "get", "config")[1] == '{"rows": [1, 2]}\n'
    listed = wf("variables")[1]
    assert listed == wf("variables", "list")[1] and "\x1b" not in listed
    assert re.split(" {2,}", listed.splitlines()[1])[:3] == ["config", '{"rows": [1, 2]}', "b, a"]
    found = json.loads(wf("variables", "--json")[1])
    assert found == json.loads(wf("variables", "list", "--json")[1])
    assert [each["name"] for each in found] == ["config", "odd", "plain"] and found[0]["tags"] == ["b", "a"]
    assert wf("variables", "set", "config", "2", "--overwrite")[0] == 0
    assert wf("variables", "unset", "odd")[:2] == (0, "removed odd\n")
    assert (Variable.get("config"), Variable.get("odd")) == (2, None)


def test_artifacts_of_a_run_and_what_is_below_it(wf: Wf, runtime: Runtime) -> None:
    @task
    def child() -> None:
        create_link_artifact("https://example.org", key="see-this")

    @flow
    def main() -> None:
        create_markdown_artifact("# It is\x1b[31m **done**")
        child()

    @flow
    def silent() -> None: ...

    set_runtime(runtime)
    main()
    silent()
    second, first = (run.id for run in runtime.store.list_runs(limit=3).items if run.kind == "flow")
    code, out, err = wf("artifacts", first[:8])
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 3) and "\x1b" not in out
    assert lines[0].split() == ["id", "type", "key", "updated", "run", "data"]
    assert "markdown" in lines[1] and "main · " in lines[1] and "**done**" in lines[1]
    assert "see-this" in lines[2] and "child-0" in lines[2] and "https://example.org" in lines[2]
    found = json.loads(wf("artifacts", first, "--json")[1])
    assert [each["type"] for each in found] == ["markdown", "link"]
    assert found[0]["data"] == "# It is\x1b[31m **done**" and found[0]["run_id"] == first
    assert wf("artifacts", second)[1].endswith("has no artifacts\n")
    assert json.loads(wf("artifacts", second, "--json")[1]) == []


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["limits", "remove", "db"], "there is no limit of this name"),
        (["limits", "set", "db"], "Missing argument 'SLOTS'"),
        (["limits", "set", "db", "many"], "'many' is not a valid integer"),
        (["limits", "set", "db", "--", "-1"], "-1 is not in the range"),
        (["limits", "set", "db", "1", "--decay", "x"], "'x' is not a valid float"),
        (["limits", "set", "db", "1", "--decay", "-1"], "decay"),
        (["limits", "set", "", "1"], "name"),
        (["limits", "--json", "set", "db", "1"], "--json is for the list"),
        (["limits", "frob"], "No such command 'frob'"),
        (["variables", "get", "a"], "there is no variable of this name"),
        (["variables", "get", "A b"], "lower-case"),
        (["variables", "unset", "a"], "there is no variable of this name"),
        (["variables", "set", "Big", "1"], "lower-case"),
        (["variables", "set", "taken", "2"], "there is one already; --overwrite"),
        (["variables", "--json", "unset", "a"], "--json is for the list"),
        (["artifacts", "ffff"], "no run has the id"),
        (["artifacts"], "Missing argument 'RUN'"),
        (["task", "frob"], "No such command 'frob'"),
    ],
)
def test_wrong_usage(wf: Wf, runtime: Runtime, args: list[str], why: str) -> None:
    runtime.store.variables.set("taken", 1)
    code, out, err = wf(*args)
    assert (code, out) == (2, "")
    assert why in err and err.count("\n") == 1


def test_the_commands_are_in_the_overview(wf: Wf) -> None:
    code, out, _ = wf("--help")
    assert code == 0
    assert {line.split()[0] for line in out.split("Commands:")[1].splitlines() if line.startswith("  ")} >= {
        *("run", "resume", "runs", "show", "logs", "cancel", "artifacts", "task", "limits", "variables")
    }
