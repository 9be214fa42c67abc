"""The TypeScript sources keep the same law: imports go down only, one place talks to the network, files stay short."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from tests.architecture.rules import MAX_FILE
from tests.architecture.source import ROOT

SOURCES = ROOT / "labextension/src"
#: Folders (or modules of the top folder) by layer. The widget is a host of its own, as the plugins are.
LAYERS = {"api": 0, "model": 1, "draw": 2, "components": 3, "pages": 4, "widget": 5, "plugins": 5, "index": 6}
#: These may be imported by everybody: they name things, or are pictures and style sheets.
LEAVES = ("tokens", "icons", "style")
#: Written by programs, for programs.
GENERATED = ("api/schema.ts",)
_IMPORT = re.compile(
    r"""(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*['"](\.[^'"]+)['"]|import\(\s*['"](\.[^'"]+)['"]"""
)
_NETWORK = re.compile(r"\bServerConnection\.make|\bnew WebSocket\(|(?<![.\w])fetch\(|\bXMLHttpRequest\b")


def broken(sources: Path) -> list[str]:
    """Return one line for each import that does not go down, each use of the network outside api/, each long file."""
    wrong = []
    for path in sorted(file for file in sources.rglob("*.ts*") if not file.name.endswith(".d.ts")):
        here = PurePosixPath(path.relative_to(sources).as_posix())
        text = path.read_text(encoding="utf-8")
        for first, second in _IMPORT.findall(text):
            there = _resolve(here, first or second)
            if not _goes_down(_unit(here), _unit(there)):
                wrong.append(f"{here} imports {there}")
        if _unit(here) != "api" and _NETWORK.search(text):
            wrong.append(f"{here} talks to the network")
        # What is generated nobody reads from its beginning to its end.
        if len(text.splitlines()) > MAX_FILE and not text.startswith("// Generated"):
            wrong.append(f"{here} has more than {MAX_FILE} lines")
    return wrong


def _resolve(here: PurePosixPath, target: str) -> PurePosixPath:
    parts: list[str] = list(here.parent.parts)
    for part in PurePosixPath(target).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _unit(path: PurePosixPath) -> str:
    return path.parts[0] if len(path.parts) > 1 else path.name.partition(".")[0]


def _goes_down(here: str, there: str) -> bool:
    if here == there or there in LEAVES:
        return True
    return here in LAYERS and there in LAYERS and LAYERS[there] < LAYERS[here]


def test_sources_keep_the_law() -> None:
    assert (SOURCES / "index.ts").exists()
    assert broken(SOURCES) == []


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("api/client.ts", "import { Store } from '../model/store';"),
        ("model/store.ts", "import type {\n  A,\n  B\n} from '../pages/run';"),
        ("draw/badge.ts", "export * from '../components/badge';"),
        ("pages/run.tsx", "const later = import('../plugins/panel');"),
        ("pages/run.tsx", "import { run } from '../widget/run';"),
        ("components/list.tsx", "await fetch('/jupyter_wf/api/runs');"),
        ("model/store.ts", "const socket = new WebSocket(url);"),
        ("draw/long.ts", "let x = 1;\n" * 401),
        ("elsewhere/odd.ts", "import { a } from '../api/client';"),
    ],
)
def test_what_breaks_it_is_seen(where: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert len(broken(tmp_path)) == 1


def test_what_goes_down_is_let_be(tmp_path: Path) -> None:
    text = (
        "import { A } from '../api/client';\nimport { icon } from '../icons';\nimport React from 'react';\nrefetch();"
    )
    path = tmp_path / "pages/run.tsx"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert broken(tmp_path) == []
