"""Values as bytes: what is stored comes back, in files where it is large, and refusals say why."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_wf.core.errors import MissingResult, ParameterError
from jupyter_wf.store import blob_files, blobs
from jupyter_wf.store.blobs import INLINE_LIMIT, Blobs, Payload, check_storable
from jupyter_wf.store.serializers import FORMATS
from tests.architecture.source import ROOT

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters())
HASHABLE = (
    PLAIN
    | st.binary()
    | st.complex_numbers()
    | st.datetimes()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.timedeltas()
)
VALUES = st.recursive(
    HASHABLE | st.frozensets(HASHABLE),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal with their types, NaN being equal to itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return repr(one) == repr(other)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    return Blobs(tmp_path_factory.mktemp("kept") / "results")


@pytest.fixture
def large(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "results")


def files(blobs: Blobs) -> list[Path]:
    return [path for path in blobs.folder.rglob("*") if path.is_file()] if blobs.folder.exists() else []


@given(VALUES, st.sampled_from((None, "pickle", "compressed/pickle")))
def test_what_is_stored_comes_back(kept: Blobs, value: Any, serializer: str | None) -> None:
    assert same(kept.load(kept.keep(value, serializer)), value)


@pytest.mark.parametrize(
    ("value", "format_"),
    [
        (None, "json"),
        (True, "json"),
        (2**63, "json"),
        (-0.0, "json"),
        ("ü\u2028\x00", "json"),
        ([1, {"a": [None, 1.5]}], "json"),
        ({}, "json"),
        (float("inf"), "pickle"),
        ("\ud800\udc00", "pickle"),
        ({1: "a"}, "pickle"),
        ((1, 2), "pickle"),
        ({1, 2}, "pickle"),
        (b"x", "pickle"),
        (datetime(2026, 1, 2, tzinfo=UTC), "pickle"),
        ([Decimal("1.10"), Fraction(1, 3), UUID(int=1), date(2026, 1, 2), 1j, Path("/a")], "pickle"),
    ],
)
def test_json_is_taken_only_where_it_gives_the_same_value_back(kept: Blobs, value: Any, format_: str) -> None:
    payload = kept.keep(value)
    assert payload.format == format_
    assert same(kept.load(payload), value)


def test_parts_that_are_shared_stay_shared_and_circles_closed(kept: Blobs) -> None:
    part: list[int] = [1]
    one, two = kept.load(kept.keep([part, part]))
    assert one is two
    circle: list[Any] = []
    circle.append(circle)
    back = kept.load(kept.keep(circle))
    assert back[0] is back
    many: list[Any] = []
    for _ in range(60):
        many = [many, many]
    back = kept.load(kept.keep(many))
    assert back[0] is back[1]


def test_a_number_that_is_too_long_to_be_written(kept: Blobs) -> None:
    assert kept.load(kept.keep(2**20_000)) == 2**20_000
    assert kept.load(kept.keep([-(2**20_000)])) == [-(2**20_000)]


def test_plain_values_do_not_import_cloudpickle_nor_json_values_pickle(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from jupyter_wf.store.blobs import Blobs
blobs = Blobs(Path(sys.argv[1]) / "results")
blobs.load(blobs.keep({"a": [1, 2.5, "x", None]}))
assert not {"pickle", "cloudpickle", "hashlib", "hmac", "zlib"} & set(sys.modules), sys.modules
from datetime import datetime
blobs.load(blobs.keep([datetime(2026, 1, 1), {1, 2}, (1,), b"x"]))
assert not {"cloudpickle", "pyarrow", "pandas"} & set(sys.modules)
"""
    run(tmp_path, code)


DEFINITIONS = """
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from jupyter_wf.store.blobs import Blobs, Payload

class Colour(Enum):
    RED = 1

@dataclass
class Point:
    x: int
    colour: Colour

blobs = Blobs(Path(sys.argv[1]) / "results")
kept = Path(sys.argv[1]) / "kept"
"""


def run(tmp_path: Path, text: str) -> None:
    subprocess.run([sys.executable, "-c", text, str(tmp_path)], cwd=ROOT, check=True)


