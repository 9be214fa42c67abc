"""``jupyter wf apply``: a file's deployments, what would change, and errors with their lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.engine.runtime import Runtime
from tests.notebook.making import code, write_notebook

Wf = Callable[..., tuple[int, str, str]]

FILE = """\
deployments:
  - name: nightly
    target: report.ipynb
    parameters: {rows: 9}
    tags: [daily]
    schedules:
      - cron: "0 6 * * 1-5"
        timezone: Europe/Oslo
        slug: work
      - every: 15m
        end_at: 2999-01-01
    policies:
      timeout: 30m
      grace: 2m
  - name: load
    entrypoint: flows_of_apply.py:etl
    work_pool: {name: big}
    parameters: {rows: 1, password: hunter2}
    paused: true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    write_notebook(folder / "report.ipynb", code("rows: int = 3", "parameters"), "print(rows)")
    (folder / "flows_of_apply.py").write_text(
        "from jupyter_wf import flow\n@flow\ndef etl(rows: int, password: str = ''): ...\n"
    )
    (folder / "workflows.yaml").write_text(FILE)
    return folder / "workflows.yaml"


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def actions(wf: Wf, *args: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what the command says it does, by address: the action, and the values afterwards by field."""
    code_, out, err = wf("apply", *args, "--json")
    assert (code_, err) == (0, "")
    return {
        each["address"]: (each["action"], {field["field"]: field["after"] for field in each["fields"]})
        for each in json.loads(out)
    }


def test_a_file_is_applied_and_applied_again(wf: Wf, runtime: Runtime, file: Path) -> None:
    code_, out, _ = wf("apply", str(file.parent), "--dry-run")
    assert code_ == 0 and out.endswith("2 create (dry run: nothing was changed)\n")
    assert "+ create    report/nightly\n" in out and "    parameters.rows: 9\n" in out
    assert "hunter2" not in out and "    parameters.password: ***\n" in out
    assert runtime.store.deployments.list() == []

    assert wf("apply", str(file))[1].endswith("2 create\n")
    load, nightly = runtime.store.deployments.list()
    assert (load.address, load.pool, load.paused, load.target) == (
        "etl/load",
        "big",
        True,
        f"{file.parent / 'flows_of_apply.py'}:etl",
    )
    assert (nightly.target, dict(nightly.parameters), nightly.tags) == (
        str(file.parent / "report.ipynb"),
        {"rows": 9},
        ("daily",),
    )
    assert (nightly.policies.timeout, nightly.policies.grace, nightly.declared_in) == (1800.0, 120.0, str(file))
    assert [(each.slug, each.end_at is None) for each in nightly.schedules] == [("work", True), (None, False)]
    assert wf("apply", str(file))[1].endswith("2 unchanged\n")
    assert runtime.store.deployments.list() == [load, nightly]


def test_that_there_is_no_limit_any_more_is_a_change_too(wf: Wf, runtime: Runtime, file: Path) -> None:
    wf("apply", str(file))
    change(file, "      grace: 2m\n", "      grace: 2m\n      concurrency_limit: null\n")
    assert "    policies.concurrency_limit: 1 (default) → none\n" in wf("apply", str(file))[1]
    assert runtime.store.deployments.find("nightly").policies.concurrency_limit is None


def test_changes_are_told_field_by_field(wf: Wf, runtime: Runtime, file: Path) -> None:
    wf("apply", str(file))
    before = runtime.store.deployments.find("nightly")
    change(file, "rows: 9", "rows: 10")
    change(file, "0 6 * * 1-5", "0 7 * * 1-5")
    change(file, "      grace: 2m\n", "")
    change(file, "paused: true", "paused: false")
    code_, out, _ = wf("apply", str(file))
    assert code_ == 0
    assert "~ change    report/nightly\n    parameters.rows: 9 → 10\n" in out
    assert "    policies.grace: 2m → 1m (default)\n" in out
    assert '"cron": "0 6 * * 1-5"' in out and '"cron": "0 7 * * 1-5"' in out
    assert "    paused: true → false\n" in out
    after = runtime.store.deployments.find("nightly")
    assert (after.id, after.schedules[0].id, after.policies.grace) == (before.id, before.schedules[0].id, 60.0)
    assert not runtime.store.deployments.find("load").paused


def test_only_what_the_file_declared_is_pruned(wf: Wf, runtime: Runtime, file: Path) -> None:
    wf("apply", str(file))
    wf("deploy", str(file.parent / "report.ipynb"), "--name", "by-hand")
    file.write_text(FILE[: FILE.index("  - name: load")])
    assert {address: action for address, (action, _) in actions(wf, str(file)).items()} == {
        "report/nightly": "unchanged"
    }
    assert actions(wf, str(file), "--prune", "--dry-run")["etl/load"][0] == "delete"
    assert len(runtime.store.deployments.list()) == 3
    assert actions(wf, str(file), "--prune")["etl/load"][0] == "delete"
    assert [each.address for each in runtime.store.deployments.list()] == ["report/by-hand", "report/nightly"]
    file.write_text("deployments: []\n")
    assert wf("apply", str(file))[1] == "nothing is declared\n"


def test_a_deployment_made_by_hand_is_taken_over(wf: Wf, runtime: Runtime, file: Path) -> None:
    wf("deploy", str(file.parent / "report.ipynb"), "--name", "nightly", "--priority", "5")
    action, fields = actions(wf, str(file))["report/nightly"]
    assert (action, fields["priority"], fields["declared_in"]) == ("change", None, str(file))
    assert runtime.store.deployments.find("nightly").priority == 0


def test_a_pinned_notebook_is_kept_only_when_it_is_applied(wf: Wf, runtime: Runtime, file: Path) -> None:
    change(file, "      grace: 2m\n", "      snapshot: pinned\n")
    wf("apply", str(file), "--dry-run")
    assert not runtime.settings.snapshots.exists()
    wf("apply", str(file))
    digest = runtime.store.deployments.find("nightly").digest
    assert [path.stem for path in runtime.settings.snapshots.iterdir()] == [digest]
    write_notebook(file.parent / "report.ipynb", code("rows: int = 3", "parameters"), "print('new')")
    assert set(actions(wf, str(file))["report/nightly"][1]) == {"digest"}


@pytest.mark.parametrize(
    ("old", "new", "line", "why"),
    [
        ("rows: 9", "rows: x", 4, "expects int"),
        ("parameters: {rows: 9}", "parameter: {rows: 9}", 4, "did you mean 'parameters'"),
        ("tags: [daily]", "tags: daily", 5, "a list"),
        ("0 6 * * 1-5", "0 66 * * 1-5", 7, "hour"),
        ("Europe/Oslo", "Europe/Osl", 8, "did you mean 'Europe/Oslo'"),
        ("slug: work", "slugg: work", 9, "did you mean 'slug'"),
        ("every: 15m", "every: soon", 10, "length of time"),
        ("grace: 2m", "grace: 2x", 14, "length of time"),
        ("grace: 2m", "graze: 2m", 14, "did you mean 'grace'"),
        ("grace: 2m", "grace: 2m\n      grace: 3m", 15, "comes twice"),
        ("- name: load", "- nome: load", 15, "did you mean 'name'"),
        ("- name: load", "- name: 3", 15, "needs 'name', a text"),
        ("flows_of_apply.py:etl", "flows_of_apply.py:nope", 16, "there is no 'nope' in it"),
        ("flows_of_apply.py:etl", "nope.ipynb", 16, "there is no such file"),
        ("entrypoint: ", "target: x.ipynb\n    entrypoint: ", 17, "are the same"),
        ("paused: true", "paused: maybe", 19, "true or false"),
        ("paused: true", "1: true", 19, "must be a text"),
        ('"0 6 * * 1-5"', "* * * * *", 7, "put text with * in quotes"),
        ("deployments:", "deploymentz:", 1, "did you mean 'deployments'"),
        ("parameters: {rows: 1, password: hunter2}", "parameters: 3", 18, "parameters by name"),
    ],
)
def test_errors_name_the_line_and_nothing_is_changed(
    wf: Wf, runtime: Runtime, file: Path, old: str, new: str, line: int, why: str
) -> None:
    change(file, old, new)
    code_, out, err = wf("apply", str(file))
    assert (code_, out, err.count("\n")) == (2, "", 1)
    assert f"'workflows.yaml, line {line}'" in err
    assert why in err
    assert runtime.store.deployments.list() == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must hold an object"),
        ("[]", "must hold an object"),
        ("deployments: {}", "must be a list"),
        ("deployments: [3]", "a deployment is an object"),
        ("deployments: [", "is not YAML"),
        ("a: &a [*a]", "levels"),
        ("\x00", "is no text"),
    ],
)
def test_files_that_declare_nothing(wf: Wf, file: Path, text: str, why: str) -> None:
    file.write_text(text)
    code_, out, err = wf("apply", str(file))
    assert (code_, out, err.count("\n")) == (2, "", 1)
    assert why in err


def test_files_that_are_not_there(wf: Wf, tmp_path: Path) -> None:
    assert "there is no such file or folder" in wf("apply", str(tmp_path / "nope"))[2]
    (tmp_path / "empty").mkdir()
    assert "there is no workflows.yaml in this folder" in wf("apply", str(tmp_path / "empty"))[2]
