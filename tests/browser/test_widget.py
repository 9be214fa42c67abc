"""The view below a ``%%task`` cell, live in JupyterLab."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.programs import WAIT, write_notebook
from tests.browser.screen import Screen


def open_and_run(screen: Screen, name: str, *cells: str) -> Locator:
    """Write a notebook, open it, run all of it; return the place of the first view."""
    write_notebook(screen.lab.root / f"{name}.ipynb", *cells)
    screen.open(f"{name}.ipynb", workspace=name)
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")
    return screen.page.locator(".wf-RunView").first


def test_view_follows_a_task_through_its_retry(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-retry",
        "%load_ext jupyter_wf\ntries = []",
        "%%task measure --retries 1 --retry-delay 0.1\ntries.append(1)\nprint('try', len(tries))\n"
        "if len(tries) == 1:\n    raise ConnectionError('the line was cut')\n"
        + WAIT.format(gate="widget-go")
        + "\nanswer = 42",
        "print('the answer is', answer)",
    )
    expect(view).to_have_attribute("data-state", "RUNNING")
    expect(view).to_contain_text("2/2")
    expect(view).to_contain_text("try 2")
    elapsed = view.locator(".wf-RunView-elapsed")
    before = elapsed.inner_text()
    expect(elapsed).not_to_have_text(before)
    screen.shot("widget-running-light", of=view)

    (screen.lab.root / "widget-go").touch()
    expect(view).to_have_attribute("data-state", "COMPLETED")
    expect(view.locator(".wf-Badge").first).to_contain_text("Completed")
    expect(view.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(screen.page.get_by_text("the answer is 42")).to_be_visible()
    screen.shot("widget-light")
    screen.theme("dark")
    screen.shot("widget-dark")


def test_cancel_below_a_cell_stops_it_and_the_next_cell_works(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-cancel",
        "%load_ext jupyter_wf",
        "%%task endless\nprint('going')\n" + WAIT.format(gate="never"),
    )
    expect(view).to_have_attribute("data-state", "RUNNING")
    expect(view).to_contain_text("going")
    view.get_by_role("button", name="Cancel").click()
    expect(view).to_have_attribute("data-state", "CANCELLED")
    screen.add_and_run_cell("print(6 * 7)")
    expect(screen.page.locator(".jp-OutputArea-output", has_text=re.compile(r"^\s*42\s*$"))).to_be_visible()
    screen.shot("widget-cancelled-light")


def test_retry_below_a_cell_runs_it_again(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-fails",
        "%load_ext jupyter_wf\nfrom pathlib import Path",
        "%%task fragile\nif not Path('mended').exists():\n    raise RuntimeError('nobody has mended it')",
    )
    expect(view).to_have_attribute("data-state", "FAILED")
    expect(view).to_contain_text("nobody has mended it")
    screen.shot("widget-failed-light")
    screen.theme("dark")
    screen.shot("widget-failed-dark")
    (screen.lab.root / "mended").touch()
    view.get_by_role("button", name="Retry").click()
    expect(view).to_have_attribute("data-state", "COMPLETED")


def test_tasks_of_a_flow_are_rows(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-flow",
        "%load_ext jupyter_wf\nfrom jupyter_wf import flow, task",
        "@task\ndef square(n):\n    return n * n\n\n@flow\ndef squares(upto):\n"
        "    futures = [square.submit(n) for n in range(upto)]\n    return sum(f.result() for f in futures)\n"
        "squares(5)",
    )
    expect(view).to_have_attribute("data-state", "COMPLETED")
    expect(view.locator(".wf-TaskRow")).to_have_count(5)
    expect(view.locator(".wf-TaskRow[data-state=COMPLETED]")).to_have_count(5)
    screen.shot("widget-flow-light", of=view)


def test_text_of_a_run_is_text(screen: Screen) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\">"
    view = open_and_run(
        screen,
        "widget-evil",
        "%load_ext jupyter_wf",
        f"%%task markup\nprint({evil!r})\nraise ValueError({evil!r})",
    )
    expect(view).to_have_attribute("data-state", "FAILED")
    expect(view).to_contain_text("onerror")
    assert view.locator("img").count() == 0
    assert "owned" not in screen.page.title()
