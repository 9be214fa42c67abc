"""The front end's types are those of the API."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from jupyter_wf.core import automation_json, codec, scheduling_json
from jupyter_wf.server import typescript


def test_the_front_ends_types_are_fresh() -> None:
    command = [sys.executable, "-m", "jupyter_wf.server.typescript", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_json_type_is_there_by_name() -> None:
    names = [line.split()[2] for line in typescript.generate().splitlines() if line.startswith("export interface ")]
    every = [*codec.__all__, *scheduling_json.__all__, *automation_json.__all__]
    assert names == sorted(name for name in every if name.endswith("JSON"))


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "src" / "schema.ts"
    assert typescript.main(["--check"], target=target) == 1
    assert typescript.main([], target=target) == 0
    assert typescript.main(["--check"], target=target) == 0
    target.write_text(target.read_text().replace("number", "string", 1))
    assert typescript.main(["--check"], target=target) == 1
    assert str(target) in capsys.readouterr().err


class OddJSON(TypedDict, total=False):
    """All kinds of types.

    And a second paragraph.
    """

    word: Literal["a", "b"]
    some: list[str | None]
    deep: dict[str, list[dict[str, Any]]]
    ratio: float
    yes: NotRequired[bool]


class BadJSON(TypedDict):
    """Bytes are nothing for JSON."""

    raw: bytes


def test_all_kinds_of_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "OddJSON", OddJSON, raising=False)
    monkeypatch.setattr(codec, "__all__", ["OddJSON"])
    monkeypatch.setattr(typescript, "_SOURCES", (codec,))
    assert typescript.generate().partition("\n\n")[2] == (
        "/** All kinds of types. */\n"
        "export interface OddJSON {\n"
        "  word?: 'a' | 'b';\n"
        "  some?: (string | null)[];\n"
        "  deep?: Record<string, Record<string, unknown>[]>;\n"
        "  ratio?: number;\n"
        "  yes?: boolean;\n"
        "}\n"
    )


def test_a_type_that_json_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "BadJSON", BadJSON, raising=False)
    monkeypatch.setattr(codec, "__all__", ["BadJSON"])
    with pytest.raises(TypeError, match="bytes"):
        typescript.generate()
