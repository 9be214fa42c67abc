"""The first notebook, run by hand in JupyterLab: every view below its cells, every run in the panel."""

from __future__ import annotations

import nbformat
from playwright.sync_api import expect

from tests.browser.lab import ROOT
from tests.browser.screen import Screen

TASKS = ("load", "rain", "temperature", "wind", "plot", "table")


def test_quickstart_by_hand(screen: Screen) -> None:
    screen.page.set_viewport_size({"width": 1360, "height": 1000})
    screen.open("quickstart.ipynb", workspace="quickstart")
    screen.open_panel()
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")
    rows = screen.page.locator(".jp-WfRunRow[data-state=COMPLETED]")
    for task in TASKS:
        expect(rows.filter(has_text=task).first).to_be_visible(timeout=60_000)
    cells = nbformat.read(ROOT / "notebooks/quickstart.ipynb", as_version=4).cells
    screen.scroll_to_cell(next(number for number, cell in enumerate(cells) if cell.source.startswith("%%task plot")))
    expect(screen.page.locator(".jp-OutputArea-output img").first).to_be_visible()
    expect(screen.page.locator("table.jupyter-wf-run").filter(has_text="plot")).to_contain_text("✓ Completed")
    screen.shot("panel", document=True)
    screen.theme("dark")
    screen.shot("panel-dark")
    (load,) = (
        run for run in screen.lab.get("jupyter_wf/api/runs?roots=1&kind=task&text=load")["items"] if run["attempt"] == 2
    )
    assert load["state"]["type"] == "COMPLETED"
    assert load["source"]["notebook"].endswith("quickstart.ipynb")
