"""What tasks display is shown and kept: in the main thread, in pool threads, in coroutines, of each kind and size."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher

from jupyter_wf.core.secrets import forget_secrets
from jupyter_wf.core.shared import Artifact
from jupyter_wf.engine.runtime import current_runtime
from jupyter_wf.ipython import displays
from jupyter_wf.ipython.displays import LARGEST, best_form, keep_displays
from jupyter_wf.secrets import Secret
from tests.ipython.conftest import Shell
from tests.ipython.kernels import Kernel, running_kernel

PREPARE = """
from IPython.display import HTML, Markdown, display, update_display
from jupyter_wf import flow, task

class Picture:
    def _repr_png_(self):
        return b"\\x89PNG\\r\\n\\x1a\\n picture"

class Both:
    def _repr_html_(self):
        return "<b>both</b>"
    def __repr__(self):
        return "both"
"""


@pytest.fixture(scope="module", params=[6, 7], ids=lambda series: f"ipykernel {series}")
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    with running_kernel(tmp_path_factory.mktemp("displays") / "home", request.param) as made:
        made.ok(PREPARE)
        yield made


def kept(kernel: Kernel) -> list[tuple[str, Any]]:
    """What the newest root run and everything below it has left, oldest first."""
    root = next(run for run in reversed(kernel.runs()) if run.parent_id is None)
    return [(artifact.type, artifact.data) for artifact in kernel.store.artifacts.of_run(root.id, tree=True)]


def test_what_a_task_displays_is_shown_and_kept(kernel: Kernel) -> None:
    reply = kernel.ok("%%task show\ndisplay(Both(), HTML('<i>html</i>'), Markdown('# md'), Picture(), 'plain')")
    shown = [content["data"] for content in reply.of("display_data")]
    assert {"text/html": "<b>both</b>", "text/plain": "both"} in shown
    assert sum("image/png" in data for data in shown) == 1
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n picture").decode()
    assert kept(kernel) == [
        ("text/html", "<b>both</b>"),
        ("text/html", "<i>html</i>"),
        ("text/markdown", "# md"),
        ("image/png", picture),
        ("text/plain", "'plain'"),
    ]


def test_in_threads_and_coroutines(kernel: Kernel) -> None:
    reply = kernel.ok("""
@task
def threaded(n):
    display(HTML(f"<i>{n}</i>"))

@task
async def awaited(n):
    display(HTML(f"<b>{n}</b>"))

@flow
def pipeline():
    display(HTML("the flow's own"))
    threaded(0)
    threaded.map([1, 2]).result()
    awaited.submit(3).result()

pipeline()""")
    expected = ["<b>3</b>", "<i>0</i>", "<i>1</i>", "<i>2</i>"]
    shown = [content["data"].get("text/html", "") for content in reply.of("display_data")]
    assert sorted(html for html in shown if html in expected) == expected
    assert sorted(data for _, data in kept(kernel)) == expected, "and nothing of what the flow's view shows"
    by_run = {run.id: run.task_name for run in kernel.runs()}
    newest = kernel.store.artifacts.latest(limit=4)
    assert sorted(by_run[artifact.run_id or ""] or "" for artifact in newest) == ["awaited", *["threaded"] * 3]


def test_a_display_that_is_updated_is_one_artifact(kernel: Kernel) -> None:
    kernel.ok("""%%task show
display(HTML("0 %"), display_id="bar")
update_display(HTML("50 %"), display_id="bar")
update_display(HTML("100 %"), display_id="bar")
display(HTML("0 %"), display_id="bar")
update_display(HTML("of another cell"), display_id="elsewhere")""")
    assert kept(kernel) == [("text/html", "100 %"), ("text/html", "0 %"), ("text/html", "of another cell")]


def test_widgets_and_what_is_outside_of_tasks_are_not_kept(kernel: Kernel) -> None:
    before = kernel.store.artifacts.latest()
    kernel.ok("display(HTML('outside'))")
    widget = "{'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, 'text/plain': 'w'}"
    kernel.ok(f"%%task show\ndisplay({widget}, raw=True)\ndisplay({{'application/x-odd': 1}}, raw=True)")
    assert kept(kernel) == []
    assert kernel.store.artifacts.latest() == before


def test_unloading_ends_it(kernel: Kernel) -> None:
    kernel.ok("%unload_ext jupyter_wf")
    reply = kernel.ok("""
