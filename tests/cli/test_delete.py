"""``jupyter wf runs delete`` and ``jupyter wf retention``: what goes is said before, and gone afterwards."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest

from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.store.backfills import Keep
from tests.contracts.scheduling import a_deployment, submit
from tests.contracts.stores import Maker

Wf = Callable[..., tuple[int, str, str]]
DAY = 86_400.0


@pytest.fixture
def made(runtime: Runtime) -> dict[str, str]:
    """Runs of several kinds; those named ``old`` have ended in 2020."""
    maker, ids = Maker(runtime.store), {}
    for name, state, at in (("old", "COMPLETED", 1.6e9), ("old-failed", "FAILED", 1.6e9), ("new", "COMPLETED", None)):
        when = at or time.time()
        ids[name] = maker.run(None, flow_name=name, name=name, at=when)
        for type_ in ("PENDING", "RUNNING", state):
            maker.state(ids[name], type_, at=when)
    ids["open"] = maker.run("RUNNING", flow_name="open", at=1.6e9)
    ids["part"] = maker.run("COMPLETED", parent=ids["old"], name="part", at=1.6e9)
    maker.journal.flush()
    return ids


def left(runtime: Runtime) -> set[str]:
    return {run.flow_name or run.name for run in runtime.store.list_runs().items}


def test_a_dry_run_deletes_nothing(wf: Wf, runtime: Runtime, made: dict[str, str]) -> None:
    code, out, err = wf("runs", "delete", "--older-than", "30d", "--dry-run")
    assert (code, err) == (0, "") and len(out.splitlines()) == 2
    assert made["old"][:8] in out and made["old-failed"][:8] in out
    told = json.loads(wf("runs", "delete", "--older-than", "30d", "--dry-run", "--json")[1])
    assert set(told["found"]) == {made["old"], made["old-failed"]} and told["deleted"] == []
    assert left(runtime) == {"old", "old-failed", "new", "open", "part"}


def test_runs_are_deleted_by_what_they_have_in_common(wf: Wf, runtime: Runtime, made: dict[str, str]) -> None:
    assert wf("runs", "delete", "--state", "failed", "--yes") == (0, "deleted 1 run\n", "")
    assert wf("runs", "delete", "--older-than", "1w", "--yes") == (0, "deleted 1 run and 1 inside of them\n", "")
    assert left(runtime) == {"new", "open"}
    assert wf("runs", "delete", "--flow", "old", "--yes") == (0, "no such runs that have ended\n", "")
    told = json.loads(wf("runs", "delete", "--flow", "new", "--yes", "--json")[1])
    assert told == {"dry_run": False, "deleted": [made["new"]], "found": [made["new"]], "refused": {}}
    assert left(runtime) == {"open"}


def test_runs_are_deleted_by_name(wf: Wf, runtime: Runtime, made: dict[str, str]) -> None:
    folder = runtime.settings.runs / made["old"]
    folder.mkdir(parents=True)
    (folder / "executed.ipynb").write_text("{}")
    os.utime(folder, (1.6e9, 1.6e9))
    code, out, err = wf("runs", "delete", made["old"][:8], "open", "old", "--yes")
    assert (code, out) == (1, "deleted 1 run and 1 inside of them\n")
    assert err == f"run {made['open'][:8]} stays: it is Running: cancel it first\n"
    assert not folder.exists() and left(runtime) == {"old-failed", "new", "open"}


def test_the_runs_of_a_deployment(wf: Wf, runtime: Runtime, made: dict[str, str]) -> None:
    deployment = runtime.store.deployments.save(a_deployment())
    run_id = submit(runtime.store, deployment_id=deployment.id)
    assert (
        run_id[:8] in wf("runs", "--deployment", "daily")[1]
        and made["new"][:8] not in wf("runs", "--deployment", "daily")[1]
    )
    assert wf("runs", "delete", "--deployment", "daily", "--yes") == (0, "no such runs that have ended\n", "")
    runtime.store.request(run_id, "cancel")
    assert wf("runs", "delete", "--deployment", "sales/daily", "--yes")[:2] == (0, "deleted 1 run\n")
    assert len(left(runtime)) == 5
    assert "there is no deployment" in wf("runs", "delete", "--deployment", "nothing", "--yes")[2]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ((), "name the runs"),
        (("last", "--flow", "x"), "name the runs"),
        (("last", "--json"), "--yes or --dry-run"),
        (("--older-than", "soon", "--yes"), "length of time"),
        (("--older-than", "-5", "--yes"), "give an age"),
        (("--state", "gone", "--yes"), "is none of"),
        (("nothing-like-it", "--yes"), "nothing-like-it"),
    ],
)
def test_what_is_not_understood_deletes_nothing(
    wf: Wf, runtime: Runtime, made: dict[str, str], args: tuple[str, ...], why: str
) -> None:
    code, out, err = wf("runs", "delete", *args)
    assert (code, out) == (2, "") and why in err
    assert len(left(runtime)) == 5


def test_it_asks_before_it_deletes(command: Callable[..., object], runtime: Runtime, made: dict[str, str]) -> None:
    process = command.start("runs", "delete", "--state", "failed", stdin=-1)  # type: ignore[attr-defined]
    out, _ = process.communicate("n\n", timeout=60)
    assert "Delete 1 run for good?" in out and made["old-failed"][:8] in out and process.returncode == 130
    assert len(left(runtime)) == 5


def test_the_rule_is_shown_and_set(wf: Wf, runtime: Runtime, made: dict[str, str]) -> None:
    assert wf("retention") == (0, "all ended runs are kept\n", "")
    assert wf("retention", "--keep-days", "30") == (0, "of ended runs are kept: those of the last 30 days\n", "")
    assert json.loads(wf("retention", "--keep-last", "7", "--json")[1]) == {"keep_last": 7, "keep_days": 30.0}
    assert runtime.store.retention.rule() == Keep(7, 30.0)
    assert len(left(runtime)) == 5, "services delete by and by"
    assert wf("retention", "--apply")[1].splitlines()[1] == "deleted 2 runs"
    assert left(runtime) == {"new", "open"}
    assert wf("retention", "--keep-last", "all", "--keep-days", "all") == (0, "all ended runs are kept\n", "")
    for wrong in (("--keep-last", "0"), ("--keep-last", "many"), ("--keep-days", "-1"), ("--keep-days", "nan")):
        assert wf("retention", *wrong)[0] == 2
    assert runtime.store.retention.rule() == Keep()
