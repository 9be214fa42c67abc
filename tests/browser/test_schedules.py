"""A notebook is scheduled from where it is open, and what is scheduled is seen and changed in the panel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.lab import Lab, LabProcess
from tests.browser.programs import write_notebook
from tests.browser.screen import NotebookScreen, Screen, opened
from tests.waiting import until

API = "jupyter_wf/api"
BUTTON = "[data-command='jupyter-wf:schedule-notebook']"
#: The first one is tagged as that of the parameters.
SOURCES = (
    "year: int = 2013\ncity: str = 'Seattle'\nverbose: bool = False\napi_token: str = 'of the file'",
    "%load_ext jupyter_wf",
    "%%task report\nprint(f'{city} in {year}: {api_token == \"hidden\"}')",
)
WORDS = "At 05:30, Monday through Friday"
WEEKDAYS = {"cron": "30 5 * * 1-5", "timezone": "Europe/Oslo"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab with a scheduler and an agent."""
    process = LabProcess(tmp_path_factory.mktemp("served"), services=True)
    try:
        lab = process.wait()
        write_notebook(lab.root / "plain.ipynb", "%load_ext jupyter_wf", "%%task only\n1 + 1")
        write_parametrised(lab.root / "report.ipynb")
        until(lambda: has_services(lab), "a scheduler and an agent", 60)
        yield lab
    finally:
        process.stop()


@pytest.fixture(scope="module")
def _opened(browser: Browser, served: Lab) -> Iterator[Screen]:
    with opened(Screen, browser, served) as screen:
        screen.open("report.ipynb", workspace="schedules")
        screen.kernel_ready()
        screen.open_panel()
        # What is told in the corner stands in the way of pictures, and of nothing else here.
        screen.page.add_style_tag(content=".Toastify { visibility: hidden; }")
        yield screen


@pytest.fixture
def screen(_opened: Screen) -> Screen:
    """The page that all tests here share: the notebook in front, the panel open, nothing scheduled."""
    while _opened.page.locator(".jp-Dialog").count():
        # Left behind by a test that has failed.
        _opened.page.keyboard.press("Escape")
    for deployment in deployments(_opened.lab):
        _opened.lab.ask("DELETE", f"{API}/deployments/{deployment['id']}")
    expect(_opened.page.locator(".jp-WfDeployment")).to_have_count(0)
    return _opened


def has_services(lab: Lab) -> bool:
    told = lab.get(f"{API}/deployments")
    return bool(told["agents"] and told["scheduler"])


def deployments(lab: Lab) -> list[dict[str, Any]]:
    return [item["deployment"] for item in lab.get(f"{API}/deployments")["items"]]


def write_parametrised(path: Path) -> None:
    write_notebook(path, *SOURCES)
    content = json.loads(path.read_text())
    content["cells"][0]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(content))


def form_of(screen: Screen) -> Locator:
    """Return the dialog once it is there with the answer to its first question."""
    dialog = screen.page.locator(".jp-WfDialog")
    expect(dialog.locator(".jp-WfPreview-words")).not_to_be_empty()
    return dialog


def ok(dialog: Locator) -> Locator:
    return dialog.locator(".jp-Dialog-button.jp-mod-accept")


def choose(dialog: Locator, when: str) -> None:
    dialog.get_by_role("radio", name=when).check()


def send(dialog: Locator) -> None:
    """Press the button, and wait until the dialog is gone."""
    ok(dialog).click()
    expect(dialog).to_have_count(0)


def row_of(screen: Screen, name: str) -> Locator:
    return screen.page.locator(f".jp-WfDeployment[data-name='{name}']")


def make(screen: Screen, name: str, **more: Any) -> Locator:
    """Make a deployment as a command line would, and return its row, which comes by itself."""
    body = {"name": name, "path": "report.ipynb", "schedules": [{"spec": WEEKDAYS}], **more}
    screen.lab.ask("POST", f"{API}/deployments", body)
    row = row_of(screen, name)
    expect(row).to_be_visible()
    return row


def the_one(screen: Screen) -> dict[str, Any]:
    (deployment,) = deployments(screen.lab)
    return deployment


def newest_run(screen: Screen) -> dict[str, Any]:
    run: dict[str, Any] = screen.lab.get(f"{API}/runs?roots=1&limit=1")["items"][0]
    return run