@task
def after():
    display(HTML("after"))
after()""")
    assert [content["data"]["text/html"] for content in reply.of("display_data")] == ["after"]
    assert kept(kernel) == []
    kernel.ok("%load_ext jupyter_wf")
    kernel.ok("after()")
    assert kept(kernel) == [("text/html", "after")]


def test_the_best_form_is_kept() -> None:
    assert best_form({}) is None
    assert best_form({"text/plain": "p", "image/svg+xml": "<svg/>", "image/png": b"\x00"}) == (
        "image/png",
        "AA==",
        None,
    )
    assert best_form({"application/json": {"a": [1]}, "text/plain": "p"}) == ("application/json", {"a": [1]}, None)
    assert best_form({"text/plain": b"p\xff"}) == ("text/plain", "p�", None)
    assert best_form({"text/html": None, "text/plain": ""}) == ("text/plain", "", None)
    large = "x" * (LARGEST + 1)
    note = f"Left out, as it is over 1 MiB: text/html ({LARGEST + 1:,} characters)"
    assert best_form({"text/html": large, "text/plain": "short"}) == ("text/plain", "short", note)
    assert best_form({"text/html": large}) == ("text/plain", "", note)
    found = best_form({"application/json": [large], "text/plain": large})
    assert found is not None and found[0] == "text/plain" and found[2] is not None
    assert found[1] == f"{'x' * LARGEST}… ({LARGEST + 1:,} characters)"
    assert "application/json" in found[2] and "text/plain" in found[2]


def artifacts() -> list[Artifact]:
    return list(reversed(current_runtime().store.artifacts.latest()))


@pytest.fixture
def publisher(ip: Shell) -> Iterator[CapturingDisplayPublisher]:
    """A publisher of this process whose displays are kept."""
    made = CapturingDisplayPublisher()
    made.outputs = []
    ip.shell.display_pub = made
    end = keep_displays(ip.shell)
    yield made
    end()


def test_secrets_are_masked_and_trouble_is_only_logged(
    ip: Shell, publisher: CapturingDisplayPublisher, caplog: pytest.LogCaptureFixture, wf_home: Path
) -> None:
    ip.namespace["secret"] = Secret("hunter2-and-more")
    try:
        ip.ok("%%task show\nfrom IPython.display import display\ndisplay(secret.get())")
    finally:
        forget_secrets()
    assert [artifact.data for artifact in artifacts()] == ["'***'"]
    with caplog.at_level(logging.WARNING):
        ip.ok("%%task show\ndisplay({'application/json': float('nan')}, raw=True)")
    assert "is not kept" in caplog.text and len(artifacts()) == 1
    assert {"application/json"} in [set(output["data"]) for output in publisher.outputs], "it was shown"


def test_somebody_elses_wrapper_stays(ip: Shell, publisher: CapturingDisplayPublisher) -> None:
    end = keep_displays(ip.shell)
    ours = publisher.publish
    calls: list[Any] = []

    def theirs(data: Any, *args: Any, **more: Any) -> None:
        calls.append(data)
        ours(data, *args, **more)

    publisher.publish = theirs
    end()
    assert publisher.publish is theirs
    publisher.publish({"text/plain": "x"})
    assert calls == [{"text/plain": "x"}] and publisher.outputs[-1]["data"] == calls[0]


def test_a_long_session_forgets_the_oldest_display_ids(
    ip: Shell, publisher: CapturingDisplayPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(displays, "_REMEMBERED", 2)
    ip.ok("""%%task show
from IPython.display import display, update_display
for name in "abc":
    display(name, display_id=name)
update_display("new a", display_id="a")
update_display("new c", display_id="c")""")
    assert sorted(artifact.data for artifact in artifacts()) == ["'a'", "'b'", "'new a'", "'new c'"]
