"""How soon others see what a process has committed: ``PYTHONPATH=. python tests/benchmarks/latency.py`` prints it.

One process makes a run every 50 ms or so; a WebSocket of a real Jupyter server and a tail such as the command line's
look on. A figure is the time from the commit (the return of the flush) to the arrival of the run's COMPLETED.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from jupyter_wf.core.settings import HOME_VARIABLE
from jupyter_wf.engine.tail import Tail
from jupyter_wf.store.sqlite import open_store
from tests.server.harness import running_server

WRITER = """
import sys, time, threading
from jupyter_wf.core.states import StateType
from jupyter_wf.engine.runtime import current_runtime

runtime, pause = current_runtime(), threading.Event()
for _ in range(int(sys.argv[1])):
    live = runtime.begin("task", "tick", task_name="tick")
    live.set_state(StateType.RUNNING)
    live.set_state(StateType.COMPLETED)
    runtime.journal.flush()
    print(live.id, time.time(), flush=True)
    pause.wait(0.05)
"""


def main(n: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[HOME_VARIABLE] = str(Path(folder) / "home")
        os.environ["JUPYTER_CONFIG_DIR"] = os.environ["JUPYTER_DATA_DIR"] = folder
        with running_server(Path(folder)) as server, server.listen() as listener:
            listener.next()
            socket: dict[str, float] = {}
            command_line: dict[str, float] = {}
            store = open_store(server.settings)
            tail = Tail(store, interval=server.settings.tail_interval)

            def follow() -> None:
                own = Tail(store, after=tail.after, interval=server.settings.tail_interval)
                while len(command_line) < n:
                    for event in own.wait(5):
                        if event.payload.get("type") == "COMPLETED":
                            command_line[event.run_id] = time.time()

            thread = threading.Thread(target=follow)
            thread.start()
            with subprocess.Popen(
                [sys.executable, "-c", WRITER, str(n)], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
            ) as writer:
                while len(socket) < n:
                    for event in listener.next()["events"]:
                        if event["payload"].get("type") == "COMPLETED":
                            socket[event["run_id"]] = time.time()
                out, _ = writer.communicate()
            thread.join()
            store.close()
        committed = {run_id: float(at) for run_id, at in (line.split() for line in out.splitlines())}
    print(f"{n} runs of another process, from the commit to")
    for name, seen in (("a WebSocket of the server", socket), ("a tail as in 'jupyter wf logs -f'", command_line)):
        waits = [(seen[run_id] - at) * 1e3 for run_id, at in committed.items()]
        print(f"  {name:36} median {median(waits):6.1f} ms   worst {max(waits):6.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
