"""The view below a cell in Notebook 7: live there too, and plain HTML in the end."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.programs import WAIT, write_notebook
from tests.browser.screen import NotebookScreen


def test_the_view_is_live_and_ends_as_its_static_form(notebook_screen: NotebookScreen) -> None:
    screen = notebook_screen
    write_notebook(
        screen.lab.root / "in-notebook.ipynb",
        "%load_ext jupyter_wf",
        f"%%task measure\nprint('working')\n{WAIT.format(gate='in-notebook-go')}\nanswer = 42",
        "print('the answer is', answer)",
    )
    screen.open("in-notebook.ipynb")
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")
    expect(screen.view).to_have_attribute("data-state", "RUNNING")
    expect(screen.view).to_contain_text("measure")
    screen.shot("notebook7-running")
    (screen.lab.root / "in-notebook-go").touch()
    expect(screen.left_behind).to_contain_text("✓ Completed")
    expect(screen.view).to_have_count(0)
    expect(screen.page.get_by_text("the answer is 42")).to_be_visible()
    screen.wait_until_idle()
    screen.add_and_run_cell("print('and', answer + 1)")
    expect(screen.page.get_by_text("and 43")).to_be_visible()
    screen.shot("notebook7-completed")
