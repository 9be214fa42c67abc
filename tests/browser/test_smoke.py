"""JupyterLab loads with the extension."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.screen import Screen


def test_the_panel_has_its_place_at_the_left(screen: Screen) -> None:
    screen.open()
    tab = screen.page.locator(".jp-SideBar.jp-mod-left .lm-TabBar-tab[title*='Workflows']")
    expect(tab).to_be_visible()
    expect(tab.locator("svg")).to_be_visible()
