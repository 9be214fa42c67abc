"""What schedules cost: ``PYTHONPATH=. python tests/benchmarks/scheduler.py [DEPLOYMENTS]`` prints figures beside aims.

Time is simulated where it says so: the clock runs as fast as the machine while the scheduler works, and what it would
have slept is left out. So a figure in milliseconds contains what slots wait for each other, and a minute takes seconds.
"""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil

from jupyter_wf.core.deployments import Deployment, DeploymentSchedule, Policies
from jupyter_wf.core.schedules import parse_schedule
from jupyter_wf.core.settings import HOME_VARIABLE, Settings
from jupyter_wf.services.scheduler import LATE_AFTER, LEASE, Scheduler
from jupyter_wf.store.base import Store
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store
from jupyter_wf.store.sqlite.driver import sqlite

BEGIN = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()
YEAR = 365 * 86400.0
ZONES = ("UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo")
ROOT = Path(__file__).resolve().parents[2]


class Simulated:
    """A clock that runs while work is done, and jumps over sleep."""

    def __init__(self, begin: float) -> None:
        self.skipped = begin
        self.begun = time.perf_counter()

    def __call__(self) -> float:
        return self.skipped + time.perf_counter() - self.begun

    def skip(self, seconds: float) -> None:
        self.skipped += seconds

    def to(self, at: float) -> None:
        self.skip(max(0.0, at - self()))


class Bench:
    """A state file with deployments, and a scheduler on it."""

    def __init__(self, home: Path, begin: float, lease: float, late_after: float | None) -> None:
        self.settings = Settings(home=home)
        self.store: Store = open_store(self.settings)
        self.clock = Simulated(begin)
        self.lags: list[float] = []
        self._stepped: dict[str, float] = {}
        process = this_process("server")
        self.store.register(process)
        self.scheduler = Scheduler(
            self.store,
            self.settings,
            process=process,
            clock=self.clock,
            monotonic=self.clock,
            on_decided=self._decided,
            lease=lease,
            late_after=late_after,
        )
        self.slots = self._watched()

    def _watched(self) -> list[float]:
        """Have the slots of each decision noted; `_decided` says when they were committed."""
        slots, noted = self.store.slots, []
        decide = slots.decide

        def noting(planned: Sequence[Any], now: float) -> list[str]:
            noted.extend(decision.slot for each in planned for decision in each.decisions)
            return decide(planned, now)

        slots.decide = noting  # type: ignore[method-assign]
        return noted

    def _decided(self, run_ids: Sequence[str]) -> None:
        now = self.clock()
        self.lags += [now - slot for slot in self.slots]
        self.slots.clear()

    def deploy(self, specs: Sequence[dict[str, Any]], **policies: Any) -> None:
        now = self.clock()
        for index, spec in enumerate(specs):
            upcoming = parse_schedule(spec).next_slot(now)
            schedule = DeploymentSchedule(
                id="", deployment_id="", spec=spec, parameters={}, watermark=now, next_slot=upcoming
            )
            self.store.deployments.save(
                Deployment(
                    id="",
                    name=f"d{index:05}",
                    flow_name="report",
                    kind="notebook",
                    target=f"/n/{index}.ipynb",
                    parameters={"day": index},
                    policies=Policies(**policies),
                    schedules=(schedule,),
                )
            )

    def go_on(self, until: float) -> int:
        """Step as its thread would, until a time; return the number of steps."""
        steps = 0
        while self.clock() < until:
            self.clock.skip(self.scheduler.step())
            steps += 1
        return steps

    def hop(self, until: float) -> int:
        """Step at each slot."""
        steps = 0
        while (upcoming := self.store.slots.next_slot()) is not None and upcoming < until:
            self.clock.to(upcoming)
            self.scheduler.step()
            steps += 1
        return steps

    def counts(self) -> Counter[tuple[str, float]]:
        """How many runs each slot has, straight from the file."""
        with sqlite.connect(self.settings.database) as connection:
            rows = connection.execute("SELECT schedule_id, slot FROM queue WHERE slot IS NOT NULL").fetchall()
        return Counter((schedule_id, slot) for schedule_id, slot in rows)

    def oracle(self, begin: float, until: float) -> tuple[int, int]:
        """Return how many slots have no run, and how many have more than one or ought to have none."""
        counts = self.counts()
        missing = double = 0
        for deployment in self.store.deployments.list():
            for schedule in deployment.schedules:
                table, slot = parse_schedule(schedule.spec), begin
                while (upcoming := table.next_slot(slot)) is not None and upcoming < until:
                    slot = upcoming
                    found = counts.pop((schedule.id, slot), 0)
                    missing += found == 0
                    double += max(0, found - 1)
        return missing, double + sum(counts.values())


