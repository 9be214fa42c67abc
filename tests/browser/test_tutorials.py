"""The tutorials, run by hand in JupyterLab: every cell to its end, no error but those that are meant."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.lab import ROOT
from tests.browser.screen import Screen

TUTORIALS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if path.stem != "quickstart")

#: How many cells have run, how many there are, and the errors among their outputs.
_OUTCOME = """() => {
    const { widgets } = window.jupyterapp.shell.currentWidget.content;
    const code = widgets.filter(cell => cell.model.type === 'code');
    const outputs = code.flatMap(cell => cell.model.sharedModel.getOutputs());
    return {
        cells: code.length,
        ran: code.filter(cell => cell.model.executionCount !== null).length,
        errors: outputs.filter(output => output.output_type === 'error').map(output => output.evalue)
    };
}"""
#: A cell whose output is worth a look, by the notebook's name.
_SHOWN = {
    "caching-and-transactions": "transaction",
    "dataflow-and-background": "report",
    "debug-a-failure": "load",
    "failures-and-retries": "trigger",
    "flows-and-tasks": "submit",
    "map-and-cache": "hottest",
    "pause-for-input": "yes",
    "resume-after-failure": "chances",
    "scheduling-a-notebook": "schedule",
}
#: Those that fail on purpose have tests of their own.
_FAIL = {"debug-a-failure", "resume-after-failure"}


def test_every_tutorial_is_looked_at() -> None:
    assert sorted(_SHOWN) == TUTORIALS


def _run_all(screen: Screen, name: str) -> None:
    """Open a tutorial and begin to run all of its cells."""
    screen.page.set_viewport_size({"width": 1200, "height": 1100})
    screen.open(f"{name}.ipynb", workspace=name)
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")


def _outcome(screen: Screen, *, new: int = 0, errors: int = 0) -> dict[str, Any]:
    """Wait until all cells but ``new`` ones have run, or more than ``errors`` have failed; return what is there."""
    enough = f"o.errors.length > {errors} || o.ran === o.cells - {new}"
    screen.page.wait_for_function(f"() => {{ const o = ({_OUTCOME})(); return {enough}; }}")
    screen.wait_until_idle()
    outcome: dict[str, Any] = screen.page.evaluate(_OUTCOME)
    return outcome


def _look(screen: Screen, name: str) -> None:
    """Look at the tutorial's cell that is worth it, in both themes."""
    ids: list[str] = screen.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.id)"
    )
    screen.scroll_to_cell(ids.index(_SHOWN[name]))
    expect(screen.page.locator("table.jupyter-wf-run").first).to_be_visible()
    screen.shot(name)
    screen.theme("dark")
    screen.shot(f"{name}-dark")


@pytest.mark.parametrize("name", [name for name in TUTORIALS if name not in _FAIL])
def test_tutorial_by_hand(screen: Screen, name: str) -> None:
    _run_all(screen, name)
    outcome = _outcome(screen)
    assert outcome["errors"] == []
    assert outcome["ran"] == outcome["cells"]
    _look(screen, name)


def test_a_tutorial_that_stops_and_is_mended(screen: Screen) -> None:
    name = "resume-after-failure"
    _run_all(screen, name)
    screen.page.wait_for_function(f"() => ({_OUTCOME})().errors.length > 0")
    screen.wait_until_idle()
    stopped: dict[str, Any] = screen.page.evaluate(_OUTCOME)
    (error,) = stopped["errors"]
    assert "day" in error
    assert stopped["ran"] == stopped["cells"] - 2
    screen.page.evaluate(
        """async () => {
            const { commands, shell } = window.jupyterapp;
            const notebook = shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.findIndex(cell => cell.model.id === 'parameters');
            notebook.activeCell.model.sharedModel.setSource('day: str = "2015-06-30"');
            await commands.execute('notebook:run-cell');
        }"""
    )
    screen.add_and_run_cell("%wf run\nprint(answer)")
    screen.wait_until_idle()
    expect(screen.page.locator(".jp-OutputArea-output", has_text="30 June: rain on 20%").last).to_be_visible()
    assert screen.page.evaluate(_OUTCOME)["errors"] == stopped["errors"]
    _look(screen, name)


def test_a_tutorial_with_the_debugger(screen: Screen) -> None:
    name = "debug-a-failure"
    _run_all(screen, name)
    line = screen.page.locator(".jp-Stdin-input")
    for word in ("days", "up", "month", "q"):
        # The line of the answer before goes when the next one comes.
        screen.page.wait_for_function(
            """() => {
                const lines = document.querySelectorAll('.jp-Stdin-input');
                return lines.length === 1 && lines[0].value === '';
            }"""
        )
        line.fill(word)
        line.press("Enter")
        expect(screen.page.locator(".jp-OutputArea-output", has_text=f"ipdb>  {word}").last).to_be_attached()
    expect(line).to_have_count(0)
    # %wf load has made a cell, which nobody runs.
    outcome = _outcome(screen, new=1, errors=1)
    assert outcome["ran"] == outcome["cells"] - 1
    assert outcome["errors"] == ["attempt to get argmax of an empty sequence"]
    expect(screen.page.locator(".jp-OutputArea-output", has_text="Empty DataFrame").first).to_be_attached()
    _look(screen, name)
