"""Only what this home's key has signed is read; anything else is refused before a byte of it is taken for a value."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest

from jupyter_wf.core.errors import MissingResult
from jupyter_wf.store import signing
from jupyter_wf.store.blobs import INLINE_LIMIT, KEY_NAME, Blobs, Payload
from jupyter_wf.store.signing import Signer
from tests.architecture.source import ROOT

SMALL, LARGE = (1, 2), (b"x" * INLINE_LIMIT, 2)


class Touch:
    """Makes a file when its pickle is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "results")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / KEY_NAME


def file_of(blobs: Blobs, payload: Payload) -> Path:
    digest = payload.data[:64].decode()
    return blobs.folder / digest[:2] / digest


def test_the_key_is_made_once_for_its_owner_alone(blobs: Blobs, key: Path) -> None:
    blobs.keep({"a": [1, 2.5, None]})
    blobs.keep("x" * INLINE_LIMIT)
    blobs.keep([0] * 100_000, "compressed/json")
    assert not key.exists()
    before = os.umask(0)
    try:
        blobs.keep(SMALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert os.listdir(key.parent).count(KEY_NAME) == 1
    assert not [name for name in os.listdir(key.parent) if name.endswith(".new")]
    content = key.read_bytes()
    Blobs(blobs.folder).keep(SMALL)
    assert key.read_bytes() == content


def test_the_key_under_a_umask_that_takes_everything(blobs: Blobs, key: Path) -> None:
    before = os.umask(0o777)
    try:
        payload = blobs.keep(SMALL)
    finally:
        os.umask(before)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Blobs(blobs.folder).load(payload) == SMALL


@pytest.mark.parametrize("links", [True, False])
def test_many_make_the_key_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if links:
        signers = [Signer(tmp_path / KEY_NAME) for _ in range(16)]
    else:
        # A file system without links; there each may come into the other's two calls, so there is one only.
        signers = [Signer(tmp_path / KEY_NAME)]

        def refuse(*paths: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(signing.os, "link", refuse)
    begin = threading.Barrier(len(signers))
    found: list[bytes] = []

    def sign(signer: Signer) -> None:
        begin.wait()
        found.append(signer.sign("pickle", b"content"))

    threads = [threading.Thread(target=sign, args=(signer,)) for signer in signers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(signers)
    assert len(set(found)) == 1
    assert os.listdir(tmp_path) == [KEY_NAME]
    assert stat.S_IMODE((tmp_path / KEY_NAME).stat().st_mode) == 0o600


def spoil_mode(key: Path) -> None:
    key.chmod(0o640)


def spoil_length(key: Path) -> None:
    key.write_bytes(b"short")


def spoil_by_link(key: Path) -> None:
    key.rename(key.with_name("elsewhere"))
    key.symlink_to(key.with_name("elsewhere"))


def spoil_by_folder(key: Path) -> None:
    key.unlink()
    key.mkdir(mode=0o700)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_mode, r"is open to others \(mode 0640\): .*chmod 600 "),
        (spoil_length, "does not hold 32 bytes"),
        (spoil_by_link, "can't be read"),
        (spoil_by_folder, "is not a file"),
    ],
)
def test_a_key_that_cannot_be_trusted_is_refused(
    blobs: Blobs, key: Path, spoil: Callable[[Path], None], said: str
) -> None:
    payload = blobs.keep(SMALL)
    spoil(key)
    other = Blobs(blobs.folder)
    with pytest.raises(MissingResult, match=f"{key}, {said}"):
        other.load(payload)
    with pytest.raises(MissingResult, match=f"a tuple can't be stored: .*{key}, {said}"):
        other.keep(SMALL)
    with pytest.raises(MissingResult, match=said):
        other.keep(LARGE)
    assert not blobs.folder.exists()
    assert other.load(other.keep([1])) == [1]


