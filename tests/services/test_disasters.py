"""Notebooks made at random, struck at random, changed and resumed: held to what a simple model says must run.

``JUPYTER_WF_DISASTERS`` names how many more notebooks are tried than the few that always are.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import dataclass, field
from uuid import uuid4

import psutil
import pytest

from jupyter_wf.core.models import Run, RunFilter
from jupyter_wf.core.rules import is_allowed
from jupyter_wf.core.states import OPEN_TYPES, State, StateType
from jupyter_wf.engine.runtime import Runtime
from jupyter_wf.services.launcher import start_notebook
from tests.notebook.making import code
from tests.services.desk import LOAD, Desk, shown
from tests.waiting import until

#: Every process that a notebook starts has this variable.
_MARK = "JUPYTER_WF_TEST_MARK"
_SEEDS = (1, 2, 3, 4, 5, 6)
#: What strikes: an error, an end, kill -9 of the kernel and of the runner, a request to cancel, Ctrl-C.
_BLOWS = ("raise", "exit", "kill", "runner", "cancel", "interrupt")
_PLAIN = """
import json, os, subprocess, time
from pathlib import Path

def note(name):
    with open("ran", "a") as file:
        file.write(name + chr(10))

def strike(name, when):
    told = json.loads(Path("blow").read_text())
    if (told["task"], told["when"]) != (name, when) or told["how"] == "none":
        return
    subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"])
    Path("struck").touch()
    if told["how"] == "raise":
        raise RuntimeError("struck")
    if told["how"] == "exit":
        os._exit(7)
    if told["how"] == "kill":
        os.kill(os.getpid(), 9)
    time.sleep(600)
"""


@dataclass
class Story:
    """A notebook of tasks, as the model knows it."""

    chance: random.Random
    needs: dict[str, list[str]] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    reads_day: set[str] = field(default_factory=set)
    background: set[str] = field(default_factory=set)
    comments: dict[str, str] = field(default_factory=dict)
    day: int = 1

    @classmethod
    def made(cls, seed: int) -> Story:
        story = cls(random.Random(seed))
        chance = story.chance
        for number in range(chance.randint(6, 10)):
            name = f"t{number}"
            known = list(story.needs)
            story.needs[name] = sorted(chance.sample(known, min(len(known), chance.randint(0, 3))))
            story.added[name] = chance.randint(1, 9)
            if chance.random() < 0.3:
                story.reads_day.add(name)
            if chance.random() < 0.3:
                story.background.add(name)
        return story

    def cells(self) -> list[object]:
        made: list[object] = [code("day = 1", "parameters"), LOAD, _PLAIN]
        for name, needs in self.needs.items():
            line = f"%%task {name}" + (" -b" if name in self.background else "")
            terms = [str(self.added[name]), *(f"2 * v_{need}" for need in needs)]
            terms += ["day"] if name in self.reads_day else []
            body = (
                f"strike({name!r}, 'before')\nnote({name!r})\nv_{name} = {' + '.join(terms)}\nstrike({name!r}, 'after')"
            )
            made.append(f"{line}\n{self.comments.get(name, '')}\n{body}")
        values = ", ".join(f"{name!r}: v_{name}" for name in self.needs)
        return [*made, f"print(json.dumps({{{values}}}))"]

    def values(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, needs in self.needs.items():
            day = self.day if name in self.reads_day else 0
            found[name] = self.added[name] + sum(2 * found[need] for need in needs) + day
        return found

    def change(self) -> None:
        """Change some of the notebook: what means something, and what does not."""
        names = list(self.needs)
        for name in self.chance.sample(names, self.chance.randint(0, 2)):
            self.added[name] += 1
        for name in self.chance.sample(names, 2):
            self.comments[name] = "# looked at"
        for name in self.chance.sample(names, 1):
            self.background ^= {name}
        if self.chance.random() < 0.4:
            self.day += 1

    def made_of(self, name: str) -> tuple[object, ...]:
        """Return what a task's outcome comes from: its text and what it reads."""
        now = self.values()
        return self.added[name], self.day if name in self.reads_day else None, *(now[need] for need in self.needs[name])


