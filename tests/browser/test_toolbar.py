"""A notebook is run as a workflow from where it is open."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.programs import write_notebook
from tests.browser.screen import Screen

SOURCES = ("%load_ext jupyter_wf", "%%task add\ntotal = 40 + 2\nprint('total', total)")

BUTTON = ".jp-NotebookPanel-toolbar [data-command='jupyter-wf:run-notebook']"


def test_run_from_the_toolbar_ends_in_a_notification_that_opens_the_run(screen: Screen) -> None:
    write_notebook(screen.lab.root / "toolbar.ipynb", *SOURCES)
    screen.open("toolbar.ipynb", workspace="toolbar")
    screen.kernel_ready()
    screen.page.locator(BUTTON).click()
    toast = screen.page.locator(".Toastify__toast").filter(has_text="toolbar").filter(has_text="ompleted")
    toast.get_by_role("button", name="Open run").hover()  # waits until it has come to rest, and keeps it there
    screen.shot("notification-light")
    toast.get_by_role("button", name="Open run").click()
    items = screen.lab.get("jupyter_wf/api/runs?flow=toolbar&roots=1")["items"]
    assert [run["state"]["type"] for run in items] == ["COMPLETED"]
    page = screen.run_page(items[0]["id"])
    expect(page.locator(".wf-Task").filter(has_text="add")).to_have_attribute("data-state", "COMPLETED")
    page.get_by_role("button", name="Open executed notebook").click()
    expect(screen.page.locator(".jp-NotebookPanel").last).to_contain_text("total 42")


def test_unsaved_changes_are_what_runs(screen: Screen) -> None:
    write_notebook(screen.lab.root / "unsaved.ipynb", *SOURCES)
    screen.open("unsaved.ipynb", workspace="unsaved")
    screen.kernel_ready()
    screen.add_and_run_cell("print('added and not saved')")
    screen.page.locator(BUTTON).click()
    toast = screen.page.locator(".Toastify__toast").filter(has_text="unsaved").filter(has_text="ompleted")
    expect(toast).to_be_visible()
    (run,) = screen.lab.get("jupyter_wf/api/runs?flow=unsaved&roots=1")["items"]
    logs = screen.lab.get(f"jupyter_wf/api/runs/{run['id']}/logs")["items"]
    assert any("added and not saved" in line["message"] for line in logs)


def test_the_command_palette_and_the_file_browser_offer_it(screen: Screen) -> None:
    write_notebook(screen.lab.root / "offered.ipynb", *SOURCES)
    screen.open("offered.ipynb", workspace="offered")
    screen.kernel_ready()
    screen.run("apputils:activate-command-palette")
    palette = screen.page.locator(".lm-CommandPalette")
    palette.locator("input").press_sequentially("workflow")
    expect(palette.get_by_text("Run Notebook as Workflow")).to_be_visible()
    screen.page.keyboard.press("Escape")
    screen.run("filebrowser:activate")
    screen.page.locator(".jp-DirListing-item", has_text="offered.ipynb").click(button="right")
    expect(screen.page.locator(".lm-Menu-itemLabel", has_text="Run Notebook as Workflow")).to_be_visible()
