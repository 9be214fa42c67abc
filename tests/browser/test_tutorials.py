"""The tutorials, run by hand in JupyterLab: every cell to its end, no error but those that are caught and shown."""

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
    "failures-and-retries": "trigger",
    "flows-and-tasks": "submit",
    "pause-for-input": "yes",
}


def test_every_tutorial_is_looked_at() -> None:
    assert sorted(_SHOWN) == TUTORIALS


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_by_hand(screen: Screen, name: str) -> None:
    screen.page.set_viewport_size({"width": 1200, "height": 1100})
    screen.open(f"{name}.ipynb", workspace=name)
    screen.kernel_ready()
    screen.run("notebook:run-all-cells")
    screen.page.wait_for_function(f"() => {{ const o = ({_OUTCOME})(); return o.errors.length || o.ran === o.cells; }}")
    outcome: dict[str, Any] = screen.page.evaluate(_OUTCOME)
    assert outcome["errors"] == []
    assert outcome["ran"] == outcome["cells"]
    screen.wait_until_idle()
    ids: list[str] = screen.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.id)"
    )
    screen.scroll_to_cell(ids.index(_SHOWN[name]))
    expect(screen.page.locator("table.jupyter-wf-run").first).to_be_visible()
    screen.shot(name)
    screen.theme("dark")
    screen.shot(f"{name}-dark")
