"""Variables: JSON values by name, shared by everybody on the state file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import InvalidRequest, VariableExists
from jupyter_wf.secrets import Secret
from jupyter_wf.variables import Variable

ROOT = Path(__file__).resolve().parents[2]


def test_get_set_and_unset() -> None:
    assert Variable.get("answer") is None
    assert Variable.get("answer", default=7) == 7
    assert Variable.set("answer", 42, tags=["a", "b"]) == Variable(name="answer", value=42, tags=("a", "b"))
    assert Variable.get("answer", 7) == 42
    assert Variable.unset("answer") is True
    assert Variable.unset("answer") is False
    assert Variable.get("answer") is None


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "text", "\ud800 \0", [1, [2, {"a": None}]], {"a": {"b": [1.5]}}, 2**70, ""]
)
def test_json_values_come_back(value: Any) -> None:
    Variable.set("value", value)
    assert Variable.get("value", "nothing") == value


def test_what_is_there_is_only_replaced_when_asked() -> None:
    Variable.set("x", 1, tags=["old"])
    with pytest.raises(ValueError, match=r"'x' already.*overwrite=True") as caught:
        Variable.set("x", 2)
    assert caught.type is VariableExists
    assert Variable.get("x") == 1
    assert Variable.set("x", 2, overwrite=True) == Variable(name="x", value=2)
    assert Variable.get("x") == 2
    Variable.set("y", 3, overwrite=True)
    assert Variable.get("y") == 3


@pytest.mark.parametrize("name", ["", "Upper", "with-dash", "a b", "ä", "x" * 256, "a\n", None, 3])
def test_what_can_be_no_name(name: Any) -> None:
    for call in (lambda: Variable.get(name), lambda: Variable.set(name, 1), lambda: Variable.unset(name)):
        with pytest.raises(InvalidRequest, match="lower-case letters, digits and underscores"):
            call()


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({1, 2}, "not set"),
        (b"x", "not bytes"),
        (Path("x"), "pathlib"),
        ({"a": [1, {"b": object()}]}, r"\['a'\]\[1\]\['b'\].*not object"),
        ({1: 2}, "no text but a int"),
        (float("nan"), "nan is no JSON"),
        (Secret("x"), r"jupyter_wf\.secrets\.Secret"),
        (LOOP, "contains itself"),
    ],
)
def test_other_values_are_refused(value: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        Variable.set("value", value)
    assert Variable.get("value", "nothing") == "nothing"


def test_tags_are_texts() -> None:
    for tags in ("text", [1]):
        with pytest.raises(InvalidRequest, match="list of texts"):
            Variable.set("value", 1, tags=tags)  # type: ignore[arg-type]


def test_in_runs_and_in_async_code() -> None:
    @task
    def sync_task() -> Any:
        Variable.set("seen", Variable.get("seen", 0) + 1, overwrite=True)
        return Variable.get("seen")

    @task
    async def async_task() -> Any:
        await Variable.aset("seen", await Variable.aget("seen") + 1, overwrite=True)
        assert Variable.get("seen") == await Variable.aget("seen")
        return Variable.get("seen")

    @flow
    async def pipeline() -> list[Any]:
        values = [sync_task(), sync_task.submit().result(), await async_task()]
        return [*values, await Variable.aunset("seen"), await Variable.aget("seen", "gone")]

    assert asyncio.run(pipeline()) == [1, 2, 3, True, "gone"]


def test_other_processes_see_them() -> None:
    Variable.set("shared", {"a": [1]})
    code = "from jupyter_wf.variables import Variable as V; V.set('back', V.get('shared')['a'])"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
    assert Variable.get("back") == [1]