@contextmanager
def bench(begin: float = BEGIN, lease: float = LEASE, late_after: float | None = LATE_AFTER) -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder) / "home", begin, lease, late_after)
        yield made
        made.store.close()


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def line(name: str, value: str, aim: str = "") -> None:
    print(f"  {name:58} {value:>14}   {aim}", flush=True)


def spread(number: int, chance: random.Random) -> list[dict[str, Any]]:
    """Every minute to every quarter of an hour, at any second."""
    periods = (60, 120, 300, 600, 900)
    return [
        {
            "interval": float(chance.choice(periods)),
            "anchor_date": datetime.fromtimestamp(BEGIN + chance.random() * 900, ZoneInfo("UTC")).isoformat(),
            "timezone": "UTC",
        }
        for _ in range(number)
    ]


def crons(number: int, chance: random.Random) -> list[dict[str, Any]]:
    """The same on whole minutes, as cron has them: thousands are due in the same second."""
    steps = (1, 2, 5, 10, 15)
    return [
        {"cron": f"{chance.randrange(step)}-59/{step} * * * *" if step > 1 else "* * * * *", "timezone": "UTC"}
        for step in (chance.choice(steps) for _ in range(number))
    ]


def rounds(number: int, chance: random.Random) -> list[dict[str, Any]]:
    """What people write for reports: daily, on weekdays, weekly, monthly, at whole and half hours, in six zones."""
    days = ["* * *"] * 12 + ["* * 1-5"] * 4 + ["* * 1", "* * 5", "* * 0", "1 * *"]
    return [
        {
            "cron": f"{chance.choice((0, 0, 0, 30))} {chance.randrange(24)} {chance.choice(days)}",
            "timezone": chance.choice(ZONES),
        }
        for _ in range(number)
    ]


def minutes(number: int, specs: Callable[[int, random.Random], list[dict[str, Any]]], name: str, aim: str) -> None:
    with bench() as made:
        begun = time.perf_counter()
        made.deploy(specs(number, random.Random(1)), overlap="allow", concurrency_limit=None)
        line("saving a deployment", f"{(time.perf_counter() - begun) / number * 1e6:.0f} µs")
        made.scheduler.step()
        made.lags.clear()
        # What a step costs depends on what waits; nobody executes the runs here, so they gather.
        begin, cpu = made.clock(), time.process_time()
        made.go_on(begin + 600)
        cpu = time.process_time() - cpu
        lags = made.lags
        line(f"{name}: runs in ten minutes", f"{len(lags):,}")
        for share in (0.5, 0.99, 1.0):
            what = {0.5: "median", 0.99: "p99", 1.0: "worst"}[share]
            line(
                f"{name}: due to inserted, {what}",
                f"{percentile(lags, share) * 1e3:.1f} ms",
                aim if share == 0.99 else "",
            )
        line(f"{name}: processor time of that", f"{cpu / 600 * 100:.1f} %")


def at_once(number: int) -> None:
    with bench() as made:
        made.deploy([{"cron": "0 6 * * *", "timezone": "UTC"}] * number)
        made.clock.to(BEGIN + 5 * 3600)
        made.scheduler.step()
        made.clock.to(BEGIN + 6 * 3600)
        made.go_on(made.clock() + 0.001)
        assert len(made.lags) == number
        for share in (0.5, 0.99, 1.0):
            what = {0.5: "median", 0.99: "p99", 1.0: "the last"}[share]
            line(f"all {number:,} in the same second, {what}", f"{percentile(made.lags, share) * 1e3:.0f} ms")


