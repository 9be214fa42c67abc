"""The folder and file modes of the state file, and whether its file system can carry it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from jupyter_wf.core.errors import StoreError
from jupyter_wf.core.settings import HOME_VARIABLE

__all__ = ["create_private", "network_filesystem", "prepare_folder", "protect_file"]

#: File systems that are shared between hosts: SQLite's WAL needs memory that all its users share.
_NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "gpfs", "ceph", "afs", "beegfs", "glusterfs", "orangefs")
)
#: The same, mounted by a program: ``fuse.`` and one of these.
_NETWORK_FUSE = frozenset(("sshfs", "glusterfs", "ceph", "s3fs", "rclone", "gcsfuse", "blobfuse2", "juicefs"))


def prepare_folder(folder: Path) -> None:
    """Make the folder (mode 0700 under any umask) or check the one that is there.

    Raises `StoreError` where it can't be made, belongs to another user, or is writable by all.
    """
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.mkdir(mode=0o700)
                folder.chmod(0o700)
            except FileExistsError:
                pass
        found = folder.stat()
    except OSError as error:
        raise StoreError(
            f"the folder {folder} can't be made or read: {error.strerror}; set {HOME_VARIABLE} to another folder"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError(f"{folder} is not a folder; set {HOME_VARIABLE} to a folder of yours")
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"the folder {folder} belongs to user {found.st_uid}, not to you ({os.geteuid()}); "
            f"set {HOME_VARIABLE} to a folder of yours"
        )
    if found.st_mode & stat.S_IWOTH:
        raise StoreError(
            f"the folder {folder} is writable by every user (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run 'chmod 700 {folder}' or set {HOME_VARIABLE} to another folder"
        )


def create_private(path: Path) -> None:
    """Make an empty file with mode 0600 under any umask. Raises `FileExistsError`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def protect_file(path: Path) -> None:
    """Take away what others may do with a file of ours.

    By path: opening the file and closing it again would drop the locks that SQLite holds on it in this process.
    """
    found = path.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o600)


def network_filesystem(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Return the type of the network file system that ``folder`` is on, None for a local one or where it is unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    where = os.path.realpath(folder)
    best, kind = -1, ""
    for line in lines:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), fields[4])
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later one is on top.
        if inside and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    remote = kind in _NETWORK or kind.removeprefix("fuse.") in _NETWORK_FUSE
    return kind if remote else None
