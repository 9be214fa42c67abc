"""The tabs of a run: the same below a cell of JupyterLab or Notebook 7, where they are live, and on the run's page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import Lab
from tests.browser.programs import WAIT, write_notebook
from tests.browser.screen import NotebookScreen, Screen, opened

_WAIT = WAIT.format(gate="tabs-go").replace("\n", "\n    ")
_FLOW = f"""from jupyter_wf import flow, get_run_logger, task

@task(log_prints=True)
def load(day):
    print("loading day", day)
    return day

@task(retries=1, retry_delay_seconds=0.05)
def clean(rows):
    if rows == 2:
        raise ValueError(f"no rows on day {{rows}}")
    return rows

@task
def report(parts):
    get_run_logger().warning("one part is missing")
    {_WAIT}

@flow
def nightly(days, city):
    cleaned = [clean.submit(load.submit(day)) for day in range(days)]
    for future in cleaned:
        future.wait()
    report([future for future in cleaned if future.state.is_completed()])

nightly(5, "Rotterdam")"""


#: Where the widget is to work, and what opens it there.
_PLACES: dict[str, type[Screen]] = {"jupyterlab": Screen, "notebook7": NotebookScreen}


@pytest.fixture(scope="module", params=list(_PLACES))
def live(request: pytest.FixtureRequest, browser: Browser, lab: Lab) -> Iterator[Screen]:
    """A page with the live view of a flow that waits in its last task; in the end the view must become a table."""
    gate = lab.root / "tabs-go"
    gate.unlink(missing_ok=True)
    name = f"tabs-{request.param}"
    write_notebook(lab.root / f"{name}.ipynb", "%load_ext jupyter_wf", _FLOW)
    with opened(_PLACES[request.param], browser, lab) as screen:
        screen.open(f"{name}.ipynb", workspace=name)
        screen.kernel_ready()
        screen.run("notebook:run-all-cells")
        expect(view_of(screen).locator(".wf-Task").filter(has_text="report")).to_have_attribute("data-state", "RUNNING")
        yield screen
        screen.theme("light")
        gate.touch()
        expect(screen.page.locator("table.jupyter-wf-run").first).to_contain_text("Completed")
        expect(screen.page.locator(".wf-RunView")).to_have_count(0)


@pytest.fixture
def view(live: Screen) -> Locator:
    """The live view, with nothing chosen."""
    found = view_of(live)
    expect(found).to_have_attribute("data-state", "RUNNING")
    close = found.get_by_role("button", name="Close the details")
    if close.is_visible():
        close.click()
        expect(close).to_be_hidden()
    return found


@pytest.fixture
def place(live: Screen) -> str:
    """The name of the place that the view is in."""
    return next(name for name, kind in _PLACES.items() if type(live) is kind)


def view_of(screen: Screen) -> Locator:
    """Return the place of the live view."""
    return screen.page.locator(".wf-RunView").first


def open_tab(view: Locator, name: str) -> Locator:
    """Open a tab and return its panel."""
    view.get_by_role("tab", name=name).click()
    panel = view.get_by_role("tabpanel", name=name)
    expect(panel).to_be_visible()
    return panel


def test_tasks_are_grouped_narrowed_and_opened(view: Locator) -> None:
    panel = open_tab(view, "Tasks")
    tasks = panel.locator(".wf-Task")
    expect(tasks).to_have_count(3)
    expect(tasks.nth(0)).to_contain_text("load × 5")
    expect(tasks.nth(1)).to_contain_text("1 failed, 4 completed")
    expect(view.locator(".wf-Head .wf-Parameters-line")).to_contain_text('city = "Rotterdam"')

    panel.get_by_role("button", name="failed").click()
    failed = tasks.filter(has_text="no rows on day 2")
    expect(failed).to_have_count(1)
    failed.locator(".wf-Task-said").click()
    expect(failed.locator(".wf-Error-traceback")).to_contain_text("ValueError: no rows on day 2")
    failed.locator(".wf-Task-name").click()
    expect(view.get_by_label("The chosen task")).to_contain_text("2/2")
    panel.get_by_role("searchbox").fill("nothing is called so")
    expect(panel).to_contain_text("No task fits the filter.")
    panel.get_by_role("button", name="Show all").click()
    expect(tasks.first).to_be_visible()


def test_tasks_are_walked_by_keys_that_the_notebook_does_not_take(live: Screen, view: Locator) -> None:
    tasks = open_tab(view, "Tasks").get_by_role("treegrid", name="Tasks")
    cells = live.page.locator(".jp-Cell").count()
    tasks.focus()
    for key in ("Home", "ArrowRight", "ArrowDown", "Enter"):
        tasks.press(key)
    expect(tasks.locator("[aria-selected=true]")).to_contain_text("load-0")
    # In a notebook's command mode these make cells.
    tasks.press("b")
    tasks.press("a")
    expect(tasks).to_be_focused()
    assert live.page.locator(".jp-Cell").count() == cells
    tasks.press("Escape")
    expect(tasks.locator("[aria-selected=true]")).to_have_count(0)
    tab = view.get_by_role("tab", name="Tasks")
    tab.focus()
    tab.press("ArrowRight")
    expect(view.get_by_role("tab", name="Graph")).to_be_focused()
    expect(view.get_by_role("tabpanel", name="Graph")).to_be_visible()


def test_the_graph_shows_what_depends_on_what(live: Screen, view: Locator, place: str) -> None:
    panel = open_tab(view, "Graph")
    nodes = panel.get_by_role("treeitem")
    expect(nodes.filter(has_text="load × 5")).to_be_visible()
    report = nodes.filter(has_text="report")
    expect(report).to_have_attribute("data-state", "RUNNING")
    report.click()
    expect(view.get_by_label("The chosen task")).to_contain_text("Running")
    for theme in ("light", "dark"):
        live.theme(theme)
        live.shot(f"widget-graph-{theme}-{place}")
    live.theme("light")


def test_the_timeline_shows_attempts_and_waiting(live: Screen, view: Locator, place: str) -> None:
    panel = open_tab(view, "Timeline")
    expect(panel).to_contain_text("load × 5")
    expect(panel).to_contain_text("1 failed")
    live.shot(f"widget-timeline-light-{place}")


def test_the_log_follows_narrows_and_finds(live: Screen, view: Locator, place: str) -> None:
    panel = open_tab(view, "Logs")
    lines = panel.locator(".wf-Log")
    expect(lines.filter(has_text="one part is missing")).to_be_visible()
    panel.get_by_role("searchbox").fill("loading")
    expect(panel.locator(".wf-Logs-found")).to_have_text("5 of 5")
    expect(panel.locator("mark")).to_have_count(5)
    panel.get_by_label("Log level").select_option("30")
    expect(panel.locator(".wf-Logs-found")).to_have_text("no match")
    expect(lines.filter(has_text="one part is missing")).to_be_visible()
    live.shot(f"widget-logs-light-{place}")
    panel.get_by_label("Log level").select_option("0")
    lines.filter(has_text="one part is missing").locator(".wf-Log-run").click()
    expect(lines).to_have_count(1)
    open_tab(view, "Tasks")
    expect(view.locator(".wf-Task[aria-selected=true]")).to_contain_text("report")


def test_the_page_of_a_run_has_the_same_tabs(screen: Screen) -> None:
    program = _FLOW.replace(_WAIT, "pass").replace('nightly(5, "Rotterdam")', "")
    (screen.lab.root / "tabs_page.py").write_text(program)
    with screen.lab.wf("run", "tabs_page.py:nightly", "-p", "days=5", "-p", "city=Oslo") as command:
        _, err = command.communicate(timeout=60)
        assert command.returncode == 0, err
    items = screen.lab.get("jupyter_wf/api/runs?roots=1&flow=nightly&limit=1")["items"]
    screen.open()
    screen.run("jupyter-wf:open-run", {"id": items[0]["id"]})
    page = screen.run_page(items[0]["id"])
    expect(open_tab(page, "Tasks").locator(".wf-Task").first).to_contain_text("load × 5")
    expect(open_tab(page, "Timeline")).to_contain_text("clean × 5")
    expect(open_tab(page, "Logs").locator(".wf-Log").filter(has_text="loading day 3")).to_be_visible()
    node = open_tab(page, "Graph").get_by_role("treeitem").filter(has_text="report")
    node.click()
    # The tree does not hold parameters: the server is asked for them.
    expect(page.get_by_label("The chosen task").locator(".wf-Parameters-title")).to_contain_text("1 parameter")
    screen.page.set_viewport_size({"width": 700, "height": 800})
    screen.shot("run-page-graph-narrow")
