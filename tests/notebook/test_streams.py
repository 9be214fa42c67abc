"""Printed text: lines for the log, text for the notebook, and the limits of both."""

from __future__ import annotations

from typing import Any

from jupyter_wf.notebook.streams import LONGEST_LINE, MOST_LINES, MOST_RICH, MOST_TEXT, CellText, LogLines, plain_text


def logged(*chunks: str) -> list[str]:
    lines: list[str] = []
    log = LogLines(lambda name, line: lines.append(line))
    for chunk in chunks:
        log.take("stdout", chunk)
    log.end()
    return lines


def test_lines_are_put_together_from_chunks() -> None:
    assert logged("a", "b\nc", "\n\nd") == ["ab", "c", "", "d"]


def test_streams_do_not_mix() -> None:
    lines: list[tuple[str, str]] = []
    log = LogLines(lambda name, line: lines.append((name, line)))
    log.take("stdout", "out")
    log.take("stderr", "err\n")
    log.take("stdout", "put\n")
    assert lines == [("stderr", "err"), ("stdout", "output")]


def test_only_the_last_state_of_a_progress_bar_is_logged() -> None:
    assert logged("  0%\r", " 50%\r", "100%\n") == ["100%"]
    assert logged("10%", "\r20%", "\r30%") == ["30%"]
    assert logged("windows\r\n") == ["windows"]


def test_escape_sequences_are_left_out() -> None:
    assert logged("\x1b[31mred\x1b[0m \x1b]0;title\x07end\n") == ["red end"]
    assert plain_text("plain") == "plain"


def test_many_lines_end_with_one_marker() -> None:
    lines = logged("x\n" * (MOST_LINES + 500), "more\n", "rest")
    assert len(lines) == MOST_LINES + 1
    assert "10,000 lines" in lines[-1]


def test_a_long_line_is_cut() -> None:
    (line,) = logged(*["y" * 5_000] * 50, "\n")
    assert line.startswith("y" * LONGEST_LINE) and line.endswith("characters)")
    assert len(line) < LONGEST_LINE + 100


def test_text_of_one_stream_is_one_output() -> None:
    outputs: list[Any] = []
    text = CellText()
    for name, chunk in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")):
        text.take(outputs, name, chunk)
    text.end()
    assert [(o["output_type"], o["name"], o["text"]) for o in outputs] == [
        ("stream", "stdout", "ab"),
        ("stream", "stderr", "c"),
        ("stream", "stdout", "d"),
    ]


def test_text_can_be_saved_in_between() -> None:
    outputs: list[Any] = []
    text = CellText()
    text.take(outputs, "stdout", "a")
    text.settle()
    assert outputs[0]["text"] == "a"
    text.take(outputs, "stdout", "b")
    text.end()
    assert outputs[0]["text"] == "ab"


def test_a_flood_is_cut_with_a_marker() -> None:
    outputs: list[Any] = []
    text = CellText()
    for _ in range(20):
        text.take(outputs, "stdout", "z" * 1_000_000)
    text.end()
    assert len(outputs) == 1
    assert outputs[0]["text"].startswith("z" * MOST_TEXT)
    assert "5,000,000 characters" in outputs[0]["text"][MOST_TEXT:]
    assert len(outputs[0]["text"]) < MOST_TEXT + 200


def test_cleared_outputs_give_the_room_back() -> None:
    outputs: list[Any] = []
    text = CellText()
    text.take(outputs, "stdout", "z" * MOST_TEXT)
    outputs.clear()
    text.take(outputs, "stdout", "seen")
    text.end()
    assert [o["text"] for o in outputs] == ["seen"]


def test_displayed_data_have_a_limit_too() -> None:
    text = CellText()
    assert text.admits({"text/plain": "x"})
    assert text.admits(None)
    assert not text.admits({"text/html": "x" * (MOST_RICH + 1)})
