"""What a child process of the tests does: ``python -m tests.contracts.child KIND HOME``, commands by lines of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_wf.core.errors import RunFinished
from jupyter_wf.core.events import ArtifactWritten, LogWritten
from jupyter_wf.core.ids import new_id
from jupyter_wf.core.settings import Settings
from tests.contracts.stores import FACTORIES, Maker


def say(value: object) -> None:
    """Answer."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


class Commands:
    """The commands, one method each."""

    def __init__(self, kind: str, home: str) -> None:
        self.store = FACTORIES[kind](Settings(home=Path(home)))
        self.maker = Maker(self.store)

    def begin(self, number: int) -> list[str]:
        """Make a flow with tasks, running, and wait until they are durable."""
        flow = self.maker.run("RUNNING")
        ids = [flow, *(self.maker.run("RUNNING", parent=flow) for _ in range(number))]
        self.maker.journal.flush(30)
        return ids

    def write(self, run_id: str, number: int) -> int:
        """Write lines to a run, with a flush now and then."""
        for index in range(number):
            self.maker.journal.append(LogWritten(run_id, time.time(), 20, str(os.getpid()), str(index)))
            if index % 10 == 9:
                self.maker.journal.flush(30)
        self.maker.journal.flush(30)
        return number

    def pour(self, run_id: str) -> None:
        """Write lines for ever, and say after each flush how many are durable."""
        index = 0
        while True:
            for _ in range(20):
                self.maker.journal.append(LogWritten(run_id, time.time(), 20, "pour", str(index)))
                index += 1
            self.maker.journal.flush(30)
            say(index)

    def share(self, run_id: str) -> str:
        """Write an artifact, a variable and a message that hold this pid; say the artifact's id."""
        artifact_id = new_id()
        data = json.dumps({"from": os.getpid()})
        self.maker.journal.append(ArtifactWritten(run_id, time.time(), artifact_id, None, "markdown", None, data))
        self.maker.journal.flush(30)
        self.store.variables.set("shared", os.getpid())
        self.store.inputs.send(run_id, "k", os.getpid())
        return artifact_id

    def take_over(self, run_id: str) -> Any:
        """Take a run over; say its attempt and state, or why not."""
        try:
            run = self.store.take_over(run_id, self.maker.process.id)
        except RunFinished as error:
            return str(error)
        return [run.attempt, run.state.name]

    def fork(self) -> dict[str, Any]:
        """Fork in the midst of writing; the child writes by the inherited store, and the parent goes on."""
        before = self.maker.run("RUNNING")
        heard: list[int] = []
        self.maker.journal.subscribe(lambda seq, entries: heard.append(os.getpid()))
        for index in range(200):
            self.maker.log(before, str(index))
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                mine = Maker(self.store)
                run_id = mine.run("RUNNING")
                mine.log(run_id, "from the child")
                ok = [line.message for line in self.store.logs(run_id)] == ["from the child"]
                ok = ok and self.store.request(run_id, "cancel").outcome is None and not heard.count(os.getpid())
                self.store.close()
                code = 0 if ok else 2
            finally:
                os._exit(code)
        after = self.maker.run("COMPLETED")
        self.maker.journal.flush(30)
        _, status = os.waitpid(pid, 0)
        again = self.maker.run("COMPLETED")
        lines = [line.message for line in self.store.logs(before, limit=10_000)]
        return {
            "code": os.waitstatus_to_exitcode(status),
            "lines": lines == [str(index) for index in range(200)],
            "states": [self.store.get_run(each).state.name for each in (before, after, again)],
            "heard": set(heard) == {os.getpid()},
        }

    def take(self, lease: str, *names: str) -> float | None:
        """Take a slot of each of the limits."""
        return self.store.limits.take(lease, names, 1, process_id=self.maker.process.id)

    def take_many(self, name: str, number: int) -> int:
        """Try to take a slot ``number`` times, and return how many there were."""
        return sum(self.take(f"{os.getpid()} {index}", name) is None for index in range(number))

    def leave(self, number: int) -> None:
        """Append and end, without a flush."""
        flow = self.maker.run("RUNNING")
        for index in range(number):
            self.maker.log(flow, str(index))
        say(flow)
        sys.exit()


def main() -> None:
    """Do what the lines say, until they end."""
    commands = Commands(*sys.argv[1:])
    say({"pid": os.getpid(), "process_id": commands.maker.process.id})
    for line in sys.stdin:
        name, *words = json.loads(line)
        say(getattr(commands, name)(*words))


if __name__ == "__main__":
    main()
