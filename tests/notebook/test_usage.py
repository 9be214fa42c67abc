"""What work costs: processor time, peaks of memory, children; and processes that are gone."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from jupyter_wf.notebook import usage
from jupyter_wf.notebook.usage import Meter
from tests.waiting import until

MANY = 96 * 2**20
BURN = "import time\nwhile time.process_time() < 0.3: pass"


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def fill() -> int:
    """Take much memory for a moment."""
    return len(bytearray(b"x") * MANY)


def test_a_peak_that_is_over_counts() -> None:
    meter = Meter()
    meter.start()
    assert fill() == MANY
    burn(0.05)
    used = meter.stop()
    assert used.cpu_seconds >= 0.05
    assert MANY * 0.9 <= used.memory_bytes < MANY * 3


def test_a_peak_before_does_not() -> None:
    fill()
    meter = Meter()
    meter.start()
    used = meter.stop()
    assert used.memory_bytes < MANY / 2


def test_one_meter_does_not_take_the_peak_from_another() -> None:
    outer, inner = Meter(), Meter()
    outer.start()
    fill()
    inner.start()
    assert inner.stop().memory_bytes < MANY / 2
    assert outer.stop().memory_bytes >= MANY * 0.9


def test_where_the_system_keeps_no_peak_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_forget_peak", lambda pid: False)
    monkeypatch.setattr(usage, "_peak", lambda pid: 0)
    meter = Meter()
    meter.start()
    # The process may be larger than that already.
    before = meter.highest
    held = bytearray(b"x") * MANY
    until(lambda: meter.highest >= before + MANY * 0.9)
    del held
    assert meter.stop().memory_bytes >= MANY * 0.9


@pytest.mark.parametrize("told", [True, False], ids=["told by the system", "looked for"])
def test_children_count_while_they_live_and_afterwards(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_TELLS_CHILDREN", told and usage._TELLS_CHILDREN)
    meter = Meter()
    meter.start()
    subprocess.run([sys.executable, "-c", BURN], check=True)
    living = subprocess.Popen(
        [sys.executable, "-c", f"{BURN}\nprint('done', flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert living.stdout is not None
    assert living.stdout.readline() == b"done\n"
    used = meter.stop()
    living.communicate(b"\n")
    # Each process has two accounts in hundredths of a second, rounded down.
    assert used.cpu_seconds >= 0.55
    assert used.memory_bytes > 2**20


def test_another_process_and_one_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        meter = Meter(process.pid)
        meter.start()
        process.communicate(b"\n")
    gone = meter.stop()
    assert gone.memory_bytes == 0
    never = Meter(process.pid)
    never.start()
    assert never.stop().as_json() == {"cpu_seconds": 0.0, "memory_bytes": 0}