def test_what_a_script_defines_goes_by_value_and_is_taken_from_the_next_one(tmp_path: Path) -> None:
    run(
        tmp_path,
        DEFINITIONS + "base = 10\nvalue = [Point(1, Colour.RED), lambda x: x + base]\n"
        "payload = blobs.keep(value)\nassert payload.format == 'pickle'\nkept.write_bytes(payload.data)",
    )
    reading = "point, add = blobs.load(Payload('pickle', kept.read_bytes()))\nassert add(1) == 11\n"
    run(tmp_path, DEFINITIONS + reading + "assert point == Point(1, Colour.RED) and point.colour is Colour.RED")
    without = DEFINITIONS.replace("class Colour", "class Other").replace("class Point", "class Another")
    run(
        tmp_path,
        without.replace("colour: Colour", "colour: int")
        + reading
        + "assert point.x == 1 and point.colour.name == 'RED'",
    )


def test_large_values_are_files_by_content(large: Blobs) -> None:
    assert large.keep(b"x" * 1000).format == "pickle"
    assert files(large) == []
    for value, format_ in (("x" * INLINE_LIMIT, "file:json"), (b"x" * INLINE_LIMIT, "file:pickle")):
        first = large.keep(value)
        assert first.format == format_
        assert large.keep(value) == first
        assert large.load(first) == value
    assert sorted(path.name.encode() for path in files(large)) == sorted(
        [large.keep("x" * INLINE_LIMIT).data, large.keep(b"x" * INLINE_LIMIT).data[:64]]
    )
    for path in files(large):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.parent.name == path.name[:2]
    assert stat.S_IMODE(large.folder.stat().st_mode) == 0o700


def test_a_value_that_compresses_well_stays_with_its_run(large: Blobs) -> None:
    payload = large.keep([0] * 100_000, "compressed/json")
    assert payload.format == "compressed/json"
    assert large.load(payload) == [0] * 100_000
    noise = os.urandom(INLINE_LIMIT * 2)
    assert large.keep(noise, "compressed/pickle").format == "file:compressed/pickle"
    assert large.load(large.keep(noise, "compressed/pickle")) == noise


def test_two_writers_of_one_value(large: Blobs) -> None:
    value = os.urandom(1 << 20)
    begin = threading.Barrier(8)
    payloads: list[Payload] = []

    def keep() -> None:
        begin.wait()
        payloads.append(large.keep(value))

    threads = [threading.Thread(target=keep) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(payloads)) == 1
    assert len(files(large)) == 1
    assert large.load(payloads[0]) == value


def test_a_damaged_file_is_refused_and_mended_by_the_next_that_keeps_it(large: Blobs) -> None:
    value = b"x" * INLINE_LIMIT
    payload = large.keep(value)
    (path,) = files(large)
    path.write_bytes(path.read_bytes()[:-1] + b"y")
    with pytest.raises(MissingResult, match=f"damaged: {path}"):
        large.load(payload)
    assert large.keep(value) == payload
    assert large.load(payload) == value
    path.unlink()
    with pytest.raises(MissingResult, match=f"gone: {path}"):
        large.load(payload)


@pytest.mark.parametrize("name", [b"../../etc/passwd", b"", b"A" * 64, b"\xff" * 64, b"0" * 63])
def test_only_digests_name_files(large: Blobs, name: bytes) -> None:
    with pytest.raises(MissingResult, match="names no file"):
        large.load(Payload("file:json", name))


def test_what_killed_writers_left_is_removed(large: Blobs) -> None:
    large.folder.mkdir()
    old, new = large.folder / "1.part", large.folder / "2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    large.keep(b"x" * INLINE_LIMIT)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_disk_that_takes_no_more_is_said(large: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: blob_files.Collector, file: Any, data: Any) -> None:
        file.write(bytes(data[:10]))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blob_files.Collector, "_append", full)
    for value in (b"x" * INLINE_LIMIT, "x" * INLINE_LIMIT):
        with pytest.raises(MissingResult, match=f"can't be stored: {large.folder}: No space left"):
            large.keep(value)
    assert files(large) == []


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(MissingResult, match=r"results: "):
        Blobs(tmp_path / "results").keep("x" * INLINE_LIMIT)


@pytest.mark.parametrize("serializer", [None, *FORMATS])
def test_the_largest_value(large: Blobs, monkeypatch: pytest.MonkeyPatch, serializer: str | None) -> None:
    monkeypatch.setattr(blobs, "LARGEST", 200_000)
    for keep in (large.keep, check_storable):
        with pytest.raises(MissingResult, match=r"too large to be stored: at least 20.,... bytes, of at most 200,000"):
            keep("x" * 200_001, serializer)
    assert files(large) == []