def backlog(number: int) -> None:
    with bench() as made:
        made.deploy(crons(number, random.Random(2)), missed="latest")
        made.clock.to(BEGIN + 12 * 3600 + 30)
        begun = time.perf_counter()
        made.scheduler.step()
        seconds = time.perf_counter() - begun
        line(f"after 12 hours down: {number:,} schedules made up for", f"{seconds:.1f} s")


CHILD = """
import logging, sys
from pathlib import Path
from jupyter_wf.core.settings import Settings
from jupyter_wf.services.host import ServiceHost
from jupyter_wf.store.processes import this_process
from jupyter_wf.store.sqlite import open_store

settings = Settings(home=Path(sys.argv[1]))
store = open_store(settings)
host = ServiceHost(store, settings, process=this_process("server"), log=logging.getLogger(), start_agent=False)
host.start()
sys.stdin.read()
host.stop()
"""


def idle(number: int, seconds: float = 20.0) -> None:
    """In real time: a host with so many deployments of which none is due."""
    now = time.time()
    with bench(now - 3600) as made:
        # Each has had a slot a minute ago, so that the host has read and decided all of them.
        at = datetime.fromtimestamp(now - 60, ZoneInfo("UTC")).isoformat()
        made.deploy([{"interval": 8 * 86400.0, "anchor_date": at, "timezone": "UTC"}] * number)
        home = str(made.settings.home)
        with subprocess.Popen([sys.executable, "-c", CHILD, home], stdin=subprocess.PIPE, cwd=ROOT) as child:
            process = psutil.Process(child.pid)
            while len(made.counts()) < number:
                time.sleep(0.1)
            time.sleep(1.0)
            before = process.cpu_times()
            time.sleep(seconds)
            after = process.cpu_times()
            memory = process.memory_full_info()
            child.communicate(b"")
        used = after.user + after.system - before.user - before.system
        line(
            f"idle host with {number:,} deployments, {seconds:.0f} s",
            f"{used / seconds * 100:.2f} %",
            "aim: ≤ 1 % of a core",
        )
        line("its memory (resident; its own)", f"{memory.rss / 1e6:.0f}; {memory.uss / 1e6:.0f} MB", "aim: ≤ 100 MB")


def year(number: int) -> None:
    # Between two slots a scheduler would renew its lease thousands of times, which is what the idle one costs. Nor is
    # any run named Late: agents would have claimed them, and there are none here.
    with bench(lease=2 * YEAR, late_after=None) as made:
        made.deploy(rounds(number, random.Random(3)), overlap="allow", concurrency_limit=None)
        begun, cpu = time.perf_counter(), time.process_time()
        steps = made.hop(BEGIN + YEAR)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        runs = len(made.lags)
        line(f"a year of {number:,} deployments: {runs:,} runs, {steps:,} steps", f"{seconds:.1f} s", "aim: ≤ 60 s")
        line("  of it each run; the processor's part of that", f"{seconds / runs * 1e6:.0f}; {cpu / runs * 1e6:.0f} µs")
        missing, double = made.oracle(BEGIN, BEGIN + YEAR)
        line("  slots without a run; twice, or where none is", f"{missing}; {double}", "aim: 0; 0")


def main(number: int) -> None:
    """Print the figures."""
    logging.basicConfig(level=logging.ERROR)
    os.environ.setdefault(HOME_VARIABLE, tempfile.gettempdir())
    print(f"{number:,} deployments, simulated time")
    minutes(number, spread, "at any second", "aim: ≤ 50 ms")
    minutes(number, crons, "on whole minutes", "")
    at_once(number)
    backlog(number)
    print("real time")
    idle(number)
    print("a year, simulated: no agent claims the runs, and none of them is named Late")
    year(max(1, number // 10))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
