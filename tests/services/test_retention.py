"""Retention deletes rows and files, and nothing else: with neighbours of every kind standing beside what goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf.core.deployments import Deployment, QueuedRun
from jupyter_wf.core.events import Kept, ResultStored, StateChanged
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.retention import Housekeeping, apply, apply_all, delete_runs, sweep
from jupyter_wf.services.settling import settle_ended
from jupyter_wf.store.backfills import Keep
from jupyter_wf.store.base import Store
from jupyter_wf.store.blobs import Blobs, Payload
from tests.contracts.conftest import kind, maker, opened, store
from tests.contracts.scheduling import T, a_deployment, claim, registered
from tests.contracts.stores import Maker

__all__ = ["kind", "maker", "opened", "store"]

DAY = 86_400.0
NOW = T + 100 * DAY


@pytest.fixture
def settings(wf_home: Path) -> Settings:
    """The settings of the test's home."""
    return Settings(home=wf_home)


def aged(path: Path, text: str = "x", *, days: float = 2.0) -> Path:
    """Write a file, in folders that are made, as if it had been so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    age(path, days)
    return path


def age(path: Path, days: float = 2.0) -> None:
    """Have a file or folder, not what it leads to, last changed so many days before `NOW`."""
    os.utime(path, (NOW - days * DAY,) * 2, follow_symlinks=False)


def run_folder(settings: Settings, run_id: str, *, days: float = 2.0) -> Path:
    folder = settings.runs / run_id
    aged(folder / "executed.ipynb", days=days)
    aged(folder / "attempt-2" / "log.txt", days=days)
    age(folder, days)
    return folder


def large(settings: Settings, value: str, *, days: float = 2.0) -> tuple[Payload, Path]:
    """Store a value that needs a file; return what names it, and the file."""
    payload = Blobs(settings.results).keep(value * 3_000_000)
    digest = payload.data[:64].decode()
    path = settings.results / digest[:2] / digest
    age(path, days)
    return payload, path


def everything(folder: Path) -> dict[str, bytes | str]:
    """Return what lies in a folder: contents of files, and where links lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and not path.name.startswith("state.db"):
            found[name] = path.read_bytes()
        elif path.is_dir():
            found[name] = "folder"
    return found


def test_rows_and_files_go_and_nothing_else(store: Store, maker: Maker, settings: Settings, tmp_path: Path) -> None:
    home = settings.home
    goes: dict[str, Any] = {"digest": "a", "packages": "b"}
    stays: dict[str, Any] = {"digest": "c", "packages": "d"}
    for name, told in (("goes", goes), ("stays", stays)):
        source = {"digest": told["digest"] * 64, "environment": {"digest": told["packages"] * 64}}
        told["id"] = maker.run("RUNNING", flow_name=name, source=json.dumps(source))
        payload, told["file"] = large(settings, name[0])
        inner, told["inner"] = large(settings, name[1])
        maker.state(told["id"], "COMPLETED", kept=Kept(*payload))
        maker.journal.append(ResultStored(told["id"], T, f"locals/{told['id']}", None, *inner))
        told["folder"] = run_folder(settings, told["id"])
        told["snapshot"] = aged(settings.snapshots / f"{told['digest'] * 64}.ipynb")
        told["list"] = aged(settings.environments / f"{told['packages'] * 64}.json")
    maker.journal.flush()

    # Neighbours of every kind, all old enough.
    outside = tmp_path / "outside"
    for name in ("a.ipynb", "deep/b.csv"):
        aged(outside / name, days=900)
    (goes["folder"] / "link").symlink_to(outside)
    (goes["folder"] / "file").symlink_to(outside / "a.ipynb")
    age(goes["folder"])
    for path in (
        settings.runs / "notes.txt", settings.runs / "by-hand" / "x.ipynb", settings.results / "readme",
        settings.results / "ab" / "mine.bin", settings.results / "zz" / ("e" * 64), settings.snapshots / "mine.ipynb",
        settings.snapshots / f"{'e' * 64}.txt", settings.environments / "asked-1.json", home / "config.json",
        home / ("e" * 64), settings.agents / "agent.log", home / "signing.key.bak",
        # Under the prefix of another digest: not one of ours.
        settings.results / "ab" / ("e" * 64),
    ):  # fmt: skip
        aged(path, days=900)
    linked = settings.results / "ee" / ("e" * 64)
    linked.parent.mkdir()
    linked.symlink_to(outside / "a.ipynb")
    age(linked, 900)
    young = large(settings, "young", days=0.5)[1]
    before_outside, before = everything(outside), everything(home)

    done = delete_runs(store, settings, [goes["id"]], now=NOW)
    assert done.roots == [goes["id"]]
    swept = sweep(store, settings, now=NOW)
    assert swept.files == 4 and swept.folders == 0 and swept.size > 5_000_000
    gone = {name for name in before if name not in everything(home)}
    wanted = [goes["file"], goes["inner"], goes["snapshot"], goes["list"], goes["folder"]]
    wanted += [path for name in before if (path := home / name).is_relative_to(goes["folder"])]
    assert gone == {str(path.relative_to(home)) for path in wanted}
    assert all(everything(home)[name] == before[name] for name in before.keys() - gone)
    assert everything(outside) == before_outside
    assert young.exists() and store.get_run(stays["id"]).state.is_completed()
    assert len(Blobs(settings.results).load(Payload("file:json", stays["file"].name.encode()))) == 3_000_000
    # What is kept is kept the next time too.
    assert sweep(store, settings, now=NOW) == (0, 0, 0)


