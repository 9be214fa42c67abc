"""The view below a cell, live in JupyterLab, and what it leaves behind."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.programs import WAIT, write_notebook
from tests.browser.screen import Screen

EVIL = "<img src=x onerror=\"document.title='owned'\">"


def open_and_run(screen: Screen, name: str, *cells: str) -> Locator:
    """Write a notebook, open it, run all of it; return the place of the first live view."""
    write_notebook(screen.lab.root / f"{name}.ipynb", *cells)
    screen.open(f"{name}.ipynb", workspace=name)
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")
    return screen.page.locator(".wf-RunView").first


def left_behind(screen: Screen) -> Locator:
    """Return the place of the first static form: what a notebook keeps of a run that has ended."""
    return screen.page.locator("table.jupyter-wf-run").first


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
    expect(view.locator(".wf-Log-text").filter(has_text="try 2")).to_be_visible()
    expect(screen.page.locator(".jp-RenderedText").filter(has_text="try 2")).to_be_visible()
    elapsed = view.locator(".wf-Head-elapsed")
    before = elapsed.inner_text()
    expect(elapsed).not_to_have_text(before)
    for theme in ("light", "dark"):
        screen.theme(theme)
        screen.shot(f"widget-running-{theme}")
    screen.theme("light")

    (screen.lab.root / "widget-go").touch()
    expect(left_behind(screen)).to_contain_text("✓ Completed")
    expect(view).to_have_count(0)
    expect(screen.page.get_by_text("the answer is 42")).to_be_visible()
    screen.shot("widget-completed-light")


def test_cancel_below_a_cell_stops_it_and_the_next_cell_works(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-cancel",
        "%load_ext jupyter_wf",
        "%%task endless\nprint('going')\n" + WAIT.format(gate="never"),
    )
    expect(view).to_have_attribute("data-state", "RUNNING")
    view.get_by_role("button", name="Cancel").click()
    expect(left_behind(screen)).to_contain_text("Cancelled")
    # What is sent before the failed cell's end is known here is dropped by the kernel, as after any error.
    expect(screen.page.get_by_text("was cancelled")).to_be_visible()
    screen.wait_until_idle()
    screen.add_and_run_cell("print('the answer is', 6 * 7)")
    expect(screen.page.get_by_text("the answer is 42")).to_be_visible()
    screen.shot("widget-cancelled-light")


def test_retry_below_a_cell_runs_it_again(screen: Screen) -> None:
    open_and_run(
        screen,
        "widget-fails",
        "%load_ext jupyter_wf\nfrom pathlib import Path",
        "%%task fragile\nif not Path('mended').exists():\n    raise RuntimeError('nobody has mended it')",
    )
    expect(left_behind(screen)).to_contain_text("✗ Failed")
    expect(left_behind(screen)).to_contain_text("nobody has mended it")
    for theme in ("dark", "light"):
        screen.theme(theme)
        screen.shot(f"widget-failed-{theme}")
    (screen.lab.root / "mended").touch()
    left_behind(screen).get_by_role("button", name="Retry").click()
    expect(left_behind(screen)).to_contain_text("✓ Completed")


def test_tasks_of_a_flow_are_rows(screen: Screen) -> None:
    wait = WAIT.format(gate="squares-go").replace("\n", "\n    ")
    view = open_and_run(
        screen,
        "widget-flow",
        "%load_ext jupyter_wf\nfrom jupyter_wf import flow, task",
        "@task(log_prints=True)\ndef square(n):\n    print('squaring', n)\n    return n * n\n\n"
        f"@task\ndef hold():\n    {wait}\n\n"
        "@flow\ndef squares(upto):\n    futures = [square.submit(n) for n in range(upto)]\n    hold()\n"
        "    return sum(future.result() for future in futures)\n\nsquares(5)",
    )
    group = view.locator(".wf-Task").filter(has_text="square × 5")
    expect(group).to_contain_text("5 of 5")
    expect(view.locator(".wf-Task[data-state=RUNNING]")).to_contain_text("hold")
    group.click()
    expect(view.locator(".wf-Task[data-run-id][data-state=COMPLETED]")).to_have_count(5)
    expect(view.locator(".wf-Task").filter(has_text="squaring 3")).to_be_visible()
    for theme in ("light", "dark"):
        screen.theme(theme)
        screen.shot(f"widget-flow-{theme}")
    screen.theme("light")
    (screen.lab.root / "squares-go").touch()
    expect(left_behind(screen)).to_contain_text("✓ Completed")
    expect(left_behind(screen)).to_contain_text("6 of 6 tasks")
    expect(screen.page.locator(".jp-OutputArea-output").filter(has_text="30").last).to_be_visible()
    screen.shot("widget-flow-completed-light")


def test_text_of_a_run_is_text(screen: Screen) -> None:
    view = open_and_run(
        screen,
        "widget-evil",
        "%load_ext jupyter_wf\nfrom jupyter_wf import flow, task",
        f"evil = {EVIL!r}\n\n"
        "@task(name=evil, log_prints=True)\ndef shout():\n    print(evil)\n    raise ValueError(evil)\n\n"
        "@flow(name=evil)\ndef loud():\n    shout(return_state=True)\n    "
        + WAIT.format(gate="evil-go").replace("\n", "\n    ")
        + "\nloud()",
    )
    expect(view.locator(".wf-Task[data-state=FAILED]")).to_contain_text("onerror")
    assert screen.page.locator(".jp-OutputArea img").count() == 0
    (screen.lab.root / "evil-go").touch()
    expect(left_behind(screen)).to_contain_text("onerror")
    assert screen.page.locator(".jp-OutputArea img").count() == 0
    assert "owned" not in screen.page.title()
