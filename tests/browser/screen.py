"""What a test does with a page of JupyterLab: open it, set its theme, run commands, take pictures."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, expect

from tests.browser.lab import ROOT, Lab

SHOTS = ROOT / "tests/browser/shots"
IMAGES = ROOT / "docs/images"
#: Set to anything, it has the pictures of the documentation made anew.
REFRESH = "JUPYTER_WF_REFRESH_IMAGES"

_THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
#: What JupyterLab itself complains of in a folder that is new: no fault of ours.
_KNOWN = ("favicon", "/lsp/status", "apputils-extension:themes", "/api/workspaces")
#: What Notebook 7.6 throws by itself when it opens a notebook, with or without this extension.
_NOTEBOOKS = (
    "Cannot read properties of undefined (reading 'schema')",
    # The file browser's part restores what a list of files has shown; a notebook's page has none.
    "Command 'filebrowser:open-path' not registered.",
)
#: What anywidget throws, two seconds later and where nobody sees it, if a run ends before its view's code is loaded.
_LATE = "[anywidget] Failed to initialize model."


@dataclass
class Screen:
    """One page, and everything it complained of."""

    page: Page
    lab: Lab
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._hear)
        self.page.on("pageerror", self._catch)

    def _hear(self, message: ConsoleMessage) -> None:
        place = message.location.get("url", "")
        if message.type == "error" and not any(known in place or known in message.text for known in _KNOWN):
            self.complaints.append(f"{message.text} ({place})")

    def _catch(self, error: Error) -> None:
        if error.message not in self._forgiven():
            self.complaints.append(f"uncaught: {error}")

    def _forgiven(self) -> tuple[str, ...]:
        """Return the errors that are thrown by others."""
        return (_LATE,)

    def open(self, path: str = "", *, workspace: str = "test") -> None:
        """Open JupyterLab in a clean workspace, with the notebook ``path`` if given, and wait until it is ready."""
        where = f"lab/workspaces/{workspace}" + (f"/tree/{path}" if path else "")
        self.page.goto(f"{self.lab.url}/{where}?reset&token={self.lab.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate("window.jupyterapp.restored")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        self.theme("light")  # the server remembers what the test before has chosen

    def run(self, command: str, arguments: dict[str, Any] | None = None) -> None:
        """Execute one of JupyterLab's commands, without waiting for what it returns."""
        self.page.evaluate(
            "([command, args]) => { void window.jupyterapp.commands.execute(command, args); }",
            [command, arguments or {}],
        )

    def kernel_ready(self) -> None:
        """Wait until the notebook in front has an idle kernel."""
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )

    def wait_until_idle(self) -> None:
        """Wait until the kernel of the notebook in front has nothing to do, and JupyterLab knows it."""
        self.page.evaluate(
            """async () => {
                const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
                await kernel.requestKernelInfo();
            }"""
        )
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )

    def add_and_run_cell(self, source: str, *, wait: bool = True) -> None:
        """Put a cell below the last one of the notebook in front and run it; ``wait`` until it has ended."""
        self.page.evaluate(
            """async ([source, wait]) => {
                const { commands, shell } = window.jupyterapp;
                const notebook = shell.currentWidget.content;
                notebook.activeCellIndex = notebook.widgets.length - 1;
                await commands.execute('notebook:insert-cell-below');
                notebook.activeCell.model.sharedModel.setSource(source);
                const ended = commands.execute('notebook:run-cell');
                await (wait ? ended : undefined);
            }""",
            [source, wait],
        )

    def open_panel(self) -> Locator:
        """Show the Workflows panel and return it."""
        panel = self.page.locator(".jp-WfPanel")
        if not panel.is_visible():
            self.page.locator(".jp-SideBar .lm-TabBar-tab[title*='Workflows']").click()
        expect(panel).to_be_visible()
        return panel

    def run_page(self, run_id: str) -> Locator:
        """Return the page of a run in the main area, once it is there."""
        page = self.page.locator(f".jp-WfRunPage[data-run-id='{run_id}']")
        expect(page).to_be_visible()
        return page

    def theme(self, name: str) -> None:
        """Change to the ``light`` or the ``dark`` theme and wait until it is there."""
        self.run("apputils:change-theme", {"theme": _THEMES[name]})
        expect(self.page.locator("body")).to_have_attribute("data-jp-theme-name", _THEMES[name])
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)

    def scroll_to_cell(self, number: int) -> None:
        """Bring a cell (counted from 0) of the notebook in front to the top of the page."""
        self.page.evaluate(
            """async number => {
                const notebook = window.jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = number;
                notebook.mode = 'command';
                // What is below may grow while this is under way: then it never comes to an end.
                const enough = new Promise(resolve => setTimeout(resolve, 1000));
                await Promise.race([notebook.scrollToItem(number, 'start'), enough]);
            }""",
            number,
        )

    def shot(self, name: str, *, of: Locator | None = None, document: bool = False) -> Path:
        """Take a picture to look at; ``document`` makes it one of the documentation's where that was asked for."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        (of or self.page).screenshot(path=path)
        if document and os.environ.get(REFRESH):
            IMAGES.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, IMAGES / path.name)
        return path


class NotebookScreen(Screen):
    """A page of Notebook 7, where a notebook has a page of its own: the commands are JupyterLab's."""

    def open(self, path: str = "", *, workspace: str = "test") -> None:
        """Open the notebook ``path``, or the list of files without one, and wait until it is ready.

        There are no workspaces here.
        """
        where = f"notebooks/{path}" if path else "tree"
        self.page.goto(f"{self.lab.url}/{where}?token={self.lab.token}")
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate("window.jupyterapp.restored")
        self.theme("light")  # the server remembers what the test before has chosen
        if path:
            self.page.wait_for_function("window.jupyterapp.shell.currentWidget?.content?.widgets?.length > 0")

    def _forgiven(self) -> tuple[str, ...]:
        return (*super()._forgiven(), *_NOTEBOOKS)

    @property
    def view(self) -> Locator:
        """The place of the first live view of a run."""
        return self.page.locator(".wf-RunView").first

    @property
    def left_behind(self) -> Locator:
        """The place of the first static form."""
        return self.page.locator("table.jupyter-wf-run").first


S = TypeVar("S", bound=Screen)


@contextmanager
def opened(kind: type[S], browser: Browser, lab: Lab) -> Iterator[S]:
    """Return a page of a kind for the block; it must not have complained of anything in the end."""
    context = browser.new_context(viewport={"width": 1360, "height": 860}, device_scale_factor=1)
    context.set_default_timeout(15_000)
    try:
        screen = kind(context.new_page(), lab)
        yield screen
    finally:
        context.close()
    assert not screen.complaints, "\n".join(screen.complaints)
