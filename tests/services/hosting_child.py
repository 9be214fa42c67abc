"""A host of services as a process: ``python -m tests.services.hosting_child HOME [greedy]``.

It prints a line of JSON when it has begun, and one for each line that comes in; it ends in order when no more come.
``greedy`` has its scheduler decide whoever has the lease, which only the rules in the state file can make harmless.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from jupyter_wf.core.settings import Settings
from jupyter_wf.services.host import ServiceHost
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store


class Greedy:
    """Leases for everybody."""

    def hold(self, *_: Any, **__: Any) -> bool:
        return True

    def release(self, *_: Any) -> None: ...


class GreedyStore:
    """A store in which every scheduler has the lease."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.services = Greedy()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def main(home: str, greedy: str = "") -> None:
    """Host until nothing comes in any more."""
    settings = Settings(home=Path(home))
    store: Any = open_store(settings)
    process = this_process("server")
    seen: Any = GreedyStore(store) if greedy else store
    host = ServiceHost(seen, settings, process=process, log=logging.getLogger("host"), start_agent=False)
    host.start()
    print(json.dumps({"pid": process.pid, "id": process.id}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(host.status()._asdict()), flush=True)
    host.stop()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
