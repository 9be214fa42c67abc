"""The package keeps the rules; and each rule, shown a small package that breaks it, says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.architecture import rules
from tests.architecture.gates import GATES
from tests.architecture.source import ROOT, Package

Rule = Callable[[Package], list[str]]


def make(root: Path, files: Mapping[str, str]) -> Package:
    """Write a package: ``core/a`` becomes ``jupyter_wf/core/a.py``, ``__init__`` files are made."""
    for key, text in files.items():
        path = (root / "jupyter_wf" / key).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (path.parent / "__init__.py").touch()
    (root / "jupyter_wf" / "__init__.py").touch()
    return Package(root)


@pytest.fixture(scope="module")
def package() -> Package:
    return Package(ROOT)


def test_the_package_is_read(package: Package) -> None:
    assert {"jupyter_wf.core.states", "jupyter_wf.store.base", "jupyter_wf.core"} <= package.modules.keys()
    assert any(found.target == "jupyter_wf.core.states" for found in package.imports)


@pytest.mark.parametrize(
    "rule",
    [
        rules.wrong_layers,
        rules.wrong_homes,
        rules.circles,
        rules.too_long,
        rules.wrong_exports,
        rules.without_docstring,
    ],
)
def test_the_package_keeps(rule: Rule, package: Package) -> None:
    assert rule(package) == []


def test_imports_in_functions_are_gates(package: Package) -> None:
    forbidden, stale = rules.imports_in_functions(package, GATES)
    assert forbidden == []
    assert stale == []
    assert all(len(reason) > 20 for reason in GATES.values()), "each gate says why"


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("core/a", "from jupyter_wf.store import base"),
        ("core/a", "import jupyter_wf"),
        ("core/a", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from jupyter_wf.store.base import Store"),
        ("core/a", "def f():\n    from ..engine import runs"),
        ("store/a", "from jupyter_wf.engine.runs import x"),
        ("executors/a", "from jupyter_wf.engine.runs import x"),
        ("engine/a", "import jupyter_wf.executors.thread"),
        ("engine/a", "import jupyter_wf.tasks"),
        ("flows", "from jupyter_wf.notebook.cells import x"),
        ("flows", "from . import notebook"),
        ("notebook/a", "import jupyter_wf.services.agent"),
        ("server/a", "import jupyter_wf.ipython.magics"),
        ("ipython/a", "import jupyter_wf.cli.app"),
        ("cli/a", "from jupyter_wf.server import app"),
        ("testing", "import jupyter_wf.cli.app"),
    ],
)
def test_an_import_that_does_not_go_down_is_seen(importer: str, text: str, tmp_path: Path) -> None:
    others = {"server/app": "", "notebook/cells": "", "store/base": "", "engine/runs": ""}
    assert len(rules.wrong_layers(make(tmp_path, {**others, importer: text}))) == 1


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        ("store/a", "from jupyter_wf.core import states"),
        ("engine/a", "from jupyter_wf.executors.base import Call"),
        ("executors/a", "from jupyter_wf.executors.base import Call"),
        ("tasks", "from jupyter_wf.futures import x"),
        ("notebook/a", "from jupyter_wf.tasks import task"),
        ("cli/a", "from jupyter_wf._version import __version__"),
        ("__main__", "from jupyter_wf.cli.app import main"),
    ],
)
def test_an_import_that_goes_down_is_let_be(importer: str, text: str, tmp_path: Path) -> None:
    assert rules.wrong_layers(make(tmp_path, {importer: text})) == []


@pytest.mark.parametrize(
    ("importer", "text", "count"),
    [
        ("core/a", "import sqlite3", 1),
        ("engine/a", "from sqlite_utils import Database", 1),
        ("tasks", "def f():\n    import IPython", 1),
        ("cli/a", "import requests", 1),
        ("cli/a", "import click\nimport json", 0),
        ("store/sqlite/a", "import sqlite_utils", 0),
    ],
)
def test_a_package_away_from_home_is_seen(importer: str, text: str, count: int, tmp_path: Path) -> None:
    assert len(rules.wrong_homes(make(tmp_path, {importer: text}))) == count


def test_an_import_in_a_function_is_seen_and_a_stale_gate_too(tmp_path: Path) -> None:
    text = "import json\nclass C:\n    def f(self):\n        import ast\n        return __import__('csv')\n"
    package = make(tmp_path, {"core/a": text})
    gates = {"jupyter_wf.core.a -> ast": "", "jupyter_wf.core.a -> json": ""}
    assert rules.imports_in_functions(package, gates) == (
        ["jupyter_wf.core.a:5 imports csv in C.f"],
        ["jupyter_wf.core.a -> json"],
    )


def test_a_circle_is_seen_and_types_make_none(tmp_path: Path) -> None:
    turn = "import jupyter_wf.core.{}"
    package = make(tmp_path, {"core/a": turn.format("b"), "core/b": turn.format("c"), "core/c": turn.format("a")})
    names = [f"jupyter_wf.core.{letter}" for letter in "abca"]
    assert rules.circles(package) == [" -> ".join(names)]
    package = make(
        tmp_path, {"core/c": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jupyter_wf.core.a"}
    )
    assert rules.circles(package) == []


def test_long_files_and_functions_are_seen(tmp_path: Path) -> None:
    body = "    x = 1\n"
    fits = make(tmp_path, {"core/a": f"async def f():\n{body * 59}" + "y = 1\n" * 340})
    assert rules.too_long(fits) == []
    over = make(tmp_path, {"core/a": f"async def f():\n{body * 60}" + "y = 1\n" * 340})
    assert rules.too_long(over) == [
        "jupyter_wf.core.a has 401 lines, 400 are allowed",
        "jupyter_wf.core.a.f has 61 lines, 60 are allowed",
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(): ...", 1),
        ("from json import loads", 1),
        ("__all__ = ['f', 'g']\ndef f(): ...", 1),
        ("__all__ = ['f', 'f']\ndef f(): ...", 1),
        ("__all__ = ['f']\ndef f(): ...\nclass C: ...", 1),
        ("__all__ = ['f']\ndef f(): ...\nlogger = 1", 1),
        ("__all__ = ['loads', 'f']\nfrom json import loads\ndef f(): ...\n_x = 1\nT = TypeVar('T')", 0),
        ("__all__ = ['later']\ndef __getattr__(name): ...", 0),
        ("'''Only words.'''", 0),
    ],
)
def test_exports_that_do_not_match_are_seen(text: str, count: int, tmp_path: Path) -> None:
    assert len(rules.wrong_exports(make(tmp_path, {"core/a": text}))) == count


def test_missing_docstrings_are_seen(tmp_path: Path) -> None:
    text = "def f(): ...\ndef _g(): ...\nclass C:\n    'x'\n    def m(self): ...\n    def _n(self): ...\n"
    wrong = rules.without_docstring(make(tmp_path, {"core/a": text}))
    assert wrong == [f"jupyter_wf{end}" for end in ("", ".core", ".core.a", ".core.a.f", ".core.a.C.m")]
