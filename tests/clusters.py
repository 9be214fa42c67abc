"""One Dask cluster for the whole session, in a process of its own: two workers with two threads each."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from tests.architecture.source import ROOT

__all__ = ["address", "end"]

_PROGRAM = """
import os, sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=":0") as cluster:
        os.write(int(sys.argv[1]), cluster.scheduler_address.encode())
        os.close(int(sys.argv[1]))
        sys.stdin.read()
"""


class _Cluster:
    """The process, and the address of the cluster's scheduler. It ends when its input does."""

    def __init__(self) -> None:
        ours, theirs = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(theirs)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs,),
            start_new_session=True,
        )
        os.close(theirs)
        with os.fdopen(ours) as file:
            self.address = file.read()
        assert self.address, "the cluster has not started"

    def end(self) -> None:
        self._process.communicate(timeout=60)


@cache
def _cluster() -> _Cluster:
    return _Cluster()


def address() -> str:
    """Return the address of the cluster's scheduler; the first to ask starts it."""
    return _cluster().address


def end() -> None:
    """End the cluster, if it was started."""
    if _cluster.cache_info().currsize:
        _cluster().end()
        _cluster.cache_clear()