def test_a_typed_form_from_the_toolbar_makes_a_deployment(screen: Screen) -> None:
    expect(screen.page.locator(".jp-WfScheduled")).to_contain_text("No scheduled notebooks")
    screen.page.locator(f".jp-NotebookPanel-toolbar {BUTTON}").click()
    dialog = form_of(screen)
    expect(dialog.get_by_label("Name")).to_be_focused()
    expect(dialog.get_by_label("Name")).to_have_value("report")
    expect(dialog.get_by_label("year")).to_have_attribute("type", "number")
    expect(dialog.get_by_label("verbose")).to_have_attribute("type", "checkbox")
    expect(dialog.get_by_label("api_token")).to_have_attribute("type", "password")
    expect(dialog.get_by_label("Kernel")).to_contain_text("The notebook's own (Python 3")
    dialog.get_by_label("Name").fill("nightly")
    dialog.get_by_label("Cron expression").fill(WEEKDAYS["cron"])
    dialog.get_by_label("Time zone").fill(WEEKDAYS["timezone"])
    expect(dialog.locator(".jp-WfPreview-words")).to_have_text(WORDS)
    expect(dialog.locator(".jp-WfPreview li")).to_have_count(5)
    expect(dialog.locator(".jp-WfPreview li").first).to_contain_text(re.compile(r"05:30.*UTC\+0[12]:00"))
    dialog.get_by_label("year").fill("2014")
    expect(dialog.get_by_text("Default: 2013")).to_be_visible()
    dialog.get_by_label("api_token").fill("hidden")
    screen.shot("schedule-dialog-light", document=True)
    dialog.get_by_text("More", exact=True).click()
    dialog.get_by_label("Retries of a failed run").fill("2")
    dialog.get_by_label("Save the executed notebook as").fill("out/{name}.ipynb")
    dialog.get_by_label("Web page (.html)").check()
    screen.theme("dark")
    screen.shot("schedule-dialog-more-dark")
    screen.theme("light")
    send(dialog)
    row = row_of(screen, "nightly")
    expect(row).to_contain_text(WORDS)
    expect(row.locator("time")).to_have_attribute("title", re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"))
    made = the_one(screen)
    assert made["parameters"] == {"year": 2014, "api_token": "***"}
    assert made["schedules"][0]["spec"] == WEEKDAYS
    assert (made["policies"]["retries"], made["policies"]["output"]) == (2, "out/{name}.ipynb")
    assert made["policies"]["formats"] == ["ipynb", "html"]


def test_the_context_menu_opens_it_and_what_is_wrong_is_said_while_it_is_typed(screen: Screen) -> None:
    screen.run("filebrowser:activate")
    screen.page.locator(".jp-DirListing-item", has_text="plain.ipynb").click(button="right")
    screen.page.locator(".lm-Menu-itemLabel", has_text="Schedule Notebook…").click()
    dialog = form_of(screen)
    expect(dialog).to_contain_text("Schedule plain.ipynb")
    expect(dialog).to_contain_text("This notebook has no parameters")
    cron = dialog.get_by_label("Cron expression")
    cron.fill("0 25 * *")
    fault = dialog.locator("[data-field='jp-wf-cron'] .jp-WfField-fault")
    expect(fault).not_to_be_empty()
    expect(ok(dialog)).to_be_disabled()
    body = {"spec": {"cron": "0 25 * *", "timezone": "UTC"}}
    (said,) = screen.lab.ask("POST", f"{API}/schedules/preview", body)["errors"]
    expect(fault).to_have_text(said["message"])
    screen.shot("schedule-dialog-wrong-light")
    dialog.get_by_label("Time zone").fill("Nowhere/At-All")
    expect(dialog.locator("[data-field='jp-wf-timezone'] .jp-WfField-fault")).to_contain_text("no such time zone")
    dialog.get_by_label("Time zone").fill("UTC")
    cron.fill("0 5 * * *")
    expect(dialog.locator(".jp-WfField-fault")).to_have_count(0)
    dialog.get_by_text("More", exact=True).click()
    dialog.get_by_label("Save the executed notebook as").fill("../escape.ipynb")
    expect(dialog.locator("[data-field='jp-wf-output'] .jp-WfField-fault")).to_contain_text(
        "below the notebook's folder"
    )
    expect(ok(dialog)).to_be_disabled()
    screen.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert deployments(screen.lab) == []
    screen.open_panel()


def test_the_palette_opens_it_for_every_and_for_once_by_keyboard(screen: Screen) -> None:
    screen.page.locator(".jp-Notebook").click()
    screen.run("apputils:activate-command-palette")
    palette = screen.page.locator(".lm-CommandPalette")
    palette.locator("input").press_sequentially("schedule notebook")
    palette.locator(".lm-CommandPalette-itemLabel", has_text="Schedule Notebook…").click()
    dialog = form_of(screen)
    choose(dialog, "Every")
    dialog.get_by_label("Interval").fill("90")
    dialog.get_by_label("Unit").select_option("minutes")
    expect(dialog.locator(".jp-WfPreview li")).to_have_count(5)
    dialog.get_by_label("Interval").press("Enter")
    expect(dialog).to_have_count(0)
    expect(row_of(screen, "report")).to_be_visible()
    assert the_one(screen)["schedules"][0]["spec"]["interval"] == 5400
    screen.run("jupyter-wf:schedule-notebook")
    dialog = form_of(screen)
    dialog.get_by_label("Name").fill("once")
    choose(dialog, "Once")
    dialog.get_by_label("Day and time").fill("2100-06-01T06:00")
    dialog.get_by_label("Time zone").fill("Europe/Oslo")
    expect(dialog.locator(".jp-WfPreview li")).to_have_count(1)
    expect(dialog.locator(".jp-WfPreview li")).to_contain_text("Tue 2100-06-01 06:00")
    send(dialog)
    expect(row_of(screen, "once")).to_be_visible()
    found = {each["name"]: each["schedules"][0]["spec"] for each in deployments(screen.lab)}
    assert found["once"]["at"].startswith("2100-06-01T06:00")


def test_now_is_a_run_with_these_parameters_and_nothing_stays(screen: Screen) -> None:
    screen.run("jupyter-wf:schedule-notebook")
    dialog = form_of(screen)
    choose(dialog, "Now")
    expect(ok(dialog)).to_have_text("Run now")
    dialog.get_by_label("city").fill("Bergen")
    send(dialog)
    run = until(lambda: newest_run(screen) if newest_run(screen)["parameters"].get("city") else None, "the run", 20)
    row = screen.page.locator(f".jp-WfRunRow[data-run-id='{run['id']}']")
    expect(row).to_have_attribute("data-state", "COMPLETED", timeout=30_000)
    logs = screen.lab.get(f"{API}/runs/{run['id']}/logs")["items"]
    assert any("Bergen in 2013: False" in line["message"] for line in logs)
    assert deployments(screen.lab) == []


def test_a_row_is_switched_off_and_on(screen: Screen) -> None:
    row = make(screen, "nightly")
    switch = row.get_by_role("switch")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(row).to_contain_text("Paused in JupyterLab")
    assert the_one(screen)["paused"] is True
    switch.press("Enter")
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(row.locator(".jp-WfDeployment-reason")).to_have_count(0)
    until(lambda: the_one(screen)["paused"] is False, "the deployment to be switched on")


def test_run_now_leads_to_a_mark_that_opens_the_run(screen: Screen) -> None:
    row = make(screen, "nightly", parameters={"api_token": "hidden"})
    row.get_by_role("button", name="Run nightly now", exact=True).click()
    marks = row.locator(".jp-WfMark")
    expect(marks).to_have_count(1)
    expect(marks.first).to_have_attribute("data-state", "COMPLETED", timeout=30_000)
    expect(marks.first).to_have_attribute("aria-label", re.compile("^Completed, "))
    row.get_by_role("button", name="Run nightly now with other parameters").click()
    dialog = screen.page.locator(".jp-WfDialog")
    dialog.get_by_label("year").fill("1999")
    send(dialog)
    expect(marks).to_have_count(2)
    newest = marks.last
    expect(newest).to_have_attribute("data-state", "COMPLETED", timeout=30_000)
    screen.shot("scheduled-light", document=True)
    run_id = newest.get_attribute("data-run-id")
    assert run_id is not None
    newest.click()
    screen.run_page(run_id)
    run = screen.lab.get(f"{API}/runs/{run_id}")
    assert run["parameters"]["year"] == 1999
    logs = screen.lab.get(f"{API}/runs/{run_id}/logs")["items"]
    assert any("Seattle in 1999: True" in line["message"] for line in logs)
    screen.run("application:close")


def test_a_name_that_is_there_is_offered_to_be_changed_and_one_is_changed_and_deleted(screen: Screen) -> None:
    row = make(screen, "nightly", parameters={"api_token": "hidden"}, policies={"retries": 3})
    screen.run("jupyter-wf:schedule-notebook", {"path": "report.ipynb"})
    dialog = form_of(screen)
    dialog.get_by_label("Name").fill("nightly")
    expect(dialog.get_by_role("alert")).to_contain_text(WORDS)
    expect(ok(dialog)).to_be_disabled()
    dialog.get_by_label("city").fill("Bergen")
    dialog.get_by_role("button", name="Change that one").click()
    expect(dialog.get_by_label("Cron expression")).to_have_value(WEEKDAYS["cron"])
    send(dialog)
    changed = the_one(screen)
    assert changed["parameters"] == {"city": "Bergen", "api_token": "***"}
    assert (changed["policies"]["retries"], changed["schedules"][0]["spec"]) == (3, WEEKDAYS)
    row.get_by_role("button", name="Change nightly").click()
    dialog = form_of(screen)
    expect(dialog.get_by_label("city")).to_have_value("Bergen")
    dialog.get_by_label("Cron expression").fill("0 7 * * *")
    expect(dialog.locator(".jp-WfPreview-words")).to_have_text("At 07:00")
    send(dialog)
    expect(row).to_contain_text("At 07:00")
    row.get_by_role("button", name="Delete nightly").click()
    question = screen.page.locator(".jp-Dialog", has_text="Delete nightly?")
    question.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
    assert deployments(screen.lab) == []


def test_an_automation_is_tested_switched_and_deleted_where_it_is_listed(screen: Screen) -> None:
    section = screen.page.locator(".jp-WfAutomations")
    expect(section).to_have_count(0)
    told = {"type": "send-notification", "title": "From the test"}
    refused = {"type": "call-webhook", "url": "http://127.0.0.1:9/hook"}
    body = {"name": "tell", "when": ["FAILED", "CRASHED"], "actions": [told, refused]}
    before = screen.lab.get(f"{API}/notifications")["next_after"]
    screen.lab.ask("POST", f"{API}/automations", body)
    screen.run("filebrowser:activate")
    screen.open_panel()
    row = section.get_by_role("listitem", name="tell")
    expect(row).to_contain_text("When a run fails or crashes: notify in JupyterLab; call http://***")
    row.get_by_role("button", name="Test tell").click()
    outcome = row.get_by_role("status")
    expect(outcome.locator("li")).to_have_count(2)
    expect(outcome).to_contain_text("Worked: notify in JupyterLab – shown in JupyterLab")
    expect(outcome.locator("li[data-ok=false]")).to_contain_text("inside of this machine")
    assert [each["title"] for each in screen.lab.get(f"{API}/notifications?after={before}")["items"]] == [told["title"]]
    screen.shot("automations-light")
    screen.theme("dark")
    screen.shot("automations-dark")
    screen.theme("light")
    outcome.get_by_role("button", name="Dismiss what came of the test").click()
    expect(outcome).to_be_empty()
    row.get_by_role("switch").click()
    expect(row.get_by_role("switch")).to_have_attribute("aria-checked", "false")
    until(lambda: not screen.lab.get(f"{API}/automations/tell")["enabled"], "the automation to be switched off")
    row.get_by_role("button", name="Delete tell").click()
    question = screen.page.locator(".jp-Dialog", has_text="Delete tell?")
    question.get_by_role("button", name="Delete").click()
    expect(section).to_have_count(0)
    assert screen.lab.get(f"{API}/automations")["items"] == []


def test_it_can_be_used_in_a_narrow_window(screen: Screen) -> None:
    make(screen, "a name that needs more room than there is in the panel")
    screen.page.set_viewport_size({"width": 440, "height": 800})
    try:
        screen.theme("dark")
        screen.shot("scheduled-narrow-dark")
        screen.run("jupyter-wf:schedule-notebook", {"path": "report.ipynb"})
        dialog = form_of(screen)
        for part in (dialog.locator(".jp-Dialog-content"), dialog.get_by_label("Time zone"), ok(dialog)):
            box = part.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 440
        form = dialog.locator(".jp-WfDialog-body")
        assert form.evaluate("node => node.scrollWidth <= node.clientWidth")
        screen.shot("schedule-dialog-narrow-dark")
        screen.theme("light")
        screen.shot("schedule-dialog-narrow-light")
        screen.page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    finally:
        screen.page.set_viewport_size({"width": 1360, "height": 860})


def test_notebook_7_schedules_from_the_notebook_and_from_the_list_of_files(browser: Browser, served: Lab) -> None:
    with opened(NotebookScreen, browser, served) as screen:
        screen.open("plain.ipynb")
        screen.page.locator(BUTTON).click()
        dialog = form_of(screen)
        dialog.get_by_label("Name").fill("from Notebook 7")
        screen.shot("schedule-dialog-notebook7")
        send(dialog)
        assert "from Notebook 7" in [each["name"] for each in deployments(served)]
    with opened(NotebookScreen, browser, served) as screen:
        screen.open()
        screen.page.locator(".jp-DirListing-item", has_text="plain.ipynb").click(button="right")
        screen.page.locator(".lm-Menu-itemLabel", has_text="Schedule Notebook…").click()
        expect(form_of(screen)).to_contain_text("Schedule plain.ipynb")
