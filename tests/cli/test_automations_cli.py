"""``automations`` and ``triggers`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jupyter_wf.core.deployments import Deployment, Policies
from jupyter_wf.engine.runtime import Runtime
from tests.notebook.making import code, write_notebook
from tests.services.sinks import sink

Wf = Callable[..., tuple[int, str, str]]
CANARY = "canary-e2e2e2"


def save(runtime: Runtime, name: str) -> Deployment:
    return runtime.store.deployments.save(
        Deployment(
            id="", name=name, flow_name="etl", kind="flow", target="x.py:etl", parameters={}, policies=Policies()
        )
    )


def test_automations_are_added_listed_switched_and_removed(wf: Wf, runtime: Runtime) -> None:
    assert wf("automations")[:2] == (
        0,
        "no automations; 'jupyter wf automations add NAME --on failed --notify' makes one\n",
    )
    save(runtime, "daily")
    code, out, err = wf(
        *("automations", "add", "alert", "--on", "FAILED,crashed", "--on", "deadline", "--flow", "etl", "--tag", "db"),
        *(
            "--notify",
            "--webhook",
            f"https://x/{CANARY}",
            "--signing-secret",
            CANARY,
            "--send",
            f"mailtos://{CANARY}@x",
        ),
        *("--run", "etl/daily", "-p", "n=3", "-p", "s=x", "--result-as", "r", "--pause", "--cancel"),
    )
    assert (code, err) == (0, "") and out.startswith("added alert (")
    (found,) = runtime.store.automations.list()
    assert found.when == ("FAILED", "crashed", "deadline") and found.filters.flows == ("etl",)
    whole = runtime.store.automations.whole(found.id).actions
    assert [each.type for each in whole] == [
        *("send-notification", "call-webhook", "send-message", "run-deployment", "pause-deployment"),
        "cancel-flow-run",
    ]
    assert whole[1].options == {"url": f"https://x/{CANARY}", "secret": CANARY}
    assert whole[3].options == {"deployment": "etl/daily", "parameters": {"n": 3, "s": "x"}, "result_as": "r"}
    listed = wf("automations")[1]
    assert "etl, tag:db" in listed and "call-webhook https://***" in listed and "FAILED, crashed, deadline" in listed
    (encoded,) = json.loads(wf("automations", "list", "--json")[1])
    assert encoded == json.loads(wf("automations", "show", "alert")[1]) == json.loads(wf("automations", "--json")[1])[0]
    assert CANARY not in listed + json.dumps(encoded) and encoded["enabled"] is True
    assert wf("automations", "disable", "alert")[1].startswith("disabled alert")
    assert json.loads(wf("automations", "enable", found.id[:8], "--json")[1])["enabled"] is True
    assert runtime.store.automations.whole(found.id).actions == whole
    assert wf("automations", "deliveries", "alert")[1] == "it has had nothing to do yet\n"
    assert json.loads(wf("automations", "deliveries", "alert", "--json")[1]) == []
    assert wf("automations", "remove", "alert")[1] == "removed alert\n" and runtime.store.automations.list() == []


def test_what_may_be_a_slip_is_said(wf: Wf, runtime: Runtime) -> None:
    code, out, err = wf("automations", "add", "a", "--on", "faild", "--on", "TimedOut", "--run", "etl/nobody")
    assert code == 0 and out.startswith("added a (")
    assert err.splitlines() == [
        "'faild' is no state but one that a flow names so itself; did you mean 'failed'?",
        "there is no deployment 'etl/nobody'; 'jupyter wf deployments' lists them; until then it can't be done",
    ]
    save(runtime, "daily")
    save(runtime, "other")
    code, _, err = wf("triggers", "add", "daily", "--after-deployment", "other", "--on", "compleeted")
    assert code == 0 and err.startswith("'compleeted' is no state") and "did you mean 'completed'?" in err


def test_a_trigger_gives_a_parameter_that_there_is(wf: Wf, runtime: Runtime, tmp_path: Path) -> None:
    notebook = write_notebook(
        tmp_path / "report.ipynb",
        code("rows: int = 3\nbody: dict[str, int] = {}\npaths: list[str] = []\nfree = None", "parameters"),
    )
    assert wf("deploy", str(notebook), "--name", "nightly")[0] == 0
    code_, out, err = wf("triggers", "add", "nightly", "--webhook", "--body-as", "row")
    assert (code_, out) == (2, "") and "parameter 'row'" in err and "did you mean 'rows'?" in err
    assert not runtime.store.triggers.list()
    changed = ("triggers", "add", "nightly", "--file", str(tmp_path / "*.csv"), "--changed-as")
    webhook = ("triggers", "add", "nightly", "--webhook", "--body-as")
    for refused in ((*webhook, "rows"), (*webhook, "paths"), (*changed, "rows"), (*changed, "body")):
        code_, out, err = wf(*refused)
        assert (code_, out) == (2, "") and f"parameter '{refused[-1]}'" in err and "expects" in err
    assert not runtime.store.triggers.list()
    for taken in ((*webhook, "body"), (*webhook, "free"), (*changed, "paths"), (*changed, "free")):
        assert wf(*taken)[0] == 0
    # What a run will return is not known before.
    wf("deploy", str(notebook), "--name", "before")
    assert wf("triggers", "add", "nightly", "--after-deployment", "before", "--result-as", "rows")[0] == 0


def test_one_from_a_file(wf: Wf, runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"when": ["FAILED"], "actions": [{"type": "send-message", "url": "env:SLACK"}], "enabled": false}')
    assert wf("automations", "add", "slack", "--file", str(path))[0] == 0
    (found,) = runtime.store.automations.list()
    assert (found.name, found.enabled, found.actions[0].options) == ("slack", False, {"url": "env:SLACK"})
    path.write_text("[")
    assert "it is not JSON" in wf("automations", "add", "other", "--file", str(path))[2]


def test_trying_one_out(wf: Wf, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    with sink() as listening:
        monkeypatch.setenv("HOOK", listening.url(f"/{CANARY}"))
        wf("automations", "add", "hook", "--on", "failed", "--webhook", "env:HOOK", "--cancel")
        code, out, _ = wf("automations", "test", "hook")
        assert code == 1 and "call-webhook: failed" in out and "JUPYTER_WF_ALLOWED_TARGETS" in out
        monkeypatch.setenv("JUPYTER_WF_ALLOWED_TARGETS", "127.0.0.0/8")
        assert wf("automations", "test", "hook")[:2] == (
            0,
            "call-webhook: ok, answered 200\ncancel-flow-run: ok, would cancel the run\n",
        )
        code, text, _ = wf("automations", "test", "hook", "--json")
        assert code == 0 and json.loads(text)["ok"] is True and len(listening.requests) == 2
        assert CANARY not in out + text


def test_triggers_are_added_listed_switched_and_removed(
    wf: Wf, runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    daily, other = save(runtime, "daily"), save(runtime, "other")
    assert wf("triggers")[1] == "no triggers; 'jupyter wf triggers add DEPLOYMENT --file PATH' makes one\n"
    assert wf("triggers", "add", "daily", "--after-deployment", "other", "--on", "failed", "--result-as", "x")[0] == 0
    assert wf("triggers", "add", "etl/daily", "--file", "data/*.csv", "--debounce", "5s", "--changed-as", "c")[0] == 0
    assert wf("triggers", "add", "daily", "--no-success", "26h")[0] == 0
    code, out, _ = wf("triggers", "add", "daily", "--webhook", "--body-as", "b")
    secret = out.splitlines()[1].rpartition("/")[2]
    hook = runtime.store.triggers.by_secret(secret)
    assert code == 0 and hook is not None and "shown once" in out
    made = json.loads(wf("triggers", "add", "other", "--webhook", "--json")[1])
    assert made["path"] == f"/jupyter_wf/api/triggers/{made['secret']}" and made["deployment_id"] == other.id
    found = {each.kind: each.spec for each in runtime.store.triggers.list(deployment_id=daily.id)}
    assert found == {
        "deployment": {"deployment": "etl/other", "on": ["failed"], "result_as": "x"},
        "file": {"path": str(tmp_path / "data" / "*.csv"), "debounce": 5.0, "changed_as": "c"},
        "no-success": {"after": 93_600.0},
        "webhook": {"body_as": "b"},
    }
    listed = wf("triggers", "list", "--deployment", "daily")[1]
    assert len(listed.splitlines()) == 5 and "etl/other failed" in listed and "no success for 26 h 00 min" in listed
    assert secret not in listed + wf("triggers", "--json")[1]
    assert len(json.loads(wf("triggers", "list", "--json")[1])) == 5
    assert wf("triggers", "disable", hook.id[:8])[1] == f"disabled {hook.id[:8]} of etl/daily\n"
    assert runtime.store.triggers.get(hook.id).enabled is False
    assert wf("triggers", "enable", hook.id)[0] == 0 and runtime.store.triggers.get(hook.id).enabled
    assert wf("triggers", "remove", hook.id)[1] == f"removed {hook.id[:8]} of etl/daily\n"
    assert len(runtime.store.triggers.list()) == 4


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["automations", "add", "a", "--notify"], "say on which states"),
        (["automations", "add", "a", "--on", "failed"], "say what is done"),
        (["automations", "add", "a", "--on", "f!", "--notify"], "when"),
        (["automations", "add", "a", "--on", "no-success", "--notify"], "26h"),
        (["automations", "add", "a", "--on", "failed", "--webhook", f"ftp://{CANARY}"], "actions[0].url"),
        (["automations", "add", "a", "--on", "failed", "--run", "d", "-p", "x"], "NAME=VALUE"),
        (["automations", "show", "nobody"], "there is no automation"),
        (["automations", "remove", "nobody"], "there is no automation"),
        (["automations", "test", "nobody"], "there is no automation"),
        (["automations", "--json", "show", "x"], "--json goes behind"),
        (["triggers", "add", "nobody", "--webhook"], "there is no deployment"),
        (["triggers", "add", "daily"], "give one of"),
        (["triggers", "add", "daily", "--webhook", "--no-success", "1h"], "give one of"),
        (["triggers", "add", "daily", "--webhook", "--changed-as", "x"], "does not go with"),
        (["triggers", "add", "daily", "--after-deployment", "daily"], "never end"),
        (["triggers", "add", "daily", "--no-success", "soon"], "spec.after"),
        (["triggers", "remove", "nobody"], "there is no trigger"),
        (["triggers", "--json", "remove", "x"], "--json goes behind"),
    ],
)
def test_wrong_usage(wf: Wf, runtime: Runtime, args: list[str], why: str) -> None:
    save(runtime, "daily")
    code, out, err = wf(*args)
    assert (code, out) == (2, "") and why in err and err.count("\n") == 1 and CANARY not in err
