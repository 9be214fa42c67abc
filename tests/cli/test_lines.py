"""Lines of several threads stay whole."""

from __future__ import annotations

import io
import threading

from jupyter_wf.cli.lines import WholeLines


def test_lines_of_several_threads_stay_whole() -> None:
    out = io.StringIO()
    lines = WholeLines(out)
    begin = threading.Barrier(4)

    def talk(name: str) -> None:
        begin.wait(30)
        for number in range(200):
            print(name, number, "end", file=lines)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = out.getvalue().splitlines()
    assert sorted(written) == sorted(f"{name} {number} end" for name in "abcd" for number in range(200))


def test_a_begun_line_is_kept_until_it_ends_or_is_flushed() -> None:
    out = io.StringIO()
    lines = WholeLines(out)
    print("a", end="", file=lines)
    assert out.getvalue() == ""
    print("b\nc", end="", file=lines)
    assert out.getvalue() == "ab\n"
    print("d", end="", file=lines, flush=True)
    assert out.getvalue() == "ab\ncd"
    lines.flush()
    assert out.getvalue() == "ab\ncd"
    assert (lines.isatty(), lines.writable()) == (False, True)