def test_what_two_runs_share_goes_with_the_last(store: Store, maker: Maker, settings: Settings) -> None:
    payload, path = large(settings, "s")
    ids = [maker.run("RUNNING", flow_name="f") for _ in range(2)]
    for run_id in ids:
        maker.state(run_id, "COMPLETED", kept=Kept(*payload))
    maker.journal.flush()
    for number, run_id in enumerate(ids):
        delete_runs(store, settings, [run_id], now=NOW)
        sweep(store, settings, now=NOW)
        assert path.exists() == (number == 0)


def test_folders_without_a_run_go_when_they_are_old(store: Store, maker: Maker, settings: Settings) -> None:
    """A process may have died between the rows and the files."""
    known = run_folder(settings, maker.run("COMPLETED"))
    maker.journal.flush()
    old = run_folder(settings, "01234567-89ab-4cde-8123-456789abcdef")
    young = run_folder(settings, "11234567-89ab-4cde-8123-456789abcdef", days=0.5)
    assert sweep(store, settings, now=NOW).folders == 1
    assert known.exists() and young.exists() and not old.exists()


def test_a_folder_that_is_still_written_to_stays_for_a_while(store: Store, maker: Maker, settings: Settings) -> None:
    run_id = maker.run("COMPLETED")
    maker.journal.flush()
    folder = run_folder(settings, run_id, days=0.001)
    assert delete_runs(store, settings, [run_id], now=NOW).roots == [run_id]
    assert folder.exists()
    sweep(store, settings, now=NOW + 2 * DAY)
    assert not folder.exists()


