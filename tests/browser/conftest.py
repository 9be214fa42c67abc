"""A JupyterLab server for the whole session, a Chromium for each module, a page for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.lab import Lab, LabProcess
from tests.browser.screen import NotebookScreen, Screen, opened

#: Nothing that calls home, nothing that needs a graphics card or a user's sandbox.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab with the checkout's extension."""
    process = LabProcess(tmp_path_factory.mktemp("lab"))
    try:
        yield process.wait()
    finally:
        process.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium where there is one, else Playwright's. Per module: its event loop must end before others."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def screen(browser: Browser, lab: Lab) -> Iterator[Screen]:
    """A page of JupyterLab that must not have complained of anything in the end."""
    with opened(Screen, browser, lab) as screen:
        yield screen


@pytest.fixture
def notebook_screen(browser: Browser, lab: Lab) -> Iterator[NotebookScreen]:
    """A page of Notebook 7 on the same server that must not have complained of anything in the end."""
    with opened(NotebookScreen, browser, lab) as screen:
        yield screen
