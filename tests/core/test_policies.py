"""Policies, output templates and the fields of deployments: what is let through, and why the rest is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from jupyter_wf.core.deployment_fields import check_name, check_tags, plain_values
from jupyter_wf.core.deployments import Policies
from jupyter_wf.core.durations import seconds_of, span
from jupyter_wf.core.errors import InvalidRequest, ParameterError
from jupyter_wf.core.output_paths import check_output, fill_output
from jupyter_wf.core.policies import POLICY_NAMES, check_policies


def filled(template: str, **changed: Any) -> str:
    values: dict[str, Any] = {
        "name": "nightly",
        "flow": "report",
        "deployment": "nightly",
        "run_id": "abc",
        "attempt": 3,
    }
    return str(fill_output(template, scheduled=datetime(2026, 3, 1, 6, 5), **{**values, **changed}))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(90, 90), (1.5, 1.5), ("90", 90), ("15m", 900), ("1h30m", 5400), ("1h 30min", 5400), ("1.5d", 129600)],
)
def test_lengths_of_time(value: Any, seconds: float) -> None:
    assert seconds_of(value) == seconds
    assert seconds_of(timedelta(seconds=seconds)) == seconds


@pytest.mark.parametrize("value", ["", "x", "m", "15 parsecs", "15m x", "nan", "inf", True, None, [], float("inf")])
def test_what_is_no_length_of_time(value: Any) -> None:
    with pytest.raises(ValueError, match="such as 30s"):
        seconds_of(value)


def test_policies_are_taken_over_the_base() -> None:
    given = {
        "missed": "all",
        "grace": "2m",
        "timeout": 60,
        "formats": ["html", "ipynb", "html"],
        "keep_days": 3,
        "output": "{name}-out.ipynb",
    }
    found = check_policies(given, Policies(retries=4, timeout=5.0))
    assert found == Policies(
        missed="all",
        grace=120.0,
        timeout=60.0,
        formats=("html", "ipynb"),
        keep_days=3.0,
        output="{name}-out.ipynb",
        retries=4,
    )
    assert check_policies({"timeout": None}, found).timeout is None
    assert check_policies({}) == Policies()
    usual = {name: getattr(Policies(), name) for name in POLICY_NAMES}
    assert check_policies(usual) == Policies()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("missed", "never", "one of skip, latest, all"),
        ("missed_limit", 0, "whole number from 1"),
        ("missed_limit", True, "whole number"),
        ("grace", -1, "from 0s"),
        ("grace", "soon", "length of time"),
        ("overlap", None, "one of allow"),
        ("overlap", [], "one of allow"),
        ("concurrency_limit", 0, "whole number from 1"),
        ("concurrency_limit", 1.0, "whole number"),
        ("retries", -1, "whole number from 0"),
        ("retry_delay", "x", "length of time"),
        ("timeout", 0, "from 1ms"),
        ("on_crash", "restart", "fail, resume"),
        ("keep_last", 0, "whole number from 1"),
        ("keep_days", float("nan"), "give a number"),
        ("keep_days", "3", "give a number"),
        ("max_consecutive_failures", 0, "whole number from 1"),
        ("deadline", "", "length of time"),
        ("deadline_factor", 0.5, "from 1 to"),
        ("snapshot", "old", "current, pinned"),
        ("output", "../x.ipynb", "'..'"),
        ("output", 3, "as a text"),
        ("formats", ["html"], "give output too"),
        ("formats", [], "a list of ipynb and html"),
        ("formats", ["pdf"], "a list of ipynb and html"),
        ("formats", [["ipynb"]], "a list of ipynb and html"),
        ("formats", "html", "a list of ipynb and html"),
    ],
)
def test_policies_that_make_no_sense(name: str, value: Any, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_policies({name: value})
    assert caught.value.name == name
    assert why in caught.value.reason


def test_the_ending_of_the_template_says_the_format() -> None:
    page = check_policies({"output": "{name}.html"})
    assert page.formats == ("html",)
    assert check_policies({"retries": 1}, page).formats == ("html",)
    assert check_policies({"output": "{name}.ipynb"}, page).formats == ("ipynb",)
    assert check_policies({"output": None}, page).formats == ("ipynb",)
    both = check_policies({"output": "{name}.html", "formats": ["ipynb", "html"]})
    assert both.formats == ("ipynb", "html")
    assert check_policies({"output": "x.html"}, both).formats == ("ipynb", "html")


def test_limits_are_said_as_they_are_written() -> None:
    with pytest.raises(InvalidRequest, match="from 1ms to 366d"):
        check_policies({"timeout": 0})
    assert [span(each) for each in (0, 0.25, 1, 90, 60, 5400, 7200, 172_800, 1.5)] == [
        *("0s", "250ms", "1s", "90s", "1m", "90m", "2h", "2d", "1.5s"),
    ]


def test_policies_that_there_are_not() -> None:
    with pytest.raises(InvalidRequest, match="did you mean 'timeout'"):
        check_policies({"time_out": 3})
    with pytest.raises(InvalidRequest, match="policies by name"):
        check_policies(["timeout"])


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("reports/{name}-{scheduled:%Y-%m-%d}.ipynb", "reports/nightly-2026-03-01.ipynb"),
        ("{scheduled:%Y/%m}/{flow}.html", "2026/03/report.html"),
        ("{scheduled}.ipynb", "2026-03-01T06-05-00.ipynb"),
        ("{deployment}-{run_id}-{attempt:02d}.ipynb", "nightly-abc-03.ipynb"),
        ("{{{attempt}}}.ipynb", "{3}.ipynb"),
        ("latest.ipynb", "latest.ipynb"),
    ],
)
def test_templates_are_filled(template: str, path: str) -> None:
    assert check_output(template) == template
    assert filled(template) == path


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a\\b", "a\x00b", ".hidden", "a:b"])
def test_names_can_t_lead_out_of_the_folder(name: str) -> None:
    for template in ("out/{name}.ipynb", "{name}/x.ipynb"):
        parts = filled(template, name=name).split("/")
        assert len(parts) == 2
        assert not {"", ".", ".."} & set(parts)
        assert not any(part.startswith(".") or "\x00" in part or "\\" in part for part in parts)


def test_a_name_that_is_too_long_for_a_file_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 200 bytes"):
        filled("{name}.ipynb", name="ä" * 120)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("/abs.ipynb", "relative"),
        ("~/x.ipynb", "relative"),
        ("C:/x.ipynb", "relative"),
        ("a\\b.ipynb", "relative"),
        ("../x.ipynb", "'..'"),
        ("a/../../x.ipynb", "'..'"),
        ("a//x.ipynb", "'..'"),
        ("{scheduled:../..}/x.ipynb", "no path below"),
        ("report", "must end in .ipynb or .html"),
        (".ipynb", "needs a name"),
        ("{nam}.ipynb", "did you mean {name}?"),
        ("{0}.ipynb", "there is no field"),
        ("{}.ipynb", "there is no field"),
        ("{name.__class__}.ipynb", "there is no field"),
        ("{name[0]}.ipynb", "did you mean {name}?"),
        ("{name!r}.ipynb", "without !r"),
        ("{name:>10}.ipynb", "takes no format"),
        ("{attempt:>99}.ipynb", "02d is one"),
        ("{scheduled:%q}.ipynb", "%Y-%m-%d is one"),
        ("{scheduled:{name}}.ipynb", "is no format"),
        ("a{.ipynb", "for a brace itself"),
        ("a\nb.ipynb", "control character"),
        ("", "1 to 500 characters"),
    ],
)
def test_templates_that_can_t_be(template: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_output(template)
    assert caught.value.name == "output"
    assert why in caught.value.reason


def test_names_and_tags() -> None:
    assert check_name("name", "nightly run (ä)") == "nightly run (ä)"
    for wrong in ("", " a", "a/b", "a\nb", "a\u202eb", "x" * 251, 3, None):
        with pytest.raises(InvalidRequest):
            check_name("name", wrong)
    assert check_tags(["b", "a", "b"]) == ("b", "a")
    for given in ("db", 3, [3], ["a/b"], ["x"] * 51):
        with pytest.raises(InvalidRequest):
            check_tags(given)


def test_values_become_json() -> None:
    assert plain_values({"day": datetime(2026, 1, 2), "set": {1}, "deep": {"a": (1, 2)}}) == {
        "day": "2026-01-02T00:00:00",
        "set": [1],
        "deep": {"a": [1, 2]},
    }
    with pytest.raises(ParameterError, match="only what JSON has"):
        plain_values({"thing": object()})