def test_a_key_of_another_user_is_refused(blobs: Blobs, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = blobs.keep(SMALL)
    mine = os.geteuid()
    monkeypatch.setattr(signing.os, "geteuid", lambda: mine + 1)
    with pytest.raises(MissingResult, match=f"belongs to user {mine}, not to you"):
        Blobs(blobs.folder).load(payload)


def test_a_key_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(MissingResult, match=r"signing.key, can't be read: Not a directory"):
        Blobs(tmp_path / "home" / "results").keep(SMALL)


FRAMES: list[Any] = [
    pandas.DataFrame({"a": [1, 2]}),
    polars.DataFrame({"a": [1, 2]}),
    pyarrow.table({"a": [1, 2]}),
]


@pytest.mark.parametrize("value", [SMALL, LARGE, *FRAMES], ids=["small", "large", "pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("serializer", [None, "pickle", "compressed/pickle"])
def test_what_another_key_signed_or_nobody_is_refused(
    blobs: Blobs, key: Path, value: Any, serializer: str | None
) -> None:
    payload = blobs.keep(value, serializer)
    key.unlink()
    with pytest.raises(MissingResult, match=f"can't be verified: .* is gone: {key}"):
        Blobs(blobs.folder).load(payload)
    assert not key.exists()
    Blobs(blobs.folder).keep((1,))
    other = Blobs(blobs.folder)
    with pytest.raises(MissingResult, match=f"altered, or signed with another key than {key}"):
        other.load(payload)
    bare = payload.data[:64] if payload.in_file else payload.data[len(b"signed:") + 32 :]
    with pytest.raises(MissingResult, match="is not signed"):
        other.load(payload._replace(data=bare))


@pytest.mark.parametrize("padding", [0, INLINE_LIMIT])
@pytest.mark.parametrize("serializer", ["pickle", "compressed/pickle"])
def test_nothing_of_an_altered_pickle_is_read(blobs: Blobs, tmp_path: Path, padding: int, serializer: str) -> None:
    touched = tmp_path / "touched"
    evil = [os.urandom(padding), Touch(touched)]
    home = Blobs(tmp_path / "other" / "results")
    genuine = home.load(home.keep(evil, serializer))
    assert genuine[0] == evil[0]
    assert touched.exists(), "the payload works where it is trusted"
    touched.unlink()

    honest = blobs.keep([os.urandom(padding), "x"], serializer)
    foreign = home.keep(evil, serializer)
    assert honest.format == foreign.format
    attempts = [foreign]
    if honest.in_file:
        # Their file under our name for it, under its own name, and that with the signature of ours.
        put = file_of(blobs, foreign)
        put.parent.mkdir(exist_ok=True)
        put.write_bytes(file_of(home, foreign).read_bytes())
        attempts += [
            honest._replace(data=foreign.data[:64] + honest.data[64:]),
            honest._replace(data=foreign.data[:64]),
        ]
        file_of(blobs, honest).write_bytes(put.read_bytes())
        attempts.append(honest)
    else:
        begin = len(b"signed:") + 32
        attempts += [
            honest._replace(data=honest.data[:begin] + foreign.data[begin:]),
            honest._replace(data=foreign.data[begin:]),
            honest._replace(data=b"signed:" + foreign.data[begin:]),
            honest._replace(data=b""),
        ]
    for payload in attempts:
        with pytest.raises(MissingResult, match=r"altered|not signed|damaged"):
            blobs.load(payload)
    assert not touched.exists()


def test_a_signature_is_of_one_format(blobs: Blobs) -> None:
    for value in (SMALL, LARGE):
        payload = blobs.keep(value)
        prefix = "file:" if payload.in_file else ""
        for format_ in ("compressed/pickle", "arrow/pandas", "arrow/polars", "arrow/pyarrow"):
            with pytest.raises(MissingResult, match="altered"):
                blobs.load(payload._replace(format=prefix + format_))


@pytest.mark.parametrize("value", [SMALL, LARGE])
def test_every_changed_byte_is_seen(blobs: Blobs, value: Any) -> None:
    payload = blobs.keep(value)
    for i in {*range(0, min(len(payload.data), 150)), len(payload.data) - 1}:
        data = bytearray(payload.data)
        data[i] ^= 1
        with pytest.raises(MissingResult, match=r"altered|not signed|names no file|gone|no signature"):
            blobs.load(payload._replace(data=bytes(data)))


def test_unsigned_pickles_of_earlier_versions_are_missing(blobs: Blobs, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    old = pickle.dumps(Touch(touched), 5)
    with pytest.raises(MissingResult, match="not signed: an earlier development version"):
        blobs.load(Payload("pickle", old))
    assert not touched.exists()


def test_the_same_content_is_one_file_whoever_signs(blobs: Blobs, key: Path) -> None:
    first = blobs.keep(LARGE)
    assert blobs.keep(LARGE) == first
    key.unlink()
    second = Blobs(blobs.folder).keep(LARGE)
    assert second != first
    assert file_of(blobs, second) == file_of(blobs, first)
    assert len([path for path in blobs.folder.rglob("*") if path.is_file()]) == 1


def test_pickles_of_refused_values_are_never_loaded(blobs: Blobs, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payloads = [blobs.keep(value, name) for value in (SMALL, LARGE) for name in ("pickle", "compressed/pickle")]
    key.unlink()
    Blobs(blobs.folder).keep(SMALL)

    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("it was loaded")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, never)
    other = Blobs(blobs.folder)
    for payload in payloads:
        with pytest.raises(MissingResult, match="altered"):
            other.load(payload)


def test_other_processes_share_the_key(blobs: Blobs, tmp_path: Path) -> None:
    payload = blobs.keep(SMALL)
    code = """
import sys
from pathlib import Path
from jupyter_wf.store.blobs import Blobs, Payload
blobs = Blobs(Path(sys.argv[1]) / "results")
assert blobs.load(Payload("pickle", sys.stdin.buffer.read())) == (1, 2)
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], input=payload.data, cwd=ROOT, check=True)


def test_the_message_names_no_bytes_of_the_key(blobs: Blobs, key: Path) -> None:
    payload = blobs.keep(SMALL)
    key.write_bytes(os.urandom(32))
    with pytest.raises(MissingResult) as caught:
        Blobs(blobs.folder).load(payload)
    assert not re.search(re.escape(key.read_bytes().hex()), str(caught.value))
    assert repr(vars(blobs)).find(key.read_bytes().hex()) < 0


def test_a_sink_that_refuses_is_heard_through_the_libraries(blobs: Blobs) -> None:
    for frame in FRAMES:
        with pytest.raises(MissingResult, match=r"too large to be stored: at least \d+ bytes, of at most 100"):
            blobs.keep(frame, largest=100)
    assert io.BytesIO(blobs.keep(FRAMES[0]).data).read(7) == b"signed:"
