"""Where an output goes: below the cell that it belongs to, whichever is running when it is sent."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_wf.ipython.screens import KernelScreen, TerminalScreen


class Session:
    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def send(self, socket: Any, kind: str, content: Any, *, parent: Any, ident: bytes) -> None:
        assert ident == b"display_data"
        self.sent.append((kind, content["transient"]["display_id"], parent["msg_id"]))


class Publisher:
    """A kernel's publisher, which believes that everything answers ``parent_header`` (ipykernel 6: the newest cell)."""

    pub_socket = object()
    topic = b"display_data"

    def __init__(self) -> None:
        self.session = Session()
        self.parent_header: dict[str, Any] = {"msg_id": "second"}
        self.published: list[bool] = []

    def publish(self, bundle: Any, *, transient: Any, update: bool) -> None:
        self.published.append(update)


class Shell:
    def __init__(self, publisher: Any) -> None:
        self.display_pub = publisher


def screen(publisher: Any) -> KernelScreen:
    return KernelScreen(Shell(publisher), lambda kind, run_id: None)  # type: ignore[arg-type]


def test_a_late_output_goes_to_its_own_cell() -> None:
    publisher = Publisher()
    made = screen(publisher)
    made.update({"text/plain": "x"}, "d", {"header": {"msg_id": "first"}})
    made.show({"text/plain": "x"}, "d", {"header": {"msg_id": "first"}})
    assert publisher.session.sent == [("update_display_data", "d", "first"), ("display_data", "d", "first")]
    assert publisher.published == []


@pytest.mark.parametrize("place", [{}, {"header": {"msg_id": "second"}}])
def test_what_belongs_to_the_running_cell_is_published_as_everything_else(place: dict[str, Any]) -> None:
    publisher = Publisher()
    screen(publisher).update({"text/plain": "x"}, "d", place)
    assert (publisher.published, publisher.session.sent) == ([True], [])


def test_a_captured_cell_captures_its_views() -> None:
    class Capturing:
        def __init__(self) -> None:
            self.published: list[bool] = []

        def publish(self, bundle: Any, *, transient: Any, update: bool) -> None:
            self.published.append(update)

    capturing = Capturing()
    screen(capturing).show({"text/plain": "x"}, "d", {"header": {"msg_id": "first"}})
    assert capturing.published == [False]


def test_a_terminal_prints_the_last_form(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = TerminalScreen()
    terminal.show({"text/plain": "begun"}, "d", {})
    terminal.update({"text/plain": "ended"}, "d", {})
    assert capsys.readouterr().out == "ended\n"
    assert terminal.live_widget(lambda: None, "full") is terminal.retry_offer("r", "m") is None
