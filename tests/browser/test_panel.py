"""The Workflows panel and the run page: live, for whoever made the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import LabProcess
from tests.browser.programs import gated_flow, gated_notebook, write_notebook
from tests.browser.screen import Screen
from tests.waiting import until


@pytest.fixture
def empty_screen(browser: Browser, tmp_path: Path) -> Iterator[Screen]:
    """A page of a JupyterLab that has never seen a run."""
    process = LabProcess(tmp_path / "lab")
    context = browser.new_context(viewport={"width": 1360, "height": 860})
    try:
        yield Screen(context.new_page(), process.wait())
    finally:
        context.close()
        process.stop()


def newest_run(screen: Screen, flow: str) -> str | None:
    """Return the id of the newest run of ``flow``, None where there is none yet."""
    items = screen.lab.get("jupyter_wf/api/runs?roots=1&limit=20")["items"]
    return next((run["id"] for run in items if run["flow_name"] == flow), None)


def row_of(screen: Screen, run_id: str) -> Locator:
    """Return the row of a run in the panel."""
    return screen.page.locator(f".jp-WfRunRow[data-run-id='{run_id}']")


def test_an_empty_panel_says_how_to_begin(empty_screen: Screen) -> None:
    empty_screen.open()
    panel = empty_screen.open_panel()
    expect(panel).to_contain_text("%%task")
    expect(panel).to_contain_text("%load_ext jupyter_wf")
    empty_screen.shot("panel-empty-light")
    empty_screen.theme("dark")
    empty_screen.shot("panel-empty-dark")
    assert empty_screen.complaints == []


def test_a_run_of_the_command_line_appears_and_ends_without_reload(screen: Screen) -> None:
    screen.open()
    screen.open_panel()
    screen.page.evaluate("window.notReloaded = true")
    command = screen.lab.wf("run", gated_flow(screen.lab.root / "report.py", "flow-go"))
    with command:
        run_id = until(lambda: newest_run(screen, "weather-report") or newest_run(screen, "weather_report"), "the run")
        row = row_of(screen, run_id)
        expect(row).to_have_attribute("data-state", "RUNNING")
        expect(row).to_contain_text("2/3")
        (screen.lab.root / "flow-go").touch()
        expect(row).to_have_attribute("data-state", "COMPLETED")
        _, err = command.communicate(timeout=30)
        assert command.returncode == 0, err
    assert screen.page.evaluate("window.notReloaded") is True


def test_run_page_shows_tasks_and_logs_and_cancels(screen: Screen) -> None:
    gated_notebook(screen.lab.root / "page-cancel.ipynb", "never-comes")
    screen.open()
    screen.open_panel()
    with screen.lab.wf("run", "page-cancel.ipynb") as command:
        run_id = until(lambda: newest_run(screen, "page-cancel"), "the run")
        row_of(screen, run_id).click()
        page = screen.run_page(run_id)
        tasks = page.locator(".wf-Task")
        second = tasks.filter(has_text="second")
        expect(second).to_have_attribute("data-state", "RUNNING")
        expect(tasks.filter(has_text="first")).to_have_attribute("data-state", "COMPLETED")
        expect(tasks.filter(has_text="first")).to_contain_text("2/2")
        expect(second).to_contain_text("waiting for the gate")
        screen.shot("run-page-running-light")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator(".wf-Head .wf-Badge").first).to_have_attribute("data-state", "CANCELLED")
        expect(second).to_have_attribute("data-state", "CANCELLED")
        _, err = command.communicate(timeout=30)
        assert command.returncode == 130, err
    assert screen.lab.get(f"jupyter_wf/api/runs/{run_id}")["state"]["type"] == "CANCELLED"


def test_run_page_of_the_quickstart(screen: Screen) -> None:
    with screen.lab.wf("run", "quickstart.ipynb", "--json") as command:
        out, err = command.communicate(timeout=120)
        assert command.returncode == 0, err
    run_id = json.loads(out)["id"]
    screen.open()
    screen.open_panel()
    row_of(screen, run_id).click()
    page = screen.run_page(run_id)
    expect(page.locator(".wf-Head .wf-Badge").first).to_have_attribute("data-state", "COMPLETED")
    load = page.locator(".wf-Task").filter(has_text="load")
    expect(load).to_contain_text("2/3")
    page.get_by_role("tab", name="Logs").click()
    expect(page.locator(".wf-Log").filter(has_text="365 days of 2013")).to_be_visible()
    page.get_by_role("tab", name="Tasks").click()
    expect(page).to_contain_text("2013")
    for theme in ("light", "dark"):
        screen.theme(theme)
        screen.shot(f"run-page-{theme}")
    screen.theme("light")
    screen.page.set_viewport_size({"width": 720, "height": 860})
    screen.shot("run-page-narrow")


def test_the_list_is_walked_by_keyboard(screen: Screen) -> None:
    write_notebook(screen.lab.root / "keys.ipynb", "%load_ext jupyter_wf", "%%task only\n1 + 1")
    with screen.lab.wf("run", "keys.ipynb") as command:
        command.communicate(timeout=60)
    run_id = newest_run(screen, "keys")
    assert run_id is not None
    screen.open()
    screen.open_panel()
    row = row_of(screen, run_id)
    row.focus()
    row.press("Enter")
    expect(screen.run_page(run_id)).to_be_visible()


def test_a_failed_run_shows_its_error_as_text(screen: Screen) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    write_notebook(
        screen.lab.root / "fails.ipynb", "%load_ext jupyter_wf", f"%%task breaks\nraise ValueError({evil!r})"
    )
    with screen.lab.wf("run", "fails.ipynb") as command:
        command.communicate(timeout=60)
        assert command.returncode == 1
    run_id = newest_run(screen, "fails")
    assert run_id is not None
    screen.open()
    screen.open_panel()
    row_of(screen, run_id).click()
    page = screen.run_page(run_id)
    expect(page.locator(".wf-Head .wf-Badge").first).to_have_attribute("data-state", "FAILED")
    expect(page).to_contain_text("onerror")
    assert page.locator("img").count() == 0
    assert "owned" not in screen.page.title()
    screen.shot("run-page-failed-light")


def test_a_failed_notebook_is_resumed_from_its_page(screen: Screen) -> None:
    write_notebook(
        screen.lab.root / "resumed.ipynb",
        "%load_ext jupyter_wf\nfrom pathlib import Path",
        "%%task gather\nrows = [1, 2, 3]",
        "%%task total\nif not Path('page-mended').exists():\n    raise RuntimeError('not yet')\nprint(sum(rows))",
    )
    with screen.lab.wf("run", "resumed.ipynb") as command:
        command.communicate(timeout=60)
        assert command.returncode == 1
    run_id = newest_run(screen, "resumed")
    assert run_id is not None
    screen.open()
    screen.run("jupyter-wf:open-run", {"id": run_id})
    page = screen.run_page(run_id)
    (screen.lab.root / "page-mended").touch()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".wf-Head .wf-Badge").first).to_have_attribute("data-state", "COMPLETED", timeout=60_000)
    expect(page.locator(".wf-Head-attempts")).to_contain_text("2")
    expect(page.locator(".wf-Task").filter(has_text="gather")).to_contain_text("Resumed")
    page.get_by_role("button", name="Open notebook as it was").click()
    expect(screen.page.locator(".jp-NotebookPanel").last).to_contain_text("%%task total")
