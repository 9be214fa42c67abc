"""Flows by the name of their place, and functions to it."""

from __future__ import annotations

import functools
import importlib
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_wf import flow, task
from jupyter_wf.core.errors import TargetError
from jupyter_wf.flows import Flow
from jupyter_wf.sources import entrypoint_of, flow_from_source, load_flow, load_object, parse_entrypoint

FLOWS = """
import beside
from jupyter_wf import flow, task

@task
def double(x):
    return 2 * x

@flow
def total(n: int):
    return n + beside.ONE

def plain(n):
    return n

other_name = flow(plain)

class Pipeline:
    @staticmethod
    @flow
    def run_it(n):
        return n

    @classmethod
    def of_class(cls, n):
        return n

if __name__ == "__main__":
    raise SystemExit("the guard was run")
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with flows in files and in a package; nothing of it stays imported."""
    (tmp_path / "first_flows.py").write_text(FLOWS)
    (tmp_path / "beside.py").write_text("ONE = 1")
    (tmp_path / "broken_flows.py").write_text("def f():\n    return 1 / 0\nf()\n")
    (tmp_path / "ends_flows.py").write_text("import sys\nsys.exit(3)")
    (tmp_path / "syntax_flows.py").write_text("def f(:\n")
    (tmp_path / "packed_flows").mkdir()
    (tmp_path / "packed_flows" / "__init__.py").write_text("")
    (tmp_path / "packed_flows" / "part.py").write_text(
        "from .near import TWO\nfrom jupyter_wf import flow\n@flow\ndef go(n=1): return n + TWO\n"
    )
    (tmp_path / "packed_flows" / "near.py").write_text("TWO = 2")
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and file.startswith(str(tmp_path)):
            del sys.modules[name]


def test_a_flow_of_a_file_and_of_a_module(folder: Path) -> None:
    found = load_flow(f"{folder}/first_flows.py:total")
    assert isinstance(found, Flow) and found.fn(2) == 3
    assert load_flow("first_flows.py:total").fn.__module__ == "first_flows"
    assert load_flow("first_flows:other_name").fn(2) == 2
    assert load_flow("packed_flows.part:go").fn() == load_flow("packed_flows.part").fn() == 3
    assert load_flow("first_flows.py:Pipeline.run_it").fn(4) == 4


def test_a_flow_from_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("HOME", str(folder))
    for source in (folder, str(folder), "~"):
        assert flow_from_source(source, "first_flows.py:total").fn(1) == 2
    assert flow_from_source(folder, "packed_flows.part:go").fn(1) == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://github.com/owner/repository", "only a local folder"),
        ("git@github.com:owner/repository.git", "only a local folder"),
        ("s3://bucket/flows", "only a local folder"),
        (object(), "'object': only a local folder"),
        ("missing", "'missing': there is no such folder"),
        ("beside.py", "only a local folder"),
    ],
)
def test_other_sources_are_refused(folder: Path, source: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        flow_from_source(source, "first_flows.py:total")


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("first_flows.py", "say which flow to run; flows in it: other_name, total"),
        ("first_flows.py:nothing", "there is no 'nothing' in it; flows in it: other_name, total"),
        ("first_flows.py:Pipeline.nothing", "there is no 'Pipeline.nothing' in it"),
        ("first_flows.py:double", "'double' is no flow; decorate it with @flow"),
        ("missing.py:total", "there is no such file"),
        ("beside.py:total", "there is no 'total' in it; it defines no flow"),
        ("syntax_flows.py:total", "importing it failed: SyntaxError: "),
        ("ends_flows.py:total", "importing it failed: SystemExit: 3"),
        ("packed_flows.missing:go", "there is no module 'packed_flows.missing'"),
        ("not a path", "is neither file.py:flow nor package.module:flow"),
        ("", "is neither"),
    ],
)
def test_what_cannot_be_loaded_is_said(folder: Path, entrypoint: str, message: str) -> None:
    with pytest.raises(TargetError, match=f"^{entrypoint!r}: .*{message}"):
        load_flow(entrypoint)
    assert not {"syntax_flows", "ends_flows"} & set(sys.modules)


def test_a_failing_import_keeps_the_users_traceback(folder: Path) -> None:
    with pytest.raises(
        TargetError, match=r"ZeroDivisionError: division by zero \(.*broken_flows.py, line 2\)"
    ) as caught:
        load_flow("broken_flows.py:f")
    assert caught.value.__cause__ is not None
    frames = traceback.extract_tb(caught.value.__cause__.__traceback__)
    assert [(Path(f.filename).name, f.lineno) for f in frames][-2:] == [("broken_flows.py", 3), ("broken_flows.py", 2)]


