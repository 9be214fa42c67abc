"""10,000 tasks in the browser: what is drawn, what an update touches, when it is painted, and how long all that takes.

The times and the dropped frames are printed beside what they should be; how they turn out depends on what else the
machine has to do, so nothing is asserted of them.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Browser

from jupyter_wf.ipython.run_view import RunView

TASKS = 10_000
UPDATES = 20
#: How many tasks end with each update.
CHANGED = 200
#: A frame that took longer than two at 60 Hz: one was dropped.
DROPPED = 34.0
#: All four tabs together, whatever the number of tasks; all rows or nodes would be some 100,000 elements.
MOST_ELEMENTS = 3_500
#: What an update may touch of what is in sight: the header, the numbers by state, the rows whose clocks go on.
USUALLY_TOUCHED = 300
#: The texts, attributes and icon of a node or row.
TOUCHED_FOR_ONE = 8
TABS = ["tasks", "graph", "timeline", "logs"]
_SCRIPT = (Path(__file__).parent / "frames.js").read_text().split("\n", 2)[2]


def measured(browser: Browser, tab: str, names: int) -> dict[str, Any]:
    """Return what a page did and needed for a flow that calls ``names`` tasks 10,000 times in all."""
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    try:
        page.set_content("<body data-jp-theme-light='true'></body>")
        given = {"source": RunView._esm, "css": RunView._css, "count": TASKS, "names": names, "tab": tab}
        found: dict[str, Any] = page.evaluate(_SCRIPT, {**given, "updates": UPDATES, "changed": CHANGED})
        return found
    finally:
        page.close()


def told(found: dict[str, Any]) -> str:
    """Say in a line what took how long."""
    paints = [paint["took"] for paint in found["paints"]]
    dropped = sum(took > DROPPED for took in found["frames"])
    return (
        f"first paint {found['first']:.0f} ms (aim: 200), tab opened in {found['opened']:.0f} ms, "
        f"update {median(paints):.1f} ms (aim: 16), at most {max(paints):.1f} ms; "
        f"{dropped} of {len(found['frames'])} frames dropped; "
        f"{found['most']} elements, {median(found['touched'])} touched"
    )


@pytest.mark.parametrize("names", [10, TASKS], ids=["grouped", "alone"])
@pytest.mark.parametrize("tab", TABS)
def test_ten_thousand_tasks(
    browser: Browser, tab: str, names: int, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    found = measured(browser, tab, names)
    with capsys.disabled():
        print(f"\n{request.node.callspec.id}: {told(found)}")
    assert found["tabs"] == TABS
    assert found["seen"]
    # Messages that come together are painted together, and nothing is painted twice in a frame.
    frames = [paint["frame"] for paint in found["paints"]]
    assert len(set(frames)) == len(frames) >= UPDATES
    # Tabs that were opened before and are closed now are left alone.
    assert found["elsewhere"] == 0
    # What is out of sight is not there, and what changes out of sight costs nothing.
    assert found["most"] <= MOST_ELEMENTS
    assert median(found["touched"]) <= USUALLY_TOUCHED
    assert max(found["touched"]) <= USUALLY_TOUCHED + TOUCHED_FOR_ONE * CHANGED
    # A view of a run that has ended waits for nothing.
    assert found["finished"] == {"frames": 0, "intervals": 0, "timeouts": 0}
    assert "Completed" in found["words"]
    # What the graph has no room for is counted, and it says where that is to be seen.
    assert ("more: see Tasks" in found["words"]) is (names == TASKS)