def test_a_compressed_value_is_not_read_beyond_the_largest(kept: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [kept.keep("x" * 300_000, name) for name in FORMATS if name.startswith("compressed")]
    monkeypatch.setattr(blobs, "LARGEST", 200_000)
    for payload in payloads:
        with pytest.raises(MissingResult, match="larger than anything"):
            kept.load(payload)
        with pytest.raises(MissingResult, match=r"can't be read|it was altered"):
            kept.load(payload._replace(data=payload.data[:-20]))


def test_json_that_is_asked_for_is_lenient_and_says_what_it_does_not_know(kept: Blobs) -> None:
    assert kept.load(kept.keep((1, (2,)), "json")) == [1, [2]]
    assert kept.load(kept.keep({1: "a"}, "compressed/json")) == {"1": "a"}
    assert kept.load(kept.keep("\ud800", "json")) == "\ud800"
    with pytest.raises(MissingResult, match=r"a set can't be stored: TypeError: .*not JSON serializable"):
        kept.keep({1}, "json")
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(MissingResult, match="a list can't be stored"):
        kept.keep(circle, "json")


@pytest.mark.parametrize("name", ["cloudpickle", "", "JSON", 1, ["json"]])
def test_an_unknown_serializer_is_refused_with_those_there_are(kept: Blobs, name: Any) -> None:
    with pytest.raises(ParameterError, match="'json', 'pickle', 'compressed/json', 'compressed/pickle'"):
        kept.keep(None, name)


class Evil(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


class Refuses:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> str:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [ValueError("a\nb"), Evil(), RecursionError(), GeneratorExit(), asyncio.CancelledError(), MemoryError(), OSError()],
)
def test_whatever_a_value_raises_is_said(large: Blobs, error: BaseException) -> None:
    for keep in (check_storable, large.keep):
        with pytest.raises(
            MissingResult, match=f"a Refuses can't be stored: ({type(error).__name__}|.*recursion)"
        ) as caught:
            keep(Refuses(error))
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingResult):
        large.keep([b"x" * INLINE_LIMIT, Refuses(error)])
    assert files(large) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_goes_through(large: Blobs, error: type[BaseException]) -> None:
    with pytest.raises(error):
        large.keep([b"x" * INLINE_LIMIT, Refuses(error())])
    assert files(large) == []


def nested(depth: int) -> list[Any]:
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


@pytest.mark.parametrize("make", [threading.Lock, lambda: (i for i in range(3)), lambda: nested(100_000)])
def test_what_cannot_be_stored(kept: Blobs, make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(MissingResult, match=f"a {type(value).__qualname__} can't be stored"):
        kept.keep(value)


def test_deep_values_come_back(kept: Blobs) -> None:
    back, depth = kept.load(kept.keep(nested(100))), 0
    while back:
        back, depth = back[0], depth + 1
    assert depth == 100


@pytest.mark.parametrize(
    "payload",
    [
        Payload("json", b"{"),
        Payload("json", b"\xff"),
        Payload("pickle", b""),
        Payload("pickle", b"cnot.a.module\nx\n."),
        Payload("compressed/json", b"none"),
        Payload("yaml", b""),
        Payload("file:json", b"0" * 64),
        Payload("file:yaml", b"0" * 64),
        Payload("", b""),
    ],
)
def test_what_cannot_be_read_is_refused(large: Blobs, payload: Payload) -> None:
    with pytest.raises(MissingResult):
        large.load(payload)


def fail(error: BaseException) -> None:
    raise error


class FailsToLoad:
    def __reduce__(self) -> Any:
        return fail, (GeneratorExit("x"),)


def test_whatever_reading_raises_is_said(large: Blobs) -> None:
    for value in (FailsToLoad(), [FailsToLoad(), b"x" * INLINE_LIMIT]):
        with pytest.raises(MissingResult, match="can't be read: GeneratorExit: x"):
            large.load(large.keep(value))


def test_the_state_of_modules_registered_by_value(kept: Blobs) -> None:
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        assert b"FailsToLoad" in kept.keep(timedelta).data or kept.load(kept.keep(timedelta)) is timedelta
        assert len(kept.keep(Evil()).data) > 500
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert len(kept.keep(Evil()).data) < 200
