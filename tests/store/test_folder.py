"""Modes of folder and files, folders that are refused, and network file systems."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import Settings
from jupyter_wf.store.sqlite import database, folder, open_store
from tests.contracts.stores import Maker


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_nobody_else_may_read(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        home = tmp_path / "home"
        store = open_store(Settings(home=home))
        maker = Maker(store)
        maker.run("RUNNING")
        maker.journal.flush(10)
        assert _mode(home) == 0o700
        assert {path.name for path in home.iterdir()} == {"state.db", "state.db-wal", "state.db-shm", "state.db.wlock"}
        assert {path.name: _mode(path) for path in home.iterdir()} == dict.fromkeys(os.listdir(home), 0o600)
        store.close()
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_closed_to_them(settings: Settings) -> None:
    open_store(settings).close()
    settings.database.chmod(0o644)
    open_store(settings).close()
    assert _mode(settings.database) == 0o600


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "open"
    home.mkdir()
    home.chmod(0o1777)
    with pytest.raises(StoreError, match="writable by every user"):
        open_store(Settings(home=home))
    assert list(home.iterdir()) == []


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(StoreError, match=f"belongs to user {me}"):
        open_store(Settings(home=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="JUPYTER_WF_HOME"):
            open_store(Settings(home=home))


def test_names_that_mean_something_in_a_uri(tmp_path: Path) -> None:
    home = tmp_path / "a b?mode=memory#x%41 ü🎉"
    store = open_store(Settings(home=home))
    run_id = Maker(store).run("RUNNING")
    store.close()
    assert (home / "state.db").stat().st_size > 0
    again = open_store(Settings(home=home))
    assert again.get_run(run_id).id == run_id
    again.close()


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:30 / /home rw,relatime shared:2 - nfs4 server:/home rw
31 30 0:31 / /home/me/local\040disk rw - xfs /dev/sdb1 rw
32 22 0:32 / /data rw - fuse.sshfs me@host:/data rw
33 22 0:33 / /over rw - nfs server:/x rw
34 22 0:34 / /over rw - tmpfs tmpfs rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/.local", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/me", None),
        ("/home/me/local disk/wf", None),
        ("/data/x", "fuse.sshfs"),
        ("/over/x", None),
        ("/var/lib", None),
    ],
)
def test_network_file_systems_are_found(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert folder.network_filesystem(Path(path), mounts) == kind


def test_an_unknown_system_has_no_mounts(tmp_path: Path) -> None:
    assert folder.network_filesystem(tmp_path, tmp_path / "nothing") is None


def test_a_network_file_system_is_warned_of(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(database, "network_filesystem", lambda path: "nfs4")
    open_store(settings).close()
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "nfs4" in record.getMessage() and "JUPYTER_WF_HOME" in record.getMessage()