def _ran(desk: Desk) -> list[str]:
    path = desk.folder / "ran"
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def _struck(desk: Desk, story: Story, run: Run | None, how: str, due: set[str]) -> Run:
    """Begin the next attempt with a blow ahead in one of the tasks that are due; return the run when it has ended."""
    desk.write(*story.cells())  # type: ignore[arg-type]
    blow = {"task": story.chance.choice(sorted(due)), "when": story.chance.choice(["before", "after"])}
    (desk.folder / "blow").write_text(json.dumps({**blow, "how": how}))
    runtime = desk.runtime
    if run is None:
        launched = start_notebook(
            runtime.store,
            runtime.settings,
            desk.path,
            parameters={"day": story.day},
            source={},
            process=runtime.process,
            foreground=True,
        )
    else:
        launched = desk.begin(run, parameters={"day": story.day}, foreground=True)
    if how in ("runner", "cancel", "interrupt"):
        until(lambda: (desk.folder / "struck").exists() or launched.ended.is_set())
        if how == "cancel" and not launched.ended.is_set():
            runtime.store.request(launched.run.id, "cancel")
        elif not launched.ended.is_set():
            launched.process.send_signal(signal.SIGKILL if how == "runner" else signal.SIGINT)
    ended = desk.ended(launched)
    (desk.folder / "struck").unlink(missing_ok=True)
    assert launched.process.stdin is not None
    launched.process.stdin.close()
    return ended


def _left_running(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def _check_record(runtime: Runtime, root: Run) -> None:
    """Hold that nothing is open, and that every run went only where the rules let it go."""
    below = RunFilter(root_id=root.id)
    # That a process lives may have been found out half a second ago.
    until(lambda: not any(run.state.type in OPEN_TYPES for run in runtime.store.list_runs(below, limit=1_000).items))
    runtime.store.reap(time.time())
    page = runtime.store.list_runs(below, limit=1_000)
    last: dict[str, tuple[State, int]] = {}
    for event in runtime.store.events(after=0, limit=100_000, with_logs=False):
        if event.kind != "state":
            continue
        told = event.payload
        state, attempt = State(type=StateType(told["type"]), name=told["name"]), told["attempt"]
        before = last.get(event.run_id)
        if before is not None:
            assert attempt in (before[1], before[1] + 1)
            assert is_allowed(before[0], state, new_attempt=attempt > before[1]), (before, state)
        last[event.run_id] = state, attempt
    for run in page.items:
        assert last[run.id] == (State(type=run.state.type, name=run.state.name), run.attempt)


@pytest.mark.parametrize("seed", (*_SEEDS, *range(100, 100 + int(os.environ.get("JUPYTER_WF_DISASTERS", "0")))))
def test_exactly_what_must_run_again_does(desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = uuid4().hex
    monkeypatch.setenv(_MARK, mark)
    story = Story.made(seed)
    run: Run | None = None
    #: Of what the tasks were made that have completed.
    made: dict[str, tuple[object, ...]] = {}
    blows = [_BLOWS[seed % len(_BLOWS)], *([story.chance.choice(_BLOWS)] if seed % 3 == 0 else []), "none"]
    for number, how in enumerate(blows, 1):
        due = {name for name in story.needs if made.get(name) != story.made_of(name)}
        run = _struck(desk, story, run, how, due)
        ran = _ran(desk)
        tasks = {child.name: child for child in desk.children(run) if child.kind == "task"}
        told = f"seed {seed}, attempt {number}, {how}: {run.state}\n{tasks}\n{desk.logged(run)}"
        assert run.attempt == number, told
        assert len(ran) == len(set(ran)) and set(ran) <= due, told
        for name, task in tasks.items():
            if not task.state.is_completed():
                made.pop(name, None)
            elif name in ran:
                made[name] = story.made_of(name)
        if how == "none":
            assert run.state.name == "Completed", told
            assert set(ran) == due, told
            assert json.loads(shown(run, len(story.cells()))) == story.values(), (
                told
            )  # the given parameters are a cell more
            ends = {name: "Completed" if name in due else "Resumed" for name in story.needs}
            assert {name: task.state.name for name, task in tasks.items()} == ends, told
        else:
            assert not run.state.is_completed(), told
        until(lambda: not _left_running(mark), f"the end of {_left_running(mark)}; {told}")
        _check_record(desk.runtime, run)
        if number < len(blows) - 1 or seed % 3:
            story.change()