def test_an_edited_file_is_read_again_and_a_failure_leaves_the_one_before(folder: Path) -> None:
    first = load_flow("first_flows.py:total")
    module = sys.modules["first_flows"]
    (folder / "first_flows.py").write_text("raise ValueError")
    with pytest.raises(TargetError):
        load_flow("first_flows.py:total")
    assert sys.modules["first_flows"] is module
    (folder / "first_flows.py").write_text("from jupyter_wf import flow\n@flow\ndef total(n): return 'changed' * n\n")
    assert (load_flow("first_flows.py:total").fn(2), first.fn(2)) == ("changedchanged", 3)


def test_other_modules_of_the_same_name_stay(folder: Path) -> None:
    for name in ("random", "second/first_flows", "third/with-dash"):
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from jupyter_wf import flow\n@flow\ndef f(): return {name!r}\n")
    first = load_flow("first_flows.py:total")
    random = importlib.import_module("random")
    for name in ("random", "second/first_flows", "third/with-dash"):
        found = load_flow(f"{name}.py:f")
        assert found.fn() == name
        assert sys.modules[found.fn.__module__].f is found
    assert importlib.import_module("random") is random
    assert sys.modules["first_flows"].total is first


def at_module_level() -> None: ...


a_flow = flow(at_module_level)
by_decorator = task(name="x")(lambda: None)


def test_what_can_be_imported_has_an_entrypoint(folder: Path) -> None:
    file = folder / "first_flows.py"
    module = importlib.import_module(load_flow("first_flows.py:total").fn.__module__)
    for value, name in (
        (module.total, "total"),
        (module.total.fn, "total"),
        (module.double, "double"),
        (module.plain, "plain"),
        (module.other_name, "other_name"),
        (module.Pipeline.run_it, "Pipeline.run_it"),
        (module.Pipeline.of_class, "Pipeline.of_class"),
    ):
        entrypoint = entrypoint_of(value)
        assert entrypoint == f"{file}:{name}"
        again = load_object(entrypoint)
        # A class method is a new object each time, and so is what `total.fn` is loaded as: the flow around it.
        assert again == value or again.fn is value
    assert entrypoint_of(load_flow("packed_flows.part:go")) == "packed_flows.part:go"
    with pytest.raises(TargetError, match="names nothing"):
        load_object(str(file))


def test_what_cannot_be_imported_has_none() -> None:
    def nested() -> None: ...

    class Local:
        def method(self) -> None: ...

    for value in (nested, flow(nested), lambda: 1, len, functools.partial(at_module_level), Local().method, 3, None):
        assert entrypoint_of(value) is None
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(compile("def cell(): ...", "/tmp/ipykernel_1/2.py", "exec"), namespace)
    assert entrypoint_of(namespace["cell"]) is None


PROGRAM = """
import json, sys
from jupyter_wf import flow
from jupyter_wf.sources import entrypoint_of

@flow
def mine(): ...

exec(compile("def typed(): ...", "<stdin>", "exec"))
print(json.dumps([entrypoint_of(mine), entrypoint_of(typed)]))
"""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["packed_flows/script.py"], "{folder}/packed_flows/script.py:mine"),
        (["-m", "packed_flows.script"], "packed_flows.script:mine"),
        (["-c", PROGRAM], None),
        (["-"], None),
    ],
)
def test_entrypoints_of_the_main_program(folder: Path, args: list[str], expected: str | None) -> None:
    (folder / "packed_flows" / "script.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, *args], cwd=folder, input=PROGRAM, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [expected and expected.format(folder=folder), None]


@pytest.mark.parametrize(
    ("text", "is_file", "where", "name"),
    [
        ("a.py", True, "a.py", None),
        ("/x/a b.py:f", True, "/x/a b.py", "f"),
        ("C:/x/a.py:f", True, "C:/x/a.py", "f"),
        ("C:/x/a.py", True, "C:/x/a.py", None),
        ("pack.mod", False, "pack.mod", None),
        ("pack.mod:C.f", False, "pack.mod", "C.f"),
    ],
)
def test_parsing(text: str, is_file: bool, where: str, name: str | None) -> None:
    parsed = parse_entrypoint(text)
    assert (parsed.is_file, parsed.where, parsed.name) == (is_file, where, name)
