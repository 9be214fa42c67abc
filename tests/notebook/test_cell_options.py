"""The options of a cell's line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.errors import CellLineError
from jupyter_wf.notebook.cell_options import CACHES, EXECUTORS, RUN_IF, CellOptions, options_help, parse_cell_options
from jupyter_wf.notebook.heads import split_head


def parse(line: str, kind: str = "task") -> CellOptions:
    return parse_cell_options(kind, split_head(kind, line))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {}),
        ("--retries 2 --retry-delay 0.5 --timeout 3", {"retries": 2, "retry_delay_seconds": 0.5, "timeout_seconds": 3}),
        ("--retry-delay 1,2.5", {"retry_delay_seconds": [1.0, 2.5]}),
        ("--no-log-prints", {"log_prints": False}),
        ("--log-prints", {"log_prints": True}),
        ("--tags a,b --tags b,c", {"tags": ("a", "b", "c")}),
        ("--tags 'two words',b", {"tags": ("two words", "b")}),
        ("-b", {"background": True}),
        ("--background", {"background": True}),
        ("--executor dask", {"executor": "dask"}),
        ("--after load,clean --after x-1 --after load", {"after": ("load", "clean", "x-1")}),
        ("--map item=items", {"map": ("item", "items")}),
        ("--map 'day = range(1, 3)'", {"map": ("day", "range(1, 3)")}),
        ('--map day="[1, 2]"', {"map": ("day", "[1, 2]")}),
        ("--map=day=days", {"map": ("day", "days")}),
        ("--map day=table['day']", {"map": ("day", "table['day']")}),
        ("--when 'n > 3'", {"when": "n > 3"}),
        ("--when day=='monday'", {"when": "day=='monday'"}),
        ('--when="not done" -b', {"when": "not done", "background": True}),
        ("--when 'name == \"x y\"'", {"when": 'name == "x y"'}),
        ("--run-if none_failed", {"run_if": "none_failed"}),
        ("--cache", {"cache": "inputs"}),
        ("--cache --retries 1", {"cache": "inputs", "retries": 1}),
        ("--cache source --cache-expires 6h", {"cache": "source", "cache_expires": 21600.0}),
        ("--cache --cache-expires 1.5m --refresh", {"cache": "inputs", "cache_expires": 90.0, "refresh": True}),
        ("--cache --cache-expires 90", {"cache": "inputs", "cache_expires": 90.0}),
        ("--cache --cache-expires 2d", {"cache": "inputs", "cache_expires": 172800.0}),
        ("--return report", {"result": "report"}),
    ],
)
def test_options(options: str, expected: dict[str, object]) -> None:
    assert parse(f"load {options}") == CellOptions(**expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ("--retries -1", ("--retries", "'-1'", "whole number")),
        ("--retries", ("--retries", "expected one argument")),
        ("--retry-delay x", ("--retry-delay", "'x'")),
        ("--timeout 0", ("--timeout", "'0'", "above 0")),
        ("--executor cloud", ("--executor", "'cloud'", *EXECUTORS)),
        ("--run-if never", ("--run-if", "'never'", *RUN_IF)),
        ("--cache always", ("--cache", "'always'", *CACHES)),
        ("--cache --cache-expires soon", ("--cache-expires", "'soon'", "6h")),
        ("--cache --cache-expires 0", ("--cache-expires", "'0'")),
        ("--cache-expires 6h", ("--cache-expires", "goes with --cache")),
        ("--refresh", ("--refresh", "goes with --cache")),
        ("--when 'x >'", ("--when", "'x >'", "not a Python expression")),
        ("--when x=1", ("--when", "'x=1'", "not a Python expression")),
        ("--map item", ("--map", "'item'", "ITEM=EXPR")),
        ("--map item==3", ("--map", "ITEM=EXPR")),
        ("--map item=", ("--map", "ITEM=EXPR")),
        ("--map 2=x", ("--map", "'2'", "variable")),
        ("--map if=x", ("--map", "'if'", "variable")),
        ("--map 'i=for'", ("--map", "'for'", "not a Python expression")),
        ("--after 'a b'", ("--after", "'a b'", "name of a task")),
        ("--after a,", ("--after", "''")),
        ("--return 2x", ("--return", "'2x'", "variable")),
        ("--retry 3", ("no option '--retry'", "did you mean")),
        ("--zzz", ("no option '--zzz'", "--run-if")),
        ("n > 3", ("'n' is no option", "quote")),
        ("--when 'x", ("quotation is not closed",)),
        ("-b=1", ("--background",)),
    ],
)
def test_what_is_wrong_is_named_in_one_line(options: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(CellLineError) as caught:
        parse(f"load {options}")
    message = str(caught.value)
    assert message.startswith("%%task load: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "option",
    [
        "-b",
        "--executor thread",
        "--after a",
        "--map a=b",
        "--when x",
        "--run-if all_done",
        "--cache",
        "--cache-expires 1h",
        "--refresh",
        "--return x",
    ],
)
@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("task", "f(x)", "only defined here"),
        ("task", "f(x) -> y", "only defined here"),
        ("flow", "etl", "for cells with %%task"),
        ("flow", "etl(day)", "for cells with %%task"),
    ],
)
def test_options_of_running_cells_are_refused_elsewhere(option: str, kind: str, name: str, reason: str) -> None:
    with pytest.raises(CellLineError) as caught:
        parse(f"{name} {option}", kind)
    long_name = "--background" if option == "-b" else option.split()[0]
    assert long_name in str(caught.value)
    assert reason in str(caught.value)
    assert "takes --retries, --retry-delay, --timeout, --log-prints" in str(caught.value)
    assert ("--tags" in str(caught.value)) is (kind == "task")


@pytest.mark.parametrize(("kind", "name"), [("task", "f(x)"), ("flow", "etl"), ("flow", "etl(day)")])
def test_common_options_are_taken_everywhere(kind: str, name: str) -> None:
    expected = CellOptions(retries=1, retry_delay_seconds=2.0, timeout_seconds=3.0, log_prints=False)
    assert parse(f"{name} --retries 1 --retry-delay 2 --timeout 3 --no-log-prints", kind) == expected


def test_tags_are_of_tasks() -> None:
    assert parse("f(x) --tags a").tags == ("a",)
    with pytest.raises(CellLineError, match="--tags is for cells with %%task"):
        parse("etl --tags a", "flow")


def test_the_help_names_every_option() -> None:
    text = options_help("task")
    for option in ("-b", "--after", "--map", "--when", "--run-if", "--cache-expires", "--return", *RUN_IF, *CACHES):
        assert option in text
    assert text.startswith("usage: %%task NAME [options]")
    flow = options_help("flow")
    assert "--retries" in flow
    assert "--map" not in flow


@given(st.text(max_size=40))
def test_no_line_breaks_the_parser(text: str) -> None:
    """Whatever stands on the line: options, or one line that says what is wrong."""
    try:
        parse(f"load {' '.join(text.split())}")
    except CellLineError as error:
        assert "\n" not in str(error)
