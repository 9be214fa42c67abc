"""Cells as the graph, in JupyterLab: background cells, what is out of date, mapped cells, and looking into failures."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.programs import WAIT, write_notebook
from tests.browser.screen import Screen


def cell(screen: Screen, number: int) -> Locator:
    """Return the place of a cell's outputs, counted from 0."""
    return screen.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-Cell-outputArea")


def begin(screen: Screen, name: str, *cells: str) -> None:
    """Write a notebook, open it and begin to run all of its cells."""
    write_notebook(screen.lab.root / f"{name}.ipynb", *cells)
    screen.open(f"{name}.ipynb", workspace=name)
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")


def looked_at(screen: Screen, name: str, number: int = 0) -> None:
    """Take pictures of the notebook from a cell on: light, dark, and in a narrow window."""
    screen.scroll_to_cell(number)
    for theme in ("dark", "light"):
        screen.theme(theme)
        screen.shot(f"{name}-{theme}")
    size = screen.page.viewport_size
    assert size is not None
    screen.run("application:toggle-left-area")
    screen.page.set_viewport_size({"width": 440, "height": 860})
    screen.scroll_to_cell(number)
    screen.shot(f"{name}-narrow")
    screen.run("application:toggle-left-area")
    screen.page.set_viewport_size(size)


def test_a_cell_waits_for_one_in_the_background_and_goes_out_of_date_with_it(screen: Screen) -> None:
    wait = WAIT.format(gate="flow-report").replace("\n", "\n    ")
    begin(
        screen,
        "dataflow",
        "%load_ext jupyter_wf\nfactor = 2",
        f"%%task measure -b\n{WAIT.format(gate='flow-measure')}\nvalues = [factor * n for n in range(3)]",
        "print('the sum is', sum(values))",
        f"%%task report\ntotal = sum(values)\nif factor > 2:\n    {wait}",
        "%wf graph",
    )
    measure, reader, report, graph = (cell(screen, number) for number in range(1, 5))
    # The cell has returned, and its view lives below it while another one waits.
    expect(measure.locator(".wf-RunView")).to_have_attribute("data-state", "RUNNING")
    expect(reader).to_contain_text("waiting for measure")
    looked_at(screen, "dataflow-waiting")
    (screen.lab.root / "flow-measure").touch()
    expect(reader).to_contain_text("the sum is 6")
    expect(reader).to_contain_text("for measure")
    expect(reader).not_to_contain_text("waiting for")
    expect(measure.locator("table.jupyter-wf-run")).to_contain_text("✓ Completed")
    expect(report.locator("table.jupyter-wf-run")).to_contain_text("✓ Completed")
    drawn = graph.locator(".jp-OutputArea-output img")
    expect(drawn).to_be_visible()
    expect(drawn).to_have_attribute("src", re.compile("measure.*report", re.DOTALL))
    expect(screen.page.locator(".wf-RunView")).to_have_count(0)

    screen.add_and_run_cell("factor = 5")
    screen.add_and_run_cell("%wf status")
    status = screen.page.locator(".jp-Notebook .jp-Cell").last.locator("table")
    expect(status).to_contain_text("stale")
    looked_at(screen, "dataflow-stale", 1)
    for table in (measure, report):
        expect(table.locator("table.jupyter-wf-run")).to_contain_text("out of date")

    screen.add_and_run_cell("%wf run", wait=False)
    view = screen.page.locator(".jp-Notebook .jp-Cell").last.locator(".wf-RunView")
    expect(view.locator(".wf-Task").filter(has_text="report")).to_have_attribute("data-state", "RUNNING")
    view.get_by_role("tab", name="Graph").click()
    panel = view.get_by_role("tabpanel", name="Graph")
    expect(panel.get_by_role("treeitem")).to_have_count(2)
    expect(panel.locator(".wf-Edge")).to_have_count(1)
    screen.shot("dataflow-run-light")
    (screen.lab.root / "flow-report").touch()
    expect(view).to_have_count(0)
    expect(screen.page.locator(".jp-Notebook .jp-Cell").last.locator("table.jupyter-wf-run")).to_contain_text("2 of 2")
    # These are of runs that are not the newest ones any more.
    for table in (measure, report):
        expect(table.locator("table.jupyter-wf-run")).to_contain_text("it was run again")
    screen.add_and_run_cell("print('the total is', total)\n%wf status")
    expect(screen.page.get_by_text("the total is 15")).to_be_visible()
    status = screen.page.locator(".jp-Notebook .jp-Cell").last.locator("table")
    expect(status).to_contain_text("report")
    expect(status).not_to_contain_text("stale")
    looked_at(screen, "dataflow-fresh", 5)


def test_a_mapped_cell_is_one_row(screen: Screen) -> None:
    wait = WAIT.format(gate="flow-items").replace("\n", "\n    ")
    begin(
        screen,
        "mapped",
        "%load_ext jupyter_wf\nnumbers = [1, 2, 3, 4]",
        f"%%task squares --map number=numbers\nif number > 3:\n    {wait}\nsquare = number * number",
        "print(square)",
    )
    view = cell(screen, 1).locator(".wf-RunView")
    expect(view).to_contain_text("3/4")
    looked_at(screen, "mapped-running")
    (screen.lab.root / "flow-items").touch()
    expect(cell(screen, 2)).to_contain_text("[1, 4, 9, 16]")
    expect(cell(screen, 1).locator("table.jupyter-wf-run")).to_contain_text("4 of 4")
    screen.add_and_run_cell("%wf runs")
    expect(screen.page.locator(".jp-Notebook .jp-Cell").last.locator("table")).to_contain_text("4/4")
    looked_at(screen, "mapped-completed")


def test_a_failure_is_debugged_and_its_task_loaded(screen: Screen) -> None:
    begin(
        screen,
        "failure",
        "%load_ext jupyter_wf\nprices = {'tea': 3, 'milk': None}",
        "%%task add\ntotal = 0\nfor name, price in prices.items():\n    total += price",
    )
    expect(cell(screen, 1).locator("table.jupyter-wf-run")).to_contain_text("✗ Failed")
    screen.wait_until_idle()
    screen.add_and_run_cell("%wf debug", wait=False)
    line = screen.page.locator(".jp-Stdin-input")
    line.fill("name")
    line.press("Enter")
    expect(screen.page.locator(".jp-OutputArea-output").filter(has_text="'milk'").last).to_be_visible()
    looked_at(screen, "failure-debug", 1)
    line.fill("q")
    line.press("Enter")
    expect(line).to_have_count(0)
    screen.wait_until_idle()

    screen.add_and_run_cell("%wf load add")
    made = screen.page.locator(".jp-Notebook .jp-Cell").last
    expect(made).to_contain_text("total += price")
    expect(made).to_contain_text("# add, as it was in run")
    expect(made).not_to_contain_text("%%task")
    screen.add_and_run_cell("%wf check")
    expect(screen.page.locator(".jp-Notebook .jp-Cell").last).to_contain_text("No problems in 1 task.")
    looked_at(screen, "failure-loaded", 2)