def test_links_in_the_home_are_not_followed(store: Store, maker: Maker, settings: Settings, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    run_id = maker.run("COMPLETED")
    other = maker.run("COMPLETED")
    maker.journal.flush()
    for name in (run_id, "01234567-89ab-4cde-8123-456789abcdef"):
        aged(elsewhere / name / "x", days=900)
        age(elsewhere / name, 900)
    aged(elsewhere / "ee" / ("e" * 64), days=900)
    aged(elsewhere / f"{'e' * 64}.ipynb", days=900)
    before = everything(elsewhere)
    for folder in (settings.runs, settings.results, settings.snapshots, settings.environments):
        folder.symlink_to(elsewhere)
    delete_runs(store, settings, [run_id], now=NOW)
    sweep(store, settings, now=NOW)
    assert everything(elsewhere) == before
    settings.runs.unlink()
    settings.runs.mkdir()
    (settings.runs / other).symlink_to(elsewhere)
    age(settings.runs / other)
    delete_runs(store, settings, [other], now=NOW)
    assert everything(elsewhere) == before


@pytest.mark.parametrize("run_id", ["..", ".", "../outside", "", "/"], ids=repr)
def test_an_id_is_no_way_out_of_the_home(store: Store, maker: Maker, settings: Settings, run_id: str) -> None:
    if run_id:
        maker.run("COMPLETED", run_id=run_id)
    maker.journal.flush()
    outside = aged(settings.home / "outside" / "x")
    aged(settings.runs / "x")
    for folder in (settings.runs, settings.home, outside.parent):
        age(folder)
    delete_runs(store, settings, [run_id], now=NOW)
    assert outside.exists() and (settings.runs / "x").exists()


def test_what_is_stored_again_meanwhile_stays(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a file and its removal somebody may store the same content."""
    _, path = large(settings, "s")
    files = store.retention.files

    def stored_again() -> Any:
        needed = files()
        os.utime(path, (NOW, NOW))
        return needed

    monkeypatch.setattr(type(store.retention), "files", lambda _: stored_again())
    assert sweep(store, settings, now=NOW).files == 0 and path.exists()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_removal_that_was_interrupted_is_taken_back(store: Store, maker: Maker, settings: Settings) -> None:
    payload, path = large(settings, "s")
    run_id = maker.run("RUNNING", flow_name="f")
    maker.state(run_id, "COMPLETED", kept=Kept(*payload))
    maker.journal.flush()
    path.rename(path.with_name(f"{path.name}.gone"))
    sweep(store, settings, now=NOW)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_list_of_packages_that_is_remembered_stays(store: Store, settings: Settings) -> None:
    remembered, other = "a" * 64, "b" * 64
    for digest in (remembered, other):
        aged(settings.environments / f"{digest}.json")
    aged(settings.environments / "asked-1.json", json.dumps({"told": {"digest": remembered}}))
    assert sweep(store, settings, now=NOW).files == 1
    assert (settings.environments / f"{remembered}.json").exists()


def ended(store: Store, deployment: Deployment, at: float) -> str:
    """Make a run of a deployment that an agent has executed, and that nobody has settled."""
    queued = QueuedRun(
        run_id="",
        kind="notebook",
        target="/x.ipynb",
        parameters={},
        policies=deployment.policies,
        deployment_id=deployment.id,
        due_at=at,
    )
    run_id = store.queue.submit(queued, flow_name="sales", now=at, source={})
    agent = registered(store)
    assert claim(store, agent, now=at) == [run_id]
    store.queue.take(run_id, 1, agent, agent)
    store.journal().append(StateChanged(run_id, at + 1, 1, "COMPLETED", "Completed"))
    store.journal().flush()
    return run_id


def test_the_end_of_a_run_lets_older_ones_go(store: Store, settings: Settings) -> None:
    deployment = store.deployments.save(a_deployment(keep_last=2))
    ids = []
    for number in range(5):
        ids.append(ended(store, deployment, NOW + number))
        settle_ended(store, settings, NOW + number + 1)
    assert [run.id for run in store.list_runs().items] == ids[:2:-1]


def test_every_rule_is_applied_once_an_hour(store: Store, maker: Maker, settings: Settings) -> None:
    now = [NOW]
    keeping = store.deployments.save(a_deployment("keeping", keep_days=10))
    plain = store.deployments.save(a_deployment("plain"))
    for deployment in (keeping, plain):
        for days in (20, 5):
            run_id = ended(store, deployment, NOW - days * DAY)
            store.queue.settle(run_id, 1)
    house = Housekeeping(store, settings, clock=lambda: now[0])
    deleted = []
    for _ in range(4):
        deleted.append(house())
    assert sum(deleted) == 1 and len(store.list_runs().items) == 3
    store.retention.set_rule(Keep(days=1))
    now[0] += 3599
    assert [house() for _ in range(3)] == [0, 0, 0]
    now[0] += 1
    assert sum(house() for _ in range(4)) == 2, "a deployment with a rule of its own goes by that"
    assert [store.queue.get(run.id).deployment_id for run in store.list_runs().items] == [keeping.id]  # type: ignore[union-attr]
    # A clock that was set back does not stop it.
    now[0] -= 1000 * DAY
    assert house() == 0


def test_rules_that_keep_everything_delete_nothing(store: Store, maker: Maker, settings: Settings) -> None:
    run_id = maker.run("COMPLETED")
    maker.journal.flush()
    deployment = store.deployments.save(a_deployment())
    assert apply(store, settings, now=NOW) == apply(store, settings, deployment.id, now=NOW) == 0
    assert apply(store, settings, "nothing", now=NOW) == 0 and apply_all(store, settings, now=NOW) == 0
    assert store.get_run(run_id).state.is_completed()


def test_many_go_in_bits(store: Store, maker: Maker, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_wf.services.retention._BATCH", 3)
    for number in range(10):
        maker.run("COMPLETED", flow_name="f", at=T + number)
    maker.journal.flush()
    store.retention.set_rule(Keep(last=1))
    house = Housekeeping(store, settings, clock=lambda: NOW)
    assert [house() for _ in range(5)] == [3, 3, 3, 0, 0]
    assert len(store.list_runs().items) == 1
