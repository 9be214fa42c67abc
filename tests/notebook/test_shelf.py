"""What a cell leaves comes back by name; what can't be stored is named with its reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.engine.fingerprints import fingerprint, inputs_of
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.store.blobs import Blobs, Payload
from jupyter_wf.store.manifests import read_manifest
from tests.architecture.source import ROOT


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "results")


@pytest.fixture
def shelf(blobs: Blobs) -> Shelf:
    return Shelf(blobs)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(Blobs(tmp_path_factory.mktemp("shelf") / "results"))


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.folder.rglob("*") if path.is_file()]


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int
    colour: Colour


def add(a: int, b: int) -> int:
    return a + b


def test_values_come_back_by_name(blobs: Blobs, shelf: Shelf) -> None:
    values: dict[str, Any] = {"n": 1, "parts": (1, 2), "long": "x" * 100_000, "größe": None}
    shelved = shelf.keep(values)
    assert shelved.missing == {}
    assert shelved.payload.format == "names"
    assert shelf.load(shelved.payload) == values
    assert blobs.load(shelved.payload) == values
    assert shelf.load(shelved.payload, ["parts"]) == {"parts": (1, 2)}
    assert shelf.load(shelved.payload, []) == {}
    assert shelf.keep(values) == shelved
    nothing = shelf.keep({})
    assert shelf.load(nothing.payload) == {}
    assert shelf.known(nothing.payload) == {}


#: What cells leave. Each entry is a value that must come back with the fingerprint it had.
LEFT: dict[str, Any] = {
    "frame": pandas.DataFrame({"a": [1, 2], "name": ["x", None]}),
    "indexed": pandas.DataFrame({"a": [1, 2]}, index=pandas.date_range("2026", periods=2, freq="D")),
    "column": pandas.Series([1.5, None], name="x"),
    "index": pandas.Index(["a", "b"]),
    "polars": polars.DataFrame({"a": [1, None], "kind": ["u", "v"]}),
    "array": numpy.arange(12.0).reshape(3, 4)[:, ::2],
    "scalar": numpy.float32(1.5),
    "records": numpy.array([(1, "a")], dtype=[("n", "i4"), ("s", "U3")]),
    "nested": {"frames": [pandas.DataFrame({"a": [1]})], "points": {(1, 2): Point(1, Colour.RED)}},
    "counts": Counter("hello"),
    "colour": Colour.RED,
    "function": add,
    "kind": Point,
    "module": json,
    "path": Path("/a/b"),
    "text": "\ud800",
    "number": 2**20_000,
    "infinite": float("-inf"),
    "set": {1, (2, "x"), None},
    "bytes": bytearray(b"x\x00"),
    "lambda": lambda x: x + 1,
}


@pytest.mark.parametrize("name", LEFT)
def test_what_cells_leave_comes_back_with_its_fingerprint(shelf: Shelf, name: str) -> None:
    value = LEFT[name]
    shelved = shelf.keep({name: value})
    assert shelved.missing == {}
    back = shelf.load(shelved.payload)[name]
    assert type(back) is type(value)
    assert fingerprint(back) == fingerprint(value)
    assert inputs_of({name: back}) == inputs_of({name: value})


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner) | st.tuples(inner),
            max_leaves=6,
        ),
        max_size=5,
    )
)
def test_every_mapping_comes_back(shared: Shelf, values: dict[str, Any]) -> None:
    shelved = shared.keep(values)
    back = shared.load(shelved.payload)
    assert [*back] == [*values]
    assert shelved.missing == {}
    assert fingerprint(back) == fingerprint(values)


def test_what_is_known_without_reading(blobs: Blobs, shelf: Shelf) -> None:
    shelved = shelf.keep(
        {"n": 12, "frame": LEFT["frame"], "noise": os.urandom(100_000), "p": Point(1, Colour.RED), "t": Counter("a")}
    )
    known = shelf.known(shelved.payload)
    assert known["n"] == {"format": "json", "size": 2, "type": "int"}
    assert {name: (entry["format"], entry["type"]) for name, entry in known.items()} == {
        "n": ("json", "int"),
        "frame": ("arrow/pandas", "pandas.DataFrame"),
        "noise": ("file:pickle", "bytes"),
        "p": ("pickle", f"{__name__}.Point"),
        "t": ("pickle", "collections.Counter"),
    }
    (path,) = files(blobs)
    assert known["noise"]["size"] == path.stat().st_size
    path.unlink()
    assert shelf.known(shelved.payload) == known
    assert shelf.load(shelved.payload, ["n"]) == {"n": 12}
    with pytest.raises(MissingResult, match=f"'noise': the file of a stored result is gone: {path}"):
        shelf.load(shelved.payload)


def test_the_list_is_json_that_names_formats_and_digests(blobs: Blobs, shelf: Shelf) -> None:
    shelved = shelf.keep({"n": 1, "noise": os.urandom(100_000), "lock": threading.Lock()})
    told = json.loads(shelved.payload.data)
    assert told["names"]["n"] == {"format": "json", "data": "MQ==", "size": 1, "type": "int"}
    assert told["names"]["noise"]["data"][:64] == files(blobs)[0].name
    assert [*told["missing"]] == ["lock"]


def test_many_names_do_not_make_a_long_list(blobs: Blobs, shelf: Shelf) -> None:
    values = {f"name{i}": os.urandom(5_000) for i in range(100)}
    shelved = shelf.keep(values)
    assert shelf.load(shelved.payload) == values
    assert len(shelved.payload.data) < 110_000
    assert 85 < len(files(blobs)) < 100


def test_what_is_the_same_is_one_file(blobs: Blobs, shelf: Shelf) -> None:
    noise = os.urandom(100_000)
    one = shelf.keep({"a": noise, "b": bytes(noise)})
    two = shelf.keep({"c": noise})
    assert len(files(blobs)) == 1
    assert shelf.load(one.payload) == {"a": noise, "b": noise}
    assert shelf.load(two.payload) == {"c": noise}


class Evil:
    """Answers with an error whatever it is asked."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise Refused

    def __repr__(self) -> str:
        raise Refused


class Refused(Exception):
    def __str__(self) -> str:
        raise ValueError("no text either")


class Nowhere:
    """A class that does not know where it comes from."""

    __module__ = property(lambda self: 1 / 0)  # type: ignore[assignment]


def numbers() -> Iterator[int]:
    yield 1


def test_what_cannot_be_stored_is_said_and_the_rest_is_stored(shelf: Shelf, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        values: dict[str, Any] = {
            "lock": threading.Lock(),
            "file": file,
            "generator": numbers(),
            "evil": Evil(),
            "inside": [1, {"deep": threading.Lock()}],
            "huge": numpy.empty(2**31, dtype=numpy.uint8),
            "n": 1,
        }
        shelved = shelf.keep(values)
    assert [*shelved.missing] == ["lock", "file", "generator", "evil", "inside", "huge"]
    assert "a lock can't be stored" in shelved.missing["lock"]
    assert "a TextIOWrapper can't be stored" in shelved.missing["file"]
    assert "a generator can't be stored" in shelved.missing["generator"]
    assert shelved.missing["evil"] == "a Evil can't be stored: Refused"
    assert re.search(r"too large to be stored: at least 2,147,48\d,\d{3} bytes", shelved.missing["huge"])
    assert all("\n" not in why for why in shelved.missing.values())
    assert shelf.missing(shelved.payload) == shelved.missing
    assert shelf.load(shelved.payload) == {"n": 1}
    with pytest.raises(MissingResult, match="'lock' is not stored: a lock can't be stored"):
        shelf.load(shelved.payload, ["n", "lock"])
    with pytest.raises(MissingResult, match="'other' is not stored: it is not among the names"):
        shelf.load(shelved.payload, ["other"])


def test_a_class_that_cannot_be_asked_for_its_name(shelf: Shelf) -> None:
    payload = shelf.keep({"nowhere": Nowhere()}).payload
    assert type(shelf.load(payload)["nowhere"]).__name__ == "Nowhere"
    assert shelf.known(payload)["nowhere"]["type"] == "object"


@pytest.mark.parametrize(
    ("value", "at_least"),
    [
        ("x" * 20_000, 20_002),
        (list(range(10_000)), 48_000),
        (numpy.arange(10_000), 80_000),
        (pandas.DataFrame({"n": numpy.random.default_rng(0).normal(size=10_000)}), 10_001),
        (os.urandom(20_000), 20_000),
    ],
)
def test_what_is_too_large_is_missing_with_its_size(blobs: Blobs, shelf: Shelf, value: Any, at_least: int) -> None:
    shelved = shelf.keep({"large": value, "small": 1}, largest=10_000)
    told = shelved.missing["large"].replace(",", "")
    size = int(told.partition("at least ")[2].split()[0])
    assert at_least <= size <= at_least + 100_000
    assert told.endswith("bytes of at most 10000")
    assert shelf.load(shelved.payload) == {"small": 1}
    assert files(blobs) == []
    assert shelf.keep({"large": value}, largest=1_000_000).missing == {}
    assert shelf.keep({"large": value}).missing == {}


class Interrupts:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_go_through(blobs: Blobs, shelf: Shelf, error: type[BaseException]) -> None:
    with pytest.raises(error):
        shelf.keep({"n": 1, "x": [os.urandom(100_000), Interrupts(error)]})
    assert files(blobs) == []


def test_a_key_that_is_not_trusted_is_said_for_each_name(blobs: Blobs, shelf: Shelf, tmp_path: Path) -> None:
    shelf.keep({"parts": (1, 2)})
    key = tmp_path / "signing.key"
    key.chmod(0o644)
    shelved = Shelf(Blobs(blobs.folder)).keep({"n": 1, "parts": (1, 2)})
    assert [*shelved.missing] == ["parts"]
    assert f"{key}, is open to others" in shelved.missing["parts"]


class Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_an_altered_list_is_refused_before_a_value_is_read(blobs: Blobs, shelf: Shelf, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    foreign = Shelf(Blobs(tmp_path / "other" / "results")).keep({"x": Touch(touched)}).payload
    ours = json.loads(shelf.keep({"x": (1, 2), "n": 1}).payload.data)
    evil = json.loads(foreign.data)["names"]["x"]
    for entry in (evil, {**evil, "format": "compressed/pickle"}, {**ours["names"]["x"], "data": evil["data"]}):
        ours["names"]["x"] = entry
        altered = Payload("names", json.dumps(ours).encode())
        with pytest.raises(MissingResult, match=r"^'x': .*(altered|not signed)"):
            shelf.load(altered)
        with pytest.raises(MissingResult, match=r"^'x': .*(altered|not signed)"):
            blobs.load(altered)
        assert shelf.load(altered, ["n"]) == {"n": 1}
    assert not touched.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"names":{"a":{}},"missing":{}}',
        b'{"names":1,"missing":{}}',
        b'{"names":{"a":{"format":"pickle","data":"%","size":1,"type":"x"}},"missing":{}}',
        b'{"names":{"a":{"format":"names","data":"","size":1,"type":"x"}},"missing":{}}',
        b'{"names":{"a":{"format":"json","data":"MQ==","size":"many","type":"x"}},"missing":{}}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_list_is_refused(blobs: Blobs, shelf: Shelf, data: bytes) -> None:
    payload = Payload("names", data)
    for read in (shelf.load, shelf.missing, shelf.known, blobs.load):
        with pytest.raises(MissingResult, match="damaged"):
            read(payload)


def test_only_lists_of_names_are_read(shelf: Shelf) -> None:
    with pytest.raises(MissingResult, match="'json' holds no names"):
        shelf.load(Payload("json", b"{}"))


def run(code: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)


NOTEBOOK = """
import sys
from dataclasses import dataclass
from pathlib import Path
from jupyter_wf.engine.fingerprints import inputs_of
from jupyter_wf.notebook.shelf import Shelf
from jupyter_wf.store.blobs import Blobs, Payload

@dataclass
class Point:
    x: int
    def double(self):
        return Point(self.x * 2)

def total(points):
    return sum(point.x for point in points)

shelf = Shelf(Blobs(Path(sys.argv[1]) / "results"))
kept, inputs = Path(sys.argv[1]) / "kept", Path(sys.argv[1]) / "inputs"
values = {"points": [Point(1), Point(2)], "total": total, "Point": Point}
"""


def test_functions_and_classes_of_a_notebook_are_the_same_inputs_in_the_next_kernel(tmp_path: Path) -> None:
    run(
        NOTEBOOK
        + "shelved = shelf.keep(values)\nassert shelved.missing == {}\nkept.write_bytes(shelved.payload.data)\n"
        + "inputs.write_text(inputs_of(values))\nassert shelf.known(shelved.payload)['points']['type'] == 'list'",
        tmp_path,
    )
    run(
        NOTEBOOK
        + "back = shelf.load(Payload('names', kept.read_bytes()))\n"
        + "assert back['Point'] is Point and back['points'] == values['points']\n"
        + "assert back['total'](back['points']) == 3 and back['points'][0].double() == Point(2)\n"
        + "assert inputs_of(back) == inputs_of(values) == inputs.read_text()",
        tmp_path,
    )


def test_a_list_is_read_without_pickle_and_hashing(shelf: Shelf, tmp_path: Path) -> None:
    payload = shelf.keep({"n": 1, "noise": os.urandom(100_000), "frame": LEFT["frame"]}).payload
    assert [*read_manifest(payload).names] == ["n", "noise", "frame"]
    (tmp_path / "kept").write_bytes(payload.data)
    run(
        """
import sys
from pathlib import Path
from jupyter_wf.store.blobs import Payload
from jupyter_wf.store.manifests import read_manifest
manifest = read_manifest(Payload("names", (Path(sys.argv[1]) / "kept").read_bytes()))
assert manifest.names["frame"].type == "pandas.DataFrame"
assert not {"pickle", "cloudpickle", "hashlib", "hmac", "pandas"} & set(sys.modules)
""",
        tmp_path,
    )
